"""One zone's compaction, in steps of one cluster of pages.

:func:`begin_zone` sets the scanners, each :func:`step_zone` isolates pages, moves them and looks
whether it is done.  A process calls both in a loop, kcompactd rests between the steps.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.capture import (
    drain_local_pages,
    release_freepages,
)
from freehint.mm.compact.finish import compact_finished, compaction_suitable, scanners_met
from freehint.mm.compact.migrate import migrate_pages
from freehint.mm.compact.migrate_scanner import block_end_pfn, isolate_migratepages
from freehint.mm.compact.proactive import COMPACTION_HPAGE_ORDER
from freehint.mm.compact.skip import (
    compaction_restarting,
    reset_isolation_zone,
)
from freehint.mm.compact.state import (
    COMPACT_CONTENDED,
    COMPACT_CONTINUE,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    KCOMPACTD,
    MIGRATE_ASYNC,
    MIGRATE_SYNC,
    VIA_COMPACT_MEMORY,
    pageblock_start_pfn,
    zone_end_pfn,
)
from freehint.mm.profile import COMPACT_BLOCKS
from freehint.mm.reclaim.counts import (
    COMPACT_DAEMON_FREE_SCANNED,
    COMPACT_DAEMON_MIGRATE_SCANNED,
    COMPACT_FREE_SCANNED,
    COMPACT_ISOLATED,
    COMPACT_MIGRATE_SCANNED,
    PGMIGRATE_FAIL,
    PGMIGRATE_SUCCESS,
    WORK_COMPACT_SCANNED,
    WORK_MIGRATED,
    WORK_UNDER_LOCK,
)
from freehint.mm.zone import zone_watermark_ok


@kernel(inline=True)
def set_scanners(memory, compaction, cc):
    """Set the scanners to the zone's ends, or to where the last compaction stopped."""
    state = compaction.zone[cc.zone]
    start, end = memory.zones[cc.zone].start_pfn, zone_end_pfn(memory, cc.zone)
    last = pageblock_start_pfn(end - 1)
    if cc.whole_zone:
        cc.migrate_pfn, cc.free_pfn = start, last
        return
    sync = 0 if cc.mode == MIGRATE_ASYNC else 1
    cc.migrate_pfn = state.compact_cached_migrate_pfn[sync]
    cc.free_pfn = state.compact_cached_free_pfn
    if cc.free_pfn < start or cc.free_pfn >= end:
        cc.free_pfn = state.compact_cached_free_pfn = last
    if cc.migrate_pfn < start or cc.migrate_pfn >= end:
        cc.migrate_pfn = start
        state.compact_cached_migrate_pfn[0] = start
        state.compact_cached_migrate_pfn[1] = start
    if cc.migrate_pfn <= state.compact_init_migrate_pfn:
        cc.whole_zone = 1


@kernel
def begin_zone(memory, reclaim, compaction, who, zone):
    """Set the scanners, if the zone needs compaction and can be compacted.

    Source: compact_zone(), up to mm_compaction_begin.

    Returns
    -------
    int
        COMPACT_CONTINUE: it has begun.  COMPACT_SUCCESS: nothing needs to be done.
        COMPACT_SKIPPED: it would not help.
    """
    cc = compaction.control[who]
    cc.zone = zone
    cc.total_migrate_scanned = cc.total_free_scanned = 0
    cc.nr_migratepages = cc.nr_freepages = 0
    cc.isolated = cc.migrated = cc.failed = cc.drained = 0
    cc.nr_moves = 0
    if cc.order != VIA_COMPACT_MEMORY:
        order, highest = cc.order, cc.highest_zoneidx
        if zone_watermark_ok(memory, zone, order, cc.mark, 0, highest, cc.alloc_flags):
            return COMPACT_SUCCESS
        if not compaction_suitable(memory, zone, order, highest):
            return COMPACT_SKIPPED
    if compaction_restarting(compaction, zone, cc.order):
        reset_isolation_zone(memory, reclaim, compaction, zone)
    cc.fast_start_pfn = 0
    set_scanners(memory, compaction, cc)
    cc.last_migrated_pfn = 0
    cached = compaction.zone[zone].compact_cached_migrate_pfn
    cc.update_cached = 1 if cc.mode == MIGRATE_ASYNC and cached[0] == cached[1] else 0
    return COMPACT_CONTINUE


@kernel(inline=True)
def may_finish_pageblock(memory, cc):
    """Is the rest of the pageblock tried at once after a failure?  From 6.3 on it may be."""
    return (
        memory.profile.compaction == COMPACT_BLOCKS
        and cc.migrate_pfn != pageblock_start_pfn(cc.migrate_pfn)
        and not cc.ignore_skip_hint
        and not cc.finish_pageblock
        and cc.mode < MIGRATE_SYNC
    )


@kernel
def move_cluster(memory, reclaim, compaction, who):
    """Isolate and move pages once, or twice if a pageblock is finished after a failure.

    Source: one round of the loop in compact_zone(), up to check_drain.

    Returns
    -------
    int
        COMPACT_CONTINUE, or COMPACT_CONTENDED if no free page is left although the scanners have
        not met.
    """
    cc = compaction.control[who]
    iteration_start = cc.migrate_pfn
    while isolate_migratepages(memory, reclaim, compaction, who):
        cc.update_cached = 0
        cc.last_migrated_pfn = iteration_start
        if memory.profile.compaction == COMPACT_BLOCKS:
            last = pageblock_start_pfn(cc.migrate_pfn - 1)
            cc.last_migrated_pfn = max(memory.zones[cc.zone].start_pfn, last)
        if migrate_pages(memory, reclaim, compaction, who) == 0:
            return COMPACT_CONTINUE
        if not scanners_met(cc):
            return COMPACT_CONTENDED
        if may_finish_pageblock(memory, cc):
            cc.finish_pageblock = 1
            if cc.order == COMPACTION_HPAGE_ORDER:
                cc.last_migrated_pfn = 0
            continue
        skips = memory.profile.compaction != COMPACT_BLOCKS
        if skips and cc.direct_compaction and cc.mode == MIGRATE_ASYNC:
            cc.migrate_pfn = block_end_pfn(cc.migrate_pfn - 1, cc.order)
            cc.last_migrated_pfn = 0
        return COMPACT_CONTINUE
    if cc.update_cached:
        cached = compaction.zone[cc.zone].compact_cached_migrate_pfn
        cached[1] = cached[0]
    return COMPACT_CONTINUE


@kernel
def check_drain(memory, compaction, who):
    """Drain the pcp lists once the scanner has left the block from which it moved pages.

    Source: check_drain in compact_zone().
    """
    cc = compaction.control[who]
    if cc.order <= 0 or cc.last_migrated_pfn == 0:
        return
    if cc.last_migrated_pfn < cc.migrate_pfn & ~((1 << cc.order) - 1):
        drain_local_pages(memory, compaction, who)
        cc.last_migrated_pfn = 0


@kernel(cold=True)
def step_zone(memory, reclaim, compaction, who):
    """Do one round of a zone's compaction.

    Source: the loop in compact_zone().

    Returns
    -------
    int
        COMPACT_CONTINUE while there is more to do, else how the compaction ended.
    """
    cc = compaction.control[who]
    cc.nr_moves = 0
    scanned, migrated = cc.total_migrate_scanned + cc.total_free_scanned, cc.migrated
    drained = cc.drained
    result = compact_finished(memory, reclaim, compaction, who)
    if result == COMPACT_CONTINUE:
        same = pageblock_start_pfn(cc.last_migrated_pfn) == pageblock_start_pfn(cc.migrate_pfn)
        cc.finish_pageblock = 1 if same else 0
        result = move_cluster(memory, reclaim, compaction, who)
        early = memory.profile.compaction == COMPACT_BLOCKS and cc.captured >= 0
        if result == COMPACT_CONTINUE and not early:
            check_drain(memory, compaction, who)
        if result == COMPACT_CONTINUE and cc.captured >= 0:
            result = COMPACT_SUCCESS
    if result != COMPACT_CONTINUE:
        end_zone(memory, reclaim, compaction, who)
    scanned = cc.total_migrate_scanned + cc.total_free_scanned - scanned
    reclaim.work[WORK_COMPACT_SCANNED] += scanned
    reclaim.work[WORK_MIGRATED] += cc.migrated - migrated
    reclaim.work[WORK_UNDER_LOCK] += cc.drained - drained
    return result


@kernel
def end_zone(memory, reclaim, compaction, who):
    """Give back what is in hand, and count what was done.  Source: the end of compact_zone()."""
    cc = compaction.control[who]
    if cc.nr_freepages > 0:
        free_pfn = pageblock_start_pfn(release_freepages(memory, compaction, who))
        state = compaction.zone[cc.zone]
        state.compact_cached_free_pfn = max(state.compact_cached_free_pfn, free_pfn)
    reclaim.count[COMPACT_MIGRATE_SCANNED] += cc.total_migrate_scanned
    reclaim.count[COMPACT_FREE_SCANNED] += cc.total_free_scanned
    reclaim.count[COMPACT_ISOLATED] += cc.isolated
    reclaim.count[PGMIGRATE_SUCCESS] += cc.migrated
    reclaim.count[PGMIGRATE_FAIL] += cc.failed
    # 6.1 does not count proactive compaction as kcompactd's (recorded in rc_cache).
    counted = memory.profile.compaction == COMPACT_BLOCKS or cc.proactive_compaction == 0
    if who == KCOMPACTD and counted:
        reclaim.count[COMPACT_DAEMON_MIGRATE_SCANNED] += cc.total_migrate_scanned
        reclaim.count[COMPACT_DAEMON_FREE_SCANNED] += cc.total_free_scanned


@kernel(cold=True)
def compact_zone(memory, reclaim, compaction, who, zone):
    """Compact a zone from beginning to end; return how it ended.  Source: compact_zone()."""
    result = begin_zone(memory, reclaim, compaction, who, zone)
    while result == COMPACT_CONTINUE:
        result = step_zone(memory, reclaim, compaction, who)
    return result
