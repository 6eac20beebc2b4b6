"""A prediction of a guest under pressure, held against its recording row by row.

Fixed before the first prediction was made:

- The course of free pages: its RMS error is at most a third of the best constant's.  The best
  constant is the recorded mean, because no other has a smaller RMS error, the median least of all.
  The course is taken step by step: each step, and each of its parts before and after an OOM kill,
  is stretched to its recorded length, so the row is conditional on these lengths.  An emulated
  machine's speed is not in T0 and differs by 2 between recordings, and without the stretching the
  clock alone would decide: a course that is right but for a clock 5 % slow has 0.63 of the best
  constant's error in linux-6.1/rc_cache.
- Counts are within 25 %, or within 5 events if that is wider (``quantities.py``).
- Failed allocations and kills by the OOM killer are as many as recorded.

Chosen after the first predictions had been seen:

- Each OOM kill is within 10 % of its time on the workload's own clock, the blocks allocated since
  the first step began, and not on the wall's.
- The course is also shown with one factor for the whole clock, the recorded time of all steps by
  the predicted one, and without any.  Neither is judged.
- The times per page are multiplied by one number that is taken from the recording, its machine's
  slowness, and its host takes the CPU away as it did in the recording (``predict.py``); "the
  predicted clock" is that of the times before.

- Predictions are made with several seeds, because what T0 does not tell is drawn: how full its
  slabs are, and where in its turns the host is.  Judged is the middle one of the values.

Rows without a bar are shown and not judged; counts that are 0 on both sides have no row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.replay.pressure.measured import Measured
from freehint.replay.pressure.quantities import JUDGED, QUANTITIES, SHOWN

COLUMNS = ("quantity", "recorded", "predicted", "least", "most", "ratio", "bar", "ok")
TIMES_SMALLER = 3
OOM_SHARE = 0.10


@dataclass(frozen=True)
class Predicted:
    """What a predictor says of a recording under pressure; times count as in Measured.

    Attributes
    ----------
    time_s : float64[n]
        Ascending.
    free : int64[n]
        Free pages on the buddy lists of all zones, from each of these times to the next.
    counts : dict of str to int
        As in Measured; a missing one is 0.
    oom_s, oom_pages : tuple
        Times of kills by the OOM killer, and blocks allocated until then.
    steps_s : float64[n, 2]
        Begin and end of the first steps, those that ended.
    slowness : float
        The factor on the clock that was taken from the recording, for its slow machine and for
        what its host ran beside it; 1: none was.
    others : tuple of Predicted
        The same with other seeds.
    """

    time_s: np.ndarray
    free: np.ndarray
    counts: dict
    oom_s: tuple = ()
    oom_pages: tuple = ()
    steps_s: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    slowness: float = 1.0
    others: tuple = ()


@dataclass(frozen=True)
class Comparison:
    """A recording and a prediction of it.

    Attributes
    ----------
    measured : Measured
    predicted : Predicted
    rows : DataFrame
        COLUMNS.  "predicted" is the middle one of all seeds' values, which is judged; "least" and
        "most" are their range.  In rows of the course "recorded" is the best constant's error, and
        "ok" is None where nothing is judged.
    course : float64[G]
        The predicted free pages at the recording's times, by the first seed.
    """

    measured: Measured
    predicted: Predicted
    rows: pd.DataFrame = field(repr=False)
    course: np.ndarray = field(repr=False)

    @property
    def missed(self) -> list[str]:
        """The quantities of which the bar is missed."""
        return self.rows.loc[self.rows["ok"] == False, "quantity"].tolist()  # noqa: E712

    @property
    def good(self) -> bool:
        """Whether every bar holds."""
        return not self.missed


def compare(measured: Measured, predicted: Predicted) -> Comparison:
    """Compare a prediction with a recording.

    Parameters
    ----------
    measured : Measured
    predicted : Predicted

    Returns
    -------
    Comparison
    """
    each = [_rows_of(measured, one) for one in (predicted, *predicted.others)]
    found = []
    for name in dict.fromkeys(name for rows in each for name in rows):
        first = next(rows[name] for rows in each if name in rows)
        said = np.sort([rows[name].said if name in rows else np.nan for rows in each])
        middle = said[len(said) // 2]
        if first.counted and not first.recorded and not said.any():
            continue
        ok = first.holds(middle) if first.holds else None
        shown = (first.recorded, middle, said[0], said[-1], _ratio(middle, first.recorded))
        found.append((name, *shown, first.bar, ok))
    rows = pd.DataFrame(found, columns=list(COLUMNS)).astype({"ok": object})
    course = resampled(predicted, own_times(measured, predicted))
    return Comparison(measured, predicted, rows, course)


class Row(NamedTuple):
    """What was recorded and what one prediction says, and whether a value holds the bar."""

    recorded: float
    said: float
    bar: str = ""
    holds: Callable | None = None
    counted: bool = False


def _rows_of(measured: Measured, predicted: Predicted) -> dict[str, Row]:
    """The rows of one prediction, by quantity."""
    courses = (
        ("error of free pages", own_times(measured, predicted), slice(None), JUDGED),
        (
            "the same while kswapd works",
            own_times(measured, predicted),
            measured.reclaiming,
            SHOWN,
        ),
        (
            "the same, one factor for the clock",
            measured.time_s * speed(measured, predicted),
            slice(None),
            SHOWN,
        ),
        (
            "the same by the predicted clock",
            measured.time_s * predicted.slowness,
            slice(None),
            SHOWN,
        ),
    )
    found = {}
    for name, time_s, where, judged in courses:
        course = resampled(predicted, time_s)
        found[f"{name}, / (high - min)"] = _course_row(measured, course, where, judged)
    for one in QUANTITIES:
        recorded, said = one.of(measured.counts), one.of(predicted.counts)
        holds = partial(_within, recorded, one.allowed(recorded)) if one.judged else None
        found[one.name] = Row(recorded, said, one.bar, holds, True)
    found |= _oom_rows(measured, predicted)
    for number, step in enumerate(measured.steps.itertuples()):
        said = np.nan
        if number < len(predicted.steps_s):
            said = float(np.diff(predicted.steps_s[number])[0])
        found[f"step {step.step}, {step.job}, s"] = Row(step.end_s - step.begin_s, said)
    return found


def _within(recorded, allowed, said) -> bool:
    return bool(abs(said - recorded) <= allowed)  # False if it is missing


def own_times(measured: Measured, predicted: Predicted) -> np.ndarray:
    """The predictor's times (s) of the recording's grid: each step is stretched to its length."""
    both = min(len(measured.steps), len(predicted.steps_s))
    recorded = measured.steps[["begin_s", "end_s"]].to_numpy()[:both].ravel()
    said = np.asarray(predicted.steps_s, float)[:both].ravel()
    if len(measured.oom_s) == len(predicted.oom_s):
        recorded = np.sort(np.append(recorded, measured.oom_s))
        said = np.sort(np.append(said, predicted.oom_s))
    recorded, said = np.append(0, recorded), np.append(0, said)
    late = np.maximum(0, measured.time_s - recorded[-1])  # after the last step that both ended
    return np.interp(measured.time_s, recorded, said) + late * speed(measured, predicted)


def speed(measured: Measured, predicted: Predicted) -> float:
    """Predicted time by recorded time, over all steps that ended; 1 if none did."""
    both = min(len(measured.steps), len(predicted.steps_s))
    ends = measured.steps["end_s"].to_numpy()[:both]
    return float(predicted.steps_s[both - 1][1] / ends[-1]) if both and ends[-1] > 0 else 1.0


def resampled(predicted: Predicted, time_s) -> np.ndarray:
    """The predicted free pages at these times: the last value that is not later, or the first."""
    at = np.searchsorted(predicted.time_s, time_s, "right") - 1
    return predicted.free[np.maximum(at, 0)].astype(float)


def _course_row(measured: Measured, course, where, judged) -> Row:
    """The RMS errors of the best constant and of the model, in units of (high - min)."""
    free = measured.free.sum(axis=1)[where]
    if not len(free):
        return Row(np.nan, np.nan)
    constant = free.std() / measured.band
    error = float(np.sqrt(np.mean((course[where] - free) ** 2))) / measured.band
    if not judged:
        return Row(constant, error)
    bar = f"{TIMES_SMALLER} times below the best constant"
    return Row(constant, error, bar, lambda said: bool(said * TIMES_SMALLER <= constant))


def _oom_rows(measured: Measured, predicted: Predicted) -> dict[str, Row]:
    found = {}
    pairs = zip_longest(measured.oom_pages, predicted.oom_pages, fillvalue=np.nan)
    for number, (recorded, said) in enumerate(pairs, 1):
        holds = partial(_within, recorded, OOM_SHARE * recorded)
        found[f"blocks allocated until OOM kill {number}"] = Row(recorded, said, "10 %", holds)
    pairs = zip_longest(measured.oom_s, predicted.oom_s, fillvalue=np.nan)
    for number, (recorded, said) in enumerate(pairs, 1):
        found[f"OOM kill {number}, s"] = Row(recorded, said)
    return found


def _ratio(predicted, recorded) -> float:
    return float(predicted) / recorded if recorded else np.nan
