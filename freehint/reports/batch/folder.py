"""The folder of a batch, with one folder per finished run that is renamed into place as a whole.

``batch.json`` identifies the batch.  ``runs/0001/`` holds a run's notebook, its rendered report,
its picture and ``run.json``.  It appears whole or not at all, so that a kill at any moment leaves
each run finished or not begun.  A lock is held as long as this process or one of its runs lives.
"""

import contextlib
import json
import os
import shutil
from multiprocessing.reduction import DupFd
from pathlib import Path

from freehint.config import InputError, shown, shown_json
from freehint.files import UNFINISHED, remove, take_lock, whole_file, writing
from freehint.inputs.reading import json_of, read_bytes
from freehint.reports.batch.batch import Batch

FACTS, RUNS, LOCK = "batch.json", "runs", ".lock"
TEMPORARIES = (f"{UNFINISHED}*", f"{RUNS}/.[0-9]*")
DONE, FAILED = "done", "failed"
# Time to wait for the lock: runs of a batch that was just killed hold it until they notice and end.
PATIENCE_S = 15


class Lock:
    """A batch's lock; a process to which it is passed holds it too."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def __reduce__(self):
        return _taken_over, (DupFd(self.descriptor),)


def _taken_over(duplicate) -> Lock:
    descriptor = duplicate.detach()
    os.set_inheritable(descriptor, False)  # kernels must not hold it
    return Lock(descriptor)


def run_folder(out: Path, number: int) -> Path:
    """The folder of a finished run."""
    return out / RUNS / f"{number:04d}"


def record_of(out: Path, number: int) -> dict | None:
    """The content of a run's ``run.json``; None if the run is not finished."""
    path = run_folder(out, number) / "run.json"
    return _table(path) if path.exists() else None


def _table(path: Path) -> dict:
    found = json_of(read_bytes(path), path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: must be a table, got {shown(found)}")
    return found


def check_folder(batch: Batch) -> None:
    """Refuse a folder that holds anything other than this batch.

    Raises
    ------
    InputError
        The message names the first difference.
    """
    out = batch.out
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is no folder")
    if not (out / FACTS).exists():
        found = [p.name for p in out.iterdir()] if out.exists() else []
        others = [n for n in found if n != LOCK and not n.startswith(UNFINISHED)]
        if others:
            raise InputError(f"{out}: exists already and holds no batch, but {sorted(others)[0]}")
        return
    stored = _table(out / FACTS)
    for name, value in json.loads(json.dumps(batch.facts())).items():
        there = stored.get(name)
        if json.dumps(there) != json.dumps(value):
            raise InputError(
                f"{out}: holds another batch, with other {name}: {shown_json(there)} there,"
                f" {shown_json(value)} here; give this one another 'out'"
            )


@contextlib.contextmanager
def held_folder(batch: Batch):
    """Make the batch's folder or reuse it, and yield its Lock.

    Raises
    ------
    InputError
        The folder cannot be written, holds another batch, or is in use by another process.
    """
    check_folder(batch)
    try:
        batch.out.mkdir(parents=True, exist_ok=True)
        lock = os.open(batch.out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{batch.out}: cannot be written: {error.strerror}") from None
    try:
        take_lock(lock, PATIENCE_S, f"{batch.out}: another process runs this batch")
        check_folder(batch)
        if not (batch.out / FACTS).exists():
            with whole_file(batch.out / FACTS) as temporary:
                temporary.write_text(json.dumps(batch.facts(), indent=1))
        (batch.out / RUNS).mkdir(exist_ok=True)
        _remove_temporaries(batch.out)
        yield Lock(lock)
    finally:
        os.close(lock)


def _remove_temporaries(out: Path) -> None:
    """Remove files that a killed batch had begun, and no files that a user put there."""
    for pattern in TEMPORARIES:
        for path in out.glob(pattern):
            remove(path)


def begun_folder(out: Path, number: int) -> Path:
    """Make an empty folder for a run that begins, and return it."""
    folder = out / RUNS / f".{number:04d}"
    with writing(folder):
        folder.mkdir()
    return folder


def finish(folder: Path, out: Path, record: dict) -> None:
    """Write a run's record and rename its folder into place; an earlier failure is replaced."""
    with writing(folder / "run.json"):
        (folder / "run.json").write_text(json.dumps(record, indent=1))
    place = run_folder(out, record["run"])
    if place.exists():
        trash = place.with_name(f".{place.name}-before")
        place.rename(trash)
        folder.rename(place)
        shutil.rmtree(trash)
    else:
        folder.rename(place)
