"""The allocation that may wait.

Source: mm/page_alloc.c of Linux 6.1: __alloc_pages_slowpath() and what it calls.
"""

from freehint.mm.reference.compact.callers import (
    PRIO_ASYNC,
    PRIO_SYNC_FULL,
    PRIO_SYNC_LIGHT,
    try_to_compact_pages,
)
from freehint.mm.reference.compact.data import compaction_defer_reset
from freehint.mm.reference.compact.zone import (
    COMPLETE,
    CONTENDED,
    DEFERRED,
    PARTIAL_SKIPPED,
    SKIPPED,
    SUCCESS,
    compaction_suitable,
    watermark_ok,
)
from freehint.mm.reference.highatomic import unreserve_highatomic_pageblock
from freehint.mm.reference.lists import MOVABLE, WMARK_HIGH, WMARK_LOW, WMARK_MIN, page_zone
from freehint.mm.reference.pcp import drain_pages_zone
from freehint.mm.reference.reclaim.direct import (
    skip_throttle_noprogress,
    throttle_direct_reclaim,
    try_to_free_pages,
    zone_reclaimable_pages,
)
from freehint.mm.reference.reclaim.kswapd import wakeup_kswapd
from freehint.mm.reference.reclaim.lists import MAX_RECLAIM_RETRIES, zones_of, zones_up_to
from freehint.mm.reference.reclaim.scan import PAGE_ALLOC_COSTLY_ORDER
from freehint.mm.reference.zone import alloc_flags_nofragment, get_page_from_freelist, gfp_zone

MAX_COMPACT_RETRIES = 16
FAILED, WAITS = "failed", "waits"


def alloc(reclaimer, cpu, order, migratetype, may_reclaim=True):
    """A pfn; FAILED; or WAITS, after which the task sleeps and asks again.

    A huge page is first asked for on this node, where it only compacts.
    Source: __alloc_pages(), rmqueue() (the wake-up after a boost); vma_alloc_folio().
    """
    twin, boosts = reclaimer.compactor.twin, boosts_of(reclaimer)
    nofragment = alloc_flags_nofragment(twin, migratetype)
    pfn, asked = None, (cpu, order, migratetype)
    lists = [] if reclaimer.request.reclaiming else [nofragment, 0] if nofragment else [0]
    twice = may_reclaim and order > PAGE_ALLOC_COSTLY_ORDER and lists
    for this_node in [True, False] if twice else [False]:
        for flags in lists:
            pfn = pfn if pfn is not None else get(reclaimer, *asked, WMARK_LOW, flags)
        if this_node and pfn is None:
            pfn = get(reclaimer, *asked, WMARK_MIN)
        if this_node and pfn is None:
            pfn, _ = direct_compact(reclaimer, *asked, PRIO_ASYNC)
    if pfn is None:
        path = slowpath if may_reclaim else slowpath_without_reclaim
        pfn = path(reclaimer, cpu, order, migratetype)
    if pfn != WAITS:
        reclaimer.request.retrying = reclaimer.request.waits = 0
    if boosts_of(reclaimer) > boosts:
        zone = page_zone(twin, pfn) if isinstance(pfn, int) else twin.zones[-1]
        wakeup_kswapd(reclaimer, 0, zone.index, False)
    return pfn


def boosts_of(reclaimer):
    """Sum of the zones' boosts."""
    return sum(zone.watermark_boost for zone in zones_of(reclaimer))


def get(reclaimer, cpu, order, migratetype, mark, flags=0):
    """The pfn of a block, or None.  Source: get_page_from_freelist()."""
    twin = reclaimer.compactor.twin
    got = get_page_from_freelist(twin, cpu, order, migratetype, mark, flags)
    return got and got[0]


def slowpath_without_reclaim(reclaimer, cpu, order, migratetype):
    """A request that may not reclaim.  Source: __alloc_pages_slowpath()."""
    wakeup_kswapd(reclaimer, order, gfp_zone(migratetype), False)
    pfn = get(reclaimer, cpu, order, migratetype, WMARK_MIN)
    return FAILED if pfn is None else pfn


def slowpath(reclaimer, cpu, order, migratetype):
    """Source: __alloc_pages_slowpath().  Costly orders have __GFP_NORETRY."""
    request, asked = reclaimer.request, (cpu, order, migratetype)
    costly = order > PAGE_ALLOC_COSTLY_ORDER
    pfn = None
    if not request.reclaiming:
        wake_for(reclaimer, order, migratetype)
        pfn = get(reclaimer, *asked, WMARK_MIN)
    if pfn is None and not request.retrying:
        pfn = first_compaction(reclaimer, *asked)
    while pfn is None:
        if not request.reclaiming:
            wake_for(reclaimer, order, migratetype)
            pfn = get(reclaimer, *asked, WMARK_MIN)
        if pfn is not None:
            break
        request.reclaiming = 1
        if throttle_direct_reclaim(reclaimer):
            return WAITS
        request.reclaiming = 0
        pfn = direct_reclaim(reclaimer, *asked)
        if pfn is None:
            pfn, request.compact_result = direct_compact(
                reclaimer, *asked, request.compact_priority
            )
        if pfn is None and costly:
            return FAILED
        if pfn is None and not may_retry(reclaimer, order, migratetype):
            return may_oom(reclaimer, *asked)
        if pfn is None and not request.progress and not skip_throttle_noprogress(reclaimer):
            return WAITS
    return pfn


def wake_for(reclaimer, order, migratetype):
    """Huge pages leave kswapd alone (GFP_TRANSHUGE).  Source: wake_all_kswapds()."""
    if order <= PAGE_ALLOC_COSTLY_ORDER:
        wakeup_kswapd(reclaimer, order, gfp_zone(migratetype), True)


def first_compaction(reclaimer, cpu, order, migratetype):
    """Compaction before reclaim, for costly orders and those that are not movable.

    Source: __alloc_pages_slowpath().
    """
    request, costly = reclaimer.request, order > PAGE_ALLOC_COSTLY_ORDER
    request.retrying, request.compact_priority = 1, PRIO_SYNC_LIGHT
    request.no_progress_loops = request.compact_retries = 0
    if not costly and (order == 0 or migratetype == MOVABLE):
        return None
    pfn, result = direct_compact(reclaimer, cpu, order, migratetype, PRIO_ASYNC)
    if costly:
        request.compact_priority = PRIO_ASYNC
        if pfn is None and result in (SKIPPED, DEFERRED):
            return FAILED
    return pfn


def direct_reclaim(reclaimer, cpu, order, migratetype):
    """Source: __alloc_pages_direct_reclaim()."""
    twin, highest = reclaimer.compactor.twin, gfp_zone(migratetype)
    reclaimer.request.progress = int(try_to_free_pages(reclaimer, cpu, order, highest) > 0)
    if not reclaimer.request.progress:
        return None
    pfn = get(reclaimer, cpu, order, migratetype, WMARK_MIN)
    if pfn is None:
        unreserve_highatomic_pageblock(twin, migratetype, False)
        drain_all_pages(twin)
        pfn = get(reclaimer, cpu, order, migratetype, WMARK_MIN)
    return pfn


def drain_all_pages(twin):
    """Source: drain_all_pages()."""
    for cpu in range(len(twin.zones[0].pcp)):
        for zone in twin.zones:
            drain_pages_zone(twin, zone, cpu)


def direct_compact(reclaimer, cpu, order, migratetype, priority):
    """A pfn or None, and how compaction ended.  Source: __alloc_pages_direct_compact()."""
    if order == 0:
        return None, SKIPPED
    compactor, counts, flags = reclaimer.compactor, reclaimer.counts, reclaimer.flags
    compactor.writeback = {pfn for pfn in flags if "writeback" in flags[pfn]}
    compactor.huge = {pfn for pfn in flags if "huge" in flags[pfn]}
    result, pfn, used = try_to_compact_pages(
        compactor, cpu, order, migratetype, WMARK_MIN, 0, priority
    )
    for cc in used:
        follow(reclaimer, cc)
    if result == SKIPPED:
        return None, result
    counts["compact_stall"] += 1
    if pfn is None:
        pfn = get(reclaimer, cpu, order, migratetype, WMARK_MIN)
    counts["compact_fail" if pfn is None else "compact_success"] += 1
    if pfn is not None:
        at = compactor.twin.zones.index(page_zone(compactor.twin, pfn))
        compactor.zones[at].blockskip_flush = False
        compaction_defer_reset(compactor.zones[at], order, True)
    return pfn, result


def follow(reclaimer, cc):
    """Flags and places go with the pages that compaction has moved; count its work.

    Source: folio_migrate_flags(), folio_migrate_mapping().
    """
    for source, target in cc.moves:
        if source in reclaimer.flags:
            reclaimer.flags[target] = reclaimer.flags.pop(source)
            if target in reclaimer.compactor.place:  # unless it was moved once more
                reclaimer.page[reclaimer.compactor.place[target]] = target
    reclaimer.counts.update(
        compact_migrate_scanned=cc.migrate_scanned,
        compact_free_scanned=cc.free_scanned,
        compact_isolated=cc.isolated,
        pgmigrate_success=len(cc.moves),
        pgmigrate_fail=cc.failed,
    )


def may_retry(reclaimer, order, migratetype):
    """Source: __alloc_pages_slowpath()."""
    if should_reclaim_retry(reclaimer, order, migratetype):
        return True
    return bool(reclaimer.request.progress) and should_compact_retry(reclaimer, order, migratetype)


def should_reclaim_retry(reclaimer, order, migratetype):
    """Source: should_reclaim_retry()."""
    request, twin, highest = reclaimer.request, reclaimer.compactor.twin, gfp_zone(migratetype)
    fruitful = request.progress and order <= PAGE_ALLOC_COSTLY_ORDER
    request.no_progress_loops = 0 if fruitful else request.no_progress_loops + 1
    if request.no_progress_loops > MAX_RECLAIM_RETRIES:
        return unreserve_highatomic_pageblock(twin, migratetype, True)
    for zone in zones_up_to(reclaimer, highest):
        hoped = zone_reclaimable_pages(reclaimer, zone)
        if watermark_ok(twin, zone, order, WMARK_MIN, -hoped, highest):
            return True
    return False


def should_compact_retry(reclaimer, order, migratetype):
    """Source: should_compact_retry()."""
    request = reclaimer.request
    result = request.compact_result
    if order == 0:
        return False
    request.compact_retries += result == SUCCESS
    if result == SKIPPED:
        return compaction_zonelist_suitable(reclaimer, order, migratetype)
    harder = result in (COMPLETE, DEFERRED, CONTENDED, PARTIAL_SKIPPED)
    if not harder and request.compact_retries <= MAX_COMPACT_RETRIES:
        return True
    if request.compact_priority > PRIO_SYNC_FULL:
        request.compact_priority -= 1
        request.compact_retries = 0
        return True
    return False


def compaction_zonelist_suitable(reclaimer, order, migratetype):
    """Source: compaction_zonelist_suitable()."""
    twin, highest = reclaimer.compactor.twin, gfp_zone(migratetype)
    for zone in zones_up_to(reclaimer, highest):
        drift, hoped = zone.drift, zone_reclaimable_pages(reclaimer, zone) // order
        zone.drift += hoped  # as if they were free
        suitable = compaction_suitable(twin, zone, order, highest)
        zone.drift = drift
        if suitable:
            return True
    return False


def may_oom(reclaimer, cpu, order, migratetype):
    """Source: __alloc_pages_may_oom(), out_of_memory()."""
    pfn = get(reclaimer, cpu, order, migratetype, WMARK_HIGH)
    if pfn is not None:
        return pfn
    reclaimer.request.oom = 1
    return FAILED
