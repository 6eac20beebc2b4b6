"""The evaluation of a full factorial: main effects, interactions, an answer to each argument.

It turns a table of :func:`freehint.sweep` into numbers and sentences.  Combinations that
contradict themselves leave holes in the design.  So a factor's levels are compared only where all
of them ran with the same values of the other factors ("matched"); otherwise an effect could come
from another factor.  Intervals are 95 %, Student's t over the seeds; each seed gives one effect.
"""

import numpy as np
import pandas as pd

from freehint.sweeps.paired import interval, told
from freehint.sweeps.status import DONE, REFUSED
from freehint.units import NS_PER_US, format_ns

FACTORS = (
    "policy.rotate",
    "policy.resume",
    "policy.lock",
    "policy.capacity",
    "ring.size",
    "host.gap_ns",
    "memory",
)


def done(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that are done: neither failed nor refused."""
    return table[table["status"] == DONE]


def matched(table: pd.DataFrame, factors, factor: str) -> pd.DataFrame:
    """Runs of the combinations of other factors for which every level of ``factor`` ran."""
    runs = done(table)
    others = [f for f in factors if f != factor] + ["seed"]
    levels = runs.groupby(others)[factor].transform("nunique")
    return runs[levels == runs[factor].nunique()]


def main_effects(table: pd.DataFrame, factors, outcome: str) -> pd.DataFrame:
    """Mean outcome at each level of each factor, less the mean over its levels.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep`.
    factors : sequence of str
        All names of the grid.
    outcome : str
        An entry of the summary.

    Returns
    -------
    DataFrame
        factor, level, effect, half_width (of the effect's 95 % interval over the seeds), mean.
    """
    rows = []
    for factor in factors:
        runs = matched(table, factors, factor)
        by_seed = runs.groupby(["seed", factor], sort=False)[outcome].mean().unstack()
        effects = by_seed.sub(by_seed.mean(axis=1), axis=0)
        for level in by_seed.columns:
            effect, half = interval(effects[level])
            rows.append((factor, level, effect, half, by_seed[level].mean()))
    return pd.DataFrame(rows, columns=["factor", "level", "effect", "half_width", "mean"])


def interactions(table: pd.DataFrame, factors, outcome: str) -> pd.DataFrame:
    """How far the effects of two factors are from adding up.

    For each pair of factors a sum of two effects is fitted by least squares to the mean outcome
    of every combination of their levels, so holes do no harm.

    Returns
    -------
    DataFrame
        factors x factors: the largest absolute deviation of a mean from its fit.  Symmetric, nan
        on the diagonal.
    """
    runs = done(table)
    found = pd.DataFrame(np.nan, index=list(factors), columns=list(factors))
    for i, one in enumerate(factors):
        for other in factors[i + 1 :]:
            means = runs.groupby([one, other])[outcome].mean().dropna()
            found.loc[one, other] = found.loc[other, one] = _deviation(means)
    return found


def _deviation(means: pd.Series) -> float:
    if not len(means):
        return np.nan
    columns = [pd.get_dummies(means.index.get_level_values(k)).to_numpy(float) for k in (0, 1)]
    sums = np.hstack(columns)
    fit = sums @ np.linalg.lstsq(sums, means.to_numpy(float), rcond=None)[0]
    return float(np.abs(means.to_numpy(float) - fit).max())


def difference(table, factors, factor, level, other, outcome) -> tuple:
    """(mean difference level - other, half width) over runs that differ in nothing else."""
    two = table[table[factor].isin([level, other])]
    runs = matched(two, factors, factor)
    by_seed = runs.groupby(["seed", factor])[outcome].mean().unstack()
    return interval(by_seed[level] - by_seed[other])


# An answer to each argument.


def _mean(table, outcome, **where) -> float:
    runs = done(table)
    for name, value in where.items():
        runs = runs[runs[name.replace("__", ".")] == value]
    return float(runs[outcome].mean())


def _points(pair) -> str:
    return told(100 * pair[0], 100 * pair[1], "points")


def _time(pair) -> str:
    return told(pair[0] / NS_PER_US, pair[1] / NS_PER_US, "\u00b5s")


def answers(table: pd.DataFrame, orders: pd.DataFrame, factors=FACTORS) -> list:
    """One sentence for each argument of the thread, from the numbers of the runs.

    Parameters
    ----------
    table : DataFrame
        The result of a sweep over ``factors``, which are :data:`FACTORS` or most of them.
    orders : DataFrame
        The result of a sweep over policy.order, policy.min_order and ring.size.
    """
    table = table.assign(
        never_ended=(table["walk_ns"] < 0).astype(float).where(table["status"] == DONE),
        duplicate_share=table["duplicate_pages"] / table["hinted_pages"],
        lost_share=table["lost_pages"] / table["offered_pages"],
    )
    return [
        _not_restartable(table, factors),
        _rotation(table, factors),
        _hold_the_lock(table, factors),
        _high_order_first(orders),
        _host_scheduled_out(table, factors),
        _twice(table, factors),
    ]


def _not_restartable(table, factors) -> str:
    still = table[table["policy.rotate"] == "never"]
    batches = still[still["policy.lock"] == "per_batch"]
    gain = difference(batches, factors, "policy.resume", "cursor", "restart", "coverage")
    lists = still[still["policy.lock"] == "per_list"]
    whole = difference(lists, factors, "policy.resume", "cursor", "restart", "coverage")
    ended = 1 - _mean(batches, "never_ended", policy__resume="restart")
    return (
        f"**Not restartable.** Of the walks in batches that restart and do not rotate, {ended:.0%}"
        f" came to an end. A bookmark changes their coverage by: {_points(gain)}. If a stroke"
        f" reports a whole list, a bookmark changes it by: {_points(whole)}."
    )


def _rotation(table, factors) -> str:
    pair = ("policy.rotate", "on_exit", "never")
    gain = difference(table, factors, *pair, "survival")
    restarting = table[table["policy.resume"] == "restart"]
    cut = restarting[restarting["policy.lock"] == "per_batch"]
    partial = difference(cut, factors, *pair, "survival")
    coverage = difference(cut, factors, *pair, "coverage")
    return (
        f"**Rotation.** Moving reported blocks to the tail changes survival over all settings by:"
        f" {_points(gain)}. If walks restart after each batch, it changes survival by:"
        f" {_points(partial)}, and coverage by: {_points(coverage)}."
    )


def _hold_the_lock(table, factors) -> str:
    pair = ("policy.lock", "whole_walk", "per_batch")
    held = difference(table, factors, *pair, "lock_held_p99_ns")
    waits = difference(table, factors, *pair, "alloc_wait_p99_ns")
    longest = difference(table, factors, *pair, "alloc_wait_max_ns")
    return (
        f"**Hold the lock.** Compared with walks in batches, a walk that keeps the lock changes the"
        f" 99th percentile of the holds by: {_time(held)}; the 99th percentile of the waits of all"
        f" allocations by: {_time(waits)}; the longest wait by: {_time(longest)}."
    )


def _high_order_first(orders: pd.DataFrame) -> str:
    runs = done(orders).assign(lost=orders["lost_pages"] / orders["offered_pages"])
    runs = runs[runs["policy.min_order"] == runs["policy.min_order"].min()]
    sizes = sorted(runs["ring.size"].unique())
    lost = runs.groupby(["ring.size", "policy.order"])["lost"].mean()
    told = runs.groupby(["ring.size", "policy.order"])["coverage"].mean()
    small, large = sizes[0], sizes[-1]
    return (
        f"**The ring never fills; higher orders first.** If walks begin with the largest blocks, a"
        f" ring of {large} loses {lost[large, 'high_first']:.1%} of the pages offered and a ring of"
        f" {small} {lost[small, 'high_first']:.1%}; if they begin with order 0, these rings lose"
        f" {lost[large, 'low_first']:.1%} and {lost[small, 'low_first']:.1%}. Coverage is"
        f" {told[large, 'high_first']:.1%} and {told[small, 'high_first']:.1%} with the largest"
        f" first, {told[large, 'low_first']:.1%} and {told[small, 'low_first']:.1%} with order 0"
        f" first."
    )


def _host_scheduled_out(table, factors) -> str:
    gaps = sorted(table["host.gap_ns"].unique())
    pair = ("host.gap_ns", gaps[-1], gaps[0])
    listed = table[table["policy.lock"] == "per_list"]
    lost = difference(listed, factors, *pair, "lost_share")
    held = table[table["policy.lock"] == "whole_walk"]
    longest = difference(held, factors, *pair, "alloc_wait_max_ns")
    return (
        f"**Host scheduled out.** If a stroke reports a whole list, absences of"
        f" {format_ns(gaps[-1])} on average change the share of pages lost by: {_points(lost)}. If"
        f" the lock is held until the host is done, they change the longest wait by:"
        f" {_time(longest)}."
    )


def _twice(table, factors) -> str:
    batches = table[(table["policy.lock"] == "per_batch") & (table["policy.rotate"] != "never")]
    share = {
        resume: _mean(batches, "duplicate_share", policy__resume=resume)
        for resume in ("scan_for_first", "cursor", "restart")
    }
    return (
        f"**Two reports of B are no big deal.** Of all pages that a walk in batches with rotation"
        f" hints, a scan for A hints {share['scan_for_first']:.2%} a second time, a bookmark"
        f" {share['cursor']:.2%}, and a restart {share['restart']:.0%}."
    )


def refused(table: pd.DataFrame) -> pd.DataFrame:
    """One row per reason for a refusal: the sentence, and the number of runs refused."""
    rows = table[table["status"] == REFUSED]
    return rows.groupby("error").size().rename("runs").reset_index()
