"""Compaction by a process: for its own request of a large block, or by a write to compact_memory.

Source: mm/compaction.c (try_to_compact_pages(), compact_node()) and mm/page_alloc.c
(__alloc_pages_direct_compact()) of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.compact.skip import (
    compaction_defer_reset,
    compaction_deferred,
    defer_compaction,
)
from freehint.mm.compact.state import (
    COMPACT_COMPLETE,
    COMPACT_DEFERRED,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    MIGRATE_ASYNC,
    MIGRATE_SYNC,
    MIGRATE_SYNC_LIGHT,
    PRIO_ASYNC,
    PRIO_SYNC_FULL,
    PROCESS,
    VIA_COMPACT_MEMORY,
)
from freehint.mm.compact.zone import compact_zone
from freehint.mm.memory import UNMOVABLE, WMARK_MIN
from freehint.mm.reclaim.counts import COMPACT_FAIL, COMPACT_STALL
from freehint.mm.reclaim.counts import COMPACT_SUCCESS as COUNT_SUCCESS
from freehint.mm.zone import NO_PAGE, has_room, highest_zone_of, rmqueue_zone

NO_LOCK = 0


@kernel(inline=True)
def set_request(cc, cpu, order, migratetype, highest_zoneidx):
    """Reset a control for a request; the mode and the scanners' rights are the caller's."""
    cc.cpu, cc.order, cc.migratetype = cpu, order, migratetype
    cc.highest_zoneidx = highest_zoneidx
    cc.mark, cc.alloc_flags = WMARK_MIN, 0
    cc.search_order, cc.fast_search_fail = order, 0
    cc.direct_compaction = cc.proactive_compaction = 0
    cc.whole_zone = cc.ignore_skip_hint = cc.ignore_block_suitable = 0
    cc.captures, cc.captured = 0, -1


@kernel
def compact_zone_order(memory, reclaim, compaction, cpu, zone, order, migratetype, request):
    """Compact a zone for a request; return how it ended.

    ``request`` is (mark, alloc_flags, priority).  Source: compact_zone_order().
    """
    mark, alloc_flags, priority = request
    cc = compaction.control[PROCESS]
    set_request(cc, cpu, order, migratetype, highest_zone_of(migratetype))
    cc.mark, cc.alloc_flags = mark, alloc_flags
    cc.mode = MIGRATE_ASYNC if priority == PRIO_ASYNC else MIGRATE_SYNC_LIGHT
    cc.direct_compaction = cc.captures = 1
    if priority == PRIO_SYNC_FULL:
        cc.whole_zone = cc.ignore_skip_hint = cc.ignore_block_suitable = 1
    result = compact_zone(memory, reclaim, compaction, PROCESS, zone)
    cc.captures = 0
    return COMPACT_SUCCESS if cc.captured >= 0 else result


@kernel
def try_to_compact_pages(memory, reclaim, compaction, cpu, order, migratetype, request):
    """Compact zone after zone, the highest first, until the request should succeed.

    Parameters
    ----------
    request : tuple
        (mark, alloc_flags, priority): the watermark WMARK_.. and the ALLOC_.. flags of the
        request, and PRIO_..

    Returns
    -------
    result, zone : int
        The best COMPACT_.. of the zones, and the last zone tried (-1: none).  The block that was
        captured is ``compaction.control[PROCESS].captured``, or -1.

    Source: try_to_compact_pages().
    """
    priority = request[2]
    best, last = COMPACT_SKIPPED, -1
    compaction.control[PROCESS].captured = -1
    for zone in range(memory.zones.shape[0] - 1, -1, -1):
        if priority > PRIO_SYNC_FULL and compaction_deferred(compaction, zone, order):
            best = max(best, COMPACT_DEFERRED)
            continue
        result = compact_zone_order(
            memory, reclaim, compaction, cpu, zone, order, migratetype, request
        )
        best, last = max(best, result), zone
        if result == COMPACT_SUCCESS:
            compaction_defer_reset(compaction, zone, order, False)
            break
        failed = result == COMPACT_COMPLETE or result == COMPACT_PARTIAL_SKIPPED
        if priority != PRIO_ASYNC and failed:
            defer_compaction(compaction, zone, order)
    return best, last


@kernel(cold=True)
def direct_compact(memory, reclaim, compaction, cpu, order, migratetype, request):
    """Compact for a request of order > 0, and try it once more.

    ``request`` is that of :func:`try_to_compact_pages`.

    Returns
    -------
    node, zone, result : int
        The block and its zone, or NO_PAGE and -1; COMPACT_.. of the compaction.

    Source: __alloc_pages_direct_compact().
    """
    if order == 0:
        return NO_PAGE, -1, COMPACT_SKIPPED
    result, zone = try_to_compact_pages(
        memory, reclaim, compaction, cpu, order, migratetype, request
    )
    if result == COMPACT_SKIPPED:
        return NO_PAGE, -1, result
    reclaim.count[COMPACT_STALL] += 1
    node = int(compaction.control[PROCESS].captured)
    if node < 0:
        node, zone = try_zones(memory, cpu, order, migratetype, request)
    if node >= 0:
        compaction.zone[zone].compact_blockskip_flush = 0
        compaction_defer_reset(compaction, zone, order, True)
        reclaim.count[COUNT_SUCCESS] += 1
        return node, zone, result
    reclaim.count[COMPACT_FAIL] += 1
    return NO_PAGE, -1, result


@kernel
def try_zones(memory, cpu, order, migratetype, request):
    """Take a block at the request's watermark; return (node, zone), (NO_PAGE, -1) without one.

    Source: get_page_from_freelist().
    """
    mark, alloc_flags, _priority = request
    highest = highest_zone_of(migratetype)
    for zone in range(memory.zones.shape[0] - 1, -1, -1):
        if has_room(memory, zone, order, mark, highest, alloc_flags):
            node, _ = rmqueue_zone(memory, zone, cpu, order, migratetype, alloc_flags, NO_LOCK)
            if node >= 0:
                return node, zone
    return NO_PAGE, -1


@kernel
def compact_node(memory, reclaim, compaction, cpu):
    """Compact all zones whole, as a write to compact_memory does; return the pages moved.

    Source: compact_node().
    """
    moved = 0
    cc = compaction.control[PROCESS]
    for zone in range(memory.zones.shape[0]):
        set_request(cc, cpu, VIA_COMPACT_MEMORY, UNMOVABLE, 0)
        cc.mode = MIGRATE_SYNC
        cc.whole_zone = cc.ignore_skip_hint = 1
        compact_zone(memory, reclaim, compaction, PROCESS, zone)
        moved += cc.migrated
    return moved
