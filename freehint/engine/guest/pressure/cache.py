"""Steps on files: read with readahead, copy, write, rm; dirty pages and how they reach the disk.

Source: page_cache_ra_unbounded() of mm/readahead.c, filemap_read() of mm/filemap.c,
balance_dirty_pages() of mm/page-writeback.c, wb_writeback() of fs/fs-writeback.c, Linux 6.1.
"""

from freehint.engine.guest.pressure.pages import (
    free_kernel_block,
    get_file_page,
    get_slab_block,
    give_back,
    is_resident,
    store_page,
)
from freehint.engine.guest.pressure.steps import S_PAGES, S_PLACE, S_SOURCE
from freehint.engine.world.clock import NEVER
from freehint.engine.world.jobs import R_READ, R_REREAD, R_RM, R_WRITE
from freehint.jit import kernel
from freehint.mm.memory import WMARK_HIGH
from freehint.mm.reclaim.lists import has, is_file
from freehint.mm.reclaim.lru import mark_page_accessed
from freehint.mm.reclaim.state import (
    ACTIVE_FILE,
    INACTIVE_FILE,
    PG_DIRTY,
    PG_WRITEBACK,
)
from freehint.mm.reclaim.writeback import (
    end_writeback,
    next_writeback,
    request_pages,
    set_page_dirty,
    start_writeback,
)
from freehint.units import NS_PER_S

READAHEAD_PAGES = 32  # read_ahead_kb = 128
# Pages of a file for one slab block of the cache's tree: 14 nodes of 64 pages in a block of order
# 1 (rc_cache: 122 blocks for 107,520 pages); pages written for one page of buffer heads (rc_cache:
# 405 for 32,000 and 799 for 53,760).
PAGES_PER_NODES, PAGES_PER_HEADS = 896, 72
FLUSH_PAGES = 256  # pages that the flusher hands over at a time
PERIODIC_NS = 5 * NS_PER_S  # vm.dirty_writeback_centisecs
EXPIRE_NS = 30 * NS_PER_S  # vm.dirty_expire_centisecs
IO_PAGES = 32  # pages that the disk does between two interrupts.  Assumed
# The interrupt that ends the writing of a page to swap takes a part of what giving it away took; in
# the times of files' writers it is included.  A half was chosen after a look at linux-6.1/rc_swap2
# (5.6 us for a page), so it is no prediction there.
SUBMIT_FOR_END = 2
OUT = -1  # memory is out


@kernel(cold=True)
def note_slab(world, order, place, now_ns):
    """Allocate a slab block for the file whose first place is ``place``."""
    jobs, state = world.jobs, world.jobs.state[0]
    if state.nr_slabs < jobs.slab.shape[0]:
        block = get_slab_block(world, order, now_ns)
        if block >= 0:
            jobs.slab[state.nr_slabs, 0], jobs.slab[state.nr_slabs, 1] = block, place
            state.nr_slabs += 1


@kernel(cold=True)
def bring_page(world, first, place, dirty, now_ns):
    """Bring a page of the file at ``first`` into the cache; False if memory is out.

    A page that was there before has its node of the tree still, for the shadow.
    """
    state, fresh = world.jobs.state[0], world.reclaim.place[place] == 0
    if not get_file_page(world, place, dirty, now_ns):
        return False
    state.cached += fresh
    if fresh and state.cached % PAGES_PER_NODES == 0:
        note_slab(world, 1, first, now_ns)
    return True


@kernel(cold=True)
def read_page(world, first, pages, at, now_ns):
    """Do the next bit of work towards reading page ``at`` of a file.

    Returns
    -------
    (int, bool)
        Time in ns, or OUT; whether the page is read.
    """
    state, rate = world.jobs.state[0], world.jobs.rate
    if state.ahead < state.window:
        place = first + state.ahead
        if not is_resident(world, place) and not bring_page(world, first, place, False, now_ns):
            return OUT, False
        state.ahead += 1
        return rate[R_READ], False
    if is_resident(world, first + at):
        mark_page_accessed(world.memory, world.reclaim, world.reclaim.place[first + at] - 1)
        return 0 if at < state.window else rate[R_REREAD], True
    state.ahead, state.window = at, min(at + READAHEAD_PAGES, pages)
    return 0, False


@kernel(cold=True)
def write_file_page(world, first, at, now_ns):
    """Write page ``at`` of a file in the cache; return the time in ns, or OUT."""
    jobs, state, place = world.jobs, world.jobs.state[0], first + at
    if is_resident(world, place):
        store_page(world, place, world.reclaim.place[place] - 1)
        set_page_dirty(world.reclaim, world.reclaim.place[place] - 1)
    elif not bring_page(world, first, place, True, now_ns):
        return OUT
    state.written += 1
    if state.written % PAGES_PER_HEADS == 0:
        note_slab(world, 0, first, now_ns)
    note_dirty(world, place, now_ns)
    if over_limit(world):
        state.waits_io = 1
    return jobs.rate[R_WRITE]


@kernel
def read_step(world, row, now_ns):
    """READ: a bit of work; return the time in ns, or OUT."""
    state = world.jobs.state[0]
    spent, done = read_page(world, row[S_PLACE], row[S_PAGES], state.at, now_ns)
    state.at += done
    return spent


@kernel
def copy_step(world, row, now_ns):
    """COPY: read a page of the source, or write one; return the time in ns, or OUT."""
    state = world.jobs.state[0]
    if state.copied == state.at:
        spent, done = read_page(world, row[S_SOURCE], row[S_PAGES], state.at, now_ns)
        state.copied += done
        return spent
    spent = write_file_page(world, row[S_PLACE], state.at, now_ns)
    state.at += spent != OUT
    return spent


@kernel
def write_step(world, row, now_ns):
    """WRITE: one page; return the time in ns, or OUT."""
    spent = write_file_page(world, row[S_PLACE], world.jobs.state[0].at, now_ns)
    world.jobs.state[0].at += spent != OUT
    return spent


@kernel(cold=True)
def rm_step(world, row):
    """RM: give back the next page that is there, at the end the file's slabs too."""
    jobs, state = world.jobs, world.jobs.state[0]
    while state.at < row[S_PAGES]:
        resident = is_resident(world, row[S_PLACE] + state.at)
        give_back(world, row[S_PLACE] + state.at)
        state.at += 1
        if resident:
            return jobs.rate[R_RM]
    kept = 0
    for i in range(state.nr_slabs):
        if jobs.slab[i, 1] == row[S_PLACE]:
            free_kernel_block(world, jobs.slab[i, 0])
        else:
            jobs.slab[kept, 0], jobs.slab[kept, 1] = jobs.slab[i, 0], jobs.slab[i, 1]
            kept += 1
    state.nr_slabs = kept
    return 0


# Dirty pages.


@kernel(cold=True)
def note_dirty(world, place, now_ns):
    """Let the flusher know a place that became dirty."""
    jobs, state = world.jobs, world.jobs.state[0]
    if state.dirty_to - state.dirty_from == jobs.dirty.shape[0]:
        state.dirty_from += 1
    at = state.dirty_to % jobs.dirty.shape[0]
    jobs.dirty[at, 0], jobs.dirty[at, 1] = place, now_ns
    state.dirty_to += 1
    if over_background(world):
        state.flush_at = min(state.flush_at, now_ns)
    elif state.flush_at == NEVER:
        state.flush_at = now_ns + PERIODIC_NS


@kernel(cold=True)
def dirtyable(world):
    """Pages that may be dirty: free ones and the cache.  Source: global_dirtyable_memory()."""
    memory, pages = world.memory, 0
    for zone in range(memory.zones.shape[0]):
        pages += memory.zones[zone].nr_free_pages - memory.zones[zone].watermark[WMARK_HIGH]
        pages += world.reclaim.zone_lru[zone, INACTIVE_FILE]
        pages += world.reclaim.zone_lru[zone, ACTIVE_FILE]
    return max(pages, 1)


@kernel
def over_background(world):
    """Are there more dirty pages than the flusher leaves?  Source: wb_over_bg_thresh()."""
    limit = dirtyable(world) * world.jobs.state[0].dirty_background_ratio // 100
    return world.reclaim.node[0].nr_dirty > limit


@kernel(cold=True)
def over_limit(world):
    """Must a writer wait for the disk?  Source: dirty_freerun_ceiling()."""
    state, node = world.jobs.state[0], world.reclaim.node[0]
    ratios = state.dirty_ratio + state.dirty_background_ratio
    return node.nr_dirty + node.nr_writeback > dirtyable(world) * ratios // 200


@kernel(cold=True)
def flush_turn(world, now_ns):
    """Hand the oldest dirty pages over to the disk, as many as wanted at a time."""
    jobs, state, reclaim = world.jobs, world.jobs.state[0], world.reclaim
    given = 0
    while state.dirty_from < state.dirty_to and given < FLUSH_PAGES:
        at = state.dirty_from % jobs.dirty.shape[0]
        node = reclaim.place[jobs.dirty[at, 0]] - 1
        old = now_ns - jobs.dirty[at, 1] > EXPIRE_NS
        if not (old or state.dirty_from < state.flush_to or over_background(world)):
            break
        state.dirty_from += 1
        if node >= 0 and has(reclaim, node, PG_DIRTY) and not has(reclaim, node, PG_WRITEBACK):
            start_writeback(world.memory, reclaim, node)
            given += 1
    more = state.dirty_from < state.flush_to or over_background(world)
    if state.dirty_from == state.dirty_to:
        state.flush_at = NEVER
    else:
        state.flush_at = now_ns + (FLUSH_PAGES * state.disk_ns if more else PERIODIC_NS)
    note_io(world, now_ns)


@kernel(cold=True)
def note_io(world, now_ns):
    """If the disk was idle and has pages to write now, let it begin."""
    state = world.jobs.state[0]
    if state.io_at == NEVER and world.reclaim.node[0].writeback_count > 0:
        pages = request_pages(world.reclaim, IO_PAGES)
        state.io_at = now_ns + state.disk_ns * max(pages, IO_PAGES) * state.slow // 1000


@kernel(cold=True)
def io_turn(world, now_ns):
    """The disk has done its oldest pages.  Source: end_page_writeback()."""
    state, reclaim = world.jobs.state[0], world.reclaim
    for _ in range(request_pages(reclaim, IO_PAGES)):
        node = next_writeback(reclaim)
        if node >= 0:
            if not is_file(reclaim, node):
                state.interrupts_ns += world.cost[0].swap_out_ns // SUBMIT_FOR_END
            end_writeback(world.memory, reclaim, node)
    state.io_at = NEVER
    note_io(world, now_ns)
    if state.waits_io and not must_wait(world):
        state.waits_io = 0


@kernel
def must_wait(world):
    """Is there more for the disk to do before the job goes on?"""
    node, state = world.reclaim.node[0], world.jobs.state[0]
    if state.waits_some:
        state.waits_some = 0
        return False
    if state.syncs:
        return node.nr_dirty + node.nr_writeback > 0
    return over_limit(world)


@kernel(cold=True)
def flush_all(world, now_ns):
    """Let the flusher write all that is dirty now.  Source: wakeup_flusher_threads()."""
    world.jobs.state[0].flush_to = world.jobs.state[0].dirty_to
    world.jobs.state[0].flush_at = now_ns


@kernel
def sync_step(world, now_ns):
    """SYNC: let the flusher write everything, and wait until the disk has it."""
    state = world.jobs.state[0]
    state.syncs = 1
    if must_wait(world):
        state.waits_io = 1
        flush_all(world, now_ns)
        return False
    state.syncs = 0
    return True
