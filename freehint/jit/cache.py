"""Compiled kernels on disk: a file for each kernel and signature, whole or not there.

Numba's own cache has an index file a function: of two processes that compile different signatures
at the same time one overwrites the other's entry, and may then load the other's code.  Here a file
is named after all that it was compiled for, and carries it inside with a checksum.  Whatever
cannot be read is compiled again, and whatever cannot be written is done without.  Kernels are
executed, so only this user and root may have written them (:mod:`freehint.jit.trust`).

A process that needs a kernel which another one is compiling waits for it: whoever compiles holds a
lock on a file of the kernel's name, which the system releases when that process ends, however it
ends.  Where nothing can be locked, each process compiles for itself.
"""

import contextlib
import fcntl
import hashlib
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numba
from numba.core import config as numba_config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from freehint.jit import late
from freehint.jit.closure import PACKAGE, UNFINISHED, kernels_hash, remember
from freehint.jit.entry import as_entry
from freehint.jit.trust import admitted, distrust, private

SUFFIX = ".kernel"
LOCK = ".lock"
RECORD = "sources"  # which hash of kernels the sources have
DIGEST_BYTES = 32
END_OF_KEY = b"\n\0"  # in no key, which is the text of a tuple
UNUSED_S = 60 * 86400  # a folder of other sources, until it is removed
ABANDONED_S = 3600  # an unfinished file, whose process was killed
_FOLDER = re.compile(r"[0-9a-f]{16}")


@dataclass
class Counts:
    """Kernels that this process compiled, found on disk, and could not keep there."""

    compiled: int = 0
    found: int = 0
    not_kept: int = 0

    @property
    def all(self) -> tuple:
        """The three numbers."""
        return self.compiled, self.found, self.not_kept


COUNTS = Counts()


def writable(folder: Path) -> bool:
    """Can files be made in the folder, which is made if it is missing, and only by this user?"""
    try:
        if not (private(folder.parent) and private(folder)):
            return False
        with tempfile.TemporaryFile(dir=folder):
            os.utime(folder)  # see prune()
            return True
    except OSError:
        return False


class KernelCache(_Cache):
    """What Numba asks before it compiles one function, and tells afterwards.

    Parameters
    ----------
    function : function
    folder : Path or None
        Of this state of the sources, to keep kernels in.
    others : sequence of Path
        Further ones, to look into.
    """

    def __init__(self, function, folder: Path | None, others=()):
        self.folder = folder
        self.folders = [one for one in (folder, *others) if one is not None]
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.code = hashlib.sha256(function.__code__.co_code).hexdigest()
        self.lock = None  # what this process holds while it compiles

    def _key(self, signature, codegen) -> tuple:
        return signature, codegen.magic_tuple(), self.code

    def _file(self, key: tuple) -> str:
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return f"{self.name}-{digest[:16]}{SUFFIX}"

    def load_overload(self, sig, target_context):
        """What was compiled for this signature before, or None: then the caller compiles it.

        While another process compiles it, this one waits.
        """
        # Numba would import all that it can compile: code that was found needs the runtime alone.
        rtsys.initialize(target_context)
        key = self._key(sig, target_context.codegen())
        payload = self._look_up(key)
        if payload is None and self._wait_for_others(key):
            payload = self._look_up(key)
        if payload is None:
            return None
        COUNTS.found += 1
        named, compiled = payload
        late.prepare(named)
        return CompileResult._rebuild(target_context, *compiled)

    def _look_up(self, key: tuple):
        found = (read_whole(folder / self._file(key), key) for folder in self.folders)
        return next((payload for payload in found if payload is not None), None)

    def _wait_for_others(self, key: tuple) -> bool:
        """Lock what is to be compiled until :meth:`release`; False where that cannot be done."""
        # A process that compiles a kernel inside of itself would wait for itself.
        if self.folder is None or self.lock is not None:
            return False
        path = self.folder / f"{UNFINISHED}{self._file(key)}{LOCK}"
        with contextlib.suppress(OSError):
            self.lock = locked(path)
        return self.lock is not None

    def release(self) -> None:
        """Let others go on: they find what was kept meanwhile."""
        if self.lock is not None:
            unlock(self.lock)
            self.lock = None

    def save_overload(self, sig, data):
        """Keep what was compiled, if it can be written."""
        COUNTS.compiled += 1
        # Addresses hold in this process alone.
        if self.folder is None or data.library.has_dynamic_globals:
            return
        key = self._key(sig, data.codegen)
        named = late.named_slots([data.library, *data.library._linking_libraries])
        try:
            write_whole(self.folder / self._file(key), key, (named, as_entry(data)))
        except OSError:
            COUNTS.not_kept += 1

    @property
    def cache_path(self):
        """The folder."""
        return str(self.folder)

    def enable(self):
        """Nothing: it always is."""

    def disable(self):
        """Nothing: it always is enabled."""

    def flush(self):
        """Forget what was compiled of this function."""
        for path in self.folder.glob(f"{self.name}-*{SUFFIX}") if self.folder else ():
            path.unlink(missing_ok=True)


def read_whole(path: Path, key: tuple):
    """What :func:`write_whole` kept for ``key``; None where that is not there, or not whole."""
    try:
        with path.open("rb") as file:
            if distrust(os.fstat(file.fileno())):
                return None
            raw = file.read()
        # Unpickling executes, so the file must first be whole and the one that is looked for.
        digest, data = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        name = repr(key).encode()
        if hashlib.sha256(data).digest() != digest or not data.startswith(name + END_OF_KEY):
            return None
        return pickle.loads(data[len(name) + len(END_OF_KEY) :])
    except Exception:  # of whatever kind: it can always be compiled again
        return None


def write_whole(path: Path, key: tuple, value) -> None:
    """Write what is kept for ``key`` under another name, then give the file its own."""
    data = repr(key).encode() + END_OF_KEY + dumps(value)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(data).digest() + data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def locked(path: Path):
    """Make a file and lock it, after whoever has it locked; OSError where that cannot be done."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except BaseException:  # an interrupt, too: what others hold stays
        file.close()
        raise
    return file


def unlock(file) -> None:
    """Remove a file of :func:`locked`; whoever waits for it goes on with what has no name now."""
    with contextlib.suppress(OSError):
        os.unlink(file.name)
    # Closing alone is not enough: a process forked meanwhile has the file open as well.
    with file, contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)


def prune(folder: Path, now: float | None = None) -> list[Path]:
    """Remove what nobody uses any more beside and in a folder of kernels.

    Folders of other sources that no process has started with for 60 days, if nothing but kernels
    is in them, and files that a killed process has left unfinished.

    Returns
    -------
    list of Path
        The folders removed.
    """
    now = time.time() if now is None else now
    removed = []
    for other in folder.parent.iterdir():
        unused = other != folder and _FOLDER.fullmatch(other.name) and other.is_dir()
        if unused and now - other.stat().st_mtime > UNUSED_S and _holds_only_kernels(other):
            shutil.rmtree(other, ignore_errors=True)
            removed.append(other)
    for left in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if now - left.stat().st_mtime > ABANDONED_S:
                left.unlink()
    return removed


def _holds_only_kernels(folder: Path) -> bool:
    """Numba's own files too, which earlier versions kept there."""
    return all(
        path.is_dir() or path.suffix in (SUFFIX, ".nbi", ".nbc") or path.name.startswith(UNFINISHED)
        for path in folder.rglob("*")
    )


def source_hash() -> str:
    """What decides compiled code: all sources that shape it, Numba, Python, and bounds checks.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    # Bounds checks change the code but are not in Numba's own key.
    versions = (numba.__version__, *sys.version_info[:2], numba_config.BOUNDSCHECK)
    parts = (kernels_hash(records()), *versions)
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:16]


def cache_bases() -> list[Path]:
    """Where folders of compiled kernels may lie; the first that can be written is used."""
    chosen = os.environ.get("FREEHINT_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [Path(home) / "freehint", PACKAGE / "__pycache__" / "kernels"]


def records() -> tuple[Path, ...]:
    """Files that may tell which hash of kernels the sources have."""
    return tuple(base / RECORD for base in cache_bases())


def cache_folders() -> tuple[Path | None, tuple]:
    """Where this version's compiled kernels are kept, or None, and where else they are looked for.

    The second is a folder that somebody else has filled, such as that of a read-only installation.
    """
    folders = [base / source_hash() for base in cache_bases()]
    kept = next(filter(writable, folders), None)
    if kept:
        remember(kept.parent / RECORD, kernels_hash(records()))
    others = (folder for folder in folders if folder != kept and folder.is_dir())
    return kept, tuple(folder for folder in others if admitted(folder.parent) and admitted(folder))


CACHE_FOLDER, OTHER_FOLDERS = (None, ()) if numba_config.DISABLE_JIT else cache_folders()
