"""Many runs: one row of summary for every combination of a grid, or point of a design, and seed.

The runs go one after another, in worker processes or on a Dask cluster; all give the same rows in
the same order.  With ``out`` the rows are written as they come, and after a kill the same call
continues where it stopped.
"""

import contextlib
from collections import deque

import pandas as pd

from freehint.config import InputError
from freehint.sweeps.dask import Cluster
from freehint.sweeps.design import Design
from freehint.sweeps.parts import RunParts
from freehint.sweeps.pools import Here, Processes, check_processes
from freehint.sweeps.status import REFUSED


def sweep(
    scenario, design, seeds=range(5), scheduler=None, out=None, progress=None
) -> pd.DataFrame:
    """Run a scenario with every combination of a grid, or point of a design, and every seed.

    Parameters
    ----------
    scenario : Scenario
        It gives all parameters that the design does not name.
    design : dict or Sample
        A dict is a grid: parameter (nested names as in ``Scenario.with_values``) -> list of
        values, for instance ``{"policy": ["v24", "hold_the_lock"], "ring.size": [64, 1024]}``.
        A Sample comes from ``fh.sobol``, ``fh.latin_hypercube``, ``fh.saltelli`` or ``fh.morris``.
    seeds : iterable of int
    scheduler : str, optional
        None: one run after another in this process.  "processes": one worker process per CPU.
        "tcp://host:port": the Dask cluster whose scheduler listens there; its workers must have
        the same freehint and the same files.  The table is the same, bit for bit.
    out : str or Path, optional
        A file that ends in .parquet, or a folder.  While the sweep runs, its rows are in parts
        in the folder (for ``runs.parquet`` in ``runs.parquet.parts``), each of them whole; at the
        end one table replaces the parts.  Runs of the same sweep that are there are not repeated.
    progress : callable, optional
        Called with the number of runs done since the last call.  The first call counts the runs
        that are refused or that ``out`` already holds.

    Returns
    -------
    DataFrame
        One row per run, in the design's order, seeds innermost.  The columns are ``run`` (its
        number), one for each name of the design, ``policy``, ``seed``, ``status``, ``error`` (the
        reason, if not done) and the entries of ``Run.summary`` (missing unless done).  ``status``
        is "done", "failed" or "refused": the combination contradicts itself, although each of its
        values is accepted in another combination.

    Raises
    ------
    InputError
        Before anything runs: a parameter does not exist, a value is refused in all combinations,
        a memory cannot be loaded, the scheduler cannot run these policies, or ``out`` holds
        something else.  Later: a worker of a cluster has a different freehint or different files.
    ChildProcessError
        A worker process died, or the cluster no longer answers.  (If a cluster's worker dies,
        another takes its runs without an error.)

    Examples
    --------
    >>> import freehint as fh
    >>> small = fh.Scenario(memory="64MiB", duration_ns=20_000_000, walk_at_ns=1_000_000)
    >>> table = fh.sweep(small, {"policy": ["none", "v24"]}, seeds=[1, 2])
    >>> table[["policy", "seed", "status"]].values.tolist()
    [['none', 1, 'done'], ['none', 2, 'done'], ['v24', 1, 'done'], ['v24', 2, 'done']]
    """
    design = Design(scenario, design, seeds)
    pool = pool_for(scheduler, design)
    parts = None if out is None else RunParts(out, design.facts())
    if parts and (table := parts.finished()) is not None:
        if progress:
            progress(len(table))
        return table
    with parts.open() if parts else contextlib.nullcontext():
        rows = held_rows(parts, design.row)
        rows |= {n: _refused_row(design, n) for n in range(len(design)) if design.refusal(n)}
        if progress and rows:
            progress(len(rows))
        left = deque(design.job(n) for n in range(len(design)) if n not in rows)
        with pool if left else contextlib.nullcontext():
            for chunk in written(pool, left, parts):
                rows |= chunk
                if progress:
                    progress(len(chunk))
        table = table_of(rows)
        if parts:
            parts.join(table)
    return table


def held_rows(parts: RunParts | None, row_of) -> dict:
    """Rows that ``out`` already holds, {number: row}, as they were when they were done."""
    held = parts.held() if parts else {}
    rows = {}
    for number, record in held.items():
        row = row_of(number)
        rows[number] = row | {name: value for name, value in record.items() if name not in row}
    return rows


def written(pool, left: deque, parts: RunParts | None):
    """Yield the rows of all jobs that are left, {number: row}, and write them as they come."""
    for chunk in pool.chunks(left):
        if parts:
            parts.add(chunk)
        yield chunk


def pool_for(scheduler, design: Design):
    """The pool that does the runs.

    Raises
    ------
    InputError
        There is no such scheduler, or it cannot run these policies.
    """
    if scheduler is None:
        return Here(design.space)
    if scheduler == "processes":
        check_processes(design.space)
        return Processes(design.space)
    if isinstance(scheduler, str) and scheduler.startswith("tcp://"):
        return Cluster(scheduler, design)
    raise InputError(
        f"scheduler must be None, 'processes' or 'tcp://HOST:PORT' of a Dask cluster,"
        f" got {scheduler!r}"
    )


def _refused_row(design: Design, number: int) -> dict:
    return {**design.row(number), "status": REFUSED, "error": design.refusal(number)}


def table_of(rows: dict) -> pd.DataFrame:
    """A table of rows, {number: row}, in the order of their numbers."""
    return pd.DataFrame([rows[number] for number in sorted(rows)])
