"""The knobs of the walker that a recorded kernel ran, as a policy of freehint.

The recorder writes them in a marker just before the walk: ``fhw KNOB=VALUE ...``.
"""

import re

import numpy as np

from freehint.config import InputError
from freehint.formats.traces.recording import Recording
from freehint.policies.call_five_step import CallFiveStep
from freehint.policies.call_walker import MOST_STROKES, CallWalker
from freehint.units import NS_PER_MS

MARKER = "fhw "
FIVE_STEP = "five_step"  # the recorder's knob for the five steps instead of the walker
WHOLE = MOST_STROKES
# Every knob: its default, its least and its largest value.
KNOBS = {
    FIVE_STEP: (0, 0, 1),
    "rotate": (0, 0, 2),
    "resume": (0, 0, 4),
    "lock": (0, 0, 1),
    "high_first": (1, 0, 1),
    "min_order": (0, 0, 10),
    "capacity": (64, 0, 1 << 24),
    "span": (1, 0, 1),
    "strokes": (10, 0, WHOLE),
    "walks": (1, 0, WHOLE),
    "delay_ms": (200, 0, WHOLE),
    "mark": (1, 0, 1),
    "ring": (1024, 1, 65536),
    "full": (0, 0, 1),
    "host_ms": (8, 0, WHOLE),
    "host_batch": (64, 1, WHOLE),
    "keep": (1, 0, WHOLE),
    "trigger": (1, 0, 1),
    "consume_at": (0, 0, WHOLE),
    "consume_n": (0, 0, WHOLE),
    "consume_order": (10, 0, 10),
    "consume_until_first": (0, 0, 1),
    "consume_free": (1, 0, 1),
}
ROTATE = ("never", "each_report", "on_exit")
RESUME = ("restart", "scan_for_first", "newest_report", "host_feedback", "scan_for_mark")
NEVER, EACH_REPORT, ON_EXIT = range(len(ROTATE))
RESTART, SCAN_FOR_FIRST, CURSOR, HOST_FEEDBACK, SCAN_FOR_MARK = range(len(RESUME))


def knobs_before(recording: Recording, row: int) -> dict[str, int]:
    """The knobs of the walk that begins in a row, from the last marker before it.

    Raises
    ------
    InputError
        There is no marker, or a knob or its value is unknown.
    """
    trace = recording.trace
    path = f"{recording.stem}.trace.parquet"
    marks = np.flatnonzero((trace["event"] == "tracing_mark_write").to_numpy()[:row])
    texts = dict(zip(marks.tolist(), trace["gfp"].iloc[marks].astype(str)))
    found = [at for at, text in texts.items() if text.startswith(MARKER)]
    if not found:
        seq, event = trace["seq"].iloc[row], trace["event"].iloc[row]
        raise InputError(f"{path}: row {seq} ({event}): no marker {MARKER!r} stands before it")
    knobs = {name: default for name, (default, _, _) in KNOBS.items()}
    where = f"{path}: row {trace['seq'].iloc[found[-1]]} (tracing_mark_write)"
    for word in texts[found[-1]].split()[1:]:
        name, _, value = word.partition("=")
        if name not in KNOBS:
            raise InputError(f"{where}: knob {word!r:.80} is unknown")
        _, least, most = KNOBS[name]
        if not re.fullmatch("[0-9]{1,10}", value) or not least <= int(value) <= most:
            raise InputError(
                f"{where}: knob {name!r} must lie in {least}..{most}, got {value!r:.80}"
            )
        knobs[name] = int(value)
    try:
        policy_of(knobs)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return knobs


def policy_of(knobs: dict[str, int]) -> CallWalker | CallFiveStep:
    """The policy of these knobs; what it refuses, the recorder refuses too."""
    order = "high_first" if knobs["high_first"] else "low_first"
    same = {"order": order, "span": bool(knobs["span"])}
    same |= {name: knobs[name] for name in ("min_order", "capacity", "strokes")}
    same["pause_ns"] = knobs["delay_ms"] * NS_PER_MS
    if knobs[FIVE_STEP]:
        return CallFiveStep(keep=bool(knobs["keep"]), **same)
    return CallWalker(
        "recorded",
        rotate=ROTATE[knobs["rotate"]],
        resume=RESUME[knobs["resume"]],
        lock="whole_call" if knobs["lock"] else "list_by_list",
        on_full="wait" if knobs["lock"] else "stop" if knobs["full"] else "lose",
        lap="always",
        **same,
    )
