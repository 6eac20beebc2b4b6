"""When a type's own lists are empty: take a block of another type, perhaps its whole pageblock.

Source: mm/page_alloc.c of Linux 6.1, where no other is named: __rmqueue_fallback(),
find_suitable_fallback(), steal_suitable_fallback(), boost_watermark().  4.15 and 5.10 decide the
same way.
"""

from freehint.jit import kernel
from freehint.mm.buddy import rmqueue_smallest
from freehint.mm.memory import (
    HIGHATOMIC,
    MAX_ORDER,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
    WMARK_HIGH,
    first_block,
    frame_order,
    free_list_head,
)
from freehint.mm.pageblock import (
    change_pageblock_range,
    get_pageblock_migratetype,
    move_freepages_block,
    move_to_free_list,
    set_pageblock_migratetype,
)
from freehint.mm.profile import NOFRAGMENT_ANY_ORDER, NOFRAGMENT_NONE

ALLOC_NOFRAGMENT = 0x100

WATERMARK_BOOST_FACTOR = 15000  # /proc/sys/vm/watermark_boost_factor, 1/10000 of high


@kernel(inline=True)
def fallback_type(migratetype, i):
    """The i-th type to try (i = 0, 1) instead of ``migratetype``.  Source: fallbacks[][].

    UNMOVABLE: RECLAIMABLE, MOVABLE.  MOVABLE: RECLAIMABLE, UNMOVABLE.
    RECLAIMABLE: UNMOVABLE, MOVABLE.
    """
    if migratetype == RECLAIMABLE:
        return UNMOVABLE if i == 0 else MOVABLE
    if i == 0:
        return RECLAIMABLE
    return MOVABLE if migratetype == UNMOVABLE else UNMOVABLE


@kernel(inline=True)
def can_steal_fallback(order, start_type):
    """May the whole pageblock be looked at?  Source: can_steal_fallback()."""
    return order >= PAGEBLOCK_ORDER // 2 or start_type in (RECLAIMABLE, UNMOVABLE)


@kernel(inline=True)
def find_suitable_fallback(memory, zone, order, start_type):
    """First fallback type with a block of this order, or -1.  Source: the same name."""
    for i in range(2):
        other = fallback_type(start_type, i)
        if memory.nr_free[zone, order, other] > 0:
            return other
    return -1


@kernel(inline=True)
def boost_watermark(memory, zone):
    """Raise the watermarks after a steal, so that kswapd makes room.  Source: the same name.

    One pageblock a time, to at most 150 % of the high watermark and at least one pageblock;
    not where four pageblocks are more than the zone's managed pages.  Not before 5.0.
    """
    if not memory.profile.watermark_boost or PAGEBLOCK_NR_PAGES * 4 > memory.zones[zone].managed:
        return
    max_boost = memory.zones[zone].watermark[WMARK_HIGH] * WATERMARK_BOOST_FACTOR // 10000
    if max_boost == 0:
        return
    max_boost = max(PAGEBLOCK_NR_PAGES, max_boost)
    boosted = memory.zones[zone].watermark_boost + PAGEBLOCK_NR_PAGES
    memory.zones[zone].watermark_boost = min(boosted, max_boost)


@kernel(inline=True)
def claims_pageblock(memory, node, start_type, old_type, moved, movable):
    """Half a pageblock free or alike makes it the taker's.  Source: steal_suitable_fallback()."""
    if start_type == MOVABLE:
        alike = movable
    elif old_type == MOVABLE:
        alike = PAGEBLOCK_NR_PAGES - (moved + movable)
    else:
        alike = 0
    return moved + alike >= PAGEBLOCK_NR_PAGES // 2


@kernel
def steal_suitable_fallback(memory, node, zone, start_type, whole_block, claim):
    """Move a block, or all free blocks of its pageblock, to the taker's lists.

    ``claim``: -1 decide from the pages themselves; 0 or 1 when a recording tells (which pages
    are movable is not in a recording).
    """
    order = frame_order(memory.frame[node])
    old_type = get_pageblock_migratetype(memory, node)
    if old_type == HIGHATOMIC:
        move_to_free_list(memory, node, zone, order, start_type)
        return
    if order >= PAGEBLOCK_ORDER:
        change_pageblock_range(memory, node, order, start_type)
        move_to_free_list(memory, node, zone, order, start_type)
        return
    boost_watermark(memory, zone)
    moved, movable = 0, 0
    if whole_block:
        moved, movable = move_freepages_block(memory, node, zone, start_type)
    if moved == 0:
        move_to_free_list(memory, node, zone, order, start_type)
        return
    claimed = claim == 1
    if claim < 0:
        claimed = claims_pageblock(memory, node, start_type, old_type, moved, movable)
    if claimed:
        set_pageblock_migratetype(memory, node, start_type)


@kernel(inline=True)
def smallest_fallback_order(memory, order, alloc_flags):
    """Below which order may a request not steal?

    With ALLOC_NOFRAGMENT (5.0 on) no less than a pageblock.  5.10 lets an order-10 request
    steal blocks of order 9, which do not serve it.  Source: __rmqueue_fallback().
    """
    rule = memory.profile.nofragment
    if rule == NOFRAGMENT_NONE or not alloc_flags & ALLOC_NOFRAGMENT:
        return order
    return PAGEBLOCK_ORDER if rule == NOFRAGMENT_ANY_ORDER else max(order, PAGEBLOCK_ORDER)


@kernel(inline=True)
def find_fallback_block(memory, zone, order, start_type, alloc_flags):
    """(order, type, whole_block) of the fallback to take; order -1 if there is none.

    Largest block first, so that like stays with like; but a movable request that may not
    steal the pageblock takes the smallest that serves it.
    """
    min_order = smallest_fallback_order(memory, order, alloc_flags)
    for current in range(MAX_ORDER - 1, min_order - 1, -1):
        other = find_suitable_fallback(memory, zone, current, start_type)
        if other < 0:
            continue
        whole = can_steal_fallback(current, start_type)
        if not whole and start_type == MOVABLE and current > order:
            for smallest in range(order, NR_ORDERS):
                other = find_suitable_fallback(memory, zone, smallest, start_type)
                if other >= 0:
                    return smallest, other, can_steal_fallback(smallest, start_type)
        return current, other, whole
    return -1, -1, False


@kernel
def rmqueue_fallback(memory, zone, order, start_type, alloc_flags, claim):
    """Bring one block of another type to the taker's lists; False if there is none."""
    current, other, whole = find_fallback_block(memory, zone, order, start_type, alloc_flags)
    if current < 0:
        return False
    node = first_block(memory, free_list_head(memory, zone, current, other))
    steal_suitable_fallback(memory, node, zone, start_type, whole, claim)
    return True


@kernel(inline=True)
def rmqueue(memory, zone, order, migratetype, alloc_flags):
    """Take a block from the buddy lists, by fallback if need be; -1 if none.

    Source: __rmqueue().
    """
    node = rmqueue_smallest(memory, zone, order, migratetype)
    while node < 0 and rmqueue_fallback(memory, zone, order, migratetype, alloc_flags, -1):
        node = rmqueue_smallest(memory, zone, order, migratetype)
    return node
