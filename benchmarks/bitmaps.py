"""The migration's bitmap kernels beside numpy: the same bits, the same answers.

numpy gets its buffers beforehand, so that no side allocates.  Both write what the other writes.
"""

import numpy as np

from benchmarks.paired import Timing, measure
from freehint.engine.world.dirty import G3, new_dirty_log, next_dirty, sync_bitmap
from freehint.jit import kernel
from freehint.mm.bitmap import count_bits
from freehint.units import NS_PER_MS

FREEHINT, NUMPY = "freehint", "numpy"
SPARSE = 10  # halvings: a page in 1024 is still to be sent, as in a late round


def drawn(nr_pages: int, halvings: int, seed: int) -> np.ndarray:
    """Words of which a share of 1/2, 1/4, .. of the bits is set."""
    generator, words = np.random.default_rng(seed), ~np.zeros(nr_pages // 64, np.uint64)
    for _ in range(halvings):
        words &= generator.integers(0, 1 << 64, len(words), np.uint64)
    return words


class NumpySync:
    """What :func:`freehint.engine.world.dirty.sync_bitmap` does, by numpy: a pass for each step."""

    def __init__(self, bitmap: np.ndarray, log: np.ndarray):
        self.bitmap, self.log, self.seen = bitmap.copy(), log.copy(), np.zeros_like(log)
        self.words = np.zeros_like(log)
        self.counts = np.zeros(len(log), np.uint8)

    def count(self, words: np.ndarray) -> int:
        """Bits set."""
        return int(np.bitwise_count(words, out=self.counts).sum(dtype=np.int64))

    def sync(self) -> tuple[int, int]:
        """(pages that were not in the bitmap, pages in it now)."""
        np.invert(self.bitmap, out=self.words)
        self.words &= self.log
        new = self.count(self.words)
        self.bitmap |= self.log
        self.seen[:] = self.log
        return new, self.count(self.bitmap)


@kernel
def all_dirty(dirty):
    """Go from one page to be sent to the next, as the migration does; the sum of them."""
    total, page = 0, next_dirty(dirty, 0)
    while page >= 0:
        total += page
        page = next_dirty(dirty, page + 1)
    return total


def numpy_dirty(words: np.ndarray) -> int:
    """The sum of the set bits' numbers; only words that are not empty are unpacked."""
    rows = np.flatnonzero(words)
    bits = np.unpackbits(words[rows].view(np.uint8), bitorder="little").reshape(-1, 64)
    row, bit = np.nonzero(bits)
    return int((rows[row] * 64 + bit).sum())


def count(nr_pages: int, slices: int) -> list[Timing]:
    """Count the bits of one bitmap."""
    words = drawn(nr_pages, 1, 1)
    other = NumpySync(words, words)
    sides = {FREEHINT: lambda: count_bits(words), NUMPY: lambda: other.count(words)}
    return _paired(sides, slices)


def sync(nr_pages: int, slices: int) -> list[Timing]:
    """Bring the log into the bitmap: or, what is new, what is left, and a copy."""
    dirty = new_dirty_log(nr_pages, G3)
    bitmap, log = drawn(nr_pages, 2, 1), drawn(nr_pages, 2, 2)
    other = NumpySync(bitmap, log)
    # Every slice begins with the same bits, put there outside of what is compared.
    sides = {FREEHINT: lambda: sync_bitmap(dirty), NUMPY: other.sync}

    def begin():
        dirty.bitmap[:] = other.bitmap[:] = bitmap
        dirty.log[:] = log

    return _paired(sides, slices, begin)


def scan(nr_pages: int, slices: int) -> list[Timing]:
    """Visit every page of a sparse bitmap."""
    dirty = new_dirty_log(nr_pages, G3)
    dirty.bitmap[:] = drawn(nr_pages, SPARSE, 3)
    sides = {FREEHINT: lambda: all_dirty(dirty), NUMPY: lambda: numpy_dirty(dirty.bitmap)}
    return _paired(sides, slices)


def _paired(sides: dict, slices: int, begin=lambda: None) -> list[Timing]:
    """Time the sides, in ms a pass; their answers must be the same, each time."""
    answers = {name: [] for name in sides}

    def verb(name):
        return lambda _: answers[name].append(sides[name]())

    def pieces():
        for turn in range(slices):
            begin()
            yield turn

    begin()
    for work in sides.values():
        work()  # compiles
    timings = measure({name: verb(name) for name in sides}, pieces(), NS_PER_MS)
    assert answers[FREEHINT] == answers[NUMPY], "freehint and numpy count differently"
    return timings
