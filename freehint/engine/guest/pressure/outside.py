"""What comes from outside of the jobs: the balloon's pages, drop_caches and memory.reclaim.

The memory changes at once; the time that reclaim takes is paid by the task that runs next.
"""

from freehint.engine.guest.balloon import KWORKER_CPU, add_page
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE
from freehint.mm.reclaim.counts import SLABS_SCANNED
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.shrinker import shrink_slab
from freehint.mm.reclaim.slowpath import alloc_noretry


@kernel(cold=True)
def take_pages_reclaiming(world, wanted):
    """Allocate pages for the balloon, with one round of reclaim for each that is not there.

    Returns as :func:`freehint.engine.guest.balloon.take_pages`.
    """
    first, under_lock = world.balloon.at[0], 0
    for got in range(wanted):
        locked = world.state[0].locked_zones
        node, _, blocks = alloc_noretry(
            world.memory, world.reclaim, KWORKER_CPU, 0, MOVABLE, locked
        )
        under_lock += blocks
        if node < 0:
            return got, under_lock, node
        add_page(world, first + got, node)
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
