"""Who compacts: a process for its own request or for a write to compact_memory, and kcompactd.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.compact.data import (
    ASYNC,
    SYNC,
    SYNC_LIGHT,
    Control,
    compaction_defer_reset,
    compaction_deferred,
    defer_compaction,
)
from freehint.mm.reference.compact.zone import (
    COMPLETE,
    DEFERRED,
    PARTIAL_SKIPPED,
    SKIPPED,
    SUCCESS,
    compact_zone,
    compaction_suitable,
    watermark_ok,
)
from freehint.mm.reference.lists import (
    WMARK_MIN,
    Capture,
)
from freehint.mm.reference.pcp import drain_pages_zone
from freehint.mm.reference.zone import gfp_zone

PRIO_SYNC_FULL, PRIO_SYNC_LIGHT, PRIO_ASYNC = range(3)


def try_to_compact_pages(compactor, cpu, order, migratetype, mark, flags, priority):
    """Compact for a request; return (result, captured pfn or None, controls used).

    Source: try_to_compact_pages(), compact_zone_order().
    """
    best, used = SKIPPED, []
    full = priority == PRIO_SYNC_FULL
    for memory in reversed(compactor.zones):
        if not full and compaction_deferred(memory, order):
            best = max(best, DEFERRED)
            continue
        cc = Control(
            memory,
            order,
            ASYNC if priority == PRIO_ASYNC else SYNC_LIGHT,
            cpu=cpu,
            migratetype=migratetype,
            mark=mark,
            alloc_flags=flags,
            highest_zoneidx=gfp_zone(migratetype),
            direct=True,
            whole_zone=full,
            ignore_skip_hint=full,
            ignore_block_suitable=full,
            search_order=order,
        )
        used.append(cc)
        compactor.twin.capture = waits = Capture(memory.zone, order, migratetype)
        result = compact_zone(compactor, cc)
        compactor.twin.capture = None
        result = result if waits.pfn is None else SUCCESS
        best = max(best, result)
        if result == SUCCESS:
            compaction_defer_reset(memory, order, False)
            return best, waits.pfn, used
        if priority != PRIO_ASYNC and result in (COMPLETE, PARTIAL_SKIPPED):
            defer_compaction(memory, order)
    return best, None, used


def compact_node(compactor, cpu):
    """A write to compact_memory; return the controls used.  Source: compact_node()."""
    used = []
    for memory in compactor.zones:
        cc = Control(memory, -1, SYNC, cpu=cpu, whole_zone=True, ignore_skip_hint=True)
        cc.search_order = -1
        used.append(cc)
        compact_zone(compactor, cc)
    return used


def proactive_compact_node(compactor, cpu, low):
    """Compact down to a score; return the controls used.  Source: proactive_compact_node()."""
    used = []
    for memory in compactor.zones:
        cc = Control(memory, -1, SYNC_LIGHT, cpu=cpu, whole_zone=True, ignore_skip_hint=True)
        cc.search_order, cc.proactive_low = -1, low
        used.append(cc)
        compact_zone(compactor, cc)
    return used


def kcompactd_do_work(compactor, cpu, order, highest):
    """kcompactd's work for an order; return the controls used.  Source: kcompactd_do_work()."""
    twin, used = compactor.twin, []
    for memory in compactor.zones:
        zone = memory.zone
        if zone.index > highest or compaction_deferred(memory, order):
            continue
        if watermark_ok(twin, zone, order, WMARK_MIN, 0, zone.index):
            continue
        if not compaction_suitable(twin, zone, order, zone.index):
            continue
        cc = Control(
            memory, order, SYNC_LIGHT, cpu=cpu, highest_zoneidx=highest, search_order=order
        )
        used.append(cc)
        result = compact_zone(compactor, cc)
        if result == SUCCESS:
            compaction_defer_reset(memory, order, False)
        elif result in (PARTIAL_SKIPPED, COMPLETE):
            for each in range(len(zone.pcp)):
                drain_pages_zone(twin, zone, each)
            defer_compaction(memory, order)
    return used
