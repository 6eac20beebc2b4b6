"""What a guest knows of host-zeroed pages: bits of pages against marks that blocks carry."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehint.jit.pinned import pinned
from freehint.mm.bitmap import count_bits
from freehint.mm.buddy import FPI_SKIP_REPORT_NOTIFY, FPI_TO_TAIL
from freehint.mm.isolate import isolate_free_page, putback_page
from freehint.mm.memory import BUDDY, MOVABLE, PCP, UNMOVABLE, frame_order
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.reference import buddy as twin_buddy
from freehint.mm.reference import isolate as twin_isolate
from freehint.mm.reference import pcp as twin_pcp
from freehint.mm.reference import zone as twin_zone
from freehint.mm.reference.convert import from_memory, same_lists
from freehint.mm.zone import free_pages
from freehint.studies.costs.zeroed import ALL, allocate, give_back, new_zeroed, note_zeroed, settle
from memories import SETTINGS, busy_memory, examples, free_memory

PUTBACK = FPI_SKIP_REPORT_NOTIFY | FPI_TO_TAIL


def bits_of(words) -> np.ndarray:
    """One bool for each page."""
    return np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)


class Marks:
    """The marks as the series keeps them, one for each block, on the allocator's plain twin.

    ``blocks`` has pfn -> mark of each free block, ``pages`` those of blocks that are in no list or
    on a pcp list; ``merging`` is the mark of the block that is being freed.
    """

    def __init__(self, patch):
        self.blocks, self.pages, self.merging = {}, {}, None
        free, delete = twin_buddy.free_one_page, twin_buddy.del_page_from_free_list

        def free_one_page(twin, zone, pfn, *rest):
            self.merging = self.pages.pop(pfn, False)
            free(twin, zone, pfn, *rest)
            self.merging = None

        def del_page_from_free_list(twin, zone, pfn, order):
            delete(twin, zone, pfn, order)
            mark = self.blocks.pop(pfn, False)
            if self.merging is None:  # it is to be split, or goes as a whole
                self.pages[pfn] = self.split = mark
            else:
                self.merging = self.merging and mark

        def adds(add):
            def added(twin, zone, pfn, *rest):
                add(twin, zone, pfn, *rest)
                self.blocks[pfn] = self.split if self.merging is None else self.merging

            return added

        for module in (twin_buddy, twin_isolate):
            patch.setattr(module, "del_page_from_free_list", del_page_from_free_list)
        for module in (twin_buddy, twin_isolate, twin_pcp):
            patch.setattr(module, "free_one_page", free_one_page)
        for name in ("add_to_free_list", "add_to_free_list_tail"):
            patch.setattr(twin_buddy, name, adds(getattr(twin_buddy, name)))


class Pair:
    """A memory with bits and a twin with marks, and what is allocated in both."""

    def __init__(self, memory, live, patch):
        self.memory, self.live = memory, live
        self.zeroed, self.twin, self.marks = new_zeroed(memory), from_memory(memory), Marks(patch)
        self.pinned = pinned(memory), pinned(self.zeroed)
        self.true = set()  # pfns that the host has zeroed and nobody has had since
        self.lost = 0

    def allocate(self, order, migratetype):
        before = self.zeroed.count[order].copy()
        node = allocate(*self.pinned, order, migratetype)
        got = twin_zone.alloc_pages(self.twin, 0, order, migratetype)
        if got is None:
            assert node < 0
            return
        pfn = got[0]
        assert node + self.memory.base_pfn == pfn
        pages = set(range(pfn, pfn + (1 << order)))
        mark, true = self.marks.pages.pop(pfn, False), pages <= self.true
        told = (self.zeroed.count[order] - before).tolist()
        assert told[:2] == [true, mark] and told[ALL] == 1 and told[2] <= mark
        self.lost += true and not mark
        self.true -= pages
        self.live.append((node, order))

    def free(self, which):
        node, order = self.live.pop(which % len(self.live))
        give_back(*self.pinned, np.array([node << 4 | order], np.int64))
        twin_zone.free_pages(self.twin, node + self.memory.base_pfn, 0, order)

    def report(self, chance):
        """Isolate free blocks, let the guest free others, zero the former and put them back."""
        free = np.flatnonzero(self.memory.frame & BUDDY)
        rows, base = [], self.memory.base_pfn
        for node in chance.sample(free.tolist(), min(len(free), 12)):
            order = frame_order(self.memory.frame[node])
            if isolate_free_page(self.memory, node, 0):
                assert twin_isolate.isolate_free_page(self.twin, node + base, 0)
                rows.append((node, order))
        for _ in range(min(len(self.live), chance.choice((0, 20)))):
            self.free(chance.randrange(1 << 20))
        for node, order in rows:
            putback_page(self.memory, node, PUTBACK)
            twin_isolate.putback_isolated_page(self.twin, node + base, order)
        for node, order in rows:
            self.true |= set(range(node + base, node + base + (1 << order)))
            if self.twin.buddy.get(node + base) == order:
                self.marks.blocks[node + base] = True
        if rows:
            note_zeroed(*self.pinned, np.array(rows, np.int64))

    def compare(self):
        """Both have the same blocks, and a block's mark is the bits of all its pages."""
        assert same_lists(self.twin, self.memory)
        base, known = self.memory.base_pfn, bits_of(self.zeroed.known)
        for pfn, order in self.twin.buddy.items():
            part = known[pfn - base : pfn - base + (1 << order)]
            assert part.all() if self.marks.blocks.get(pfn, False) else not part.any()
        for node in np.flatnonzero(self.memory.frame & PCP).tolist():
            assert known[node] == self.marks.pages.get(node + base, False)
        true = bits_of(self.zeroed.zeroed)
        assert (np.flatnonzero(true) + base).tolist() == sorted(self.true)
        assert not (known & ~true).any()


def play(spans, seed, patch, steps=50) -> Pair:
    """A random history of a random guest, compared after every step."""
    chance = random.Random(seed)
    memory, live = busy_memory(spans, seed % 8)
    for _ in range(min(30, len(live))):  # some lie on pcp lists before anything is known
        node, order = live.pop()
        free_pages(memory, node, 0, order, 0)
    pair = Pair(memory, live, patch)
    pair.report(chance)
    for _ in range(steps):
        what = chance.random()
        if what < 0.1:
            pair.report(chance)
        elif what < 0.55 or not pair.live:
            order = chance.choice((0, 0, 0, 0, 1, 3, 6, 9))
            pair.allocate(order, chance.choice((MOVABLE, MOVABLE, UNMOVABLE)))
        else:
            pair.free(chance.randrange(1 << 20))
        pair.compare()
    return pair


@settings(SETTINGS, max_examples=examples(25))
@given(st.sampled_from(("one", "ragged", "dma")), st.integers(0, 10_000))
def test_the_bits_of_pages_are_the_marks_of_blocks(spans, seed):
    with pytest.MonkeyPatch.context() as patch:
        play(spans, seed, patch)


def test_a_split_keeps_the_mark_and_a_merge_with_used_memory_loses_it():
    memory = free_memory()
    zeroed = new_zeroed(memory)
    both = pinned(memory), pinned(zeroed)
    note_zeroed(*both, np.array([(0, 10)], np.int64))
    zeroed_pages = int(count_bits(zeroed.zeroed))
    lower = allocate(*both, 9, MOVABLE)
    assert zeroed.count[9].tolist() == [1, 1, 1, 1]  # taken from the marked block itself
    upper = allocate(*both, 9, MOVABLE)
    assert (lower, upper, zeroed_pages) == (0, 512, 1024)
    assert zeroed.count[9].tolist() == [2, 2, 1, 2]  # the other half of the split
    note_zeroed(*both, np.array([(1024, 10)], np.int64))
    lower = allocate(*both, 9, MOVABLE)
    give_back(*both, np.array([lower << 4 | 9], np.int64))
    for zone, cpu in np.ndindex(*memory.pcp.shape):
        drain_pages_zone(memory, zone, cpu)
    settle(*both)
    assert memory.frame[lower] & BUDDY and frame_order(memory.frame[lower]) == 10
    assert count_bits(zeroed.zeroed) == 512 and count_bits(zeroed.known) == 0
    allocate(*both, 9, MOVABLE)
    allocate(*both, 9, MOVABLE)
    assert zeroed.count[9].tolist() == [4, 3, 2, 5]  # zeroed, and nobody knows
