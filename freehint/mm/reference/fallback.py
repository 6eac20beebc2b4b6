"""Blocks of another type, when a type has none left: one block, or a pageblock with all in it.

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


def pageblock_in_zone(twin, zone, pfn):
    """The pfns of a pageblock that belong to the zone, as far as they may be looked at.

    None if it ends outside.  If it begins outside: those from ``pfn`` on, none from 6.10 on.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.
    """
    start = pfn // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES
    end = start + PAGEBLOCK_NR_PAGES
    if end > zone.end_pfn or (start < zone.start_pfn and twin.release >= 610):
        return range(0)
    return range(start if start >= zone.start_pfn else pfn, end)


def free_and_movable(twin, pages):
    """(free pages, allocated movable pages) among these.

    Source: move_freepages(); prep_move_freepages_block() of 6.12.
    """
    free = sum(1 << twin.buddy[page] for page in pages if page in twin.buddy)
    return free, sum(page in twin.lru for page in pages)


def move_freepages_block(twin, zone, pfn, migratetype):
    """Move all free blocks of a pageblock to another type's lists, ascending by pfn.

    From 6.10 on the pageblock takes the type too.  False if it may not move.
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
    """Is half of the pageblock free, or used for the taker's kind?

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
    """Bring a block, or the free part of its pageblock, to the taker's lists.

    Source: steal_suitable_fallback().
    """
    order = twin.buddy[pfn]
    old_type = get_pageblock_migratetype(twin, pfn)
    if old_type != HIGHATOMIC and order >= PAGEBLOCK_ORDER:
        change_pageblock_range(twin, pfn, order, start_type)
    elif old_type != HIGHATOMIC:
        boost_watermark(twin, zone)  # whoever asks
        if whole_block:
            free_pages, movable_pages = free_and_movable(twin, pageblock_in_zone(twin, zone, pfn))
            if move_freepages_block(twin, zone, pfn, start_type):
                if enough_to_claim(start_type, old_type, free_pages, movable_pages):
                    set_pageblock_migratetype(twin, pfn, start_type)
                return
    move_to_free_list(twin, zone, pfn, order, start_type)


def smallest_fallback(twin, order, alloc_flags):
    """The smallest order to steal from, where types must not mix: a pageblock.

    Not so in 4.15; 5.10 forgot that a request may be larger than a pageblock.
    Source: __rmqueue_fallback(); __rmqueue_claim() of 6.12.
    """
    if twin.release < 500 or not alloc_flags & ALLOC_NOFRAGMENT:
        return order
    return PAGEBLOCK_ORDER if twin.release < 601 else max(order, PAGEBLOCK_ORDER)


def rmqueue_fallback(twin, zone, order, start_type, alloc_flags):
    """Steal from the largest block of another type; False if there is none.

    A MOVABLE request that may not have the pageblock takes the smallest block that will do:
    movable pages can be moved out again.  Source: __rmqueue_fallback().
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
    """Make the pageblock of a free block the taker's and serve it from there; None if refused.

    Source: try_to_steal_block() of 6.12.
    """
    size, old_type = twin.buddy[pfn], get_pageblock_migratetype(twin, pfn)
    if size >= PAGEBLOCK_ORDER:
        del_page_from_free_list(twin, zone, pfn, size)
        change_pageblock_range(twin, pfn, size, start_type)
        expand(twin, zone, pfn, order, size, start_type)
        return pfn
    boost_watermark(twin, zone)  # refused or not
    pages = pageblock_in_zone(twin, zone, pfn)
    if not pages or not enough_to_claim(start_type, old_type, *free_and_movable(twin, pages)):
        return None
    move_freepages_block(twin, zone, pfn, start_type)
    return rmqueue_smallest(twin, zone, order, start_type)


def rmqueue_claim(twin, zone, order, start_type, alloc_flags):
    """From the largest order down: claim what the first other type's list begins with.

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
    """The smallest sufficient block of another type; what is left of it keeps that type.

    Source: __rmqueue_steal() of 6.12.
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
    """(block or None, mode): from the own type's buddy lists, else from another type's.

    ``mode`` is what the page before in the same refill left: once stealing, 6.12 looks at
    nothing else.  Source: __rmqueue().
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
