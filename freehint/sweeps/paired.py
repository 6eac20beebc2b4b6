"""Differences between policies, or between the levels of any knob, with their intervals.

The same seed gives two policies the same guest, so each seed gives one difference; an interval of
their mean says whether a difference is more than noise.
"""

import numpy as np
import pandas as pd

from freehint.config import InputError, one_of

# Quantiles 0.975 of Student's t for 1, 2, .. degrees of freedom.
T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)


def interval(values) -> tuple:
    """(mean, half width) of a 95 % interval; with a single value the half width is nan."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return (float(values.mean()) if n else np.nan), np.nan
    t = T_975[n - 2] if n - 2 < len(T_975) else 1.96 + 2.4 / (n - 1)  # within 0.5 %
    return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(n))


def paired(table: pd.DataFrame, outcomes, against, factor: str = "policy") -> pd.DataFrame:
    """Compare the levels of a factor with one of them, seed by seed.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep`, in which nothing but the factor and the seed differs.
    outcomes : sequence of str
        Entries of the summary.
    against : object
        The level that the others are compared with.
    factor : str
        Name of the grid's column.

    Returns
    -------
    DataFrame
        One row for each other level and outcome: level, outcome, mean, against (the mean of the
        level that it is compared with), difference (mean over the seeds), half_width of its 95 %
        interval (nan for a single seed), and differs (whether the interval leaves out 0).

    Raises
    ------
    InputError
        There is no such column or level, a seed lacks a level, or has it twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from freehint.sweeps.paired import paired
    >>> runs = {"policy": ["a", "b"] * 3, "seed": [1, 1, 2, 2, 3, 3], "x": [1, 3, 2, 4, 3, 6]}
    >>> found = paired(pd.DataFrame(runs), ["x"], against="a").iloc[0]
    >>> f"{found['level']}: {found['difference']:+.2f} ± {found['half_width']:.2f}"
    'b: +2.33 ± 1.43'
    >>> bool(found["differs"])
    True
    """
    for name in (factor, "seed", *outcomes):
        one_of("table", name, list(table.columns))
    one_of(factor, against, list(dict.fromkeys(table[factor])))
    rows = []
    for outcome in outcomes:
        runs = table.set_index([factor, "seed"])[outcome]
        if runs.index.has_duplicates:
            raise InputError(f"table: a seed has {factor} twice, so more than one knob differs")
        by_seed = runs.unstack(factor)
        if by_seed.isna().any(axis=None):
            raise InputError(f"table: not every seed has every {factor} and a value of {outcome}")
        base = by_seed.pop(against)
        for level, values in by_seed.items():
            mean, half = interval(values - base)
            means = float(values.mean()), float(base.mean())
            rows.append((level, outcome, *means, mean, half, bool(abs(mean) > half)))
    columns = ["level", "outcome", "mean", "against", "difference", "half_width", "differs"]
    return pd.DataFrame(rows, columns=columns)
