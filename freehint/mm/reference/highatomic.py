"""Requests that cannot wait: how low they may go, and the pageblocks kept for them.

``alloc_flags`` are 6.1's; 4.15 and 5.10 know ALLOC_NON_BLOCK as ALLOC_HARDER and take it for a
high-order request as ALLOC_HIGHATOMIC.  Source: mm/page_alloc.c, Linux 6.1.192, 5.10.228, 4.15.
"""

from freehint.mm.reference.buddy import rmqueue_smallest
from freehint.mm.reference.fallback import move_freepages_block, rmqueue
from freehint.mm.reference.lists import (
    HIGHATOMIC,
    ISOLATE,
    MAX_ORDER,
    PAGEBLOCK_NR_PAGES,
    get_pageblock_migratetype,
    set_pageblock_migratetype,
)

ALLOC_OOM, ALLOC_NON_BLOCK, ALLOC_MIN_RESERVE, ALLOC_HIGHATOMIC = 0x8, 0x10, 0x20, 0x200


def has_any(alloc_flags, wanted):
    """Is one of these flags set?"""
    return any(alloc_flags & flag for flag in wanted)


def is_gfp_atomic(alloc_flags):
    """GFP_ATOMIC: __GFP_HIGH and no direct reclaim."""
    return bool(alloc_flags & ALLOC_MIN_RESERVE and alloc_flags & ALLOC_NON_BLOCK)


def is_highatomic(twin, order, alloc_flags):
    """Does the request use the reserve, and add to it?

    Source: gfp_to_alloc_flags(), rmqueue_buddy(); rmqueue() of 4.15 and 5.10.
    """
    if twin.release < 601:
        return bool(order and alloc_flags & ALLOC_NON_BLOCK)
    return bool(alloc_flags & ALLOC_HIGHATOMIC)


def lowered(twin, mark, alloc_flags):
    """The watermark for a request with these rights.  Source: __zone_watermark_ok()."""
    high, hard, oom = (
        bool(alloc_flags & flag) for flag in (ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, ALLOC_OOM)
    )
    mark -= mark // 2 if high else 0
    if twin.release < 601:
        return mark - (mark // 2 if oom else mark // 4 if hard else 0)
    mark -= mark // 4 if high and hard else 0
    return mark - (mark // 2 if oom else 0)


def rmqueue_buddy(twin, zone, order, migratetype, alloc_flags):
    """The reserve first for those it is for; last for those that must not fail (not before 6.3).

    Source: rmqueue_buddy(); rmqueue() of 4.15 and 5.10.
    """
    pfn = None
    if is_highatomic(twin, order, alloc_flags):
        pfn = rmqueue_smallest(twin, zone, order, HIGHATOMIC)
    if pfn is None:
        pfn = rmqueue(twin, zone, order, migratetype, alloc_flags)
    if pfn is None and twin.release >= 601 and has_any(alloc_flags, {ALLOC_OOM, ALLOC_NON_BLOCK}):
        pfn = rmqueue_smallest(twin, zone, order, HIGHATOMIC)
    return pfn


def reserve_highatomic_pageblock(twin, zone, pfn):
    """Keep the pageblock for later requests like this, up to a limit tested before.

    Source: reserve_highatomic_pageblock().
    """
    if zone.nr_reserved_highatomic >= zone.managed_pages // 100 + PAGEBLOCK_NR_PAGES:
        return
    if get_pageblock_migratetype(twin, pfn) not in (HIGHATOMIC, ISOLATE):
        zone.nr_reserved_highatomic += PAGEBLOCK_NR_PAGES
        set_pageblock_migratetype(twin, pfn, HIGHATOMIC)
        move_freepages_block(twin, zone, pfn, HIGHATOMIC)


def unreserve_highatomic_pageblock(twin, migratetype, force):
    """Give up a pageblock for a request that would fail; each zone keeps one unless forced.

    Source: unreserve_highatomic_pageblock().
    """
    for zone in reversed(twin.zones):
        if not force and zone.nr_reserved_highatomic <= PAGEBLOCK_NR_PAGES:
            continue
        for order in range(MAX_ORDER):
            for pfn in zone.free_list[order, HIGHATOMIC][:1]:
                if get_pageblock_migratetype(twin, pfn) == HIGHATOMIC:
                    left = zone.nr_reserved_highatomic - PAGEBLOCK_NR_PAGES
                    zone.nr_reserved_highatomic = max(left, 0)
                set_pageblock_migratetype(twin, pfn, migratetype)
                if move_freepages_block(twin, zone, pfn, migratetype)[0]:
                    return True
    return False
