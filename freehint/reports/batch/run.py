"""Run a batch, with one process per run; runs that were finished before are left alone."""

import json
import multiprocessing
import time
from collections import deque
from multiprocessing.connection import wait
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError
from freehint.files import whole_file
from freehint.reports.batch.batch import Batch, kernel_name
from freehint.reports.batch.folder import (
    DONE,
    FAILED,
    Lock,
    begun_folder,
    finish,
    held_folder,
    record_of,
    run_folder,
)
from freehint.reports.batch.gallery import write_gallery
from freehint.reports.batch.plan import text_of
from freehint.reports.batch.worker import NOTEBOOK, PRELOAD, TABLE, Task, work

METADATA_KEY = b"freehint_batch"
GALLERY_EVERY_S = 5
# Columns before the notebook's own.
OWN = ("run", "parameters", "seed")


def statuses(batch: Batch) -> dict:
    """The status of each run by its number, as the folder has it: "done", "failed" or "left"."""
    records = {n: record_of(batch.out, n) for n in range(1, len(batch.runs) + 1)}
    return {n: record["status"] if record else "left" for n, record in records.items()}


def left_runs(batch: Batch, retry: bool) -> list:
    """The numbers of the runs that are left; with ``retry``, those that failed too."""
    again = ("left", FAILED) if retry else ("left",)
    return [number for number, status in statuses(batch).items() if status in again]


def run_batch(batch: Batch, retry: bool = False, progress=None) -> list:
    """Run the runs that are left of a batch, and write its table and its gallery.

    Parameters
    ----------
    batch : Batch
    retry : bool
        Run failed runs again.
    progress : callable, optional
        Called with three numbers whenever they change: runs finished, running, failed.

    Returns
    -------
    list of dict
        The record of each run: run, parameters, seconds, status, error, cell, line.

    Raises
    ------
    InputError
        The folder cannot be used, or the tables of two runs do not fit together.
    """
    with held_folder(batch) as lock:
        _Pool(
            batch, deque(left_runs(batch, retry)), lock, progress or (lambda *numbers: None)
        ).run()
        records = [record_of(batch.out, n) for n in range(1, len(batch.runs) + 1)]
        write_gallery(batch, records)
        _write_results(batch, records)
    return records


def failure_text(batch: Batch, record: dict) -> str:
    """A text on a failed run, for people: number, parameters, cell, error, line and file."""
    cell = "" if record["cell"] is None else f"cell {record['cell']}: "
    lines = [f"run {record['run']} {json.dumps(record['parameters'])}"]
    lines.append(f"  {cell}{record['error']}")
    if record["line"]:
        lines.append(f"    > {record['line']}")
    lines.append(f"  {run_folder(batch.out, record['run']) / NOTEBOOK}")
    return "\n".join(lines)


class _Pool:
    """The processes of a batch."""

    def __init__(self, batch: Batch, left: deque, lock: Lock, progress):
        self.batch = batch
        self.left = left
        self.lock = lock
        self.progress = progress
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.running = {}
        known = statuses(batch)
        self.finished = len(known) - len(left)
        self.failed = sum(known[n] == FAILED for n in known if n not in left)
        self.drawn = time.monotonic()

    def run(self) -> None:
        """Work until no run is left; an interrupt ends the running processes."""
        self._tell()
        try:
            while self.left or self.running:
                self._fill()
                for sentinel in wait(list(self.running)):
                    self._take(*self.running.pop(sentinel))
                self._draw()
        finally:
            for process, _ in self.running.values():
                process.terminate()
            for process, _ in self.running.values():
                process.join()

    def _fill(self) -> None:
        while self.left and len(self.running) < self.batch.workers:
            number = self.left.popleft()
            task = _task(self.batch, number)
            process = self.context.Process(target=work, args=(task, self.lock))
            process.start()
            self.running[process.sentinel] = (process, task)
        self._tell()

    def _take(self, process, task: Task) -> None:
        """Count a run that ended; if its process died, store the run as failed."""
        process.join()
        if Path(task.folder).exists():
            _finish_dead(task, process.exitcode)
        self.finished += 1
        self.failed += record_of(self.batch.out, task.number)["status"] != DONE
        self._tell()

    def _tell(self) -> None:
        self.progress(self.finished, len(self.running), self.failed)

    def _draw(self) -> None:
        """Write the gallery anew every few seconds while the batch runs."""
        if time.monotonic() - self.drawn > GALLERY_EVERY_S:
            numbers = range(1, len(self.batch.runs) + 1)
            write_gallery(self.batch, [record_of(self.batch.out, n) for n in numbers])
            self.drawn = time.monotonic()


def _task(batch: Batch, number: int) -> Task:
    import nbformat

    shown = ", ".join(f"{n} = {text_of(v)}" for n, v in batch.shown[number - 1].items())
    return Task(
        number=number,
        parameters=batch.runs[number - 1],
        name=batch.notebook.name,
        notebook=nbformat.writes(batch.source),
        kernel=kernel_name(batch.source),
        title=f"{batch.notebook.stem}, run {number}: {shown}",
        results=batch.results,
        thumbnail=batch.thumbnail,
        working=str(batch.folder),
        folder=str(begun_folder(batch.out, number)),
        out=str(batch.out),
    )


def _finish_dead(task: Task, exitcode: int) -> None:
    folder = Path(task.folder)
    if not (folder / NOTEBOOK).exists():
        (folder / NOTEBOOK).write_text(task.notebook)
    how = f"by signal {-exitcode}" if exitcode < 0 else f"with exit code {exitcode}"
    record = {"run": task.number, "parameters": task.parameters, "seconds": None}
    died = {"status": FAILED, "error": f"its process ended {how}", "cell": None, "line": ""}
    finish(folder, Path(task.out), record | died)


# The table.


def _write_results(batch: Batch, records: list) -> None:
    """Write ``results.parquet`` with the rows of every run that is done, in the runs' order."""
    done = [record["run"] for record in records if record["status"] == DONE]
    path = batch.out / "results.parquet"
    if not done:
        path.unlink(missing_ok=True)
        return
    table = pd.concat([_rows(batch, number) for number in done], ignore_index=True)
    for name in batch.shown[0]:
        if name in table and table[name].dropna().map(type).nunique() > 1:
            table[name] = table[name].map(text_of, na_action="ignore")
    try:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
    except pa.ArrowException as error:
        raise InputError(
            f"{path}: the runs' tables do not fit together: {'; '.join(map(str, error.args))}"
        ) from None
    stored = {METADATA_KEY: json.dumps(batch.facts()).encode()}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stored})
    with whole_file(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def _rows(batch: Batch, number: int) -> pd.DataFrame:
    """A run's rows of the table: its parameters, then the columns that its notebook handed over."""
    handed = _handed_over(batch, number)
    parameters = batch.runs[number - 1]
    front = {"run": number, "parameters": json.dumps(parameters)}
    if "seed" not in handed:
        front["seed"] = batch.seeds[number - 1]
    for name, value in batch.shown[number - 1].items():
        if name not in handed and name not in OWN:
            front[name] = json.dumps(value) if isinstance(value, list | dict) else value
    given = pd.DataFrame([front] * len(handed), index=handed.index)
    rows = pd.concat([given, handed], axis=1)
    return rows[[*OWN, *(name for name in rows if name not in OWN)]]


def _handed_over(batch: Batch, number: int) -> pd.DataFrame:
    """The table that a run's notebook handed over, or one row without columns if there is none.

    A named index becomes columns.
    """
    if batch.results is None:
        return pd.DataFrame(index=[0])
    table = pd.read_parquet(run_folder(batch.out, number) / TABLE)
    named = any(name is not None for name in table.index.names)
    table = table.reset_index(drop=not named)
    return table.rename(columns={name: f"notebook.{name}" for name in OWN[:2]})
