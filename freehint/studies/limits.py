"""The limits of this machine: dependent loads, memory bandwidth, a search for the smallest key.

A walk of a shuffled list cannot be faster than dependent loads, a pass over a bitmap cannot be
faster than the memory bandwidth allows, and an event takes at least the time to find the smallest
key.  The arrays are numpy's and come from the same allocator as freehint's own, so they lie in the
same kinds of pages.  Times are the thread's CPU time, medians of short slices.
"""

from time import thread_time_ns

import numpy as np

from freehint.engine.world.clock import ACTOR_BITS, actor_of, smallest_but, smallest_key
from freehint.jit import kernel
from freehint.mm.bitmap import count_bits

LINE_INTS = 16  # int32 numbers in a cache line of 64 bytes
SLICES = 9


@kernel
def chase(links, node, n):
    """Follow ``n`` links, each of which waits for the load before it, and return the last node."""
    for _ in range(n):
        node = links[node]
    return node


@kernel
def scan_keys(keys, steps):
    """For each step, find the smallest of a few keys and raise it by the step."""
    key = smallest_key(keys, 0, keys.shape[0])
    for step in steps:
        first = actor_of(key)
        others = smallest_but(keys, first, 0, keys.shape[0])
        keys[first] = key + step
        key = min(others, key + step)
    return keys[0]


def key_steps(actors: int, n: int) -> np.ndarray:
    """``n`` random steps (exponential, mean ``actors``), so that nobody can guess who is next."""
    return np.random.default_rng(1).exponential(actors << 5, n).astype(np.int64) << ACTOR_BITS


def median_ns(work, units: int, slices: int = SLICES) -> float:
    """CPU time of ``work()`` in ns per unit: the median of slices, after one that warms up."""
    work()
    times = []
    for _ in range(slices):
        begin = thread_time_ns()
        work()
        times.append(thread_time_ns() - begin)
    return float(np.median(times)) / units


def new_ring(nr_bytes: int, seed: int = 1) -> np.ndarray:
    """Links that lead once through each cache line of ``nr_bytes`` bytes, in random order."""
    lines = nr_bytes // (4 * LINE_INTS)
    order = np.random.default_rng(seed).permutation(lines).astype(np.int32) * LINE_INTS
    links = np.zeros(lines * LINE_INTS, np.int32)
    links[order] = np.roll(order, -1)
    return links


def dependent_load_ns(nr_bytes: int, loads: int = 100_000) -> float:
    """Time (ns) of a load that gets its address from the load before it.

    Parameters
    ----------
    nr_bytes : int
        Working set: cache lines of 64 bytes, in random order.
    loads : int
        The number of loads in a slice.
    """
    links, at = new_ring(nr_bytes), [0]

    def work():
        at[0] = chase(links, at[0], loads)

    return median_ns(work, loads)


def key_scan_ns(actors: int, n: int = 100_000) -> float:
    """Time (ns) to find the smallest key of ``actors`` actors and to raise it."""
    keys, steps = np.arange(actors, dtype=np.int64), key_steps(actors, n)
    return median_ns(lambda: scan_keys(keys, steps), n)


def bandwidths(nr_bytes: int = 1 << 27) -> dict[str, float]:
    """GB/s of bytes that a copy reads, and that :func:`freehint.mm.bitmap.count_bits` reads.

    The copy also writes as many bytes as it reads.
    """
    words = np.random.default_rng(1).integers(0, 1 << 63, nr_bytes // 8, np.uint64)
    other = np.empty_like(words)
    return {
        "copy": 1 / median_ns(lambda: np.copyto(other, words), nr_bytes),
        "popcount": 1 / median_ns(lambda: count_bits(words), nr_bytes),
    }
