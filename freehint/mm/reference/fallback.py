"""When a type has no block left, it takes one of another type, or all of a pageblock.

Source: mm/page_alloc.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.buddy import expand, rmqueue_smallest
from freehint.mm.reference.lists import (
    HIGHATOMIC,
    MAX_ORDER,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
    WMARK_HIGH,
    change_pageblock_range,
    del_page_from_free_list,
    get_pageblock_migratetype,
    move_to_free_list,
    set_pageblock_migratetype,
)

ALLOC_NOFRAGMENT = 0x100
RMQUEUE_NORMAL, RMQUEUE_STEAL = range(2)

FALLBACKS = {
    UNMOVABLE: (RECLAIMABLE, MOVABLE),
    MOVABLE: (RECLAIMABLE, UNMOVABLE),
    RECLAIMABLE: (UNMOVABLE, MOVABLE),
    HIGHATOMIC: (),
}


def can_steal_fallback(order, start_type):
    """May the request take the whole pageblock?  Source: can_steal_fallback()."""
    return start_type in (UNMOVABLE, RECLAIMABLE) or order >= PAGEBLOCK_ORDER // 2


def find_suitable_fallback(zone, orders, start_type):
    """The first order in ``orders`` at which another type has a block, as (order, type) or None.

    Source: find_suitable_fallback(), and the loops around it in __rmqueue_fallback().
    """
    for order in orders:
        for other in FALLBACKS[start_type]:
            if zone.free_list[order, other]:
                return order, other
    return None


def boost_watermark(twin, zone):
    """Ask kswapd for one more pageblock, up to 150 % of the high watermark.

    There is no boost in zones of less than four pageblocks, nor in 4.15.
    Source: boost_watermark(), watermark_boost_factor.
    """
    if twin.release < 500:
        return
    limit = zone.watermark[WMARK_HIGH] * 15000 // 10000
    if zone.managed_pages >= 4 * PAGEBLOCK_NR_PAGES and limit > 0:
        limit = max(limit, PAGEBLOCK_NR_PAGES)
        zone.watermark_boost = min(zone.watermark_boost + PAGEBLOCK_NR_PAGES, limit)


def pageblock_in_zone(twin, zone, pfn):
    """The pfns of a pageblock that may move together.

    None may if the pageblock ends outside the zone.  If it begins outside, those from ``pfn`` on
    may; from 6.10 on none may.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.
    """
    start = pfn // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES
    end = start + PAGEBLOCK_NR_PAGES
    if end > zone.end_pfn or (start < zone.start_pfn and twin.release >= 610):
        return range(0)
    return range(start if start >= zone.start_pfn else pfn, end)


def free_and_movable(twin, pages):
    """Numbers of free pages and of allocated movable pages among ``pages``.

    Source: move_freepages(); prep_move_freepages_block() of 6.12.
    """
    free = sum(1 << twin.buddy[page] for page in pages if page in twin.buddy)
    return free, sum(page in twin.lru for page in pages)


def move_freepages_block(twin, zone, pfn, migratetype):
    """Move all free blocks of a pageblock to another type's lists, ascending by pfn.

    From 6.10 on the pageblock takes the type too.  Returns False if the pageblock may not move.
    Source: move_freepages_block(), move_freepages(); __move_freepages_block() of 6.12.
    """
    pages = pageblock_in_zone(twin, zone, pfn)
    for page in pages:
        if page in twin.buddy:
            move_to_free_list(twin, zone, page, twin.buddy[page], migratetype)
    if pages and twin.release >= 610:
        set_pageblock_migratetype(twin, pfn, migratetype)
    return bool(pages)


def enough_to_claim(start_type, old_type, free_pages, movable_pages):
    """Is half of the pageblock free, or used for pages like those of ``start_type``?

    Source: steal_suitable_fallback(); try_to_steal_block() of 6.12.
    """
    if start_type == MOVABLE:
        alike = movable_pages
    elif old_type == MOVABLE:
        alike = PAGEBLOCK_NR_PAGES - free_pages - movable_pages
    else:  # UNMOVABLE and RECLAIMABLE pages cannot be told apart
        alike = 0
    return free_pages + alike >= PAGEBLOCK_NR_PAGES // 2


def steal_suitable_fallback(twin, zone, pfn, start_type, whole_block):
    """Move a block, or all free blocks of its pageblock, to the lists of ``start_type``.

    Source: steal_suitable_fallback().
    """
    order = twin.buddy[pfn]
    old_type = get_pageblock_migratetype(twin, pfn)
    if old_type != HIGHATOMIC and order >= PAGEBLOCK_ORDER:
        change_pageblock_range(twin, pfn, order, start_type)
    elif old_type != HIGHATOMIC:
        boost_watermark(twin, zone)  # for any start_type
        if whole_block:
            free_pages, movable_pages = free_and_movable(twin, pageblock_in_zone(twin, zone, pfn))
            if move_freepages_block(twin, zone, pfn, start_type):
                if enough_to_claim(start_type, old_type, free_pages, movable_pages):
                    set_pageblock_migratetype(twin, pfn, start_type)
                return
    move_to_free_list(twin, zone, pfn, order, start_type)


def smallest_fallback(twin, order, alloc_flags):
    """The smallest order that may be stolen: with ALLOC_NOFRAGMENT, that of a pageblock.

    4.15 has no such limit, and 5.10 forgot that a request may be larger than a pageblock.
    Source: __rmqueue_fallback(); __rmqueue_claim() of 6.12.
    """
    if twin.release < 500 or not alloc_flags & ALLOC_NOFRAGMENT:
        return order
    return PAGEBLOCK_ORDER if twin.release < 601 else max(order, PAGEBLOCK_ORDER)


def rmqueue_fallback(twin, zone, order, start_type, alloc_flags):
    """Steal the largest block of another type; return False if there is none.

    A MOVABLE request that may not take the pageblock steals the smallest sufficient block,
    because movable pages can be moved out again.  Source: __rmqueue_fallback().
    """
    smallest = smallest_fallback(twin, order, alloc_flags)
    found = find_suitable_fallback(zone, range(MAX_ORDER - 1, smallest - 1, -1), start_type)
    if found is None:
        return False
    if start_type == MOVABLE and not can_steal_fallback(found[0], MOVABLE):
        found = find_suitable_fallback(zone, range(order, MAX_ORDER), MOVABLE)
    whole_block = can_steal_fallback(found[0], start_type)
    steal_suitable_fallback(twin, zone, zone.free_list[found][0], start_type, whole_block)
    return True


def try_to_claim_block(twin, zone, pfn, order, start_type):
    """Change the pageblock of a free block to ``start_type`` and serve the request from it.

    Returns the block's pfn, or None if the claim is refused.
    Source: try_to_steal_block() of 6.12.
    """
    size, old_type = twin.buddy[pfn], get_pageblock_migratetype(twin, pfn)
    if size >= PAGEBLOCK_ORDER:
        del_page_from_free_list(twin, zone, pfn, size)
        change_pageblock_range(twin, pfn, size, start_type)
        expand(twin, zone, pfn, order, size, start_type)
        return pfn
    boost_watermark(twin, zone)  # even if the claim is refused
    pages = pageblock_in_zone(twin, zone, pfn)
    if not pages or not enough_to_claim(start_type, old_type, *free_and_movable(twin, pages)):
        return None
    move_freepages_block(twin, zone, pfn, start_type)
    return rmqueue_smallest(twin, zone, order, start_type)


def rmqueue_claim(twin, zone, order, start_type, alloc_flags):
    """Claim the first block of another type's list, from the largest order down.

    Returns the pfn of the block that serves the request, or None.
    Source: __rmqueue_claim() of 6.12.
    """
    smallest = smallest_fallback(twin, order, alloc_flags)
    for current in reversed(range(smallest, MAX_ORDER)):
        found = find_suitable_fallback(zone, [current], start_type)
        if found and not can_steal_fallback(current, start_type):
            return None
        if found:
            pfn = try_to_claim_block(twin, zone, zone.free_list[found][0], order, start_type)
            if pfn is not None:
                return pfn
    return None


def rmqueue_steal(twin, zone, order, start_type):
    """Steal the smallest sufficient block of another type; its rest keeps that type.

    Returns the block's pfn or None.  Source: __rmqueue_steal() of 6.12.
    """
    found = find_suitable_fallback(zone, range(order, MAX_ORDER), start_type)
    if found is None:
        return None
    size, other = found
    pfn = zone.free_list[found][0]
    del_page_from_free_list(twin, zone, pfn, size)
    expand(twin, zone, pfn, order, size, other)
    return pfn


def rmqueue(twin, zone, order, migratetype, alloc_flags, mode=RMQUEUE_NORMAL):
    """Take a block from the buddy lists of its own type, else from another type's.

    ``mode`` is the mode that the previous page of the same refill returned: once 6.12 steals, it
    does not try anything else.  Returns the block's pfn or None, and the mode.
    Source: __rmqueue().
    """
    if twin.release < 612:
        pfn = rmqueue_smallest(twin, zone, order, migratetype)
        while pfn is None and rmqueue_fallback(twin, zone, order, migratetype, alloc_flags):
            pfn = rmqueue_smallest(twin, zone, order, migratetype)
        return pfn, mode
    if mode == RMQUEUE_NORMAL:
        pfn = rmqueue_smallest(twin, zone, order, migratetype)
        if pfn is None:
            pfn = rmqueue_claim(twin, zone, order, migratetype, alloc_flags)
        if pfn is not None:
            return pfn, RMQUEUE_NORMAL
    if alloc_flags & ALLOC_NOFRAGMENT:
        return None, mode
    pfn = rmqueue_steal(twin, zone, order, migratetype)
    return pfn, mode if pfn is None else RMQUEUE_STEAL
