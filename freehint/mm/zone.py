"""Which zone serves an allocation: watermarks, lowmem_reserve and the zonelist.

Source: mm/page_alloc.c of Linux 6.1: __zone_watermark_ok(), get_page_from_freelist(),
alloc_flags_nofragment(); the order of attempts from __alloc_pages() and __alloc_pages_slowpath().
"""

from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.fallback import ALLOC_NOFRAGMENT, rmqueue
from freehint.mm.memory import (
    ISOLATE,
    LRU,
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_ORDERS,
    WMARK_LOW,
    WMARK_MIN,
    page_zone,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import (
    free_unref_page,
    free_would_drain,
    pcp_allowed_order,
    pcp_list_empty,
    rmqueue_pcplist,
)

ZONE_NORMAL, ZONE_MOVABLE = 2, 3  # kernel zone indices
NO_PAGE = -1
LOCKED = -2  # the zone's lock is held by a policy's stroke: nothing was done


@kernel(inline=True)
def zone_watermark_ok(memory, zone, order, mark, highest_zone):
    """May a block be taken and leave ``mark`` (WMARK_MIN, WMARK_LOW) pages free?

    ``highest_zone`` is the kernel index of the highest zone the request could use.
    """
    zones = memory.zones
    free = zones[zone].nr_free_pages - ((1 << order) - 1) - zones[zone].nr_reserved_highatomic
    needed = zones[zone].watermark[mark] + zones[zone].watermark_boost
    if free <= needed + zones[zone].lowmem_reserve[highest_zone]:
        return False
    if order == 0:
        return True
    for current in range(order, NR_ORDERS):
        for migratetype in range(MIGRATE_PCPTYPES):
            if memory.nr_free[zone, current, migratetype] > 0:
                return True
    return False


@kernel(inline=True)
def rmqueue_zone(memory, zone, cpu, order, migratetype, alloc_flags, locked_zone):
    """One zone's attempt: (node or NO_PAGE or LOCKED, blocks taken under the zone lock)."""
    if not pcp_allowed_order(memory, order):
        if zone == locked_zone:
            return LOCKED, 0
        return rmqueue(memory, zone, order, migratetype, alloc_flags), 1
    if pcp_list_empty(memory, zone, cpu, order, migratetype) and zone == locked_zone:
        return LOCKED, 0
    before = memory.pcp[zone, cpu].count
    node = rmqueue_pcplist(memory, zone, cpu, order, migratetype, alloc_flags)
    handed_out = 1 << order if node >= 0 else 0
    return node, (memory.pcp[zone, cpu].count + handed_out - before) >> order


@kernel
def alloc_pages(memory, cpu, order, migratetype, locked_zone):
    """Allocate a block as a request that may wake kswapd but is not reclaimed for.

    Zones from the highest down at the low watermark, first without mixing types within
    pageblocks where the preferred zone is Normal, then all again, then at the min watermark.

    Parameters
    ----------
    locked_zone : int
        Zone whose lock a stroke holds, or -1.

    Returns
    -------
    (node, zone, under_lock)
        ``node`` is NO_PAGE if all attempts failed, LOCKED (and no page was taken) if the
        lock of ``zone`` is needed and held; ``under_lock`` counts blocks taken from the buddy.
    """
    highest = ZONE_MOVABLE if migratetype == MOVABLE else ZONE_NORMAL
    nr_zones = memory.zones.shape[0]
    top = nr_zones - 1
    nofragment = memory.zones[top].index == ZONE_NORMAL
    under_lock = 0
    for attempt in range(0 if nofragment else 1, 3):
        mark = WMARK_MIN if attempt == 2 else WMARK_LOW
        flags = ALLOC_NOFRAGMENT if attempt == 0 else 0
        for zone in range(top, -1, -1):
            if not zone_watermark_ok(memory, zone, order, mark, highest):
                continue
            node, taken = rmqueue_zone(memory, zone, cpu, order, migratetype, flags, locked_zone)
            under_lock += taken
            if node != NO_PAGE:
                return node, zone, under_lock
    return NO_PAGE, -1, under_lock


@kernel(inline=True)
def mark_lru(memory, node, order):
    """Note that the pages of an allocation are movable (PageLRU)."""
    for page in range(node, node + (1 << order)):
        memory.frame[page] = LRU


@kernel(inline=True)
def clear_lru(memory, node, order):
    """Pages about to be freed leave the LRU."""
    for page in range(node, node + (1 << order)):
        memory.frame[page] = 0


@kernel
def free_pages(memory, node, cpu, order, locked_zone):
    """Free a block: through the pcp lists if its order may, else straight to the buddy.

    Returns
    -------
    (done, zone, under_lock)
        ``done`` is False (and nothing was changed) if the zone's lock is needed and held;
        ``under_lock`` counts pages put back under the zone lock.

    Source: __free_pages(), free_unref_page(), __free_pages_ok().
    """
    zone = page_zone(memory, node)
    migratetype = get_pageblock_migratetype(memory, node)
    if not pcp_allowed_order(memory, order) or migratetype == ISOLATE:
        if zone == locked_zone:
            return False, zone, 0
        clear_lru(memory, node, order)
        free_one_page(memory, node, zone, order, migratetype, FPI_NONE)
        return True, zone, 1
    if zone == locked_zone and free_would_drain(memory, zone, cpu, order):
        return False, zone, 0
    clear_lru(memory, node, order)
    return True, zone, free_unref_page(memory, node, cpu, order, migratetype)
