"""Which free pages has the host zeroed, and which of them may the guest know of?

A page that the host has discarded comes back cleared.  An allocation that lands on it need not
clear it again, if the guest still knows.  Three rules of knowing are kept beside each other:

======  ==========================================================================================
rule    a page need not be cleared if
======  ==========================================================================================
page    the host has zeroed it and nobody has had it since: one bit a page, which nothing takes away
block   its free block carries the mark of Tsirkin's series of 2026.  A block that is whole when
        the host has used its report is marked; both halves of a split keep the mark; a merged
        block has it only if both buddies had it
first   the same, but a split takes the mark away, as it takes away the Reported flag in Linux 5.7
        to 7.3: only the part that is handed out from the marked block itself is known
======  ==========================================================================================

A block's mark is kept as one bit for each of its pages: a split then needs nothing, and a merge
that loses the mark clears the bits of the whole block.  What is freed is never known, so the bits
are put right after each turn in which blocks may have merged, before anything is split again.

A page on a pcp list keeps its mark: the series keeps it in the page.  That it is lost when such a
page goes back to the free lists unused is not assumed.

Source: M. Tsirkin's mails and the titles of his patches; none is merged in 7.3.  RFC 2/9 (12 April
2026): an allocation from a reported block is told so in page_del_and_expand().  v5 16/28 (7 May
2026): PG_zeroed, set in page_reporting_drain() and handed on to post_alloc_hook().  His branch of
June 2026: "clear PG_zeroed on buddy merge if not both zero", "preserve PG_zeroed in
page_del_and_expand", "propagate PG_zeroed in split_large_buddy"; v9 03/37 says that a split loses
the Reported flag, and keeps it.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.bitmap import clear_bit, clear_bits, set_bit, test_bit
from freehint.mm.buddy import page_is_buddy
from freehint.mm.list import list_next
from freehint.mm.memory import (
    BUDDY,
    ISOLATED,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PCP,
    UNMOVABLE,
    frame_order,
    pcp_list_head,
)
from freehint.mm.pcp import order_to_pindex, pcp_allowed_order
from freehint.mm.zone import alloc_pages, free_pages

RULES = ("page", "block", "first")
ALL = len(RULES)  # the column of all allocations, after those that each rule knows


class Zeroed(NamedTuple):
    """What is known of a memory of ``n`` pages, one bit each.

    zeroed : uint64[n / 64]   the host has zeroed it, and nobody has had it since
    known : uint64[n / 64]    of these, the pages of marked blocks
    first : uint64[n / 64]    the first page of each block as it was reported
    moved : uint64[n / 64]    the first page of each block that may come to the free lists
    count : int64[11, 4]      allocations by order: those that each of RULES knows, and all
    """

    zeroed: np.ndarray
    known: np.ndarray
    first: np.ndarray
    moved: np.ndarray
    count: np.ndarray


def new_zeroed(memory) -> Zeroed:
    """The state of a guest of which the host has zeroed nothing yet.

    Parameters
    ----------
    memory : Memory

    Returns
    -------
    Zeroed
    """
    none = (np.zeros(memory.nr_pages // 64, np.uint64) for _ in range(3))
    on_pcp_lists = np.packbits(memory.frame & PCP != 0, bitorder="little").view(np.uint64)
    return Zeroed(*none, on_pcp_lists.copy(), np.zeros((NR_ORDERS, ALL + 1), np.int64))


@kernel
def all_set(words, node, order):
    """Are the bits of all pages of a block set?"""
    for page in range(node, node + (1 << order)):
        if not test_bit(words, page):
            return False
    return True


@kernel
def free_block_of(memory, page):
    """The node of the free block that a page lies in, or -1."""
    for order in range(NR_ORDERS):
        node = page & ~((1 << order) - 1)
        frame = memory.frame[node]
        if frame & BUDDY and node + (1 << frame_order(frame)) > page:
            return node
    return -1


@kernel
def settle(memory, zeroed):
    """Take the mark from each merged block of which not every part had it.

    Source: __free_one_page() in the series.
    """
    for word in range(zeroed.moved.shape[0]):
        if zeroed.moved[word] == 0:
            continue
        for page in range(64 * word, 64 * word + 64):
            if not test_bit(zeroed.moved, page) or memory.frame[page] & (PCP | ISOLATED):
                continue
            clear_bit(zeroed.moved, page)
            node = free_block_of(memory, page)
            if node >= 0:
                order = frame_order(memory.frame[node])
                if not all_set(zeroed.known, node, order):
                    clear_bits(zeroed.known, node, node + (1 << order))


@kernel
def note_zeroed(memory, zeroed, rows):
    """Note the blocks that the host has zeroed, when they are back on their lists.

    One that has merged meanwhile gets no mark, and takes it from the block it is part of.
    ``rows`` is int64[n, 2]: node and order.  Source: page_reporting_drain().
    """
    for node, order in rows:
        for page in range(node, node + (1 << order)):
            set_bit(zeroed.zeroed, page)
        if page_is_buddy(memory, node, order):
            set_bit(zeroed.first, node)
            for page in range(node, node + (1 << order)):
                set_bit(zeroed.known, page)
        else:
            set_bit(zeroed.moved, node)
    settle(memory, zeroed)


@kernel
def note_refill(memory, zeroed, zone, order, migratetype):
    """Note the blocks on a pcp list, which may go back to the free lists without being used."""
    head = pcp_list_head(memory, zone, 0, order_to_pindex(migratetype, order))
    node = list_next(memory.links, head)
    while node != head:
        set_bit(zeroed.moved, node)
        node = list_next(memory.links, node)


@kernel
def allocate(memory, zeroed, order, migratetype):
    """Allocate a block that is to be clear, and count by which rule it is known to be.

    Returns
    -------
    int
        Its node, or a negative number if there is none.
    """
    node, zone, taken = alloc_pages(memory, 0, order, migratetype, 0)
    if node < 0:
        return node
    if taken > 1 and pcp_allowed_order(memory, order):
        note_refill(memory, zeroed, zone, order, migratetype)
    known = all_set(zeroed.known, node, order)
    zeroed.count[order, 0] += all_set(zeroed.zeroed, node, order)
    zeroed.count[order, 1] += known
    zeroed.count[order, 2] += known and test_bit(zeroed.first, node)
    zeroed.count[order, ALL] += 1
    behind = node + (1 << order)
    for bits in (zeroed.zeroed, zeroed.known, zeroed.first, zeroed.moved):
        clear_bits(bits, node, behind)
    return node


@kernel
def give_back(memory, zeroed, blocks):
    """Free blocks in their order.  ``blocks`` is int64[n]: node << 4 | order."""
    for block in blocks:
        free_pages(memory, block >> 4, 0, block & 0xF, 0)
        set_bit(zeroed.moved, block >> 4)
    settle(memory, zeroed)


@kernel
def map_memory(memory, zeroed, nr_pages, huge, blocks):
    """Map memory page by page, or in huge pages, with a page table for each 2 MiB.

    Parameters
    ----------
    blocks : int64[n]
        Gets node << 4 | order of each block, in the order of allocation.

    Returns
    -------
    int
        The number of blocks; those so far if memory runs out.  Where no huge page is left, pages
        take its place.
    """
    filled = 0
    for first in range(0, nr_pages, PAGEBLOCK_NR_PAGES):
        size = min(PAGEBLOCK_NR_PAGES, nr_pages - first)
        node = -1
        if huge and size == PAGEBLOCK_NR_PAGES:
            node = allocate(memory, zeroed, PAGEBLOCK_ORDER, MOVABLE)
        if node >= 0:
            blocks[filled] = node << 4 | PAGEBLOCK_ORDER
            filled += 1
            size = 0
        for part in range(size + 1):
            node = allocate(memory, zeroed, 0, MOVABLE if part < size else UNMOVABLE)
            if node < 0:
                return filled
            blocks[filled] = node << 4
            filled += 1
    return filled
