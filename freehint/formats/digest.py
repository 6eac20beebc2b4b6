"""What was loaded, with the sha256 of the very bytes that were parsed."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from freehint.config import InputError
from freehint.mm.memory import Memory


class Input(NamedTuple):
    """A file that something was loaded from.

    file : str      its name, without folders
    sha256 : str    of the bytes that were parsed, in hexadecimal
    """

    file: str
    sha256: str


class Files:
    """Input files, each read once: what is parsed is what was hashed, whatever changes later."""

    def __init__(self):
        self._read = {}

    def read(self, path) -> bytes:
        """A file's bytes; the second time those of the first.

        Raises
        ------
        InputError
            It is missing or cannot be read.
        """
        path = Path(path)
        if path not in self._read:
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                raise InputError(f"{path}: there is no such file") from None
            except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
                reason = getattr(error, "strerror", error)
                raise InputError(f"{path}: cannot be read: {reason}") from None
            self._read[path] = content, Input(path.name, hashlib.sha256(content).hexdigest())
        return self._read[path][0]

    @property
    def inputs(self) -> tuple:
        """An Input for each file that was read, in the order of reading."""
        return tuple(one for _, one in self._read.values())


def memory_sha256(memory: Memory) -> str:
    """sha256 over every array and number of a memory, in field order."""
    digest = hashlib.sha256()

    def feed(value):
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value))
        elif isinstance(value, tuple):
            for part in value:
                feed(part)
        else:
            digest.update(repr(value).encode())

    feed(memory)
    return digest.hexdigest()
