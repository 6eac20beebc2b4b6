"""Differences between policies, or between the levels of any knob, with their intervals.

The same seed gives two policies the same guest, so each seed gives one difference; an interval of
their mean says whether a difference is more than noise.  Every sentence that compares is made here,
so a difference inside its interval is called NO_DIFFERENCE everywhere.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.config import InputError, nearest, one_of, require
from freehint.sweeps.status import all_done

# Quantiles 0.975 of Student's t for 1, 2, .. degrees of freedom.
T_975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)


def interval(values) -> tuple:
    """(mean, half width) of a 95 % interval; with a single value the half width is nan."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return (float(values.mean()) if n else np.nan), np.nan
    if values.max() == values.min():
        return float(values[0]), 0.0  # exactly, whatever their mean rounds to
    t = T_975[n - 2] if n - 2 < len(T_975) else 1.96 + 2.4 / (n - 1)  # within 0.5 %
    return float(values.mean()), float(t * values.std(ddof=1) / np.sqrt(n))


NO_DIFFERENCE = "no difference seen"
ONE_SEED = "one seed, so no interval"


def judged(difference: float, half_width: float, above: str, below: str) -> str:
    """Words for a difference, by its sign if its interval leaves out 0.

    Parameters
    ----------
    difference, half_width : float
        See :func:`interval`.
    above, below : str
        Words for a difference above and below 0.

    Returns
    -------
    str
        ``above``, ``below``, NO_DIFFERENCE, or ONE_SEED if there is no interval.
    """
    if np.isnan(half_width):
        return ONE_SEED
    if abs(difference) <= half_width:
        return NO_DIFFERENCE
    return above if difference > 0 else below


def amount(difference: float, half_width: float, unit: str) -> str:
    """A difference with its interval and unit, with as many digits as the interval allows.

    Examples
    --------
    >>> amount(-8.994, 5.082, "MB"), amount(12.34, float("nan"), "ms")
    ('-9.0 ± 5.1 MB', '+12.3 ms')
    """
    if np.isnan(half_width):
        return f"{difference:+,.3g} {unit}".rstrip()
    if half_width == 0:
        return f"{'-' if difference < 0 else '+'}{number(abs(difference))} ± 0 {unit}".rstrip()
    # Two digits of the half width, but no more than four of the difference.
    wanted = ((half_width, 1), (difference, 3))
    places = [digits - math.floor(math.log10(abs(value))) for value, digits in wanted if value]
    digits = max(min(places, default=0), 0)
    return f"{difference:+,.{digits}f} ± {half_width:,.{digits}f} {unit}".rstrip()


def told(difference: float, half_width: float, unit: str) -> str:
    """A difference for a sentence; NO_DIFFERENCE, with the number in parentheses, if it is none.

    Examples
    --------
    >>> told(12.1, 3.4, "points"), told(0.3, 1.2, "points")
    ('+12.1 ± 3.4 points', 'no difference seen (+0.3 ± 1.2 points)')
    """
    text = amount(difference, half_width, unit)
    words = judged(difference, half_width, text, text)
    if words == ONE_SEED:
        return f"{text} ({ONE_SEED})"
    return f"{words} ({text})" if words == NO_DIFFERENCE else words


def level(values, unit: str = "") -> str:
    """The mean of some runs with its 95 % interval; a single run has none.

    Examples
    --------
    >>> level([30.0, 34.0, 32.0], "%"), level([30.0], "%")
    ('32.0 ± 5.0 %', '30 %')
    """
    mean, half = interval(values)
    if np.isnan(half) or half == 0:
        return f"{number(mean)} {unit}".rstrip()
    return amount(mean, half, unit).removeprefix("+")


def number(value: float) -> str:
    """A number with three digits, and all of them before the point.

    Examples
    --------
    >>> number(66741.6), number(0.12345)
    ('66,742', '0.123')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Measure(NamedTuple):
    """An outcome as people write it.

    outcome : entry of the summary
    words   : its name in a sentence
    unit    : its unit there
    scale   : that unit in units of the summary
    """

    outcome: str
    words: str
    unit: str = ""
    scale: float = 1


def sentence(row, measure: Measure) -> str:
    """One comparing sentence.

    Parameters
    ----------
    row : namedtuple
        A row of :func:`paired`, from its ``itertuples()``.
    measure : Measure

    Returns
    -------
    str
        The levels, the means, the difference and its interval; NO_DIFFERENCE inside the interval.

    Examples
    --------
    >>> from collections import namedtuple
    >>> row = namedtuple("Row", "level base mean against difference half_width seeds")
    >>> sent = Measure("sent_bytes", "bytes sent", "MB", 1e6)
    >>> sentence(row("cursor", "v24", 252e6, 602e6, -350e6, 21e6, 10), sent)
    'bytes sent: cursor 252 MB, v24 602 MB (-350 ± 21 MB, 95 %, 10 seeds)'
    >>> sentence(row("cursor", "v24", 252e6, 251e6, 1e6, 3e6, 10), sent)
    'bytes sent: no difference seen between cursor and v24 (+1.0 ± 3.0 MB, 95 %, 10 seeds)'
    """
    _, words, unit, scale = measure
    difference, half = row.difference / scale, row.half_width / scale
    mean, against = (f"{number(x / scale)} {unit}".rstrip() for x in (row.mean, row.against))
    said = judged(difference, half, *[f"{row.level} {mean}, {row.base} {against}"] * 2)
    if said == ONE_SEED:
        return f"{words}: {row.level} {mean}, {row.base} {against} ({ONE_SEED})"
    if said == NO_DIFFERENCE:
        said = f"{NO_DIFFERENCE} between {row.level} and {row.base}"
    of = "points" if unit == "%" else unit
    return f"{words}: {said} ({amount(difference, half, of)}, 95 %, {row.seeds} seeds)"


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
        One row for each other level and outcome: level, base (``against``), outcome, mean, against
        (the mean of the level that it is compared with), difference (mean over the seeds),
        half_width of its 95 % interval (nan for a single seed), differs (whether the interval
        leaves out 0), and seeds (their number).  By chance alone, one in twenty intervals leaves
        out 0.

    Raises
    ------
    InputError
        There is no such column or level, a seed lacks a level, or has it twice.
    RuntimeError
        A run of the table was not done; the message names it and tells why.

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
    require(not isinstance(outcomes, str), "outcomes", "be a list of columns", outcomes)
    all_done(table)
    for name in (factor, "seed", *outcomes):
        if name not in table.columns:
            raise InputError(f"table has no column {name!r}{nearest(name, table.columns)}")
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
            differs = bool(abs(mean) > half)
            rows.append((level, against, outcome, *means, mean, half, differs, len(base)))
    columns = ["level", "base", "outcome", "mean", "against", "difference", "half_width"]
    columns += ["differs", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def levels(table: pd.DataFrame, measures, factor: str = "policy") -> pd.DataFrame:
    """The levels of a factor side by side, for people: each mean with its 95 % interval.

    Parameters
    ----------
    table : DataFrame
        As for :func:`paired`.
    measures : sequence of Measure
        One column each, with its words and unit as the name.
    factor : str or list of str
        Names of the grid's columns; one row for each level.

    Returns
    -------
    DataFrame
        Texts; a dash where some run has no value.

    Examples
    --------
    >>> import pandas as pd
    >>> from freehint.sweeps.paired import Measure, levels
    >>> runs = pd.DataFrame({"policy": ["a", "a", "b"], "seed": [1, 2, 1], "x": [3e6, 4e6, None]})
    >>> levels(runs, [Measure("x", "wait", "ms", 1e6)])["wait (ms)"].to_dict()
    {'a': '3.5 ± 6.4', 'b': '–'}
    """
    columns = {}
    for outcome, words, unit, scale in measures:
        runs = table.groupby(factor, sort=False)[outcome]
        name = f"{words} ({unit})" if unit else words
        columns[name] = runs.apply(_level_or_dash, scale)
    return pd.DataFrame(columns)


def _level_or_dash(values: pd.Series, scale: float) -> str:
    return "–" if values.isna().any() else level(values.astype(float) / scale)
