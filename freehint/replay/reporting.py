"""Predict free page reporting pass by pass."""

from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from freehint.formats.tables import free_lists
from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import Memory
from freehint.policies.drive import Drive
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Outcome, Policy
from freehint.replay.prediction import Advance, Prediction, without_t0
from freehint.replay.result import compare_lists

REPORTING_COLUMNS = (
    "recording",
    "pass",
    "report",
    "position",
    "predicted_pfn",
    "measured_pfn",
)


# Free page reporting


def predict_reporting(stem, policy: Policy | None = None) -> Prediction:
    """Predict every pass of free page reporting in a recording.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0 with Reported flags and NAME.trace with probes.  If there is a
        NAME.T1, the model's lists and flags are compared with it.
    policy : Policy, optional
        Another mechanism than page_reporting, to show that it fails.

    Returns
    -------
    Prediction
        Its rows have REPORTING_COLUMNS.
    """
    if (missing := without_t0(stem)) is not None:
        return missing
    recording = load_recording(stem, need_t1=False)
    name = recording.stem.name
    if not recording.t0.reported_known:
        return Prediction(name, f"{name}.T0.freelist.parquet has no column 'reported'")
    if not (recording.trace["event"] == "proc").any():
        return Prediction(name, f"{name}.trace.parquet has no row 'proc', so it shows no pass")
    advance = Advance(recording)
    passes = _recorded_passes(recording, advance.columns)
    blocks = []
    for number, told in enumerate(passes, 1):
        predicted = _play_pass(policy or PageReporting(), advance, told)
        blocks += _report_rows(name, number, predicted, told.reports)
    advance.to(len(recording.trace))
    return Prediction(name, blocks=blocks, **_judge(recording, advance, blocks))


@dataclass
class RecordedPass:
    """A recorded pass.

    row : int        row where it begins
    drains : list    row where each report's putback begins
    reports : list   the pfns of each report, in a list
    """

    row: int
    drains: list
    reports: list


def _recorded_passes(recording: Recording, columns) -> list[RecordedPass]:
    """Every recorded pass; its rows are set to IGNORED in ``columns``, as the model plays it."""
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
    """Play one pass, and return a list of pfns for each of its reports.

    The host answers at the recorded rows, and the guest goes on until then.
    """
    advance.to(told.row)
    memory, reports = advance.memory, []

    def use(rows) -> list:
        if rows:
            if len(reports) < len(told.drains):
                advance.to(told.drains[len(reports)])
            reports.append([node + memory.base_pfn for node, _ in rows])
        return [Outcome.USED] * len(rows)

    for _ in Drive(policy, memory, use):
        pass
    return reports


def _report_rows(name, number, predicted, measured) -> list[tuple]:
    return [
        (name, number, report, position, *pair)
        for report, sides in enumerate(zip_longest(predicted, measured, fillvalue=()), 1)
        for position, pair in enumerate(zip_longest(*sides, fillvalue=-1))
    ]


def _judge(recording: Recording, advance: Advance, blocks) -> dict:
    """The facts and the verdict on a recording, from all blocks and T1's lists and flags."""
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
    """The number of blocks in each report, with a bar between passes: ``32, 32 | 25``."""
    sizes = {}
    for row in blocks:
        if row[side] >= 0:
            reports = sizes.setdefault(row[1], {})
            reports[row[2]] = reports.get(row[2], 0) + 1
    return " | ".join(", ".join(map(str, reports.values())) for reports in sizes.values()) or "none"


def _flagged(memory: Memory) -> str:
    """How many of the blocks that reporting looks at have the Reported flag, as text."""
    table = free_lists(memory)
    large = table[table["order"] >= PageReporting.report_order]
    return f"{int(large['reported'].sum())} of {len(large)}"
