"""Files that appear whole or not at all, locks, and the end of worker processes."""

import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import exists, os_reason


@contextlib.contextmanager
def whole_file(path: Path):
    """A temporary file beside ``path`` that is renamed to it only if there was no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise InputError(f"{path}: cannot be written: {os_reason(error)}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path):
    """A temporary folder beside ``path`` that is renamed to it only if there was no error.

    Raises
    ------
    InputError
        ``path`` exists already, or no folder can be made there.
    """
    if exists(path):
        raise InputError(f"{path}: exists already; a run never overwrites another")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise InputError(f"{path}: cannot be written: {os_reason(error)}") from None
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


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


def shortened(value, most: int = 200) -> str:
    """A value as JSON, cut to at most ``most`` characters for use in a message."""
    text = json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}..."
