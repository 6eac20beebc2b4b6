"""Digests of what was loaded."""

import hashlib
from pathlib import Path

import numpy as np

from freehint.mm.memory import Memory


def file_sha256(path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
