"""Many runs: every combination of a grid's values, every seed, one row of summary a run.

Serial, or in worker processes; either way the same rows in the same order.  With ``out`` every
finished chunk is in the file before the next is waited for, so that a kill loses about a second
of work a process, and the same call goes on where the file ends.
"""

import json
import multiprocessing
import os
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError, require
from freehint.design import Design, made_with
from freehint.files import whole_file
from freehint.mm.memory import Memory
from freehint.simulate import guest_memory, named_memory, run_engine, summary_row

METADATA_KEY = b"freehint_sweep"
CHUNK_S = 1.0
# A chunk takes this many times as long as writing the table does.
WRITES_PER_CHUNK = 20
DONE, FAILED, REFUSED = "done", "failed", "refused"


def sweep(scenario, grid, seeds=range(5), scheduler=None, out=None, progress=None) -> pd.DataFrame:
    """Run a scenario with every combination of a grid's values and every seed.

    Parameters
    ----------
    scenario : Scenario
        What the grid does not name.
    grid : dict
        Parameter -> list of values, nested names as in ``Scenario.with_values``:
        ``{"policy": ["v24", "hold_the_lock"], "ring.size": [64, 1024]}``.
    seeds : iterable of int
    scheduler : None or "processes"
        None: one run after another, here.  "processes": a worker process for each CPU.  The
        table is the same, bit for bit.
    out : str or Path, optional
        A parquet file, whole at any moment, that grows about once a second.  If it holds a part of
        this very sweep, what it holds is not run again.
    progress : callable, optional
        Called with the number of runs done since the last call; first those
        that need no run: refused, or held by the file.

    Returns
    -------
    DataFrame
        One row a run, in the grid's order, seeds innermost: ``run`` (its number), a column for
        each name of the grid, ``policy``, ``seed``, ``status`` ("done"; "failed"; "refused": the
        combination contradicts itself, while each of its values is good in others), ``error``
        (why), and the entries of ``Run.summary``, missing unless done.

    Raises
    ------
    InputError
        A parameter does not exist, a value is refused in all combinations, a memory cannot be
        loaded, the scheduler cannot run such policies, or ``out`` holds something else: before
        anything runs.
    ChildProcessError
        A worker process died.

    Examples
    --------
    >>> import freehint as fh
    >>> small = fh.Scenario(memory="64MiB", duration_ns=20_000_000, walk_at_ns=1_000_000)
    >>> table = fh.sweep(small, {"policy": ["none", "v24"]}, seeds=[1, 2])
    >>> table[["policy", "seed", "status"]].values.tolist()
    [['none', 1, 'done'], ['none', 2, 'done'], ['v24', 1, 'done'], ['v24', 2, 'done']]
    """
    design = Design(scenario, grid, seeds)
    _check_scheduler(scheduler, design)
    facts = design.facts()
    if out is not None:
        require(isinstance(out, str | Path), "out", "be a path", out)
    out = None if out is None else Path(out)
    rows = {} if out is None else _read(out, facts, design)
    rows |= {n: _refused_row(design, n) for n in range(len(design)) if design.refusal(n)}
    if progress and rows:
        progress(len(rows))
    tempo = _Tempo()
    left = deque(n for n in range(len(design)) if n not in rows)
    if left:
        # Before the first run: a place that cannot be written is refused now.
        _write(out, _table(rows), facts, tempo)
    chunks = _in_processes if scheduler == "processes" else _one_by_one
    for chunk in chunks(design, left, tempo):
        rows.update(chunk)
        _write(out, _table(rows), facts, tempo)
        if progress:
            progress(len(chunk))
    return _table(rows)


class _Tempo:
    """How long things take; it decides what is done at once, and never what comes out."""

    def __init__(self):
        self.run_s = CHUNK_S
        self.write_s = 0.0

    @property
    def chunk_s(self) -> float:
        """How long the next chunk shall take."""
        return max(CHUNK_S, WRITES_PER_CHUNK * self.write_s)

    @property
    def chunk_runs(self) -> int:
        """Runs that take about so long."""
        return max(1, round(self.chunk_s / self.run_s))

    def note(self, runs: int, seconds: float) -> None:
        """Later runs count more: a grid's runs differ, and neighbours are alike."""
        self.run_s += (max(seconds, 1e-4) / runs - self.run_s) / 2


# One run.


@lru_cache(maxsize=4)
def _loaded(name) -> Memory:
    return named_memory(name)[0]


def _summary_of(scenario) -> dict:
    memory = scenario.memory
    if not isinstance(memory, Memory):
        memory = _loaded(memory)
    memory, _ = guest_memory(replace(scenario, memory=memory))
    return summary_row(scenario, run_engine(scenario, memory)).to_dict()


def _run(design: Design, number: int) -> dict:
    """One row; what goes wrong in a run is its own affair."""
    try:
        summary, status, error = _summary_of(design.scenario_of(number)), DONE, ""
    except Exception as problem:
        text = " ".join(str(problem).split())
        summary, status, error = {}, FAILED, f"{type(problem).__name__}: {text}"
    # The grid's columns first: it has policy and seed too.
    row = {**design.row(number), "status": status, "error": error}
    return row | {name: value for name, value in summary.items() if name not in row}


def _refused_row(design: Design, number: int) -> dict:
    return {**design.row(number), "status": REFUSED, "error": design.refusal(number)}


# Serial.


def _one_by_one(design: Design, left: deque, tempo: _Tempo):
    """Chunks of rows, {number: row}, each of about a second."""
    while left:
        rows, begin = {}, time.perf_counter()
        while left and (not rows or time.perf_counter() - begin < tempo.chunk_s):
            number = left.popleft()
            rows[number] = _run(design, number)
        yield rows


# In processes.

_design = None  # of this worker process


def _begin_worker(design: Design) -> None:
    global _design
    _design = design
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _run_chunk(numbers: list) -> tuple:
    begin = time.perf_counter()
    rows = {number: _run(_design, number) for number in numbers}
    return rows, time.perf_counter() - begin


def _check_scheduler(scheduler, design: Design) -> None:
    if scheduler is None:
        return
    if isinstance(scheduler, str) and scheduler.startswith("tcp://"):
        raise InputError(
            f"scheduler {scheduler!r}: a cluster is not supported yet, only None and 'processes'"
        )
    if scheduler != "processes":
        raise InputError(f"scheduler must be None or 'processes', got {scheduler!r}")
    if multiprocessing.parent_process() is not None:
        raise InputError(
            "scheduler 'processes' cannot be used in a worker process; a script that calls sweep"
            ' must do so under if __name__ == "__main__":'
        )
    for policy in design.policies():
        _refuse_unimportable(policy)


def _refuse_unimportable(policy) -> None:
    """Workers find a policy's verbs by name, in the module where they were defined."""
    for value in (type(policy), *vars(policy).values()):
        if callable(value) and not _importable(value):
            raise InputError(
                f"scheduler 'processes' needs policies that a worker can import, and policy"
                f" {policy.name!r} has {value.__qualname__} of {value.__module__}; put it at the"
                f" top level of a module of its own, or leave scheduler=None"
            )


def _importable(value) -> bool:
    if value.__module__ == "__main__":
        return False
    found = import_module(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value


def _in_processes(design: Design, left: deque, tempo: _Tempo):
    """Like _one_by_one(), in whatever order chunks come back."""
    yield from _compile_first(design, left)
    if not left:
        return
    workers = min(len(os.sched_getaffinity(0)), len(left))
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin_worker, (design,))
    try:
        running = set()
        while left or running:
            while left and len(running) < 2 * workers:
                size = min(tempo.chunk_runs, -(-len(left) // workers))
                running.add(pool.submit(_run_chunk, [left.popleft() for _ in range(size)]))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                rows, seconds = future.result()
                tempo.note(len(rows), seconds)
                yield rows
    except BrokenProcessPool:
        raise ChildProcessError(
            "a worker process of the sweep died: killed, out of memory, or started by a script"
            ' that calls sweep outside of if __name__ == "__main__":'
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _compile_first(design: Design, left: deque):
    """The first run of each policy is done here: workers that compile would do so all at once,
    into one cache."""
    known = set()
    for number in list(left):
        policy = design.scenario_of(number).policy
        several = policy if isinstance(policy, tuple) else (policy,)
        verbs = {v for p in several for v in vars(p).values() if callable(v)}
        if not verbs <= known or not known:
            known |= verbs or {None}
            left.remove(number)
            yield {number: _run(design, number)}


# The table and its file.


def _table(rows: dict) -> pd.DataFrame:
    return pd.DataFrame([rows[number] for number in sorted(rows)])


def _write(out: Path | None, table: pd.DataFrame, facts: dict, tempo: _Tempo) -> None:
    if out is None:
        return
    begin = time.perf_counter()
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    stored = {METADATA_KEY: json.dumps({**facts, **made_with()}).encode()}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stored})
    try:
        with whole_file(out) as temporary:
            pq.write_table(arrow, temporary, compression="zstd")
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    tempo.write_s = time.perf_counter() - begin


def _read(out: Path, facts: dict, design: Design) -> dict:
    """Rows that the file holds of this sweep, {number: row}; none if there is no file."""
    if not out.exists():
        return {}
    try:
        arrow = pq.read_table(out)
    except (OSError, pa.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{out}: this is not whole parquet: {first}") from None
    stored = (arrow.schema.metadata or {}).get(METADATA_KEY)
    if stored is None:
        raise InputError(f"{out}: exists already and is no table of a sweep")
    _refuse_another(out, json.loads(stored), json.loads(json.dumps(facts)))
    return {r["run"]: _row_again(design, r) for r in arrow.to_pandas().to_dict("records")}


def _row_again(design: Design, record: dict) -> dict:
    """A row as _run() made it, from the file's."""
    row = {**design.row(record["run"]), "status": record["status"], "error": record["error"]}
    if record["status"] != DONE:
        return row
    return row | {name: value for name, value in record.items() if name not in row}


def _refuse_another(out: Path, stored: dict, wanted: dict) -> None:
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise InputError(
                f"{out}: holds another sweep, with other {name}:"
                f" {_short(stored.get(name))} there, {_short(value)} here"
            )


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
