"""The guest at T0: its LRU lists, what is filled before time 0, and the first step."""

import numpy as np

from freehint.config import InputError
from freehint.engine.guest.forks import step_ns
from freehint.engine.guest.pressure.cache import PAGES_PER_HEADS, PAGES_PER_NODES
from freehint.engine.guest.pressure.eevdf import EEVDF_FROM
from freehint.engine.guest.pressure.pages import get_anon_page, get_file_page
from freehint.engine.guest.pressure.steps import FRAG, S_KIND, S_LAST, S_PAGES, SHELLS, SWAPON
from freehint.engine.guest.pressure.t0 import anon_places, file_places
from freehint.engine.world.clock import NEVER, schedule
from freehint.engine.world.jobs import EXEC, L_OUTCOME, NOBODY, NOT_ENDED, THP_DEFRAG, WORK
from freehint.engine.world.records import PRESSURE, PRESSURE_THREADS
from freehint.jit import kernel
from freehint.jit.pinned import pinned
from freehint.mm.memory import (
    BUDDY,
    MOVABLE,
    NO_PAGEBLOCK,
    ORDER_MASK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_TYPE_MASK,
    PCP,
)
from freehint.mm.reclaim.lists import set_bits
from freehint.mm.reclaim.lru import activate_page, add_anon_page, add_file_page
from freehint.mm.reclaim.state import PG_HELD, PG_REFERENCED
from freehint.units import NS_PER_MS

STAT_LAG = 128  # MEMCG_CHARGE_BATCH changes for more than num_online_cpus() times
# The fields of UnderPressure that are rates, in the order of R_READ .. R_HUGE.
RATES = (
    *("read_ns", "reread_ns", "write_ns", "fill_ns", "rewrite_ns"),
    *("exit_ns", "rm_ns", "exec_ns", "oom_ns", "huge_ns"),
)


def used_movable(memory) -> np.ndarray:
    """The used frames of MOVABLE pageblocks, ascending."""
    used = np.zeros(memory.nr_pages, bool)
    for zone in memory.zones:  # the last pageblock may reach beyond its zone
        first = int(zone["start_pfn"]) - memory.base_pfn
        used[first : first + int(zone["spanned"])] = True
    heads = np.flatnonzero(memory.frame & (BUDDY | PCP))
    orders = memory.frame[heads] & ORDER_MASK
    for order in np.unique(orders):
        inside = np.arange(1 << int(order))
        used[(heads[orders == order][:, None] + inside).ravel()] = False
    kind = memory.pageblock & PAGEBLOCK_TYPE_MASK
    movable = (kind == MOVABLE) & (memory.pageblock != NO_PAGEBLOCK)
    return np.flatnonzero(used & np.repeat(movable, PAGEBLOCK_NR_PAGES))


def place_lists(world, guest) -> None:
    """Put the pages of T0 on their LRU lists.

    They are the used frames of MOVABLE pageblocks with the highest pfns, because what boot keeps
    lies below; the oldest of a list has the lowest pfn.  Inactive pages of files were read once.
    Assumed.  Active pages of files are the file system's own blocks, which it holds: so it is in
    the lists of linux-6.1/rc_oom2, rc_cache2 and rc_swap2 at T0, and none of them was reclaimed.
    """
    lists, memory = guest.lists, world.memory
    if lists is None:
        return
    nodes = used_movable(memory)
    wanted = lists.file_pages + lists.anon_pages
    if len(nodes) < wanted:
        raise InputError(
            f"{guest.inputs[0].file}: counts {wanted} pages on the LRU lists at T0, but only"
            f" {len(nodes)} used frames may hold them"
        )
    places = np.concatenate(
        [file_places(guest, lists.file_pages), anon_places(guest)[: lists.anon_pages]]
    )
    counts = lists.active_file, lists.file_pages, lists.active_anon
    put_on_lists(pinned(world), nodes[len(nodes) - wanted :], places, *counts)


@kernel
def put_on_lists(world, nodes, places, active_file, file_pages, active_anon):
    """Let used frames back places: first the cache's, then anonymous memory's; oldest first."""
    memory, reclaim = world.memory, world.reclaim
    for i in range(nodes.shape[0]):
        node, place = nodes[i], places[i]
        if i < file_pages:
            active = i >= file_pages - active_file
            add_file_page(memory, reclaim, node, place, False)
            set_bits(reclaim, node, PG_REFERENCED | PG_HELD if active else PG_REFERENCED)
        else:
            add_anon_page(memory, reclaim, node, place)
            active = i - file_pages < active_anon
        if active:
            activate_page(memory, reclaim, node)
        world.jobs.content[place] = world.version[node]


def fill_before(world, guest) -> None:
    """Fill cache_MiB and anon_MiB before time 0, through the allocator.

    Raises
    ------
    InputError
        The guest's memory is too small for it.
    """
    files = guest.lists.file_pages if guest.lists else 0
    anon = guest.lists.anon_pages if guest.lists else 0
    cache, _ = guest.t0_pages
    if guest.cache_MiB or guest.anon_MiB:
        wanted = file_places(guest, cache)[files:], anon_places(guest)[anon:]
        done = fill_places(pinned(world), *wanted)
        if not done:
            raise InputError(
                f"workload: the guest has no {guest.cache_MiB} MiB for its cache and"
                f" {guest.anon_MiB} MiB for anonymous memory at T0"
            )
    for name in ("allocations", "failed_allocations", "frees"):
        world.tally[0][name] = 0  # the counts so far are from before time 0
    world.reclaim.count[:] = 0
    world.reclaim.work[:] = 0
    world.jobs.log[:] = 0
    world.jobs.state[0].stall_ns = world.jobs.state[0].paid_ns = 0


@kernel
def fill_places(world, files, anon):
    """Bring pages of files and of a process that sleeps into memory; False if it is too small."""
    for place in files:
        if not get_file_page(world, place, False, 0):
            return False
        set_bits(world.reclaim, world.reclaim.place[place] - 1, PG_REFERENCED)
    for place in anon:
        if not get_anon_page(world, place, True, 0):
            return False
    return True


def begin_jobs(world, guest, stream) -> None:
    """Set the rates, and let the first step and the kernel threads begin."""
    jobs, state = world.jobs, world.jobs.state[0]
    jobs.rate[:] = [getattr(guest, name) for name in RATES]
    jobs.log[:, L_OUTCOME] = NOT_ENDED
    first = int(jobs.step[0, S_KIND])
    state.part = WORK if first in SHELLS else EXEC
    state.task = NOBODY
    state.eevdf = world.memory.profile.release >= EEVDF_FROM
    world.reclaim.node["step_by_step"] = 1
    world.reclaim.node["stat_lag"] = STAT_LAG
    state.io_at = state.flush_at = state.nap_at = NEVER
    state.fork_ns, state.life_ns = step_ns(guest.forks_per_s), guest.life_ms * NS_PER_MS
    state.disk_ns, state.swap_in_ns = guest.disk_page_ns, guest.swap_in_ns
    state.slow = 1000
    state.slow_fill = round(1000 * guest.fill_slowness)
    state.slow_swap = round(1000 * guest.swap_slowness)
    state.course_ns = guest.course_ns
    # How full the slabs of T0 are is not known.
    state.cached = int(stream.integers(PAGES_PER_NODES))
    state.written = int(stream.integers(PAGES_PER_HEADS))
    state.dirty_ratio = guest.dirty_ratio
    state.dirty_background_ratio = guest.dirty_background_ratio
    state.huge_pages, state.thp_defrag = guest.huge_pages, THP_DEFRAG.index(guest.thp_defrag)
    at = 0
    for step in guest.plan.rows:
        if step[S_KIND] == FRAG:
            pieces = step[S_PAGES] // step[S_LAST]
            jobs.pieces[at : at + pieces] = stream.permutation(pieces)
            at += pieces
    if len(jobs.turns):
        state.host_turn = int(stream.integers(len(jobs.turns)))
        state.host_left_ns = jobs.turns[state.host_turn, 0]
    if (jobs.step[:, S_KIND] == SWAPON).any():
        world.reclaim.node["swap_free"] = 0  # swap is off until then
    world.state[0].cpu_kernel = 1 + PRESSURE
    world.state[0].threads_kernel = PRESSURE_THREADS
    schedule(world, 0, 0)
    schedule(world, guest.nr_cpus, 0)
