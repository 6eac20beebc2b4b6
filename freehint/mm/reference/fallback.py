"""Blocks of another type, when a type has none left: one block, or a pageblock with all in it.

Source: mm/page_alloc.c, Linux 6.1.
"""

from freehint.mm.reference.buddy import rmqueue_smallest
from freehint.mm.reference.lists import (
    HIGHATOMIC,
    MAX_ORDER,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
    WMARK_HIGH,
    get_pageblock_migratetype,
    move_to_free_list,
    set_pageblock_migratetype,
)

ALLOC_NOFRAGMENT = 0x100

FALLBACKS = {
    UNMOVABLE: (RECLAIMABLE, MOVABLE),
    MOVABLE: (RECLAIMABLE, UNMOVABLE),
    RECLAIMABLE: (UNMOVABLE, MOVABLE),
    HIGHATOMIC: (),
}


def can_steal_fallback(order, start_type):
    """May the taker look at the whole pageblock?  Source: can_steal_fallback()."""
    return start_type in (UNMOVABLE, RECLAIMABLE) or order >= PAGEBLOCK_ORDER // 2


def find_suitable_fallback(zone, orders, start_type):
    """(order, type) of the first order in ``orders`` where another type has a block, or None.

    Source: find_suitable_fallback(), and the loops around it in __rmqueue_fallback().
    """
    for order in orders:
        for other in FALLBACKS[start_type]:
            if zone.free_list[order, other]:
                return order, other
    return None


def boost_watermark(twin, zone):
    """Ask kswapd for a pageblock more, up to 150 % of the high watermark.

    Not in zones of less than four pageblocks; not in 4.15.
    Source: boost_watermark(), watermark_boost_factor.
    """
    if twin.release < 500:
        return
    limit = zone.watermark[WMARK_HIGH] * 15000 // 10000
    if zone.managed_pages >= 4 * PAGEBLOCK_NR_PAGES and limit > 0:
        limit = max(limit, PAGEBLOCK_NR_PAGES)
        zone.watermark_boost = min(zone.watermark_boost + PAGEBLOCK_NR_PAGES, limit)


def move_freepages_block(twin, zone, pfn, migratetype):
    """Move all free blocks of a pageblock to another type's lists, ascending by pfn.

    Returns (pages moved, allocated movable pages).  A pageblock that ends outside the zone
    moves nothing; one that begins outside is looked at from ``pfn`` on.
    Source: move_freepages_block(), move_freepages().
    """
    start = pfn // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES
    end = start + PAGEBLOCK_NR_PAGES
    if end > zone.end_pfn:
        return 0, 0
    if start < zone.start_pfn:
        start = pfn
    free = [page for page in range(start, end) if page in twin.buddy]
    for block in free:
        move_to_free_list(twin, zone, block, twin.buddy[block], migratetype)
    movable = sum(page in twin.lru for page in range(start, end))
    return sum(1 << twin.buddy[block] for block in free), movable


def enough_to_claim(start_type, old_type, free_pages, movable_pages):
    """Is half of the pageblock free, or used for the taker's kind?

    Source: steal_suitable_fallback().
    """
    if start_type == MOVABLE:
        alike = movable_pages
    elif old_type == MOVABLE:
        alike = PAGEBLOCK_NR_PAGES - free_pages - movable_pages
    else:  # UNMOVABLE and RECLAIMABLE pages cannot be told apart
        alike = 0
    return free_pages + alike >= PAGEBLOCK_NR_PAGES // 2


def steal_suitable_fallback(twin, zone, pfn, start_type, whole_block):
    """Bring a block, or the free part of its pageblock, to the taker's lists.

    Source: steal_suitable_fallback().
    """
    order = twin.buddy[pfn]
    old_type = get_pageblock_migratetype(twin, pfn)
    if old_type != HIGHATOMIC and order >= PAGEBLOCK_ORDER:
        for pageblock in range(pfn, pfn + (1 << order), PAGEBLOCK_NR_PAGES):
            set_pageblock_migratetype(twin, pageblock, start_type)
    elif old_type != HIGHATOMIC:
        boost_watermark(twin, zone)  # whoever asks
        if whole_block:
            free_pages, movable_pages = move_freepages_block(twin, zone, pfn, start_type)
            if free_pages:
                if enough_to_claim(start_type, old_type, free_pages, movable_pages):
                    set_pageblock_migratetype(twin, pfn, start_type)
                return
    move_to_free_list(twin, zone, pfn, order, start_type)


def rmqueue_fallback(twin, zone, order, start_type, alloc_flags):
    """Steal from the largest block of another type; False if there is none.

    A MOVABLE request that may not have the pageblock takes the smallest block that will do:
    movable pages can be moved out again.  Source: __rmqueue_fallback().
    """
    smallest = order
    if alloc_flags & ALLOC_NOFRAGMENT and twin.release >= 500:
        # 5.10 forgot that a request may be larger than a pageblock.
        smallest = PAGEBLOCK_ORDER if twin.release < 601 else max(order, PAGEBLOCK_ORDER)
    found = find_suitable_fallback(zone, range(MAX_ORDER - 1, smallest - 1, -1), start_type)
    if found is None:
        return False
    if start_type == MOVABLE and not can_steal_fallback(found[0], MOVABLE):
        found = find_suitable_fallback(zone, range(order, MAX_ORDER), MOVABLE)
    whole_block = can_steal_fallback(found[0], start_type)
    steal_suitable_fallback(twin, zone, zone.free_list[found][0], start_type, whole_block)
    return True


def rmqueue(twin, zone, order, migratetype, alloc_flags):
    """A block from the buddy lists: the own type's, else a stolen one; None if there is none.

    Source: __rmqueue().
    """
    pfn = rmqueue_smallest(twin, zone, order, migratetype)
    while pfn is None and rmqueue_fallback(twin, zone, order, migratetype, alloc_flags):
        pfn = rmqueue_smallest(twin, zone, order, migratetype)
    return pfn
