"""What a cell of the decision chart says: choices that were run, and how sure the best one is.

The policy is chosen first, with its own defaults; then order, delay and capacity of that policy,
one at a time.  A choice is the set of levels that nothing tells apart from the best one: their
interval holds 0, or they differ by less than LEAST_SHARE of what the guest has without hints.

A level is left out if it makes the guest give up memory that it uses without hints (LEAST_GIVEN of
it, and more than the interval): a guest that has lost its page cache stores little, which is no
merit of a hint.
"""

from typing import NamedTuple

import pandas as pd

from freehint.policies import BASELINE
from freehint.runs.simulate import simulate
from freehint.studies.chart.cells import (
    CHOICES,
    HELD,
    HOSTS,
    MOVED,
    RESIDENT,
    chart_scenario,
    knobs_of,
    require_cell,
)
from freehint.studies.side_by_side import LEAST_SHARE
from freehint.sweeps.paired import interval, paired
from freehint.units import NS_PER_MS, PAGES_PER_MIB

SEEDS = range(1, 11)
LEAST_GIVEN = 0.02
NO_DIFFERENCE, NOT_KNOWN = "no difference measured", "not known"
KNOBS = ("policy", "order", "delay", "capacity")
OR = " or "
NOTHING_GAINED = f"no policy is told apart from {BASELINE.name}"


def measured(workload: str, host: str, seed: int, policy: str, values=None) -> dict:
    """What the host's operator looks at, and its cost, in one run.

    Raises
    ------
    RuntimeError
        A migration has not ended.
    """
    run = simulate(chart_scenario(workload, host, seed, policy, values))
    column, cost = HOSTS[host].column, HOSTS[host].cost
    if column == MOVED:
        if run.summary["migration"] != "completed":
            raise RuntimeError(f"{workload}, {host}, {policy}, seed {seed}: has not ended")
        value = run.summary["total_ns"] / NS_PER_MS
    elif column == RESIDENT:
        value = run.resident["resident_pages"].mean() / PAGES_PER_MIB
    else:
        value = run.summary["stored_bytes"] / (1 << 20)
    held = cost == HELD
    paid = run.summary["lock_held_max_ns"] / NS_PER_MS if held else run.resident["faults"].iloc[-1]
    return {"value": float(value), "cost": float(paid), "in_use": in_use_MiB(run)}


def in_use_MiB(run) -> float:
    """Memory neither free nor held for the host, on average over the run."""
    used = run.memory.zones["managed"].sum() - run.history.groupby("time_s")["free_pages"].sum()
    if len(run.held):
        used -= run.held.groupby("time_s")["pages"].sum()
    return float(used.mean()) / PAGES_PER_MIB


class Decision(NamedTuple):
    """What the runs of some levels say.

    levels     : those that nothing tells apart from the best one
    best       : of them, the one with the smallest mean, then with the smallest cost
    cheapest   : of them, the one with the smallest mean cost, then with the smallest mean
    runner_up  : the best of the others; if there is none, the second best
    difference : of means, runner_up less best
    half_width : of its 95 % interval
    """

    levels: list
    best: str
    cheapest: str
    runner_up: str
    difference: float
    half_width: float


def decide(table: pd.DataFrame, least: float) -> Decision:
    """Which levels are the best?

    Parameters
    ----------
    table : DataFrame
        level, seed, value (smaller is better), cost; every level with every seed, two levels at
        least.
    least : float
        Smaller differences are none.

    Examples
    --------
    >>> import pandas as pd
    >>> from freehint.studies.chart.study import decide
    >>> runs = {"level": ["a", "b", "c"] * 2, "seed": [1] * 3 + [2] * 3, "cost": [0] * 6}
    >>> found = decide(pd.DataFrame(runs | {"value": [1, 3, 1.1, 1, 3, 1.1]}), least=0.5)
    >>> found.levels, found.runner_up
    (['a', 'c'], 'b')
    """
    means = table.groupby("level", sort=False)[["value", "cost"]].mean()
    best, *others = means.sort_values(["value", "cost"], kind="stable").index
    rows = paired(table, ["value"], against=best, factor="level").set_index("level").loc[others]
    apart = rows["differs"] & (rows["difference"] >= least)
    alike = [one for one in means.index if one == best or not apart[one]]
    cheapest = means.loc[alike].sort_values(["cost", "value"], kind="stable").index[0]
    second = next((one for one in others if apart[one]), others[0])
    row = rows.loc[second]
    return Decision(
        alike, best, cheapest, second, float(row["difference"]), float(row["half_width"])
    )


def given_up(table: pd.DataFrame, without: pd.Series) -> list[str]:
    """The levels that make the guest give up memory in use.

    Parameters
    ----------
    table : DataFrame
        level, seed, in_use.
    without : Series
        in_use without hints, by seed.
    """
    found = []
    for level, rows in table.groupby("level", sort=False):
        mean, half = interval(without - rows.set_index("seed")["in_use"])
        if mean > half and mean >= LEAST_GIVEN * without.mean():
            found.append(level)
    return found


def cell(workload: str, host: str, seeds=SEEDS, knobs=KNOBS) -> pd.DataFrame:
    """Run one cell of the chart.

    Parameters
    ----------
    workload, host : str
        Keys of WORKLOADS and HOSTS.
    seeds : sequence of int
        Each gives one difference.
    knobs : sequence of str
        Of KNOBS; "policy" is always run, because the others are those of the best policy.

    Returns
    -------
    DataFrame
        One row per knob; ``data/schemas/chart.json`` describes the columns.

    Raises
    ------
    InputError
        The chart has no such cell.
    """
    require_cell(workload, host)
    key = {"workload": workload, "host": host}
    if HOSTS[host].why:
        return pd.DataFrame(_unknown(key | {"knob": knob}, HOSTS[host].why) for knob in knobs)

    def runs(level, policy, values=None):
        found = [measured(workload, host, seed, policy, values) for seed in seeds]
        return pd.DataFrame(found).assign(level=level, seed=list(seeds))

    table = pd.concat([runs(name, name) for name in CHOICES], ignore_index=True)
    without = table[table["level"] == BASELINE.name].set_index("seed")
    rows = [_row(key | {"knob": "policy"}, table, without)]
    policy = rows[0]["cheapest"]
    gained = BASELINE.name not in rows[0].pop("alike")
    if not gained:
        cheapest = {"cheapest": BASELINE.name, "cheapest_cost": without["cost"].mean()}
        rows[0] |= {"choice": NO_DIFFERENCE, **cheapest}
    for name in knobs[1:]:
        knob = knobs_of(policy, host)[name]
        about = key | {"knob": name, "of": policy if gained else ""}
        if knob.why or not gained:
            rows.append(_unknown(about, knob.why if gained else NOTHING_GAINED))
            continue
        levels = [runs(word, policy, {knob.name: value}) for word, value in knob.levels.items()]
        rows.append(_row(about, pd.concat(levels, ignore_index=True), without))
    return pd.DataFrame(rows).drop(columns="alike", errors="ignore")


def _unknown(about: dict, why: str) -> dict:
    return about | {"choice": NOT_KNOWN, "why": why}


def _row(about: dict, table: pd.DataFrame, without: pd.DataFrame) -> dict:
    """A row of the chart, from the runs of each level and those without hints, by seed."""
    left_out = given_up(table, without["in_use"])
    about = about | {"left_out": OR.join(left_out)}
    table = table[~table["level"].isin(left_out)]
    means = table.groupby("level")[["value", "cost"]].mean()
    if len(means) < 2:
        return _unknown(about, "the guest gives up memory in use with all levels but one, or all")
    base = without["value"].mean()
    found = decide(table, LEAST_SHARE * base)
    all_alike = len(found.levels) == len(means)
    return about | {
        "alike": found.levels,
        "choice": NO_DIFFERENCE if all_alike else OR.join(found.levels),
        "column": HOSTS[about["host"]].column,
        "without": base,
        "best": found.best,
        "best_value": means.loc[found.best, "value"],
        "runner_up": found.runner_up,
        "difference": found.difference,
        "half_width": found.half_width,
        "cheapest": found.cheapest,
        "cost": HOSTS[about["host"]].cost,
        "cheapest_cost": means.loc[found.cheapest, "cost"],
        "best_cost": means.loc[found.best, "cost"],
        "runner_up_cost": means.loc[found.runner_up, "cost"],
        "seeds": len(without),
    }
