"""When a zone is worth compacting, and when its compaction is done.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.proactive import fragmentation_score_zone
from freehint.mm.compact.skip import (
    reset_cached_positions,
)
from freehint.mm.compact.state import (
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SUCCESS,
    EXTFRAG_THRESHOLD,
    PAGE_ALLOC_COSTLY_ORDER,
    VIA_COMPACT_MEMORY,
    pageblock_start_pfn,
)
from freehint.mm.fallback import can_steal_fallback, find_suitable_fallback
from freehint.mm.memory import NR_ORDERS, PAGEBLOCK_ORDER, WMARK_LOW, WMARK_MIN
from freehint.mm.zone import zone_watermark_ok


@kernel
def fragmentation_index(memory, zone, order):
    """0: a request would fail for want of memory; 1000: of blocks; -1000: it would not fail.

    Source: __fragmentation_index() of mm/vmstat.c.
    """
    free = blocks = 0
    for current in range(NR_ORDERS):
        count = memory.nr_free[zone, current].sum()
        if current >= order and count > 0:
            return -1000
        free += count << current
        blocks += count
    if blocks == 0:
        return 0
    return 1000 - (1000 + free * 1000 // (1 << order)) // blocks


@kernel
def compaction_suitable(memory, zone, order, highest_zoneidx):
    """Are there enough free pages, and too few blocks, for compaction to help?

    Source: __compaction_suitable(), compaction_suitable() from where they agree in 6.1 and 6.12.
    """
    mark = WMARK_LOW if order > PAGE_ALLOC_COSTLY_ORDER else WMARK_MIN
    gap = 2 << order
    if not zone_watermark_ok(memory, zone, 0, mark, gap, highest_zoneidx, 0):
        return False
    if order <= PAGE_ALLOC_COSTLY_ORDER:
        return True
    index = fragmentation_index(memory, zone, order)
    return not 0 <= index <= EXTFRAG_THRESHOLD


@kernel(inline=True)
def scanners_met(cc):
    """Is the free scanner in the migration scanner's pageblock or below it?

    Source: compact_scanners_met().
    """
    return cc.free_pfn >> PAGEBLOCK_ORDER <= cc.migrate_pfn >> PAGEBLOCK_ORDER


@kernel(inline=True)
def block_is_free(memory, zone, order, migratetype):
    """Could a request be served, if need be by a block that it may take from another type?

    Source: the loop over orders in __compact_finished().
    """
    for current in range(order, NR_ORDERS):
        if memory.nr_free[zone, current, migratetype] > 0:
            return True
        if can_steal_fallback(current, migratetype):
            if find_suitable_fallback(memory, zone, current, migratetype) >= 0:
                return True
    return False


@kernel
def compact_finished(memory, reclaim, compaction, who):
    """COMPACT_CONTINUE, or how the zone's compaction ends now.

    Source: compact_finished(), __compact_finished().
    """
    cc = compaction.control[who]
    if scanners_met(cc):
        reset_cached_positions(memory, compaction, cc.zone)
        if cc.direct_compaction:
            compaction.zone[cc.zone].compact_blockskip_flush = 1
        return COMPACT_COMPLETE if cc.whole_zone else COMPACT_PARTIAL_SKIPPED
    if cc.proactive_compaction:
        if reclaim.node[0].kswapd_awake:
            return COMPACT_PARTIAL_SKIPPED
        score = fragmentation_score_zone(memory, cc.zone)
        return COMPACT_CONTINUE if score > cc.proactive_low else COMPACT_SUCCESS
    if cc.order == VIA_COMPACT_MEMORY or cc.migrate_pfn != pageblock_start_pfn(cc.migrate_pfn):
        return COMPACT_CONTINUE
    free = block_is_free(memory, cc.zone, cc.order, cc.migratetype)
    return COMPACT_SUCCESS if free else COMPACT_CONTINUE
