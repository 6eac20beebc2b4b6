"""A prediction of a guest under pressure, held against its recording row by row.

The bars were fixed before the first prediction was made:

- The course of free pages: its RMS error is at most a third of the best constant's.  The best
  constant is the recorded mean, because no other has a smaller RMS error, the median least of all.
- Counts of events are within 25 %, or within 5 events if that is wider: a count of 20 varies by
  about that much (the root of 20) from run to run.  Pages are reclaimed, swapped and compacted in
  batches of 32 (SWAP_CLUSTER_MAX, COMPACT_CLUSTER_MAX), so for pages it is 5 batches.
- Failed allocations and kills by the OOM killer are as many as recorded, and each kill is within
  10 % of its time since the begin of the first step.

Rows without a bar are shown and not judged.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import pandas as pd

from freehint.replay.pressure.measured import FAILURES, FULL_SLEEPS, Measured

COLUMNS = ("quantity", "recorded", "predicted", "ratio", "bar", "ok")
TIMES_SMALLER = 3
SHARE, LEAST_EVENTS, BATCH = 0.25, 5, 32
OOM_SHARE = 0.10
JUDGED, SHOWN = True, False


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
    oom_s : tuple of float
        Times of kills by the OOM killer.
    step_ends_s : tuple of float
        Ends of the steps, as far as they ended.
    """

    time_s: np.ndarray
    free: np.ndarray
    counts: dict
    oom_s: tuple = ()
    step_ends_s: tuple = ()


@dataclass(frozen=True)
class Quantity:
    """A row of counts.

    Attributes
    ----------
    name : str
    counters : tuple of str
        Names of /proc/vmstat that are added up; one that ends with "_" stands for all names that
        begin with it.
    unit : int
        The number that one event adds, usually.
    judged : bool
    exact : bool
        No difference is allowed.
    """

    name: str
    counters: tuple
    unit: int = 1
    judged: bool = JUDGED
    exact: bool = False

    def of(self, counts: dict) -> int:
        """The quantity's value."""
        return sum(
            value
            for name, value in counts.items()
            if any(
                name == one or (one.endswith("_") and name.startswith(one)) for one in self.counters
            )
        )

    def allowed(self, recorded: int) -> float:
        """The largest difference that holds the bar."""
        return 0 if self.exact else max(SHARE * recorded, LEAST_EVENTS * self.unit)

    @property
    def bar(self) -> str:
        """The bar, as text."""
        if not self.judged:
            return ""
        return "equal" if self.exact else f"25 % or {LEAST_EVENTS * self.unit}"


QUANTITIES = (
    Quantity("kswapd wakes", ("pageoutrun",)),
    Quantity("kswapd sleeps", ("kswapd_low_wmark_hit_quickly", FULL_SLEEPS)),
    Quantity("kswapd goes on instead of sleeping", ("kswapd_high_wmark_hit_quickly",)),
    Quantity("pages scanned by kswapd", ("pgscan_kswapd",), BATCH),
    Quantity("pages reclaimed by kswapd", ("pgsteal_kswapd",), BATCH),
    Quantity("direct reclaims", ("allocstall_",)),
    Quantity("pages scanned directly", ("pgscan_direct",), BATCH),
    Quantity("pages reclaimed directly", ("pgsteal_direct",), BATCH),
    Quantity("pages swapped out", ("pswpout",), BATCH),
    Quantity("pages swapped in", ("pswpin",), BATCH),
    Quantity("direct compactions", ("compact_stall",)),
    Quantity("pages migrated", ("pgmigrate_success",), BATCH),
    Quantity("failed allocations", (FAILURES,), exact=True),
    Quantity("OOM kills", ("oom_kill",), exact=True),
    Quantity("refaults of file pages", ("workingset_refault_file",), BATCH, SHOWN),
    Quantity("refaults of anonymous pages", ("workingset_refault_anon",), BATCH, SHOWN),
    Quantity("pages activated", ("pgactivate",), BATCH, SHOWN),
    Quantity("pages deactivated", ("pgdeactivate",), BATCH, SHOWN),
    Quantity("pages skipped because of their zone", ("pgskip_",), BATCH, SHOWN),
    Quantity("pages written back", ("nr_written",), BATCH, SHOWN),
)


@dataclass(frozen=True)
class Comparison:
    """A recording and a prediction of it.

    Attributes
    ----------
    measured : Measured
    predicted : Predicted
    rows : DataFrame
        COLUMNS.  In rows of the course "recorded" is the best constant's error, and "ok" is None
        where nothing is judged.
    course : float64[G]
        The predicted free pages at the recording's times.
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
    course = resampled(predicted, measured.time_s)
    found = [
        _course_row("error of free pages", measured, course, slice(None), JUDGED),
        _course_row("the same while kswapd works", measured, course, measured.reclaiming, SHOWN),
    ]
    for one in QUANTITIES:
        recorded, said = one.of(measured.counts), one.of(predicted.counts)
        if one.judged or recorded or said:
            ok = abs(said - recorded) <= one.allowed(recorded) if one.judged else None
            found.append((one.name, recorded, said, _ratio(said, recorded), one.bar, ok))
    found += _oom_rows(measured, predicted)
    for (_, step), end in zip_longest(
        measured.steps.iterrows(), predicted.step_ends_s[: len(measured.steps)], fillvalue=np.nan
    ):
        name = f"end of step {step['step']} ({step['job']}), s"
        found.append((name, step["end_s"], end, _ratio(end, step["end_s"]), "", None))
    rows = pd.DataFrame(found, columns=list(COLUMNS)).astype({"ok": object})
    return Comparison(measured, predicted, rows, course)


def resampled(predicted: Predicted, time_s) -> np.ndarray:
    """The predicted free pages at these times: the last value that is not later, or the first."""
    at = np.searchsorted(predicted.time_s, time_s, "right") - 1
    return predicted.free[np.maximum(at, 0)].astype(float)


def _course_row(name, measured: Measured, course, where, judged) -> tuple:
    """The RMS errors of the best constant and of the model, in units of (high - min)."""
    free = measured.free.sum(axis=1)[where]
    if not len(free):
        return (f"{name}, / (high - min)", np.nan, np.nan, np.nan, "", None)
    constant = free.std() / measured.band
    error = float(np.sqrt(np.mean((course[where] - free) ** 2))) / measured.band
    ok = bool(error * TIMES_SMALLER <= constant) if judged else None
    bar = f"{TIMES_SMALLER} times below the best constant" if judged else ""
    return (f"{name}, / (high - min)", constant, error, _ratio(error, constant), bar, ok)


def _oom_rows(measured: Measured, predicted: Predicted) -> list[tuple]:
    rows = []
    pairs = zip_longest(measured.oom_s, predicted.oom_s, fillvalue=np.nan)
    for number, (recorded, said) in enumerate(pairs, 1):
        ok = bool(abs(said - recorded) <= OOM_SHARE * recorded)  # False if one is missing
        rows.append((f"OOM kill {number}, s", recorded, said, _ratio(said, recorded), "10 %", ok))
    return rows


def _ratio(predicted, recorded) -> float:
    return float(predicted) / recorded if recorded else np.nan


Predictor = Callable[[Measured, str | None], Predicted]

# Wrong rules, and the counters of which one must not be 0 for the rule to matter.
WRONG_RULES = {
    "no_boost": ("extfrag",),
    "no_kswapd_flag": ("pageoutrun",),
    "cache_never_reclaimed": ("pgsteal_file",),
    "swap_ignored": ("pswpout", "pswpin"),
}


def exercises(measured: Measured, rule: str) -> bool:
    """Whether a recording shows anything that a wrong rule could get wrong."""
    return any(measured.counts.get(name, 0) for name in WRONG_RULES[rule])


def wrong_rules(measured: Measured, predict: Predictor, rules=tuple(WRONG_RULES)) -> pd.DataFrame:
    """Predict a recording by wrong rules, which must miss.

    Parameters
    ----------
    measured : Measured
    predict : callable
        (Measured, name of a wrong rule or None) -> Predicted.
    rules : sequence of str

    Returns
    -------
    DataFrame
        rule; error and constant, the RMS errors in units of (high - min); missed, the number of
        bars missed; first, the first of them; verdict: "misses", "HOLDS", or "not exercised" if
        the recording has nothing that the rule changes.
    """
    found = []
    for rule in rules:
        one = compare(measured, predict(measured, rule))
        course = one.rows.iloc[0]
        verdict = "misses" if one.missed else "HOLDS"
        if not exercises(measured, rule):
            verdict = "not exercised"
        first = one.missed[0] if one.missed else ""
        found.append(
            (rule, course["predicted"], course["recorded"], len(one.missed), first, verdict)
        )
    columns = ["rule", "error", "constant", "missed", "first", "verdict"]
    return pd.DataFrame(found, columns=columns)
