"""Is another round of reclaim and compaction worth while, before a process must die?

Source: mm/page_alloc.c of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.compact.direct import direct_compact
from freehint.mm.compact.finish import compaction_suitable
from freehint.mm.compact.state import (
    COMPACT_COMPLETE,
    COMPACT_CONTENDED,
    COMPACT_DEFERRED,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    PRIO_ASYNC,
    PRIO_SYNC_FULL,
    PRIO_SYNC_LIGHT,
)
from freehint.mm.highatomic import unreserve_highatomic_pageblock
from freehint.mm.memory import MOVABLE, WMARK_MIN
from freehint.mm.reclaim.direct import zone_reclaimable_pages
from freehint.mm.reclaim.state import (
    MAX_COMPACT_RETRIES,
    MAX_RECLAIM_RETRIES,
    PAGE_ALLOC_COSTLY_ORDER,
)
from freehint.mm.zone import NO_PAGE, highest_zone_of, zone_watermark_ok


@kernel(cold=True)
def begin_retries(memory, reclaim, cpu, order, migratetype):
    """Compact before anything is reclaimed, for a costly order or one that is not MOVABLE.

    Returns
    -------
    node, zone, hopeless
        ``hopeless``: a costly order is given up, because compaction was skipped or deferred.
    Source: __alloc_pages_slowpath().
    """
    state = reclaim.node[0]
    state.retrying = 1
    state.no_progress_loops = state.compact_retries = 0
    state.compact_priority = PRIO_SYNC_LIGHT
    costly = order > PAGE_ALLOC_COSTLY_ORDER
    if not (costly or (order > 0 and migratetype != MOVABLE)):
        return NO_PAGE, -1, False
    request = (WMARK_MIN, 0, PRIO_ASYNC)
    node, zone, result = direct_compact(
        memory, reclaim, reclaim.compaction, cpu, order, migratetype, request
    )
    if costly:
        state.compact_priority = PRIO_ASYNC
    skipped = result == COMPACT_SKIPPED or result == COMPACT_DEFERRED
    return node, zone, node < 0 and costly and skipped


@kernel(inline=True)
def note_progress(reclaim, order):
    """Count rounds without progress; a costly order never makes any.

    Source: should_reclaim_retry().
    """
    state = reclaim.node[0]
    if state.progress and order <= PAGE_ALLOC_COSTLY_ORDER:
        state.no_progress_loops = 0
    else:
        state.no_progress_loops += 1


@kernel(cold=True)
def may_retry(memory, reclaim, order, migratetype):
    """Is another round worth while?  Source: __alloc_pages_slowpath()."""
    state = reclaim.node[0]
    note_progress(reclaim, order)
    loops = state.no_progress_loops
    if should_reclaim_retry(memory, reclaim, order, migratetype, loops):
        return True
    return state.progress != 0 and should_compact_retry(memory, reclaim, order, migratetype)


@kernel(cold=True)
def should_reclaim_retry(memory, reclaim, order, migratetype, loops):
    """Might another round of reclaim make the request possible?  Source: should_reclaim_retry()."""
    if loops > MAX_RECLAIM_RETRIES:
        return unreserve_highatomic_pageblock(memory, migratetype, True)
    highest = highest_zone_of(migratetype)
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index > highest:
            break
        hoped = zone_reclaimable_pages(memory, reclaim, zone)
        if zone_watermark_ok(memory, zone, order, WMARK_MIN, -hoped, highest, 0):
            return True
    return False


@kernel(cold=True)
def should_compact_retry(memory, reclaim, order, migratetype):
    """May compaction succeed at the next try, perhaps by trying harder?

    Source: should_compact_retry(), for orders that are not costly.
    """
    state, result = reclaim.node[0], reclaim.node[0].compact_result
    if order == 0:
        return False
    if result == COMPACT_SUCCESS:
        state.compact_retries += 1
    if result == COMPACT_SKIPPED:
        return compaction_zonelist_suitable(memory, reclaim, order, migratetype)
    withdrawn = (COMPACT_COMPLETE, COMPACT_DEFERRED, COMPACT_CONTENDED, COMPACT_PARTIAL_SKIPPED)
    if result not in withdrawn and state.compact_retries <= MAX_COMPACT_RETRIES:
        return True
    if state.compact_priority > PRIO_SYNC_FULL:
        state.compact_priority -= 1
        state.compact_retries = 0
        return True
    return False


@kernel(cold=True)
def compaction_zonelist_suitable(memory, reclaim, order, migratetype):
    """Could compaction run if a part of the reclaimable pages were free?

    Source: compaction_zonelist_suitable().
    """
    highest = highest_zone_of(migratetype)
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index > highest:
            break
        hoped = zone_reclaimable_pages(memory, reclaim, zone) // order
        memory.zones[zone].nr_free_pages += hoped
        suitable = compaction_suitable(memory, zone, order, highest)
        memory.zones[zone].nr_free_pages -= hoped
        if suitable:
            return True
    return False
