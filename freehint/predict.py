"""Predict what a mechanism did in a recorded guest, block by block, before it is looked at.

The recorded guest is moved on at buddy level up to the moment when the mechanism began; from
there the model's lists and the mechanism's own verbs say which blocks it took, in which order,
and where it stopped.  Nothing is fitted, and a recording that does not hold what a prediction
needs is named, with the reason.
"""

import gzip
import json
import zlib
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.proc import parse_pagetypeinfo
from freehint.formats.tables import free_lists, pageblocks
from freehint.guest import trace_rows as rows
from freehint.guest.replay_buddy import forget_pcp, replay_buddy
from freehint.mm.memory import MAX_ORDER, UNMOVABLE, Memory, copy_memory, page_zone, zone_name
from freehint.policies import POLICIES
from freehint.policy import Outcome, Policy, Stroke
from freehint.replay import (
    PROBE_KINDS,
    Recording,
    compare_lists,
    load_recording,
    scratch,
    settle,
    trace_rows,
)

HINT_GFP = {"__GFP_NOWARN", "__GFP_NORETRY", "__GFP_NOMEMALLOC"}
OWN_ROWS = 16  # rows that one allocation may write before the row that it returned
HINT_COLUMNS = ("recording", "pass", "position", "predicted_pfn", "measured_pfn")
REPORTING_COLUMNS = (
    "recording",
    "pass",
    "report",
    "position",
    "predicted_pfn",
    "measured_pfn",
)


@dataclass(frozen=True)
class Prediction:
    """One recording, predicted and measured.

    Attributes
    ----------
    recording : str
    reason : str
        Why nothing can be predicted; empty where it can.
    blocks : list of tuple
        Rows of HINT_COLUMNS or REPORTING_COLUMNS.
    facts : dict
        What else was found, for people.
    good : bool
        Every block equal and in order, and so what else is judged.
    """

    recording: str
    reason: str = ""
    blocks: list = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    good: bool = True


class Advance:
    """A recorded guest at buddy level, moved on to one row of its trace after another."""

    def __init__(self, recording: Recording):
        seen = set(recording.trace["event"].unique())
        inputs = "probes" if seen & set(PROBE_KINDS) else "std"
        self.columns, _ = trace_rows(recording, inputs)
        settle(recording.t0, self.columns, inputs, infer=True)
        self.memory = copy_memory(recording.t0)
        forget_pcp(self.memory)
        self.run = scratch(self.memory)
        self.row = 0

    def to(self, row: int) -> None:
        """Apply every row before ``row``, a position between T0 and T1."""
        if row <= self.row:
            return
        part = rows.Rows(*(column[self.row : row] for column in self.columns))
        replay_buddy(self.memory, part, self.run, False, rows.FAITHFUL)
        self.row = row


def without_t0(stem) -> Prediction | None:
    """The answer for a trace that has no snapshot."""
    if Path(f"{stem}.T0.meta.json").exists():
        return None
    return Prediction(Path(stem).name, f"there is no snapshot {Path(stem).name}.T0")


# The balloon's hints


def predict_hints(stem, policy: Policy | None = None) -> Prediction:
    """The first pass of the balloon's hints in a recorded migration.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 and NAME.trace; NAME.migration.json.gz tells whether hints were
        on, and what /proc/pagetypeinfo said afterwards.
    policy : Policy, optional
        Another mechanism than balloon_alloc; for showing that it fails.
    """
    if (missing := without_t0(stem)) is not None:
        return missing
    policy = policy or POLICIES["balloon_alloc"]
    recording = load_recording(stem, need_t1=False)
    record = _migration_record(stem)
    hints, begin = _recorded_hints(recording)
    measured = [int(pfn) for pfn in recording.trace["pfn"].iloc[hints]]
    advance = Advance(recording)
    advance.to(begin)
    before = _unmovable(advance.memory)
    predicted = []
    if record.get("hint") != "off":
        predicted = _play_hints(policy, advance.memory)
    pairs = zip_longest(predicted, measured, fillvalue=-1)
    name = recording.stem.name
    return Prediction(
        name,
        blocks=[(name, 1, position, *pair) for position, pair in enumerate(pairs)],
        facts={
            "hint": record.get("hint", "not told"),
            "predicted": _runs(advance.memory, predicted),
            "measured": _runs(advance.memory, measured),
            "UNMOVABLE pageblocks": _unmovable_facts(before, advance.memory, record, stem),
        },
        good=predicted == measured,
    )


def _migration_record(stem) -> dict:
    path = Path(f"{stem}.migration.json.gz")
    if not path.exists():
        return {}
    try:
        record = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is not whole JSON in gzip: {error}") from None
    if not isinstance(record, dict) or record.get("hint") not in ("on", "off"):
        hint = record.get("hint") if isinstance(record, dict) else record
        raise InputError(f"{path}: field 'hint' must be 'on' or 'off', got {hint!r:.80}")
    return record


def _recorded_hints(recording: Recording):
    """(rows of the first pass's allocations, the row before which the first one began)."""
    trace = recording.trace
    gfp = trace["gfp"].astype(str)
    asks = {text: set(text.split("|")) == HINT_GFP for text in gfp.unique()}
    balloon = (
        (trace["event"] == "mm_page_alloc")
        & (trace["order"] == MAX_ORDER - 1)
        & trace["comm"].astype(str).str.startswith("kworker")
        & gfp.map(asks)
    )
    found = np.flatnonzero(balloon)
    failed = np.flatnonzero(trace["pfn"].to_numpy()[found] == 0)
    first_pass = found[: failed[0]] if len(failed) else found
    begin = _begin_of_allocation(trace, int(found[0])) if len(found) else 0
    return first_pass, begin


def _begin_of_allocation(trace: pd.DataFrame, row: int) -> int:
    """Where the rows of an allocation's own block begin, before it returned in ``row``."""
    low = max(row - OWN_ROWS, 0)
    rows_before, returned = trace.iloc[low:row], trace.iloc[row]
    own = rows_before["event"].isin(["mm_page_alloc_zone_locked", "mm_page_alloc_extfrag"])
    for column in ("pid", "pfn", "order"):
        own &= rows_before[column] == returned[column]
    return low + int(np.argmax(own)) if own.any() else row


def _play_hints(policy: Policy, memory: Memory) -> list[int]:
    """The pfns of one pass; the ring is never full and the guest is silent."""
    state = policy.new_state(memory, policy)
    report = np.zeros((policy.capacity + 1, 3), np.int64)
    taken = np.full(policy.capacity, Outcome.TAKEN, np.uint8)
    pfns = []
    while (zone := policy.next_zone(memory, state)) >= 0:
        n, _ = policy.fill(memory, state, zone, report, policy.capacity)
        if n == 0:
            break
        policy.drain(memory, state, zone, report, n, taken)
        pfns += [int(node) + memory.base_pfn for node in report[:n, 0]]
    return pfns


def _runs(memory: Memory, pfns) -> str:
    """How many blocks of which zone, in order: ``190 DMA32, 2 DMA``."""
    zones = [zone_name(memory, page_zone(memory, pfn - memory.base_pfn)) for pfn in pfns]
    return ", ".join(f"{len(list(run))} {zone}" for zone, run in groupby(zones)) or "none"


def _unmovable(memory: Memory) -> dict:
    table = pageblocks(memory)
    mine = table[table["migratetype"] == UNMOVABLE]["zone"].value_counts()
    return {str(zone): int(count) for zone, count in mine.items()}


def _unmovable_facts(before: dict, memory: Memory, record: dict, stem) -> str:
    """By zone: before, after the pass in the model, and as the guest told after the migration."""
    after, told = _unmovable(memory), {}
    if "pagetypeinfo_after" in record:
        lines = str(record["pagetypeinfo_after"]).splitlines()
        _, blocks = parse_pagetypeinfo(lines, f"{stem}.migration.json.gz")
        told = {zone: int(counts[UNMOVABLE]) for zone, counts in blocks.items()}
    zones = [zone_name(memory, zone) for zone in range(len(memory.zones))]
    return ", ".join(
        f"{zone} {before.get(zone, 0)} -> {after.get(zone, 0)} (told {told.get(zone, '-')})"
        for zone in zones
    )


# Free page reporting


def predict_reporting(stem, policy: Policy | None = None) -> Prediction:
    """Every pass of free page reporting in a recording.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 with Reported flags and NAME.trace with probes; NAME.T1, where
        there is one, is compared, flags included.
    policy : Policy, optional
        Another mechanism than page_reporting; for showing that it fails.
    """
    if (missing := without_t0(stem)) is not None:
        return missing
    recording = load_recording(stem, need_t1=False)
    name = recording.stem.name
    if not recording.t0.reported_known:
        return Prediction(name, f"{name}.T0.freelist.parquet has no column 'reported'")
    if not (recording.trace["event"] == "proc").any():
        return Prediction(name, f"{name}.trace.parquet has no row 'proc': no pass is told")
    advance = Advance(recording)
    passes = _recorded_passes(recording, advance.columns)
    blocks = []
    for number, told in enumerate(passes, 1):
        predicted = _play_pass(policy or POLICIES["page_reporting"], advance, told)
        blocks += _report_rows(name, number, predicted, told.reports)
    advance.to(len(recording.trace))
    return Prediction(name, blocks=blocks, **_judge(recording, advance, blocks))


@dataclass
class RecordedPass:
    """A pass as recorded: its row, the rows where putback begins, and pfns a report."""

    row: int
    drains: list
    reports: list


def _recorded_passes(recording: Recording, columns) -> list[RecordedPass]:
    """Every pass; the rows that it wrote are taken out of ``columns``: the model does them."""
    trace = recording.trace
    begins = np.flatnonzero(trace["event"] == "proc")
    pids, base_pfn = trace["pid"].to_numpy(), recording.t0.base_pfn
    passes = []
    for begin, end in zip(begins, [*begins[1:], len(trace)]):
        told = RecordedPass(int(begin), [], [])
        isolating = False
        for row in begin + np.flatnonzero(pids[begin:end] == pids[begin]):
            kind = columns.kind[row]
            if kind == rows.ISOLATE_PAGE and columns.value[row] > 0:
                if not isolating:
                    told.reports.append([])
                told.reports[-1].append(int(columns.node[row]) + base_pfn)
                isolating = True
            elif kind == rows.PUTBACK and isolating:
                told.drains.append(int(row))
                isolating = False
            if kind in (rows.ISOLATE_PAGE, rows.PUTBACK, rows.MOVE_BLOCK):
                columns.kind[row] = rows.IGNORED
        passes.append(told)
    return passes


def _play_pass(policy: Policy, advance: Advance, told: RecordedPass) -> list[list[int]]:
    """Pfns a report.  The host's answers come when the recording has them; the guest goes on."""
    advance.to(told.row)
    memory = advance.memory
    state = policy.new_state(memory, policy)
    report = np.zeros((policy.capacity + 1, 3), np.int64)
    used = np.full(policy.capacity, Outcome.USED, np.uint8)
    reports = []
    for zone in range(len(memory.zones)):
        status = Stroke.MORE
        while status == Stroke.MORE:
            n, status = policy.fill(memory, state, zone, report, policy.capacity)
            if n == 0:
                continue
            if len(reports) < len(told.drains):
                advance.to(told.drains[len(reports)])
            policy.drain(memory, state, zone, report, n, used)
            reports.append([int(node) + memory.base_pfn for node in report[:n, 0]])
    return reports


def _report_rows(name, number, predicted, measured) -> list[tuple]:
    return [
        (name, number, report, position, *pair)
        for report, sides in enumerate(zip_longest(predicted, measured, fillvalue=()), 1)
        for position, pair in enumerate(zip_longest(*sides, fillvalue=-1))
    ]


def _judge(recording: Recording, advance: Advance, blocks) -> dict:
    """Facts and verdict: every block, and T1's lists and flags."""
    counts, memory = advance.run.counts, advance.memory
    facts = {
        "predicted": _report_sizes(blocks, -2),
        "measured": _report_sizes(blocks, -1),
        "misses between passes": str(counts[rows.C_MISSES] + counts[rows.C_REFUSED]),
    }
    good = all(row[-2] == row[-1] for row in blocks)
    if recording.t1 is not None and recording.t1.reported_known:
        lists = compare_lists(memory, recording.t1, flags=True)
        facts["T1 lists equal"] = f"{int(lists['equal'].sum())} of {len(lists)}"
        facts["T1 flagged"] = f"{_flagged(memory)} (told {_flagged(recording.t1)})"
        good = good and bool(lists["equal"].all())
    return {"facts": facts, "good": good}


def _report_sizes(blocks, side: int) -> str:
    """Blocks a report, passes apart by bars: ``32, 32 | 25``."""
    sizes = {}
    for row in blocks:
        if row[side] >= 0:
            reports = sizes.setdefault(row[1], {})
            reports[row[2]] = reports.get(row[2], 0) + 1
    return " | ".join(", ".join(map(str, reports.values())) for reports in sizes.values()) or "none"


def _flagged(memory: Memory) -> str:
    """How many of the blocks that reporting looks at have the flag."""
    table = free_lists(memory)
    large = table[table["order"] >= POLICIES["page_reporting"].report_order]
    return f"{int(large['reported'].sum())} of {len(large)}"
