"""What comes from outside of the jobs: the balloon's pages and what operators write.

The memory changes at once; the time that it takes is paid by the task that runs next.
"""

from freehint.engine.guest.balloon import KWORKER_CPU, add_page, nr_places
from freehint.engine.guest.kthreads import end_compact_memory
from freehint.engine.guest.pressure.kcompactd import find_moved
from freehint.engine.guest.pressure.steps import COMPACT_MEMORY, S_KIND
from freehint.jit import kernel
from freehint.mm.compact.direct import compact_node
from freehint.mm.memory import MOVABLE
from freehint.mm.reclaim.counts import SLABS_SCANNED, WORK_COMPACT_SCANNED, WORK_MIGRATED
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.shrinker import shrink_slab
from freehint.mm.reclaim.slowpath import alloc_noretry
from freehint.mm.zone import LOCKED


@kernel(cold=True)
def take_pages_reclaiming(world, wanted):
    """Allocate pages for the balloon, with one round of reclaim for each that is not there.

    Returns as :func:`freehint.engine.guest.balloon.take_pages`; LOCKED too once kswapd is woken.
    """
    first, under_lock = nr_places(world), 0
    node_state = world.reclaim.node[0]
    slept = node_state.kswapd_awake == 0
    for got in range(wanted):
        locked = world.state[0].locked_zones
        node, _, blocks = alloc_noretry(
            world.memory, world.reclaim, KWORKER_CPU, 0, MOVABLE, locked
        )
        under_lock += blocks
        if node < 0:
            return got, under_lock, node
        add_page(world, first + got, node)
        if slept and node_state.kswapd_awake:
            return got + 1, under_lock, LOCKED
    return wanted, under_lock, 0


@kernel(cold=True)
def drop_everything(world):
    """Write 3 to /proc/sys/vm/drop_caches: clean page cache, and what shrinkers give.

    Source: drop_caches_sysctl_handler() of fs/drop_caches.c, drop_slab() of mm/vmscan.c.
    """
    drop_caches(world.memory, world.reclaim, KWORKER_CPU, 1 + world.memory.nr_pages)
    freed, shift = 2, -1
    while freed >> max(shift, 0) > 1:
        freed, scanned = shrink_slab(world.memory, world.reclaim.shrinkers, 0)
        world.reclaim.count[SLABS_SCANNED] += scanned
        shift += 1


@kernel(cold=True)
def reclaim_pages(world, pages):
    """Write to memory.reclaim: reclaim until so many pages are free or no more come."""
    memory_reclaim(world.memory, world.reclaim, KWORKER_CPU, pages)


@kernel(cold=True)
def compact_everything(world, now_ns):
    """Write 1 to /proc/sys/vm/compact_memory, and wake the policies that wait for its end.

    It is left for later, and returns False, while a job does the same: both need one control.
    Source: sysctl_compaction_handler() of mm/compaction.c.
    """
    jobs, work, cost = world.jobs, world.reclaim.work, world.cost[0]
    step = jobs.state[0].step
    if step < jobs.step.shape[0] and jobs.step[step, S_KIND] == COMPACT_MEMORY:
        if jobs.state[0].at > 0:
            return False
    scanned, migrated = work[WORK_COMPACT_SCANNED], work[WORK_MIGRATED]
    compact_node(world.memory, world.reclaim, world.reclaim.compaction, KWORKER_CPU)
    find_moved(world)
    spent = (work[WORK_COMPACT_SCANNED] - scanned) * cost.compact_scan_ns
    spent += (work[WORK_MIGRATED] - migrated) * cost.migrate_page_ns
    world.state[0].compact_asked = 0
    world.tally[0].compact_memory_ns += spent
    end_compact_memory(world, now_ns + spent)
    return True
