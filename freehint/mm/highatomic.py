"""Reserves for requests that cannot wait: lower watermarks and pageblocks of type HIGHATOMIC.

When a high-order request that may not reclaim is served, its pageblock is reserved for later
requests of this kind.  The reserve holds at most 1 % of a zone plus one pageblock.  The flags of
6.1 say what a request may do::

    ALLOC_MIN_RESERVE   __GFP_HIGH: halves the min watermark
    ALLOC_NON_BLOCK     no direct reclaim: lowers it by another quarter (before 6.3 this is
                        ALLOC_HARDER, which needs no __GFP_HIGH)
    ALLOC_HIGHATOMIC    both, and an order above 0: may use the reserved pageblocks
    ALLOC_OOM           a victim of the OOM killer: halves it again and may use the reserve

Source: mm/page_alloc.c and mm/internal.h of Linux 6.1.192, unless a docstring names another
release.
"""

from freehint.jit import kernel
from freehint.jit.apart import NOTHING, NUMBER
from freehint.mm.buddy import rmqueue_smallest
from freehint.mm.fallback import RMQUEUE_NORMAL, rmqueue
from freehint.mm.memory import (
    BUDDY,
    HIGHATOMIC,
    ISOLATE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    first_block,
    free_list_head,
)
from freehint.mm.pageblock import (
    change_pageblock_range,
    get_pageblock_migratetype,
    move_freepages_block,
    move_to_free_list,
    set_pageblock_migratetype,
)
from freehint.mm.profile import RESERVES_HARDER

ALLOC_OOM = 0x008
ALLOC_NON_BLOCK = 0x010
ALLOC_MIN_RESERVE = 0x020
ALLOC_HIGHATOMIC = 0x200
ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC | ALLOC_OOM


@kernel(inline=True)
def alloc_harder(memory, alloc_flags):
    """May the request use the HIGHATOMIC pages that watermarks count as taken?

    In 6.1 a request with any reserve flag may; before 6.3 one with ALLOC_HARDER or ALLOC_OOM.
    Source: __zone_watermark_unusable_free(); __zone_watermark_ok() of v4.15.
    """
    if memory.profile.reserves == RESERVES_HARDER:
        return alloc_flags & (ALLOC_NON_BLOCK | ALLOC_OOM) != 0
    return alloc_flags & ALLOC_RESERVES != 0


@kernel(inline=True)
def unusable_highatomic(memory, zone):
    """Reserved pages that an ordinary request cannot use: all, or in 6.12 only the free ones.

    Source: __zone_watermark_unusable_free().
    """
    reserved = memory.zones[zone].nr_reserved_highatomic
    if memory.profile.watermarks_count_reserve or reserved == 0:
        return reserved
    free = 0
    for order in range(NR_ORDERS):
        free += memory.nr_free[zone, order, HIGHATOMIC] << order
    return free


@kernel(inline=True)
def lowered_mark(memory, mark, alloc_flags):
    """The watermark ``mark`` as lowered for a request with these flags.

    Before 6.3 ALLOC_NON_BLOCK lowers it without ALLOC_MIN_RESERVE too, but not with ALLOC_OOM.
    Source: __zone_watermark_ok() of 6.1.192; of v4.15 and v5.10.
    """
    if alloc_flags & ALLOC_MIN_RESERVE:
        mark -= mark // 2
    quarter = alloc_flags & ALLOC_NON_BLOCK != 0
    if memory.profile.reserves == RESERVES_HARDER:
        quarter = quarter and not alloc_flags & ALLOC_OOM
    else:
        quarter = quarter and alloc_flags & ALLOC_MIN_RESERVE != 0
    if quarter:
        mark -= mark // 4
    if alloc_flags & ALLOC_OOM:
        mark -= mark // 2
    return mark


@kernel(inline=True)
def counts_highatomic_blocks(memory, alloc_flags):
    """Does a free HIGHATOMIC block make a high-order request possible?

    Source: __zone_watermark_ok() of 6.1.192; of v4.15 and v5.10.
    """
    if memory.profile.reserves == RESERVES_HARDER:
        return alloc_flags & (ALLOC_NON_BLOCK | ALLOC_OOM) != 0
    return alloc_flags & (ALLOC_HIGHATOMIC | ALLOC_OOM) != 0


@kernel(inline=True)
def uses_reserve(memory, order, alloc_flags):
    """Is this a high-order atomic request, which is served from the reserve first and adds to it?

    Source: rmqueue_buddy(), get_page_from_freelist(); rmqueue() of v4.15 and v5.10.
    """
    if memory.profile.reserves == RESERVES_HARDER:
        return order > 0 and alloc_flags & ALLOC_NON_BLOCK != 0
    return alloc_flags & ALLOC_HIGHATOMIC != 0


@kernel(inline=True)
def reserve_as_last_resort(memory, alloc_flags):
    """May a request take from the reserve when nothing else is left?

    This keeps an order-0 atomic request from failing, from 6.3 on.  Source: rmqueue_buddy().
    """
    return (
        memory.profile.reserves != RESERVES_HARDER
        and alloc_flags & (ALLOC_OOM | ALLOC_NON_BLOCK) != 0
    )


@kernel(cold=True, late=NUMBER)
def rmqueue_reserve(memory, zone, order, migratetype, alloc_flags):
    """Take a block for a request with reserve flags.

    Source: rmqueue_buddy().

    Returns
    -------
    int
        The block's node; -1 if there is none.
    """
    node = -1
    if uses_reserve(memory, order, alloc_flags):
        node = rmqueue_smallest(memory, zone, order, HIGHATOMIC)
    if node < 0:
        node, _ = rmqueue(memory, zone, order, migratetype, alloc_flags, RMQUEUE_NORMAL)
        if node < 0 and reserve_as_last_resort(memory, alloc_flags):
            node = rmqueue_smallest(memory, zone, order, HIGHATOMIC)
    return node


@kernel(inline=True)
def highatomic_is_full(memory, zone):
    """Has the reserve reached its limit?  The last pageblock added may exceed the limit.

    6.12 rounds 1 % of the zone up to whole pageblocks; if 1 % is less than one, nothing is
    reserved.
    Source: reserve_highatomic_pageblock().
    """
    percent = memory.zones[zone].managed // 100
    if memory.profile.small_zones_reserve:
        limit = percent + PAGEBLOCK_NR_PAGES
    elif percent < PAGEBLOCK_NR_PAGES:
        return True
    else:
        limit = (percent + PAGEBLOCK_NR_PAGES - 1) & ~(PAGEBLOCK_NR_PAGES - 1)
    return memory.zones[zone].nr_reserved_highatomic >= limit


@kernel(cold=True, late=NUMBER)
def convert_highatomic(memory, node, zone, order, migratetype):
    """Give a block's pageblock and the free pages in it another type.

    With freelist hygiene all pageblocks of a larger block change their type, and a pageblock
    that reaches out of the zone is refused.
    Source: reserve_highatomic_pageblock(), unreserve_highatomic_pageblock().

    Returns
    -------
    int
        Pages moved; -1 if the pageblock is refused.
    """
    if not memory.profile.freelist_hygiene:
        set_pageblock_migratetype(memory, node, migratetype)
        return max(move_freepages_block(memory, node, zone, migratetype), 0)
    if order < PAGEBLOCK_ORDER:
        return move_freepages_block(memory, node, zone, migratetype)
    change_pageblock_range(memory, node, order, migratetype)
    if memory.frame[node] & BUDDY:
        move_to_free_list(memory, node, zone, order, migratetype)
    return 1 << order


@kernel(inline=True)
def highatomic_pages(memory, order):
    """Pages by which a block of this order changes the size of the reserve."""
    if memory.profile.freelist_hygiene:
        return max(PAGEBLOCK_NR_PAGES, 1 << order)
    return PAGEBLOCK_NR_PAGES


@kernel(cold=True, late=NOTHING)
def reserve_highatomic_pageblock(memory, node, zone, order):
    """Reserve the pageblock of a block just allocated, with its free pages.

    Source: reserve_highatomic_pageblock().
    """
    if highatomic_is_full(memory, zone):
        return
    if get_pageblock_migratetype(memory, node) in (HIGHATOMIC, ISOLATE):
        return
    if convert_highatomic(memory, node, zone, order, HIGHATOMIC) >= 0:
        memory.zones[zone].nr_reserved_highatomic += highatomic_pages(memory, order)


@kernel(cold=True)
def unreserve_zone(memory, zone, migratetype):
    """Give the zone's first reserved pageblock that has free pages to another type.

    Returns
    -------
    bool
        Whether a page moved.
    """
    for order in range(NR_ORDERS):
        if memory.nr_free[zone, order, HIGHATOMIC] == 0:
            continue
        node = first_block(memory, free_list_head(memory, zone, order, HIGHATOMIC))
        # A page freed late may stand on the list when its pageblock is no longer reserved.
        if get_pageblock_migratetype(memory, node) == HIGHATOMIC:
            reserved = memory.zones[zone].nr_reserved_highatomic
            size = highatomic_pages(memory, order)
            memory.zones[zone].nr_reserved_highatomic -= min(size, reserved)
        if convert_highatomic(memory, node, zone, order, migratetype) > 0:
            return True
    return False


@kernel(cold=True)
def unreserve_highatomic_pageblock(memory, migratetype, force):
    """Take one pageblock out of the reserve, before a request fails.

    A zone gives up its last reserved pageblock only if ``force`` is set.
    Source: unreserve_highatomic_pageblock().

    Returns
    -------
    bool
        Whether there was such a pageblock.
    """
    for zone in range(memory.zones.shape[0] - 1, -1, -1):
        if not force and memory.zones[zone].nr_reserved_highatomic <= PAGEBLOCK_NR_PAGES:
            continue
        if unreserve_zone(memory, zone, migratetype):
            return True
    return False
