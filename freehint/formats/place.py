"""Put blocks in their places before time 0: boot frees pages, and loaders claim blocks."""

from freehint.jit import kernel
from freehint.mm.bitmap import set_bit, test_bit
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, free_one_page, rmqueue_smallest
from freehint.mm.memory import MAX_ORDER, MOVABLE, PAGEBLOCK_ORDER


@kernel
def free_range(memory, zone, start, end):
    """Free pages ``start .. end-1`` in the largest aligned blocks, each to its list's tail.

    Source: __free_pages_memory() (mm/memblock.c), __free_pages_core().
    """
    node = start
    while node < end:
        order = MAX_ORDER - 1
        while node & ((1 << order) - 1) or node + (1 << order) > end:
            order -= 1
        migratetype = int(memory.pageblock[node >> PAGEBLOCK_ORDER])
        free_one_page(memory, node, zone, order, migratetype, FPI_TO_TAIL)
        node += 1 << order


@kernel
def cut_block(memory, zone, order):
    """Take an order-10 block, and free every second of its pieces of ``order``."""
    node = rmqueue_smallest(memory, zone, MAX_ORDER - 1, MOVABLE)
    for piece in range(node, node + (1 << (MAX_ORDER - 1)), 2 << order):
        free_one_page(memory, piece, zone, order, MOVABLE, FPI_NONE)


@kernel
def claim_blocks(taken, nodes, orders):
    """Set the bits of the blocks' pages, up to the first block with a page already taken.

    Parameters
    ----------
    taken : uint64[nr_pages / 64]
    nodes, orders : int64[blocks]

    Returns
    -------
    int
        The index of that block; -1 if every block was entered.
    """
    for i in range(nodes.shape[0]):
        for page in range(nodes[i], nodes[i] + (1 << orders[i])):
            if test_bit(taken, page):
                return i
            set_bit(taken, page)
    return -1
