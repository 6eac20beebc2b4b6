"""Predictions by wrong rules, which must miss."""

from collections.abc import Callable

import pandas as pd

from freehint.replay.pressure.compare import Comparison, Predicted, compare
from freehint.replay.pressure.measured import FALLBACKS, Measured

Predictor = Callable[[Measured, str], Predicted]

# Wrong rules, and the counters of which one must not be 0 for the rule to matter.
WRONG_RULES = {
    "no_boost": (FALLBACKS,),
    "no_kswapd_flag": ("pageoutrun",),
    "cache_never_reclaimed": ("pgsteal_file",),
    "swap_ignored": ("pswpout", "pswpin"),
}


def exercises(measured: Measured, rule: str) -> bool:
    """Whether a recording shows anything that a wrong rule could get wrong."""
    return any(measured.counts.get(name, 0) for name in WRONG_RULES[rule])


def wrong_rules(right: Comparison, predict: Predictor, rules=tuple(WRONG_RULES)) -> pd.DataFrame:
    """Predict a recording by wrong rules, which must miss what the right ones hold.

    Parameters
    ----------
    right : Comparison
        The recording and its prediction by the right rules.
    predict : callable
        (Measured, name of a wrong rule) -> Predicted.
    rules : sequence of str

    Returns
    -------
    DataFrame
        rule; error and constant, the RMS errors in units of (high - min); missed, the number of
        bars missed; more, the number of those that the right rules hold; first, the first of them;
        verdict: "misses" if there is one, "HOLDS" if not, or "not exercised" if the recording has
        nothing that the rule changes.
    """
    found = []
    for rule in rules:
        one = compare(right.measured, predict(right.measured, rule))
        course = one.rows.iloc[0]
        more = [name for name in one.missed if name not in right.missed]
        verdict = "misses" if more else "HOLDS"
        if not exercises(right.measured, rule):
            verdict = "not exercised"
        counts = len(one.missed), len(more), more[0] if more else ""
        found.append((rule, course["predicted"], course["recorded"], *counts, verdict))
    columns = ["rule", "error", "constant", "missed", "more", "first", "verdict"]
    return pd.DataFrame(found, columns=columns)
