"""The operation stream: random words drawn beforehand, the same for every side.

A word's bits, from the lowest: 8 allocate or free; then 12 order and 12 migratetype of an
allocation; then 24 that choose the block to free.
"""

import numpy as np

from freehint.guest.workloads import quantile_table
from freehint.mm.memory import (
    HIGHATOMIC,
    MAX_ORDER_NR_PAGES,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    RECLAIMABLE,
    UNMOVABLE,
)

ALLOCATE, FREE, STEADY = 256, 0, 128

# 95 % order 0, the rest 1..3, and one huge page in a thousand.
ORDER_TABLE = quantile_table((0.95, 0.03, 0.013, 0.006, 0, 0, 0, 0, 0, 0.001))
# The last is HIGHATOMIC: from order 9 up its pageblocks merge with nobody else's.
TYPE_TABLE = quantile_table((0.15, 0.80, 0.045, 0.005))


def draw_words(generator: np.random.Generator, n: int) -> np.ndarray:
    """``n`` random words of the stream."""
    return generator.integers(0, 1 << 62, n, np.int64)


def draw_pageblocks(generator: np.random.Generator, nr_pages: int) -> np.ndarray:
    """Migratetypes of a guest's pageblocks, as TYPE_TABLE has them.

    Two neighbours of one order-10 block are alike except in every eighth pair.
    """
    nr_pairs = nr_pages // MAX_ORDER_NR_PAGES
    pairs = np.repeat(TYPE_TABLE[generator.integers(0, len(TYPE_TABLE), nr_pairs)], 2)
    pairs[1::16] = TYPE_TABLE[generator.integers(0, len(TYPE_TABLE), len(pairs[1::16]))]
    # Every kind exists, however small the guest.
    pairs[:8] = np.repeat([UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC], 2)
    assert len(pairs) * PAGEBLOCK_NR_PAGES == nr_pages
    return pairs
