"""What the replay makes of the events of a trace, by their names."""

import numpy as np

from freehint.formats.traces import rows
from freehint.mm.profile import FALLBACK_CLAIMS, HIGH_AUTO_TUNED

KINDS = {
    "mm_page_alloc": rows.ALLOC,
    "mm_page_free": rows.FREE,
    "mm_page_free_batched": rows.FREE_BATCHED,
    "mm_page_alloc_zone_locked": rows.ZONE_LOCKED,
    "mm_page_alloc_extfrag": rows.EXTFRAG,
    "mm_page_pcpu_drain": rows.PCPU_DRAIN,
}
PROBE_KINDS = {
    "free_direct": rows.FREE_DIRECT,
    "isolate": rows.ISOLATE_PAGE,
    "putback": rows.PUTBACK,
    "move_block": rows.MOVE_BLOCK,
    "mm_compaction_fast_isolate_freepages": rows.FAST_ISOLATE,
    "mm_compaction_begin": rows.COMPACTION,
    "mm_compaction_end": rows.COMPACTED,
    "bulk_alloc_ret": rows.BULK_ALLOC,
    "decay": rows.DECAY,
    "drain_zone": rows.DRAIN_ZONE,
    "pcp_push": rows.PCP_PUSH,
    "bulk_pop": rows.BULK_POP,
    "prepared": rows.PREPARED,
    "move_isolate": rows.MOVE_ISOLATE,
    "turn": rows.TURN,
    "turn_head": rows.TURN,
    "kswapd_balance": rows.BALANCE,
    "kswapd_balance_ret": rows.BALANCE,
    "mm_vmscan_kswapd_wake": rows.WAKE,
}
# Events that say nothing about the lists beyond what the kinds above say.
SILENT_KINDS = {
    "bulk",
    "bulk_alloc",
    "claim_block",
    "claim_block_ret",
    "drain",
    "free_ok",
    "isolate_ret",
    "mark_victim",
    "mm_compaction_isolate_freepages",
    "mm_compaction_migratepages",
    "mm_vmscan_direct_reclaim_begin",
    "mm_vmscan_direct_reclaim_end",
    "mm_vmscan_kswapd_sleep",
    "mm_vmscan_lru_shrink_active",
    "mm_vmscan_lru_shrink_inactive",
    "mm_vmscan_write_folio",
    "move_block_ret",
    "pcp_pop",
    "rep",
    "proc",
    "set_pbmt",
    "steal",
    "steal_ret",
    "tracing_mark_write",
    "unreserve",
}
# Other tracepoints and probes of events that move blocks on and off the buddy lists, which the
# replay does not follow: CMA, memory hotplug and hardware poison (mm/cma.c, mm/memory_hotplug.c,
# mm/memory-failure.c, mm/page_alloc.c).
MOVES_BLOCKS = {
    *("cma_alloc_start", "cma_alloc_finish", "cma_release"),
    *("alloc_contig_range", "alloc_contig_pages", "free_contig_range"),
    *("online_pages", "offline_pages", "__offline_isolated_pages"),
    *("take_page_off_buddy", "put_page_back_buddy", "split_free_page"),
}


def is_event(trace, *names) -> np.ndarray:
    """Whether each row of a trace is of one of these events, bool[n].

    The codes of the column's categories decide; to make texts of them takes longer than a replay.
    """
    return is_category(trace["event"], lambda name: name in names)


def is_category(column, wanted) -> np.ndarray:
    """Whether the text of each entry of a categorical column is ``wanted``, bool[n]."""
    found = [wanted(name) for name in column.cat.categories]
    return np.array([*found, False])[column.cat.codes.to_numpy()]  # code -1: no entry


def probe_kinds(profile) -> dict:
    """The kinds of the events that a kernel's tracepoints and probes write, by name."""
    kinds = {**KINDS, **PROBE_KINDS}
    if profile.fallback == FALLBACK_CLAIMS:
        kinds["steal"] = rows.STEAL
    if profile.pcp_high != HIGH_AUTO_TUNED:  # later kernels have a probe for drained zones
        kinds["drain"] = rows.DRAIN
        return kinds
    kinds["mm_vmscan_direct_reclaim_begin"] = rows.LOOKED
    if profile.drain_in_chunks:
        kinds["drain"] = rows.DRAIN_CHUNK
    return kinds
