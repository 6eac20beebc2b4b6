"""Which zone serves a request, and the two entry points: alloc_pages and free_pages.

Source: mm/page_alloc.c, Linux 6.1 and 6.12.
"""

from itertools import takewhile

from freehint.mm.reference.buddy import free_block
from freehint.mm.reference.fallback import ALLOC_NOFRAGMENT
from freehint.mm.reference.highatomic import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    has_any,
    ignores_boost,
    is_highatomic,
    lowered,
    reserve_highatomic_pageblock,
    reserved,
    rmqueue_buddy,
)
from freehint.mm.reference.lists import (
    HIGHATOMIC,
    ISOLATE,
    MAX_ORDER,
    MOVABLE,
    PCPTYPES,
    WMARK_HIGH,
    WMARK_LOW,
    WMARK_MIN,
    ZONE_BELOW_HIGH,
    get_pageblock_migratetype,
    nr_free_pages,
    page_zone,
)
from freehint.mm.reference.pcp import (
    ZONE_MOVABLE,
    free_unref_page,
    pcp_allowed_order,
    pcp_head,
    rmqueue_pcplist,
)

ZONE_NORMAL = 2


def zone_watermark_ok(twin, zone, order, wanted, highest_zoneidx, alloc_flags=0):
    """Would ``wanted`` pages stay free, and is there a block of at least this order?

    Source: zone_watermark_fast(), __zone_watermark_ok(), __zone_watermark_unusable_free().
    """
    free, reserve = nr_free_pages(zone), zone.lowmem_reserve[highest_zoneidx]
    if order == 0 and twin.release < 500 and free > wanted + reserve:
        return True
    harder = {ALLOC_NON_BLOCK, ALLOC_OOM}
    if twin.release >= 601:
        harder |= {ALLOC_MIN_RESERVE, ALLOC_HIGHATOMIC}
    if not has_any(alloc_flags, harder):
        free -= reserved(twin, zone)
    if free - ((1 << order) - 1) <= lowered(twin, wanted, alloc_flags) + reserve:
        return False
    atomic = {ALLOC_OOM, ALLOC_NON_BLOCK if twin.release < 601 else ALLOC_HIGHATOMIC}
    types = (*PCPTYPES, HIGHATOMIC) if has_any(alloc_flags, atomic) else PCPTYPES
    larger = [zone.free_list[o, t] for o in range(order, MAX_ORDER) for t in types]
    return order == 0 or any(larger)


def has_room(twin, zone, order, mark, highest, alloc_flags):
    """Is the zone above its watermark?  6.12 first notes a zone that is below the high watermark.

    Source: get_page_from_freelist(), zone_watermark_fast().
    """
    boost = zone.watermark_boost
    if twin.release >= 612 and not zone.flags & ZONE_BELOW_HIGH:
        high = zone.watermark[WMARK_HIGH] + boost
        if zone_watermark_ok(twin, zone, order, high, highest, alloc_flags):
            return True
        zone.flags |= ZONE_BELOW_HIGH
    if order == 0 and mark == WMARK_MIN and ignores_boost(twin, alloc_flags):
        boost = 0
    wanted = zone.watermark[mark] + boost
    return zone_watermark_ok(twin, zone, order, wanted, highest, alloc_flags)


def get_page_from_freelist(twin, cpu, order, migratetype, mark, alloc_flags):
    """Take a block from the highest zone that has enough pages.

    Returns (pfn, zone), or None if no zone has enough.
    Source: get_page_from_freelist(), rmqueue().
    """
    highest = gfp_zone(migratetype)
    for zone in reversed(twin.zones):
        if zone.index > highest:
            continue
        if not has_room(twin, zone, order, mark, highest, alloc_flags):
            continue
        pfn = None
        grows = twin.release < 703
        if pcp_allowed_order(twin, order):
            pfn = rmqueue_pcplist(twin, zone, cpu, order, migratetype, alloc_flags)
        if pfn is None and (order > 0 or twin.release >= 513):
            pfn = rmqueue_buddy(twin, zone, order, migratetype, alloc_flags)
            grows = grows or mark == WMARK_MIN  # 7.3 does it there, and nowhere else
        if pfn is not None:
            if grows and is_highatomic(twin, order, alloc_flags):
                reserve_highatomic_pageblock(twin, zone, pfn, order)
            return pfn, zone
    return None


def gfp_zone(migratetype):
    """The highest zone index that a request may use; user memory could lie in zone Movable.

    Source: gfp_zone() of GFP_HIGHUSER_MOVABLE and GFP_KERNEL.
    """
    return ZONE_MOVABLE if migratetype == MOVABLE else ZONE_NORMAL


def alloc_flags_nofragment(twin, migratetype):
    """ALLOC_NOFRAGMENT if the preferred zone is Normal: rather use another zone than mix types.

    4.15 has no such flag.  Source: alloc_flags_nofragment(), with one NUMA node.
    """
    if twin.release < 500:
        return 0
    usable = [zone.index for zone in twin.zones if zone.index <= gfp_zone(migratetype)]
    return ALLOC_NOFRAGMENT if usable[-1] == ZONE_NORMAL else 0


def alloc_pages(twin, cpu, order, migratetype, reserve_flags=0):
    """Allocate a block for a request that wakes kswapd but does not reclaim itself.

    Returns (pfn, zone), or None if all attempts fail.
    Source: __alloc_pages(), the retry in get_page_from_freelist(), __alloc_pages_slowpath().
    """
    early = reserve_flags & ALLOC_HIGHATOMIC if twin.release >= 703 else 0
    attempts = [(WMARK_LOW, early), (WMARK_MIN, reserve_flags)]
    nofragment = alloc_flags_nofragment(twin, migratetype)
    if nofragment:
        attempts.insert(0, (WMARK_LOW, nofragment | early))
    for mark, alloc_flags in attempts:
        got = get_page_from_freelist(twin, cpu, order, migratetype, mark, alloc_flags)
        if got is not None:
            return got
    return None


def alloc_pages_bulk(twin, cpu, migratetype, nr_pages):
    """Allocate pages of order 0 from one zone's pcp list, perhaps fewer than wanted.

    The lowmem reserve is the one against the preferred zone.  Source: __alloc_pages_bulk().
    """
    preferred = twin.zones[-1].index
    for zone in reversed(twin.zones):
        wanted = zone.watermark[WMARK_LOW] + zone.watermark_boost + nr_pages
        if nr_pages > 1 and zone_watermark_ok(twin, zone, 0, wanted, preferred):
            pages = (pcp_head(twin, zone, cpu, 0, migratetype, 0) for _ in range(nr_pages))
            return list(takewhile(lambda pfn: pfn is not None, pages))
    return []


def free_pages(twin, pfn, cpu, order):
    """Free a block under its pageblock's type, whatever type it was allocated for.

    Source: __free_pages(), free_the_page(), free_unref_page(), __free_pages_ok().
    """
    zone = page_zone(twin, pfn)
    migratetype = get_pageblock_migratetype(twin, pfn)
    twin.lru.difference_update(range(pfn, pfn + (1 << order)))
    if pcp_allowed_order(twin, order) and migratetype != ISOLATE:
        free_unref_page(twin, zone, pfn, cpu, order, migratetype)
    else:
        free_block(twin, zone, pfn, order)
