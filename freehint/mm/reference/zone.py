"""Which zone serves a request, and the two entry points: alloc_pages and free_pages.

Source: mm/page_alloc.c, Linux 6.1.
"""

from freehint.mm.reference.buddy import free_one_page
from freehint.mm.reference.fallback import ALLOC_NOFRAGMENT, rmqueue
from freehint.mm.reference.lists import (
    ISOLATE,
    MAX_ORDER,
    MOVABLE,
    PCPTYPES,
    WMARK_LOW,
    WMARK_MIN,
    get_pageblock_migratetype,
    nr_free_pages,
    page_zone,
)
from freehint.mm.reference.pcp import free_unref_page, pcp_allowed_order, rmqueue_pcplist

ZONE_NORMAL, ZONE_MOVABLE = 2, 3


def zone_watermark_ok(zone, order, mark, highest_zoneidx):
    """Would enough stay free, and is there a block of the order at all?

    For requests without access to reserves.  Source: zone_watermark_fast(),
    __zone_watermark_ok(), __zone_watermark_unusable_free().
    """
    left = nr_free_pages(zone) - zone.nr_reserved_highatomic - ((1 << order) - 1)
    wanted = zone.watermark[mark] + zone.watermark_boost + zone.lowmem_reserve[highest_zoneidx]
    if left <= wanted:
        return False
    larger = [zone.free_list[o, t] for o in range(order, MAX_ORDER) for t in PCPTYPES]
    return order == 0 or any(larger)


def get_page_from_freelist(twin, cpu, order, migratetype, mark, alloc_flags):
    """The first zone of the zonelist that has enough, highest first; (pfn, zone) or None.

    Source: get_page_from_freelist(), rmqueue().
    """
    highest = gfp_zone(migratetype)
    for zone in reversed(twin.zones):
        if zone.index > highest or not zone_watermark_ok(zone, order, mark, highest):
            continue
        if pcp_allowed_order(order):
            pfn = rmqueue_pcplist(twin, zone, cpu, order, migratetype, alloc_flags)
        else:
            pfn = rmqueue(twin, zone, order, migratetype, alloc_flags)
        if pfn is not None:
            return pfn, zone
    return None


def gfp_zone(migratetype):
    """The highest zone index a request may use: user memory could live in zone Movable.

    Source: gfp_zone() of GFP_HIGHUSER_MOVABLE and GFP_KERNEL.
    """
    return ZONE_MOVABLE if migratetype == MOVABLE else ZONE_NORMAL


def alloc_flags_nofragment(twin, migratetype):
    """Rather another zone than mixed pageblocks, if the preferred zone is Normal.

    Source: alloc_flags_nofragment(), with one NUMA node.
    """
    usable = [zone.index for zone in twin.zones if zone.index <= gfp_zone(migratetype)]
    return ALLOC_NOFRAGMENT if usable[-1] == ZONE_NORMAL else 0


def alloc_pages(twin, cpu, order, migratetype):
    """(pfn, zone) for a request that wakes kswapd but reclaims nothing itself, or None.

    Source: __alloc_pages(), the retry in get_page_from_freelist(), __alloc_pages_slowpath().
    """
    attempts = [(WMARK_LOW, 0), (WMARK_MIN, 0)]
    nofragment = alloc_flags_nofragment(twin, migratetype)
    if nofragment:
        attempts.insert(0, (WMARK_LOW, nofragment))
    for mark, alloc_flags in attempts:
        got = get_page_from_freelist(twin, cpu, order, migratetype, mark, alloc_flags)
        if got is not None:
            return got
    return None


def free_pages(twin, pfn, cpu, order):
    """Free a block: its pageblock, not its former use, says which type it has.

    Source: __free_pages(), free_the_page(), free_unref_page(), __free_pages_ok().
    """
    zone = page_zone(twin, pfn)
    migratetype = get_pageblock_migratetype(twin, pfn)
    twin.lru.difference_update(range(pfn, pfn + (1 << order)))
    if pcp_allowed_order(order) and migratetype != ISOLATE:
        free_unref_page(twin, zone, pfn, cpu, order, migratetype)
    else:
        free_one_page(twin, zone, pfn, order, migratetype)
