"""Recorded compactions predicted: what would our scanners isolate, turn, scan and move?

The recording is replayed up to each ``mm_compaction_begin``; from there our compaction runs alone
and writes a log, which is compared with the rows that kcompactd wrote up to ``mm_compaction_end``.
Rows that other processes write meanwhile change the guest under the recorded compaction, but not
under ours: their number is told.

Which pages stand on an LRU list no row says.  A page that the trace allocated counts as one if it
is MOVABLE or of the page cache of a block device; a page in use at T0, if the first row that frees
it does so in a batch, as reclaim and exit do, or is compaction's own.  Skip bits that a disturbed
compaction left are those of its recorded scans.
"""

import difflib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.formats.traces import rows
from freehint.formats.traces.columns import settle, trace_rows
from freehint.formats.traces.recording import load_recording
from freehint.mm.compact.direct import set_request
from freehint.mm.compact.proactive import SCORE_LOW
from freehint.mm.compact.state import (
    COMPACT_CONTINUE,
    FREED,
    ISOLATED,
    KCOMPACTD,
    MIGRATE_SYNC_LIGHT,
    MIGRATED,
    RESULT_NAMES,
    SCANNED,
    TURNED_HEAD,
    TURNED_TAIL,
    VIA_COMPACT_MEMORY,
    new_compaction,
)
from freehint.mm.compact.zone import begin_zone, step_zone
from freehint.mm.memory import (
    BUDDY,
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    ORDER_MASK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PCP,
    SKIP_BIT,
    UNMOVABLE,
    copy_memory,
    zone_name,
)
from freehint.mm.reclaim.state import new_reclaim
from freehint.replay.inferred.boost import infer_balance_ends, infer_boost_ends
from freehint.replay.pcp_level import replay_pcp_part
from freehint.replay.replay import _run, scratch

LOG_ROWS = 1 << 17
KIND = {"isolate": ISOLATED, "turn": TURNED_TAIL, "turn_head": TURNED_HEAD, "mm_page_free": FREED}
SCAN = re.compile(r"range=\(0x(\w+) ~ 0x(\w+)\) nr_scanned=(\d+) nr_taken=(\d+)")
MOVED = re.compile(r"nr_migrated=(\d+) nr_failed=(\d+)")
BEGIN = re.compile(r"zone_start=0x(\w+) migrate_pfn=0x(\w+) free_pfn=0x(\w+)")
END = re.compile(r"migrate_pfn=0x(\w+) free_pfn=0x(\w+).*status=(\w+)")
METADATA = "GFP_NOFS|__GFP_COMP"  # pages of a block device's cache
BATCH_ROWS = 40  # a page is freed, and its batch is told, within as many rows
DISTURBED = 1000  # rows of others by which a compaction's marks are not those that ours leaves


def recorded_rows(trace: pd.DataFrame) -> list[tuple[int, ...]]:
    """The rows of kcompactd in the form of ``Compaction.log``; other rows are left out."""
    found = []
    for event, pfn, order, text in trace[["event", "pfn", "order", "gfp"]].itertuples(index=False):
        if event == "mm_compaction_isolate_freepages":
            first, behind, scanned, taken = SCAN.search(text).groups()
            found.append((SCANNED, int(first, 16), int(behind, 16), int(scanned), int(taken)))
        elif event == "mm_compaction_migratepages":
            moved, failed = MOVED.search(text).groups()
            found.append((MIGRATED, int(moved), int(failed), 0, 0))
        elif event in KIND and pfn >= 0:
            found.append((KIND[event], int(pfn), int(order) if event == "isolate" else 0, 0, 0))
    return found


def listed(memory) -> np.ndarray:
    """Which pages are free or on pcp lists, as bool[nr_pages]."""
    found = np.zeros(memory.nr_pages, np.bool_)
    for node in np.flatnonzero(memory.frame & (BUDDY | PCP)):
        found[node : node + (1 << int(memory.frame[node] & ORDER_MASK))] = True
    return found


class LruPages:
    """Which pages stand on LRU lists, as far as the trace tells; see the module's docstring."""

    def __init__(self, trace: pd.DataFrame, memory):
        self.event = trace["event"].to_numpy()
        self.node = trace["pfn"].to_numpy() - memory.base_pfn
        self.order = trace["order"].to_numpy()
        movable = (trace["migratetype"] == MOVABLE) | (trace["gfp"] == METADATA)
        self.movable = movable.to_numpy()
        self.own = trace["comm"].astype(str).str.startswith("kcompactd").to_numpy()
        inside = (self.node >= 0) & (self.node < memory.nr_pages)
        known = ("mm_page_alloc", "mm_page_free", "isolate")
        self.rows = np.flatnonzero(np.isin(self.event, known) & inside)
        self.at = 0
        self.pages = self._of_t0(~listed(memory))

    def _of_t0(self, in_use: np.ndarray) -> np.ndarray:
        found = np.zeros(len(in_use), np.bool_)
        seen = ~in_use
        for row in self.rows:
            node = self.node[row]
            if seen[node]:
                continue
            seen[node] = True
            if self.event[row] == "mm_page_free" and self.order[row] == 0:
                near = slice(row, row + BATCH_ROWS)
                batched = self.event[near] == "mm_page_free_batched"
                found[node] = self.own[row] or (batched & (self.node[near] == node)).any()
        return found

    def go_to(self, end: int) -> np.ndarray:
        """The pages before a row."""
        while self.at < len(self.rows) and self.rows[self.at] < end:
            row = self.rows[self.at]
            block = slice(self.node[row], self.node[row] + (1 << max(self.order[row], 0)))
            if self.event[row] == "mm_page_alloc":
                self.pages[block] = self.movable[row] and self.order[row] == 0
            else:  # a page in hand is filled, unless a row frees it
                self.pages[block] = self.event[row] == "isolate"
            self.at += 1
        return self.pages


def marks_of(memory, recorded, zone: int, migrate_pfn: int) -> np.ndarray:
    """The pageblocks marked after a recorded compaction: ours below its end, else its scans."""
    base = memory.base_pfn
    start = int(memory.zones.start_pfn[zone])
    end = start + int(memory.zones.spanned[zone])
    marks = memory.pageblock & SKIP_BIT
    marks[(migrate_pfn - base) >> PAGEBLOCK_ORDER :] = 0
    for kind, first, behind, *_ in recorded:
        whole = behind % PAGEBLOCK_NR_PAGES == 0 or behind == end
        if kind == SCANNED and whole and behind > first:
            marks[(behind - 1 - base) >> PAGEBLOCK_ORDER] = SKIP_BIT
    return marks


def compact_alone(memory, compaction, zone: int, proactive: bool, scanners) -> str:
    """Compact a zone from the recorded positions of the scanners; return how it ended."""
    cc = compaction.control[KCOMPACTD]
    order = VIA_COMPACT_MEMORY if proactive else PAGEBLOCK_ORDER
    set_request(cc, 0, order, UNMOVABLE, int(memory.zones["index"][-1]))
    cc.mode = MIGRATE_SYNC_LIGHT
    if proactive:
        cc.whole_zone = cc.ignore_skip_hint = cc.proactive_compaction = 1
        cc.proactive_low = SCORE_LOW
    compaction.daemon.logged = 0
    reclaim = new_reclaim(memory, 0)
    result = begin_zone(memory, reclaim, compaction, KCOMPACTD, zone)
    cc.migrate_pfn, cc.free_pfn = scanners
    while result == COMPACT_CONTINUE:
        result = step_zone(memory, reclaim, compaction, KCOMPACTD)
    return RESULT_NAMES[result]


def compared(recorded: list, predicted: list) -> tuple[int, int]:
    """Rows that are equal in their order, and the number of the first at which the lists differ."""
    matching = difflib.SequenceMatcher(None, recorded, predicted, autojunk=False)
    equal = sum(block.size for block in matching.get_matching_blocks())
    for at, (ours, theirs) in enumerate(zip(recorded, predicted, strict=False)):
        if ours != theirs:
            return equal, at
    return equal, min(len(recorded), len(predicted))


class Predictions:
    """The compactions of one recording, predicted one after the other.

    Our compaction keeps what a zone remembers; skip bits go on from ``marks``.
    """

    def __init__(self, trace: pd.DataFrame, memory):
        self.trace, self.lru = trace, LruPages(trace, memory)
        self.compaction = new_compaction(memory, LOG_ROWS)
        self.marks = None

    def prepare(self, memory, begin: int):
        """Write into a replayed memory what the replay does not know."""
        pages = self.lru.go_to(begin)
        memory.frame[pages & (memory.frame == 0) & ~listed(memory)] = LRU
        if self.marks is not None:
            exists = memory.pageblock != NO_PAGEBLOCK
            unmarked = memory.pageblock & ~np.uint8(SKIP_BIT)
            memory.pageblock[exists] = (unmarked | self.marks)[exists]

    def predict(self, memory, begin: int, end: int) -> dict:
        """Predict the compaction that the rows from ``begin`` to ``end`` tell of."""
        self.prepare(memory, begin)
        start, *scanners = (
            int(x, 16) for x in BEGIN.search(self.trace["gfp"].iloc[begin]).groups()
        )
        stopped, _, status = END.search(self.trace["gfp"].iloc[end]).groups()
        zone = memory.zones.start_pfn.tolist().index(start)
        own = self.lru.own[begin + 1 : end]
        part = self.trace.iloc[begin + 1 : end][own]
        recorded, others = recorded_rows(part), int((~own).sum())
        searches = part["event"].isin(("turn", "turn_head")).any()
        proactive = bool(not searches and status != "partial_skipped")
        ended = compact_alone(memory, self.compaction, zone, proactive, scanners)
        logged = self.compaction.log[: self.compaction.daemon[0].logged]
        equal, first = compared(recorded, [tuple(row) for row in logged.tolist()])
        self.marks = memory.pageblock & SKIP_BIT
        if others > DISTURBED:
            self.marks = marks_of(memory, recorded, zone, int(stopped, 16))
        cc = self.compaction.control[KCOMPACTD]
        return {
            "row": int(self.trace["seq"].iloc[begin]),
            "zone": zone_name(memory, zone),
            "proactive": proactive,
            "others": others,
            "recorded": len(recorded),
            "equal": equal,
            "first_difference": first,
            "status": status,
            "predicted_status": ended,
            "migrate_scanned": int(cc.total_migrate_scanned),
            "free_scanned": int(cc.total_free_scanned),
        }


def predict_compactions(stem: str | Path, inputs="probes") -> pd.DataFrame:
    """Predict every compaction of a recording with probes, from the replayed state before it.

    Parameters
    ----------
    stem : str or Path
        A recording of 6.1 that replays at pcp level.
    inputs : "std" or "probes"

    Returns
    -------
    DataFrame
        One row for each compaction: row (seq of its begin), zone, proactive, others (rows of other
        processes meanwhile), recorded and equal (rows), first_difference (its number), status and
        predicted_status, migrate_scanned and free_scanned (predicted).
    """
    recording = load_recording(stem, in_lock_order=inputs == "probes")
    columns, _, _ = trace_rows(recording, inputs)
    settle(recording.t0, columns, inputs, infer=True)

    def run_all():
        return _run(recording.t0, columns, "pcp", False, None)

    done, _ = infer_boost_ends(columns, run_all(), run_all)
    infer_balance_ends(columns, done, run_all)
    memory = copy_memory(recording.t0)
    begins, ends = (recording.trace["event"] == f"mm_compaction_{x}" for x in ("begin", "end"))
    run, ends = scratch(memory, columns), ends.to_numpy()
    predictions, low, found = Predictions(recording.trace, memory), 0, []
    for begin in np.flatnonzero(begins):
        end = int(begin + np.argmax(ends[begin:]))
        replay_pcp_part(memory, columns, run, low, begin, rows.FAITHFUL)
        found.append(predictions.predict(copy_memory(memory), int(begin), end))
        low = begin
    return pd.DataFrame(found)
