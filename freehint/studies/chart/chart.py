"""The decision chart that is kept in ``data/``, and the command that remakes it.

``python -m freehint.studies.chart.chart FILE`` (``make chart``) runs every cell in a worker process
per CPU, writes the table to FILE, and fails if a choice is another than in the kept one.
"""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from freehint.config import one_of, require
from freehint.data import data
from freehint.files import end_with_parent, whole_file
from freehint.studies.chart.cells import HOSTS, WORKLOADS
from freehint.studies.chart.study import KNOBS, NOT_KNOWN, OR, cell
from freehint.sweeps.paired import amount, number

KEPT = "costs/chart.csv"
COMMAND = "make chart"
KEY = ["workload", "host", "knob"]
COLUMNS = [
    *(*KEY, "choice", "why", "left_out", "of", "column", "without", "best", "best_value"),
    *("runner_up", "difference", "half_width", "cheapest", "cost", "cheapest_cost", "best_cost"),
    *("runner_up_cost", "seeds"),
]

# Of a cell that was run.
SHOWN = ("column", "without", "best", "runner-up", "paid with", "cost", "left out")


def evidence() -> pd.DataFrame:
    """The table that ``make chart`` wrote for ``data/``: one row for each cell and knob."""
    table = pd.read_csv(data(KEPT))
    words = table.select_dtypes(exclude="number").columns
    return table.assign(**{name: table[name].fillna("") for name in words})


def decision_chart(workload: str | None = None, host: str | None = None) -> pd.DataFrame:
    """What to choose for a kind of guest on a kind of host: policy, order, delay, capacity.

    Each cell is a paired study over ten seeds, of small guests (256 MiB to 1 GiB, 6 s): first the
    policies, then order, delay and capacity of the cheapest policy of those chosen, one at a time.
    A cell names the choices that nothing tells apart from the best one: all others are worse by
    more than their 95 % interval, and by 1 % of the column without hints.

    Parameters
    ----------
    workload, host : str, optional
        One kind of guest or of host, as the table's index names them; by default all.

    Returns
    -------
    DataFrame
        One row for each kind of guest and of host (the index): policy, order, delay, capacity
        (words: the choice, "no difference measured", or "not known" with the reason), column (what
        the host's operator wants to be small, with its unit), without (its mean without hints),
        best (its mean with the best policy), runner-up (the best policy that was not chosen, and
        by how much it is worse), cost (what it is paid with: of the cheapest policy, and of the
        best), seeds.  ``attrs["made by"]`` is the command that remakes the chart.

    Raises
    ------
    InputError
        The chart has no such workload or host.

    Examples
    --------
    >>> import freehint as fh
    >>> chart = fh.decision_chart(workload="memory hog ended")
    >>> chart.index.get_level_values("host")[0]
    'live migration'
    >>> chart.attrs["made by"]
    'make chart'
    """
    for name, value, known in (("workload", workload, WORKLOADS), ("host", host, HOSTS)):
        if value is not None:
            one_of(name, value, known)
    table = evidence()
    table = table[table["workload"] == workload] if workload else table
    table = table[table["host"] == host] if host else table
    rows = [_readable(rows) for _, rows in table.groupby(KEY[:2], sort=False)]
    chart = pd.DataFrame(rows).set_index(KEY[:2])
    chart.attrs["made by"] = COMMAND
    return chart


def _readable(rows: pd.DataFrame) -> dict:
    """One cell, for people."""
    by_knob = rows.set_index("knob")
    first = by_knob.loc["policy"]
    found = {name: first[name] for name in KEY[:2]}
    found |= {knob: _words(by_knob.loc[knob]) for knob in KNOBS}
    if first["choice"] == NOT_KNOWN:
        return found | dict.fromkeys(SHOWN, "") | {"seeds": 0}
    costs = f"{number(first['cheapest_cost'])} ({first['cheapest']})"
    if first["best"] != first["cheapest"]:
        costs += f", {number(first['best_cost'])} ({first['best']})"
    worse = amount(first["difference"], first["half_width"], "")
    return found | {
        "column": first["column"],
        "without": number(first["without"]),
        "best": f"{number(first['best_value'])} ({first['best']})",
        "runner-up": f"{worse} ({first['runner_up']})",
        "paid with": first["cost"],
        "cost": costs,
        "left out": first["left_out"],
        "seeds": int(first["seeds"]),
    }


def _words(row: pd.Series) -> str:
    if row["choice"] == NOT_KNOWN:
        return f"{NOT_KNOWN}: {row['why']}"
    if OR in row["choice"]:
        return f"{row['choice']}; cheapest: {row['cheapest']}"
    return row["choice"]


def markdown() -> str:
    """The kept chart as docs/chart.md shows it: a table for each kind of host."""
    chart, parts = decision_chart(), []
    for host in HOSTS:
        if HOSTS[host].why:
            parts.append(f"### {host}\n\n{NOT_KNOWN}: {HOSTS[host].why}\n")
            continue
        rows = chart.xs(host, level="host")
        names = [*KNOBS, "without", "best", "runner-up", "cost", "left out"]
        lines = [["guest", *names], ["---"] * (len(names) + 1)]
        lines += [[guest, *row[names]] for guest, row in rows.iterrows()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        about = f"{HOSTS[host].column}, paid with {HOSTS[host].cost}"
        parts.append(f"### {host}: {about}\n\n{table}\n")
    return "\n".join(parts)


def remade(progress=None) -> pd.DataFrame:
    """Run every cell, in a worker process per CPU; the columns are those of the kept table."""
    cells = [(workload, host) for workload in WORKLOADS for host in HOSTS]
    context = multiprocessing.get_context("spawn")
    workers, parts = len(os.sched_getaffinity(0)), []
    with ProcessPoolExecutor(workers, context, end_with_parent) as pool:
        for table in pool.map(cell, *zip(*cells, strict=True)):
            parts.append(table)
            if progress:
                progress(table)
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def changes(table: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """One sentence for each choice that is another than in the kept table."""
    now, then = (one.set_index(KEY)["choice"].to_dict() for one in (table, kept))
    return [
        f"{', '.join(key)}: {now.get(key, 'gone')}, and was {then.get(key, 'not there')}"
        for key in dict.fromkeys([*then, *now])
        if now.get(key) != then.get(key)
    ]


def main() -> int:
    """Write the table to the file that the first argument names; 1 if a choice has changed."""
    require(len(sys.argv) == 2, "the command", "name one file", sys.argv[1:])
    path, began = Path(sys.argv[1]), time.perf_counter()
    table = remade(lambda one: print(_line(one.iloc[0]), flush=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    print(f"{len(table)} rows in {time.perf_counter() - began:.0f} s: {path}")
    found = changes(table, evidence())
    print(*found or ["no choice has changed"], sep="\n")
    return 1 if found else 0


def _line(row: pd.Series) -> str:
    return f"{row['workload']}, {row['host']}: {row['choice']}"


if __name__ == "__main__":
    sys.exit(main())
