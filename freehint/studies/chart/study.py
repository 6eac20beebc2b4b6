"""What a cell of the decision chart says: choices that were run, and how sure the best one is.

The policy is chosen first, with its own defaults; then order, delay and capacity of that policy, one
at a time.  A choice is the set of levels that nothing tells apart from the best one: their interval
holds 0, or they differ by less than LEAST_SHARE of what the guest has without hints.
"""

from typing import NamedTuple

import numpy as np
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
from freehint.sweeps.paired import paired
from freehint.units import NS_PER_MS, PAGES_PER_MIB

SEEDS = range(1, 11)
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
    return {"value": float(value), "cost": float(paid)}


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
        level, seed, value (smaller is better), cost; every level with every seed.
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
    second = next((one for one in others if apart[one]), others[0])
    row = rows.loc[second]
    cheapest = means.loc[alike].sort_values(["cost", "value"], kind="stable").index[0]
    return Decision(alike, best, cheapest, second, float(row["difference"]), float(row["half_width"]))


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

    def runs(policy, values=None):
        return [measured(workload, host, seed, policy, values) for seed in seeds]

    found = {name: runs(name) for name in CHOICES}
    without = float(np.mean([run["value"] for run in found[BASELINE.name]]))
    rows = [_row(key | {"knob": "policy"}, found, seeds, without)]
    policy = rows[0]["cheapest"]
    gained = BASELINE.name not in rows[0]["choice"].split(OR)
    if not gained:
        rows[0] |= {"choice": NO_DIFFERENCE, "cheapest": BASELINE.name}
    for name in knobs[1:]:
        knob = knobs_of(policy, host)[name]
        about = key | {"knob": name, "of": policy if gained else ""}
        if knob.why or not gained:
            rows.append(_unknown(about, knob.why if gained else NOTHING_GAINED))
            continue
        found = {word: runs(policy, {knob.name: value}) for word, value in knob.levels.items()}
        rows.append(_row(about, found, seeds, without))
    return pd.DataFrame(rows)


def _unknown(about: dict, why: str) -> dict:
    return about | {"choice": NOT_KNOWN, "why": why}


def _row(about: dict, runs: dict, seeds, without: float) -> dict:
    """A row of the table, from the runs of each level."""
    parts = [pd.DataFrame(one).assign(level=level, seed=seeds) for level, one in runs.items()]
    table = pd.concat(parts, ignore_index=True)
    found = decide(table, LEAST_SHARE * without)
    cost = table.groupby("level")["cost"].mean()
    return about | {
        "choice": NO_DIFFERENCE if len(found.levels) == len(runs) else OR.join(found.levels),
        "column": HOSTS[about["host"]].column,
        "without": without,
        "best": found.best,
        "best_value": table.loc[table["level"] == found.best, "value"].mean(),
        "runner_up": found.runner_up,
        "difference": found.difference,
        "half_width": found.half_width,
        "cheapest": found.cheapest,
        "cost": HOSTS[about["host"]].cost,
        "cheapest_cost": cost[found.cheapest],
        "best_cost": cost[found.best],
        "runner_up_cost": cost[found.runner_up],
        "seeds": len(seeds),
    }
