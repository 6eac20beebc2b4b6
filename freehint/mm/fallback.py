"""Fallback: a type whose own lists are empty takes a block of another type, or its pageblock.

Up to 6.1 the blocks move to the lists of ``start_type``, which are then tried again.  6.12 claims
a whole pageblock if half of it is free or compatible; if there is none, it steals one block and
leaves the rest of the pageblock.

Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release:
__rmqueue_fallback(), find_suitable_fallback(), steal_suitable_fallback(), boost_watermark().
4.15 and 5.10 decide the same way.
"""

from freehint.jit import kernel
from freehint.jit.apart import NOTHING, PAIR
from freehint.mm.buddy import del_page_of_type, expand, rmqueue_smallest
from freehint.mm.callback import note_empty_list
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
    frame_type,
    free_list_head,
)
from freehint.mm.pageblock import (
    change_pageblock_range,
    claims_pageblock,
    get_pageblock_migratetype,
    move_freepages_block,
    move_to_free_list,
    pageblock_pages,
    set_pageblock_migratetype,
)
from freehint.mm.profile import FALLBACK_CLAIMS, NOFRAGMENT_ANY_ORDER, NOFRAGMENT_NONE

ALLOC_NOFRAGMENT = 0x100

# Where a refill looks for its next page.  Source: enum rmqueue_mode of 6.12.
RMQUEUE_NORMAL, RMQUEUE_STEAL = range(2)
UNTOLD = -1  # no recording tells which block was claimed

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
    """May the request take the whole pageblock?  Source: can_steal_fallback()."""
    return order >= PAGEBLOCK_ORDER // 2 or start_type in (RECLAIMABLE, UNMOVABLE)


@kernel(inline=True)
def find_suitable_fallback(memory, zone, order, start_type):
    """The first fallback type with a block of this order, or -1.

    Source: find_suitable_fallback().
    """
    for i in range(2):
        other = fallback_type(start_type, i)
        if memory.nr_free[zone, order, other] > 0:
            return other
    return -1


@kernel(inline=True)
def boost_watermark(memory, zone):
    """Raise the watermarks after a steal, so that kswapd makes room.  Source: boost_watermark().

    Each steal adds one pageblock, up to 150 % of the high watermark or to one pageblock if that
    is more.  There is no boost before 5.0, nor in zones that manage less than four pageblocks.
    """
    if not memory.profile.watermark_boost or PAGEBLOCK_NR_PAGES * 4 > memory.zones[zone].managed:
        return
    max_boost = memory.zones[zone].watermark[WMARK_HIGH] * WATERMARK_BOOST_FACTOR // 10000
    if max_boost == 0:
        return
    max_boost = max(PAGEBLOCK_NR_PAGES, max_boost)
    boosted = memory.zones[zone].watermark_boost + PAGEBLOCK_NR_PAGES
    memory.zones[zone].watermark_boost = min(boosted, max_boost)


@kernel
def steal_suitable_fallback(memory, node, zone, start_type, whole_block, claim):
    """Move a block, or all free blocks of its pageblock, to the lists of ``start_type``.

    ``claim`` says whether the pageblock changes its type: 0 or 1 if a recording tells, -1 to
    decide from the pages themselves (a recording does not tell which pages are movable).
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
    steal_from_pageblock(memory, node, zone, start_type, whole_block, claim)


@kernel(cold=True, late=NOTHING)
def steal_from_pageblock(memory, node, zone, start_type, whole_block, claim):
    """The same for a block that is smaller than a pageblock."""
    old_type = get_pageblock_migratetype(memory, node)
    boost_watermark(memory, zone)
    free, movable = pageblock_pages(memory, node, zone) if whole_block else (0, 0)
    if free <= 0:
        move_to_free_list(memory, node, zone, frame_order(memory.frame[node]), start_type)
        return
    move_freepages_block(memory, node, zone, start_type)
    claimed = claim == 1
    if claim < 0:
        claimed = claims_pageblock(start_type, old_type, free, movable)
    if claimed:
        set_pageblock_migratetype(memory, node, start_type)


@kernel(inline=True)
def smallest_fallback_order(memory, order, alloc_flags):
    """The smallest order that a request may steal.

    With ALLOC_NOFRAGMENT (from 5.0 on) it is a pageblock's.  5.10 lets an order-10 request steal
    blocks of order 9, which are too small for it.  Source: __rmqueue_fallback().
    """
    rule = memory.profile.nofragment
    if rule == NOFRAGMENT_NONE or not alloc_flags & ALLOC_NOFRAGMENT:
        return order
    return PAGEBLOCK_ORDER if rule == NOFRAGMENT_ANY_ORDER else max(order, PAGEBLOCK_ORDER)


@kernel(inline=True)
def find_fallback_block(memory, zone, order, start_type, alloc_flags):
    """Find the block to take: (order, type, whole_block), with order -1 if there is none.

    The largest block is taken, so that pages of a type stay together; but a movable request
    that may not steal the pageblock takes the smallest block that serves it.
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


@kernel(cold=True)
def rmqueue_fallback(memory, zone, order, start_type, alloc_flags, claim):
    """Move a block of another type to ``start_type``'s lists; return False if there is none."""
    current, other, whole = find_fallback_block(memory, zone, order, start_type, alloc_flags)
    if current < 0:
        return False
    node = first_block(memory, free_list_head(memory, zone, current, other))
    steal_suitable_fallback(memory, node, zone, start_type, whole, claim)
    return True


@kernel
def try_to_claim_block(memory, node, zone, order, start_type, told):
    """Change a block's pageblocks to ``start_type`` and serve the request from them.

    Whole pageblocks are always claimed.  For a smaller block, half of its pageblock must be free
    or compatible; then the smallest sufficient block of ``start_type`` is taken.
    Returns the block's node, or -1 if the claim is refused.
    Source: try_to_steal_block() of 6.12.
    """
    current = frame_order(memory.frame[node])
    old_type = frame_type(memory.frame[node])
    if current >= PAGEBLOCK_ORDER:
        del_page_of_type(memory, node, zone, current, old_type)
        change_pageblock_range(memory, node, current, start_type)
        memory.zones[zone].nr_free_pages -= 1 << order
        expand(memory, node, zone, order, current, start_type)
        return node
    boost_watermark(memory, zone)
    free, movable = pageblock_pages(memory, node, zone)
    claims = told == current
    if told == UNTOLD:
        claims = claims_pageblock(start_type, old_type, free, movable)
    if free < 0 or not claims:
        return -1
    move_freepages_block(memory, node, zone, start_type)
    return rmqueue_smallest(memory, zone, order, start_type)


@kernel
def rmqueue_claim(memory, zone, order, start_type, alloc_flags, told):
    """Claim a pageblock of another type, from the largest free block down.

    If a claim is refused, the next smaller order is tried.  ``told`` is the order of the block
    that was claimed in a recording, or UNTOLD to decide from the pages themselves.
    Returns the block's node, or -1 if no claim succeeds.  Source: __rmqueue_claim() of 6.12.
    """
    min_order = smallest_fallback_order(memory, order, alloc_flags)
    for current in range(MAX_ORDER - 1, min_order - 1, -1):
        if not can_steal_fallback(current, start_type):
            return -1
        other = find_suitable_fallback(memory, zone, current, start_type)
        if other < 0:
            continue
        node = first_block(memory, free_list_head(memory, zone, current, other))
        node = try_to_claim_block(memory, node, zone, order, start_type, told)
        if node >= 0:
            return node
    return -1


@kernel(inline=True)
def find_block_to_steal(memory, zone, order, start_type):
    """The list to steal a block from, as (order, type); (-1, -1) if there is none."""
    for current in range(order, NR_ORDERS):
        other = find_suitable_fallback(memory, zone, current, start_type)
        if other >= 0:
            return current, other
    return -1, -1


@kernel
def rmqueue_steal(memory, zone, order, start_type):
    """Steal the smallest sufficient block of another type; its rest stays on that type's lists.

    Returns the block's node, or -1 if there is none.  Source: __rmqueue_steal() of 6.12.
    """
    current, other = find_block_to_steal(memory, zone, order, start_type)
    if current < 0:
        return -1
    node = first_block(memory, free_list_head(memory, zone, current, other))
    del_page_of_type(memory, node, zone, current, other)
    memory.zones[zone].nr_free_pages -= 1 << order
    expand(memory, node, zone, order, current, other)
    return node


@kernel(cold=True, late=PAIR)
def claim_or_steal(memory, zone, order, migratetype, alloc_flags, mode):
    """Take a block of another type, when the lists of ``migratetype`` are empty.

    Returns the block's node or -1, and the mode for the next page of the same refill.
    Source: __rmqueue() of 6.12.
    """
    if mode != RMQUEUE_STEAL:
        node = rmqueue_claim(memory, zone, order, migratetype, alloc_flags, UNTOLD)
        if node >= 0:
            return node, RMQUEUE_NORMAL
    node = -1
    if not alloc_flags & ALLOC_NOFRAGMENT:
        node = rmqueue_steal(memory, zone, order, migratetype)
    return node, RMQUEUE_STEAL if node >= 0 else mode


@kernel(inline=True)
def rmqueue(memory, zone, order, migratetype, alloc_flags, mode):
    """Take a block from the buddy lists, by fallback if necessary.

    ``mode`` is RMQUEUE_NORMAL for the first page of a refill, then the mode that the page before
    returned.  Before 6.12 it is always RMQUEUE_NORMAL.
    Returns the block's node or -1, and the mode.  Source: __rmqueue().
    """
    node = -1
    if mode == RMQUEUE_NORMAL:
        node = rmqueue_smallest(memory, zone, order, migratetype)
    if node < 0:
        note_empty_list(memory, zone, order, migratetype)
    if node < 0 and memory.profile.fallback == FALLBACK_CLAIMS:
        return claim_or_steal(memory, zone, order, migratetype, alloc_flags, mode)
    while node < 0 and rmqueue_fallback(memory, zone, order, migratetype, alloc_flags, -1):
        node = rmqueue_smallest(memory, zone, order, migratetype)
    return node, RMQUEUE_NORMAL
