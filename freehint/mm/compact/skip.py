"""Where the scanners need not look again: skip bits, cached positions, deferral.

A pageblock in which nothing could be isolated is marked; both scanners pass over it until the
marks are cleared, by kswapd when it goes to sleep after a whole zone was scanned for a request,
or by a compaction that begins after having been put off as often as possible.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.state import (
    COMPACT_MAX_DEFER_SHIFT,
    MIGRATE_ASYNC,
    PAGE_ALLOC_COSTLY_ORDER,
    pageblock_end_pfn,
    pageblock_start_pfn,
    zone_end_pfn,
)
from freehint.mm.memory import (
    BUDDY,
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    SKIP_BIT,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.reclaim.state import PG_HUGE


@kernel(inline=True)
def pageblock_exists(memory, pfn):
    """Is the pageblock no hole?  Source: pageblock_pfn_to_page()."""
    return memory.pageblock[(pfn - memory.base_pfn) >> PAGEBLOCK_ORDER] != NO_PAGEBLOCK


@kernel(inline=True)
def get_pageblock_skip(memory, pfn):
    """Is the pageblock around a pfn marked?"""
    block = (pfn - memory.base_pfn) >> PAGEBLOCK_ORDER
    return memory.pageblock[block] & SKIP_BIT != 0


@kernel(inline=True)
def set_pageblock_skip(memory, pfn):
    """Mark the pageblock around a pfn."""
    memory.pageblock[(pfn - memory.base_pfn) >> PAGEBLOCK_ORDER] |= SKIP_BIT


@kernel(inline=True)
def clear_pageblock_skip(memory, pfn):
    """Take the mark off the pageblock around a pfn, which is no hole."""
    memory.pageblock[(pfn - memory.base_pfn) >> PAGEBLOCK_ORDER] &= 0xFF ^ SKIP_BIT


@kernel(inline=True)
def isolation_suitable(memory, cc, pfn):
    """May a scanner look at the pageblock?  Source: isolation_suitable()."""
    return cc.ignore_skip_hint != 0 or not get_pageblock_skip(memory, pfn)


@kernel(inline=True)
def pageblock_skip_persistent(memory, reclaim, pfn):
    """Is the pageblock one huge page?  Source: pageblock_skip_persistent()."""
    first = pageblock_start_pfn(pfn) - memory.base_pfn
    return reclaim.page[first] & PG_HUGE != 0


@kernel(inline=True)
def reset_cached_positions(memory, compaction, zone):
    """Let the next scans begin at the zone's ends.  Source: reset_cached_positions()."""
    start = memory.zones[zone].start_pfn
    compaction.zone[zone].compact_cached_migrate_pfn[0] = start
    compaction.zone[zone].compact_cached_migrate_pfn[1] = start
    last = pageblock_start_pfn(zone_end_pfn(memory, zone) - 1)
    compaction.zone[zone].compact_cached_free_pfn = last


@kernel(inline=True)
def update_cached_migrate(compaction, cc, pfn):
    """Note that the migration scanner is through with a pageblock.

    Source: update_cached_migrate().
    """
    pfn = pageblock_end_pfn(pfn)
    zone = compaction.zone[cc.zone]
    if pfn > zone.compact_cached_migrate_pfn[0]:
        zone.compact_cached_migrate_pfn[0] = pfn
    if cc.mode != MIGRATE_ASYNC and pfn > zone.compact_cached_migrate_pfn[1]:
        zone.compact_cached_migrate_pfn[1] = pfn


@kernel(cold=True)
def reset_isolation_pfn(memory, reclaim, zone, pfn, check_source, check_target):
    """Clear the mark of a pageblock if every eighth page shows something to move or to fill.

    Source: __reset_isolation_pfn().

    Returns
    -------
    bool
        May a scanner begin here?
    """
    start = max(pageblock_start_pfn(pfn), memory.zones[zone].start_pfn)
    end = min(pageblock_end_pfn(pfn), zone_end_pfn(memory, zone))
    if not pageblock_exists(memory, pfn) or pageblock_skip_persistent(memory, reclaim, pfn):
        return False
    if check_source and check_target and not get_pageblock_skip(memory, pfn):
        return True
    migratetype = get_pageblock_migratetype(memory, pfn - memory.base_pfn)
    if not check_source and check_target and migratetype != MOVABLE:
        return False
    for page in range(start, end, 1 << PAGE_ALLOC_COSTLY_ORDER):
        frame = memory.frame[page - memory.base_pfn]
        if (check_source and frame & LRU) or (check_target and frame & BUDDY):
            clear_pageblock_skip(memory, pfn)
            return True
    return False


@kernel(cold=True)
def reset_isolation_zone(memory, reclaim, compaction, zone):
    """Clear the marks of a zone, from both ends, and begin where something may be done.

    Source: __reset_isolation_suitable().
    """
    state = compaction.zone[zone]
    migrate_pfn = memory.zones[zone].start_pfn
    free_pfn = zone_end_pfn(memory, zone) - 1
    reset_migrate, reset_free = free_pfn, migrate_pfn
    source_set = free_set = False
    if state.compact_blockskip_flush == 0:
        return
    state.compact_blockskip_flush = 0
    while migrate_pfn < free_pfn:
        found = reset_isolation_pfn(memory, reclaim, zone, migrate_pfn, True, source_set)
        if found and migrate_pfn < reset_migrate:
            source_set = True
            reset_migrate = migrate_pfn
            state.compact_init_migrate_pfn = reset_migrate
            state.compact_cached_migrate_pfn[0] = reset_migrate
            state.compact_cached_migrate_pfn[1] = reset_migrate
        found = reset_isolation_pfn(memory, reclaim, zone, free_pfn, free_set, True)
        if found and free_pfn > reset_free:
            free_set = True
            reset_free = free_pfn
            state.compact_init_free_pfn = reset_free
            state.compact_cached_free_pfn = reset_free
        migrate_pfn += PAGEBLOCK_NR_PAGES
        free_pfn -= PAGEBLOCK_NR_PAGES
    if reset_migrate >= reset_free:
        state.compact_cached_migrate_pfn[0] = migrate_pfn
        state.compact_cached_migrate_pfn[1] = migrate_pfn
        state.compact_cached_free_pfn = free_pfn


@kernel
def reset_isolation_suitable(memory, reclaim, compaction):
    """Clear the marks of all zones that a request has scanned whole; kswapd calls it.

    Source: reset_isolation_suitable().
    """
    for zone in range(compaction.zone.shape[0]):
        reset_isolation_zone(memory, reclaim, compaction, zone)


@kernel
def defer_compaction(compaction, zone, order):
    """Put the next attempts off, twice as many as last time.  Source: defer_compaction()."""
    state = compaction.zone[zone]
    state.compact_considered = 0
    state.compact_defer_shift = min(state.compact_defer_shift + 1, COMPACT_MAX_DEFER_SHIFT)
    state.compact_order_failed = min(state.compact_order_failed, order)


@kernel
def compaction_deferred(compaction, zone, order):
    """Is this attempt put off?  It counts as one.  Source: compaction_deferred()."""
    state = compaction.zone[zone]
    if order < state.compact_order_failed:
        return False
    limit = 1 << state.compact_defer_shift
    state.compact_considered += 1
    if state.compact_considered >= limit:
        state.compact_considered = limit
        return False
    return True


@kernel
def compaction_defer_reset(compaction, zone, order, alloc_success):
    """Note that a block of this order came about.  Source: compaction_defer_reset()."""
    state = compaction.zone[zone]
    if alloc_success:
        state.compact_considered = 0
        state.compact_defer_shift = 0
    state.compact_order_failed = max(state.compact_order_failed, order + 1)


@kernel(inline=True)
def compaction_restarting(compaction, zone, order):
    """Is this the attempt after as many as possible were put off?

    Source: compaction_restarting().
    """
    state = compaction.zone[zone]
    if order < state.compact_order_failed:
        return False
    at_most = state.compact_defer_shift == COMPACT_MAX_DEFER_SHIFT
    return at_most and state.compact_considered >= 1 << state.compact_defer_shift
