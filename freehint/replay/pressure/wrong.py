"""Predictions by wrong rules, which must miss."""

from collections.abc import Callable

import pandas as pd

from freehint.replay.pressure.compare import Predicted, compare
from freehint.replay.pressure.measured import FALLBACKS, Measured

Predictor = Callable[[Measured, str | None], Predicted]

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
