"""Which parameter changes an outcome?  SALib's designs and indices around a sweep.

The designs are points in the unit cube, so an index refers to a parameter's range on the scale
that was chosen for it.
"""

import numpy as np
import pandas as pd

from freehint.config import InputError, extra, one_of, require
from freehint.sweeps.factors import label
from freehint.sweeps.sampling import Sample, checked, power_of_two

LEVELS = 4  # of Morris' grid, so that a step is 2/3 of a range
KINDS = ("saltelli", "morris")


def _problem(factors: dict) -> dict:
    """The factors as SALib's dict "problem"."""
    names = list(factors)
    return {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}


def saltelli(ranges, n: int, seed: int = 1) -> Sample:
    """Points for Sobol' indices: ``n * (parameters + 2)``, where ``n`` is a power of two.

    Parameters and errors are those of :func:`freehint.sobol`.

    Notes
    -----
    Source: SALib.sample.sobol, without second order; Saltelli et al., "Variance based sensitivity
    analysis of model output", 2010.
    """
    factors = checked(ranges, n, seed)
    power_of_two(n)
    sample = extra("SALib.sample.sobol", "a Saltelli design").sample
    unit = sample(_problem(factors), n, calc_second_order=False, seed=seed)
    return Sample("saltelli", n, seed, factors, unit)


def morris(ranges, n: int, seed: int = 1) -> Sample:
    """Points for Morris' screening: ``n`` paths of ``parameters + 1`` points each.

    Parameters and errors are those of :func:`freehint.sobol`, but ``n`` may be any number from 2.

    Notes
    -----
    Source: SALib.sample.morris, 4 levels; Morris, "Factorial sampling plans", 1991.
    """
    factors = checked(ranges, n, seed, smallest_n=2)
    require(len(factors) > 1, "ranges", "have at least two parameters", ranges)
    sample = extra("SALib.sample.morris", "a Morris design").sample
    unit = sample(_problem(factors), n, num_levels=LEVELS, seed=seed)
    return Sample("morris", n, seed, factors, unit)


def sensitivity(table: pd.DataFrame, design: Sample, column: str) -> pd.DataFrame:
    """How much each parameter changes a column of a sweep's table (its mean over the seeds).

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep` with this design.
    design : Sample
        The result of :func:`saltelli` or :func:`morris`.
    column : str
        An entry of the summary.

    Returns
    -------
    DataFrame
        One row per parameter.  Saltelli: ``S1`` and ``ST`` are the shares of the column's variance
        that the parameter causes alone, and with all its interactions.  Morris: ``mu``,
        ``mu_star`` and ``sigma`` are the mean, the mean absolute value and the standard deviation
        of the column's change over a whole range.  ``.._conf`` is half the width of the 95 %
        interval, from a bootstrap with the design's seed.

    Raises
    ------
    InputError
        The table comes from another design, the column does not exist or holds no numbers, a run
        is not done, or nothing varies.

    Examples
    --------
    >>> import freehint as fh
    >>> small = fh.Scenario(memory="64MiB", duration_ns=20_000_000, walk_at_ns=1_000_000)
    >>> ranges = {"ring.size": {"low": 4, "high": 64, "scale": "log2"}}
    >>> ranges["host.gap_ns"] = {"low": 0, "high": 3_000_000}
    >>> design = fh.saltelli(ranges, n=4)
    >>> found = fh.sensitivity(fh.sweep(small, design, seeds=[1]), design, "coverage")
    >>> found["parameter"].tolist()
    ['ring.size', 'host.gap_ns']
    """
    require(isinstance(design, Sample), "design", "come from fh.saltelli or fh.morris", design)
    one_of("design.kind", design.kind, KINDS)
    outcome = _outcome(table, design, column)
    analyze = extra(
        "SALib.analyze.sobol" if design.kind == "saltelli" else "SALib.analyze.morris",
        "a sensitivity",
    ).analyze
    problem = _problem(design.factors)
    if design.kind == "saltelli":
        names = ("S1", "S1_conf", "ST", "ST_conf")
        found = analyze(problem, outcome, calc_second_order=False, seed=design.seed)
    else:
        names = ("mu", "mu_star", "mu_star_conf", "sigma")
        found = analyze(problem, design.unit, outcome, num_levels=LEVELS, seed=design.seed)
    columns = {name: np.asarray(found[name], float) for name in names}
    return pd.DataFrame({"parameter": problem["names"], **columns})


def _outcome(table: pd.DataFrame, design: Sample, column: str) -> np.ndarray:
    """The column's mean over the seeds at each point."""
    numbers = table.select_dtypes("number").columns
    if column not in numbers:
        raise InputError(
            f"column: there is no column {column!r} of numbers; there are {', '.join(numbers)}"
        )
    seeds = table["seed"].nunique()
    good = len(table) == len(design.unit) * seeds and _points(table, design, seeds) == _asked(
        design
    )
    require(good, "table", "be the sweep of this design", f"one of {len(table)} runs")
    missing = table[table[column].isna()]
    if len(missing):
        first = missing.iloc[0]
        why = first["error"] or f"{column} is not a number"
        raise InputError(
            f"{column}: {len(missing)} of {len(table)} runs have no value; the first is run"
            f" {first['run']}: {why}; an index needs every run"
        )
    outcome = table[column].to_numpy(float).reshape(-1, seeds).mean(axis=1)
    require(np.ptp(outcome) > 0, column, "vary over the design", float(outcome[0]))
    return outcome


def _points(table: pd.DataFrame, design: Sample, seeds: int) -> list | None:
    """The points of a table; None if it has other parameters."""
    names = list(design.factors)
    if not set(names) <= set(table):
        return None
    return table[names].iloc[::seeds].to_dict("records")


def _asked(design: Sample) -> list:
    """The design's points as a table shows them."""
    factors = design.factors.items()
    return [
        {name: label(factor.value(one)) for (name, factor), one in zip(factors, key)}
        for key in design.keys
    ]
