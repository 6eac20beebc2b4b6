"""The input files that were loaded, with the sha256 of the very bytes that were parsed."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from freehint.inputs.reading import read_bytes
from freehint.mm.memory import Memory


class Input(NamedTuple):
    """A file that something was loaded from.

    file : str      the file's name, without folders
    sha256 : str    sha256 of the bytes that were parsed, in hexadecimal
    """

    file: str
    sha256: str


class Files:
    """Input files, each read only once, so that the bytes parsed are the bytes hashed."""

    def __init__(self):
        self._read = {}

    def read(self, path) -> bytes:
        """A file's bytes as they were when it was read first.

        Raises
        ------
        InputError
            The file is missing or cannot be read.
        """
        path = Path(path)
        if path not in self._read:
            content = read_bytes(path)
            self._read[path] = content, Input(path.name, hashlib.sha256(content).hexdigest())
        return self._read[path][0]

    def sha256(self, path) -> str:
        """The sha256 of a file's bytes as they were when it was read first, in hexadecimal."""
        self.read(path)
        return self._read[Path(path)][1].sha256

    @property
    def inputs(self) -> tuple:
        """An Input for each file that was read, in the order of reading."""
        return tuple(one for _, one in self._read.values())


def memory_sha256(memory: Memory) -> str:
    """The sha256 of all arrays and numbers of a memory, in field order."""
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
