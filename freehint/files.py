"""Files that appear whole or not at all, locks, and the end of worker processes."""

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import exists, os_reason

UNFINISHED = ".freehint-"  # begins the names of files and folders that are being written
ABANDONED_S = 3600


@contextlib.contextmanager
def writing(path: Path):
    """Make one sentence of what the OS says while ``path`` is written."""
    try:
        yield
    except ChildProcessError:  # a program that was to write it failed
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {os_reason(error)}") from None


def _begin(path: Path, make) -> tuple[int, Path]:
    """Make a temporary file or folder beside ``path``, open and locked while it is written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        made = make(prefix=UNFINISHED, dir=path.parent)
    except ValueError as error:  # a path with a zero byte
        raise InputError(f"{path}: cannot be written: {error}") from None
    handle, name = made if isinstance(made, tuple) else (os.open(made, os.O_RDONLY), made)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle, Path(name)


def remove_abandoned(folder: Path, now: float | None = None) -> list[Path]:
    """Remove what killed processes had begun to write in a folder.

    Nothing is removed that is younger than an hour or that a process has locked.

    Returns
    -------
    list of Path
        What was removed.
    """
    removed = []
    for path in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):  # somebody else removes it, or it is not ours
            if (now or time.time()) - path.stat().st_mtime < ABANDONED_S:
                continue
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
                removed.append(path)
            finally:
                os.close(handle)
    return removed


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; what is not there is no error."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _whole(path: Path, make, mode: int):
    with writing(path):
        handle, temporary = _begin(path, make)
        try:
            yield temporary
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            os.close(handle)
            remove(temporary)


def whole_file(path: Path):
    """A temporary file beside ``path`` that is renamed to it only if there was no error.

    Raises
    ------
    InputError
        The file cannot be written, for instance because the disk is full.
    """
    return _whole(path, tempfile.mkstemp, 0o644)


def whole_folder(path: Path):
    """A temporary folder beside ``path`` that is renamed to it only if there was no error.

    Raises
    ------
    InputError
        ``path`` exists already, or the folder cannot be written.
    """
    if exists(path):
        raise InputError(f"{path}: exists already; a run never overwrites another")
    return _whole(path, tempfile.mkdtemp, 0o755)


@contextlib.contextmanager
def scratch_folder(folder: Path):
    """A temporary folder in ``folder``, for files that are moved out of it when they are whole."""
    handle, temporary = _begin(folder / UNFINISHED, tempfile.mkdtemp)
    try:
        yield temporary
    finally:
        os.close(handle)
        remove(temporary)


def take_lock(descriptor: int, patience_s: float, sentence: str) -> None:
    """Lock an open file, and wait up to ``patience_s`` seconds for a killed holder to end.

    Raises
    ------
    InputError
        Another process still holds the lock; ``sentence`` is the message.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise InputError(sentence) from None
            time.sleep(0.1)


def end_with_parent(end=lambda: os._exit(1)) -> None:
    """Let this worker process end with its parent; otherwise it would wait for work for ever.

    Parameters
    ----------
    end : callable, optional
        Ends the process.
    """

    def watch():
        multiprocessing.parent_process().join()
        end()

    threading.Thread(target=watch, daemon=True).start()
