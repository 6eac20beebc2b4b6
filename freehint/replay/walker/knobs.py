"""The knobs of the walker that a recorded kernel ran, as a policy of freehint.

The recorder writes them in a marker just before the walk: ``fhw KNOB=VALUE ...``.
"""

import re

import numpy as np

from freehint.config import InputError
from freehint.formats.traces.recording import Recording
from freehint.policies.call_five_step import CallFiveStep
from freehint.policies.call_walker import CallWalker

MARKER = "fhw "
# Every knob, its default and its largest value; -1: it has none.
KNOBS = {
    "five_step": (0, 1),
    "rotate": (0, 2),
    "resume": (0, 4),
    "lock": (0, 1),
    "high_first": (1, 1),
    "min_order": (0, 10),
    "capacity": (64, -1),
    "span": (1, 1),
    "strokes": (10, -1),
    "walks": (1, -1),
    "delay_ms": (200, -1),
    "mark": (1, 1),
    "ring": (1024, 65536),
    "full": (0, 1),
    "host_ms": (8, -1),
    "host_batch": (64, -1),
    "keep": (1, -1),
    "trigger": (1, 1),
    "consume_at": (0, -1),
    "consume_n": (0, -1),
    "consume_order": (10, 10),
    "consume_until_first": (0, 1),
    "consume_free": (1, 1),
}
ROTATE = ("never", "each_report", "on_exit")
RESUME = ("restart", "scan_for_first", "newest_report", "host_feedback", "scan_for_mark")
NEVER, EACH_REPORT, ON_EXIT = range(3)
RESTART, SCAN_FOR_FIRST, CURSOR, HOST_FEEDBACK, SCAN_FOR_MARK = range(5)


def knobs_before(recording: Recording, row: int) -> dict[str, int]:
    """The knobs of the walk that begins in a row, from the last marker before it.

    Raises
    ------
    InputError
        There is no marker, or a knob or its value is unknown.
    """
    trace = recording.trace
    path = f"{recording.stem}.trace.parquet"
    marks = (trace["event"] == "tracing_mark_write").to_numpy()[:row]
    texts = trace["gfp"].astype(str).to_numpy()[:row]
    found = [at for at in np.flatnonzero(marks) if texts[at].startswith(MARKER)]
    if not found:
        seq, event = trace["seq"].iloc[row], trace["event"].iloc[row]
        raise InputError(f"{path}: row {seq} ({event}): no marker {MARKER!r} stands before it")
    knobs = {name: default for name, (default, _) in KNOBS.items()}
    where = f"{path}: row {trace['seq'].iloc[found[-1]]} (tracing_mark_write)"
    for word in texts[found[-1]].split()[1:]:
        name, _, value = word.partition("=")
        if name not in KNOBS:
            raise InputError(f"{where}: knob {word!r:.80} is unknown")
        most = KNOBS[name][1]
        if not re.fullmatch("[0-9]{1,9}", value) or 0 <= most < int(value):
            must = f"lie in 0..{most}" if most >= 0 else "be a whole number"
            raise InputError(f"{where}: knob {name!r} must {must}, got {value!r:.80}")
        knobs[name] = int(value)
    return knobs


def walker_of(knobs: dict[str, int]) -> CallWalker:
    """The policy of these knobs; its refusals are those of the module."""
    return CallWalker(
        "recorded",
        rotate=ROTATE[knobs["rotate"]],
        resume=RESUME[knobs["resume"]],
        order="high_first" if knobs["high_first"] else "low_first",
        min_order=knobs["min_order"],
        capacity=knobs["capacity"],
        on_full="stop" if knobs["full"] else "lose",
        span=bool(knobs["span"]),
        lap="always",
    )


def five_step_of(knobs: dict[str, int]) -> CallFiveStep:
    """The five steps of these knobs."""
    return CallFiveStep(
        order="high_first" if knobs["high_first"] else "low_first",
        min_order=knobs["min_order"],
        capacity=knobs["capacity"],
        keep=bool(knobs["keep"]),
        span=bool(knobs["span"]),
    )
