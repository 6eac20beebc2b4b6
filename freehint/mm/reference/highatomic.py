"""Requests that cannot wait: their lower watermarks, and the pageblocks reserved for them.

``alloc_flags`` are those of 6.1.  In 4.15 and 5.10, ALLOC_NON_BLOCK is called ALLOC_HARDER, and
in a high-order request it also acts as ALLOC_HIGHATOMIC.
Source: mm/page_alloc.c, Linux 6.12, 6.1.192, 5.10.228, 4.15.
"""

from freehint.mm.reference.buddy import rmqueue_smallest
from freehint.mm.reference.fallback import move_freepages_block, rmqueue
from freehint.mm.reference.lists import (
    HIGHATOMIC,
    ISOLATE,
    MAX_ORDER,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    change_pageblock_range,
    get_pageblock_migratetype,
    move_to_free_list,
    nr_free_highatomic,
    set_pageblock_migratetype,
)

ALLOC_OOM, ALLOC_NON_BLOCK, ALLOC_MIN_RESERVE, ALLOC_HIGHATOMIC = 0x8, 0x10, 0x20, 0x200


def has_any(alloc_flags, wanted):
    """Is one of these flags set?"""
    return any(alloc_flags & flag for flag in wanted)


def ignores_boost(twin, alloc_flags):
    """Does a request ignore the watermark boost?

    It must be GFP_ATOMIC, that is __GFP_HIGH without direct reclaim; from 6.3 on __GFP_HIGH is
    enough.  Source: zone_watermark_fast().
    """
    wanted = {ALLOC_MIN_RESERVE} if twin.release >= 612 else {ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK}
    return all(alloc_flags & flag for flag in wanted)


def reserved(twin, zone):
    """Reserved pages that an ordinary request cannot use: all, or in 6.12 only the free ones.

    Source: __zone_watermark_unusable_free().
    """
    return nr_free_highatomic(zone) if twin.release >= 612 else zone.nr_reserved_highatomic


def is_highatomic(twin, order, alloc_flags):
    """Does the request use the reserve, and add to it?

    Source: gfp_to_alloc_flags(), rmqueue_buddy(); rmqueue() of 4.15 and 5.10.
    """
    if twin.release < 601:
        return bool(order and alloc_flags & ALLOC_NON_BLOCK)
    return bool(alloc_flags & ALLOC_HIGHATOMIC)


def lowered(twin, mark, alloc_flags):
    """The watermark as lowered for a request with these flags.  Source: __zone_watermark_ok()."""
    high, hard, oom = (
        bool(alloc_flags & flag) for flag in (ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, ALLOC_OOM)
    )
    mark -= mark // 2 if high else 0
    if twin.release < 601:
        return mark - (mark // 2 if oom else mark // 4 if hard else 0)
    mark -= mark // 4 if high and hard else 0
    return mark - (mark // 2 if oom else 0)


def rmqueue_buddy(twin, zone, order, migratetype, alloc_flags):
    """Take a block from the buddy lists or the reserve; return its pfn, or None if there is none.

    High-order atomic requests look at the reserve first; from 6.3 on, requests that must not
    fail look at it last.  Source: rmqueue_buddy(); rmqueue() of 4.15 and 5.10.
    """
    pfn = None
    if is_highatomic(twin, order, alloc_flags):
        pfn = rmqueue_smallest(twin, zone, order, HIGHATOMIC)
    if pfn is None:
        pfn, _ = rmqueue(twin, zone, order, migratetype, alloc_flags)
    if pfn is None and twin.release >= 601 and has_any(alloc_flags, {ALLOC_OOM, ALLOC_NON_BLOCK}):
        pfn = rmqueue_smallest(twin, zone, order, HIGHATOMIC)
    return pfn


def most_reserved(twin, zone):
    """Limit of the reserve in pages: 1 % of the zone plus a pageblock.

    In 6.12 it is 1 % rounded up to whole pageblocks, or 0 if 1 % is less than one pageblock.
    Source: reserve_highatomic_pageblock().
    """
    percent = zone.managed_pages // 100
    if twin.release < 612:
        return percent + PAGEBLOCK_NR_PAGES
    return -(-percent // PAGEBLOCK_NR_PAGES) * PAGEBLOCK_NR_PAGES * (percent >= PAGEBLOCK_NR_PAGES)


def reserve_highatomic_pageblock(twin, zone, pfn, order):
    """Reserve the pageblock for later requests of this kind, if the reserve is below its limit.

    6.12 reserves all pageblocks of a block, but none that reaches out of the zone.
    Source: reserve_highatomic_pageblock().
    """
    if zone.nr_reserved_highatomic >= most_reserved(twin, zone):
        return
    if get_pageblock_migratetype(twin, pfn) in (HIGHATOMIC, ISOLATE):
        return
    if twin.release < 612:
        set_pageblock_migratetype(twin, pfn, HIGHATOMIC)
        move_freepages_block(twin, zone, pfn, HIGHATOMIC)
        zone.nr_reserved_highatomic += PAGEBLOCK_NR_PAGES
    elif order >= PAGEBLOCK_ORDER:
        change_pageblock_range(twin, pfn, order, HIGHATOMIC)
        zone.nr_reserved_highatomic += 1 << order
    elif move_freepages_block(twin, zone, pfn, HIGHATOMIC):
        zone.nr_reserved_highatomic += PAGEBLOCK_NR_PAGES


def give_up(twin, zone, pfn, migratetype):
    """Give the pageblocks of a reserved free block another type; return whether a page moved.

    Source: unreserve_highatomic_pageblock().
    """
    order, size = twin.buddy[pfn], PAGEBLOCK_NR_PAGES
    if twin.release >= 612:
        size = max(size, 1 << order)
    if get_pageblock_migratetype(twin, pfn) == HIGHATOMIC:
        zone.nr_reserved_highatomic -= min(size, zone.nr_reserved_highatomic)
    if twin.release >= 612 and order >= PAGEBLOCK_ORDER:
        move_to_free_list(twin, zone, pfn, order, migratetype)
        change_pageblock_range(twin, pfn, order, migratetype)
        return True
    if twin.release < 612:
        set_pageblock_migratetype(twin, pfn, migratetype)
    return move_freepages_block(twin, zone, pfn, migratetype)


def unreserve_highatomic_pageblock(twin, migratetype, force):
    """Take a pageblock out of the reserve for a request that would fail; return if there was one.

    Each zone keeps one pageblock unless ``force`` is set.
    Source: unreserve_highatomic_pageblock().
    """
    for zone in reversed(twin.zones):
        if not force and zone.nr_reserved_highatomic <= PAGEBLOCK_NR_PAGES:
            continue
        for order in range(MAX_ORDER):
            for pfn in zone.free_list[order, HIGHATOMIC][:1]:
                if give_up(twin, zone, pfn, migratetype):
                    return True
    return False
