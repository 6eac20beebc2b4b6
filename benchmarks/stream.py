"""The operation stream: drawn by a dry run, then replayed by every side.

The dry run keeps a table of live blocks and frees a random one of them each time.  That table
costs a cache miss of its own at every free, so it stays out of the timed loops: they replay
``(free or not, order, migratetype, node)``, and check that every allocation gets its node.
"""

import numpy as np

from benchmarks.onezone import OneZone
from freehint.engine.guest.workloads import quantile_table
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_one_page, rmqueue_smallest
from freehint.mm.memory import (
    HIGHATOMIC,
    MAX_ORDER_NR_PAGES,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    RECLAIMABLE,
    UNMOVABLE,
)
from freehint.mm.pageblock import get_pageblock_migratetype

ALLOCATE, FREE, STEADY = 256, 0, 128  # of 256: operations that allocate

# 95 % order 0, the rest 1..3, and one huge page in a thousand.
ORDER_TABLE = quantile_table((0.95, 0.03, 0.013, 0.006, 0, 0, 0, 0, 0, 0.001))
# The last is HIGHATOMIC: from order 9 up its pageblocks merge with nobody else's.
TYPE_TABLE = quantile_table((0.15, 0.80, 0.045, 0.005))


@kernel
def dry_run(memory, live, nr_live, words, allocates, order_table, type_table, operations):
    """Turn random words into operations; the number of live blocks after them.

    A word's bits, from the lowest: 8 allocate or free; then 12 order and 12 migratetype of an
    allocation; then 24 that choose the block to free.
    """
    for i in range(words.shape[0]):
        word = words[i]
        if (word & 0xFF) < allocates or nr_live == 0:
            order = int(order_table[(word >> 8) & 4095])
            migratetype = int(type_table[(word >> 20) & 4095])
            node = rmqueue_smallest(memory, 0, order, migratetype)
            operations[i] = (node << 8) | (migratetype << 5) | (order << 1)
            if node >= 0:
                live[nr_live] = (node << 4) | order
                nr_live += 1
        else:
            victim = (((word >> 32) & 0xFFFFFF) * nr_live) >> 24
            node = live[victim] >> 4
            order = live[victim] & 15
            nr_live -= 1
            live[victim] = live[nr_live]
            migratetype = get_pageblock_migratetype(memory, node)
            free_one_page(memory, node, 0, order, migratetype, FPI_NONE)
            operations[i] = (node << 8) | (order << 1) | 1
    return nr_live


def draw_pageblocks(generator: np.random.Generator, nr_pages: int) -> np.ndarray:
    """Migratetypes of a guest's pageblocks, as TYPE_TABLE has them.

    The two pageblocks of an order-10 block are alike except in every eighth block.
    """
    nr_pairs = nr_pages // MAX_ORDER_NR_PAGES
    types = np.repeat(TYPE_TABLE[generator.integers(0, len(TYPE_TABLE), nr_pairs)], 2)
    types[1::16] = TYPE_TABLE[generator.integers(0, len(TYPE_TABLE), len(types[1::16]))]
    # Every kind exists, however small the guest.
    types[:8] = np.repeat([UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC], 2)
    return types


def boot(side, pageblock: np.ndarray) -> None:
    """Free everything at the list tails, in address order."""
    whole = (pageblock.reshape(-1, 2) != HIGHATOMIC).all(axis=1)
    side.free(10, np.flatnonzero(whole) * MAX_ORDER_NR_PAGES)
    side.free(9, np.flatnonzero(np.repeat(~whole, 2)) * PAGEBLOCK_NR_PAGES)


class Stream:
    """Draws operations on a guest of its own, booted from the same pageblocks."""

    def __init__(self, nr_pages: int, seed: int):
        self.generator = np.random.default_rng(seed)
        self.pageblock = draw_pageblocks(self.generator, nr_pages)
        self.side = OneZone(self.pageblock)
        boot(self.side, self.pageblock)
        self.live = np.zeros(nr_pages, np.int64)
        self.nr_live = 0

    def draw(self, n: int, allocates: int) -> np.ndarray:
        """The next ``n`` operations, of which ``allocates`` in 256 are allocations."""
        words = self.generator.integers(0, 1 << 62, n, np.int64)
        operations = np.empty(n, np.int64)
        tables = ORDER_TABLE, TYPE_TABLE
        memory, live = self.side.memory, self.live
        self.nr_live = dry_run(memory, live, self.nr_live, words, allocates, *tables, operations)
        return operations
