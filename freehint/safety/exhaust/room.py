"""Room for the tables of a search."""

import mmap

import numpy as np

LARGE = 1 << 22  # bytes from which on large pages are worth it


def zeros(shape: tuple, dtype) -> np.ndarray:
    """Zeros; a large array lies in huge pages where the system has them.

    A search looks at its tables here and there, so most looks would miss the cache of addresses.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(shape, dtype)
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, dtype).reshape(shape)
