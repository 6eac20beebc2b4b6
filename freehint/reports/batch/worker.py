"""One run of a batch, in a process of its own: papermill, the rendered report, the picture."""

import base64
import os
import re
import signal
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

from freehint.config import extra
from freehint.files import end_with_parent
from freehint.reports.batch.folder import DONE, FAILED, Lock, finish
from freehint.reports.notebook import render

NOTEBOOK, REPORT, TABLE, PICTURE, LOG = (
    *("notebook.ipynb", "report.html", "results.parquet", "thumbnail.png"),
    "log.txt",
)
HANDOVER = "freehint-batch-results"
PICTURE_WIDTH = 760  # pixels; twice the width that the gallery shows
# Modules that every run needs; the server from which runs are forked imports them once.
PRELOAD = [
    "freehint.reports.batch.worker",
    "papermill",
    "nbconvert",
    "jupyter_client",
    "matplotlib.image",
]


class Task(NamedTuple):
    """A run: its notebook as JSON, its parameters, and the folders that it works in."""

    number: int
    parameters: dict
    name: str
    notebook: str
    kernel: str
    title: str
    results: str | None
    thumbnail: int | str
    working: str  # working directory of the kernel
    folder: str  # folder that is filled and then renamed
    out: str


def work(task: Task, lock: Lock) -> None:
    """Run a notebook to its end or its failure, and rename its folder into place.

    ``lock`` is the batch's; as an argument it is held as long as this process lives.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end())
    end_with_parent(_end)
    os.chdir(task.folder)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    record = _execute(task)
    try:
        _present(task)
    except Exception as problem:
        if record["status"] == DONE:
            record |= _failure(f"rendering: {_sentence(problem)}")
    sys.stderr.flush()
    if record["status"] == DONE:
        Path(LOG).unlink()
    finish(Path(task.folder), Path(task.out), record)


def _end() -> None:
    """End this process at once, and the kernel, which has a session of its own and would go on."""
    try:
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
    finally:  # a child, or a thread, may be gone in the meantime
        os._exit(1)


# The notebook.


def _execute(task: Task) -> dict:
    """Run the notebook by papermill, and return the record of its outcome."""
    papermill = extra("papermill", "a batch", "lab")
    import nbformat

    notebook = nbformat.reads(task.notebook, as_version=4)
    if task.results is not None:
        notebook.cells.append(_handover(task))
    begin = time.perf_counter()
    try:
        papermill.execute_notebook(
            notebook,
            NOTEBOOK,  # relative, because papermill fills in braces of a path
            parameters=task.parameters,
            kernel_name=task.kernel,
            progress_bar=False,
            cwd=task.working,
        )
        outcome = {"status": DONE, "error": "", "cell": None, "line": ""}
    except papermill.PapermillExecutionError as error:
        outcome = _failed_cell(task, error)
    except Exception as problem:  # the kernel died, or did not start
        outcome = _failure(_sentence(problem))
    if not Path(NOTEBOOK).exists():
        nbformat.write(notebook, NOTEBOOK)
    seconds = round(time.perf_counter() - begin, 2)
    return {"run": task.number, "parameters": task.parameters, "seconds": seconds, **outcome}


def _handover(task: Task):
    """A last cell that writes the variable to a file; the kernel needs pandas only."""
    import nbformat

    path = str(Path(task.folder) / TABLE)
    code = f'__import__("pandas").DataFrame({task.results}).to_parquet({path!r})'
    return nbformat.v4.new_code_cell(code, metadata={"tags": [HANDOVER]})


def _failure(error: str, cell=None, line: str = "") -> dict:
    return {"status": FAILED, "error": error, "cell": cell, "line": line}


def _sentence(problem) -> str:
    """An error as one line."""
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__


def _failed_cell(task: Task, error) -> dict:
    """The record of a failure: its error, its line, and its cell, counted from 1 as written."""
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    tags = [c.metadata.get("tags", []) for c in notebook.cells]
    marked = next(n for n, c in enumerate(notebook.cells) if _raised(c))
    if HANDOVER in tags[marked]:
        told = f"results: {task.results} cannot be handed over: {error.ename}: {error.evalue}"
        return _failure(told.splitlines()[0])
    added = {"injected-parameters", "papermill-error-cell-tag"}
    cell = 1 + sum(not added.intersection(t) for t in tags[:marked])
    first = [*error.evalue.splitlines(), ""][0]
    return _failure(f"{error.ename}: {first}", cell, _line(error, notebook.cells[marked].source))


def _raised(cell) -> bool:
    return any(o.output_type == "error" for o in cell.get("outputs", []))


def _line(error, source: str) -> str:
    """The cell's own line that is innermost in the traceback, by IPython's line numbers."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
    numbers = re.findall(rf"^Cell In\[{error.exec_count}\], line (\d+)", plain, re.MULTILINE)
    # IPython removes empty lines at the top before it counts.
    lines = re.sub(r"\A(\s*\n)+", "", source).splitlines()
    known = numbers and int(numbers[-1]) <= len(lines)
    return lines[int(numbers[-1]) - 1].strip() if known else ""


# The report and the picture.


def _present(task: Task) -> None:
    """Remove the handover cell, render the report, and extract the picture."""
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [c for c in notebook.cells if HANDOVER not in c.metadata.get("tags", [])]
    if "papermill" in notebook.metadata:
        # papermill was given the notebook itself, and stored all of it here.
        notebook.metadata.papermill.input_path = task.name
    nbformat.write(notebook, NOTEBOOK)
    Path(REPORT).write_text(render(Path(NOTEBOOK), task.title))
    picture = picture_of(notebook, task.thumbnail)
    if picture is not None:
        _write_picture(base64.b64decode(picture))


def picture_of(notebook, wanted: int | str = 1) -> str | None:
    """A picture of an executed notebook, a PNG in base64: the n-th, or the first with a tag."""
    cells = notebook.cells
    if isinstance(wanted, str):
        cells = [c for c in cells if wanted in c.metadata.get("tags", [])]
        wanted = 1
    outputs = [o.get("data", {}) for c in cells for o in c.get("outputs", [])]
    pictures = [data["image/png"] for data in outputs if "image/png" in data]
    return pictures[wanted - 1] if len(pictures) >= wanted else None


def _write_picture(png: bytes) -> None:
    from matplotlib.image import thumbnail

    Path(PICTURE).write_bytes(png)
    width = struct.unpack(">I", png[16:20])[0]  # it stands in the PNG's first chunk
    if width > PICTURE_WIDTH:
        thumbnail(PICTURE, PICTURE, scale=PICTURE_WIDTH / width)
