"""Step 1 of the five steps: a policy is called before an allocation falls back or fails."""

import numpy as np
import pytest

from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.callback import NEEDS_CALLBACK
from freehint.mm.memory import (
    CALLED,
    EMPTIED,
    HEADS,
    MOVABLE,
    NR_ORDERS,
    UNMOVABLE,
    WATCH_EMPTY,
    copy_memory,
)
from freehint.mm.zone import NO_PAGE, alloc_pages
from memories import empty_memory


def of_one_type(pages, watched=True):
    """A zone with ``pages`` free pages of order 0, all MOVABLE, and no other type's."""
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(-1, -1, -1))
    for i in range(pages):
        free_block(memory, 2 * i, 0, 0, FPI_NONE)
    memory.notify[WATCH_EMPTY] = watched
    return memory


def same(memory, other) -> bool:
    names = ("links", "frame", "pageblock", "nr_free", "zones", "pcp")
    return all(np.array_equal(getattr(memory, n), getattr(other, n)) for n in names)


@pytest.mark.parametrize("order", [0, 4])  # through a pcp list, and straight from the buddy lists
def test_nothing_is_done_before_the_callback(order):
    memory = of_one_type(0)
    free_block(memory, 1024, 0, 5, FPI_NONE)
    before = copy_memory(memory)
    assert alloc_pages(memory, 0, order, UNMOVABLE, 0) == (NEEDS_CALLBACK, 0, 0)
    assert same(memory, before)
    place, migratetype = divmod(int(memory.notify[EMPTIED]) - 1, HEADS)
    assert (divmod(place, NR_ORDERS), migratetype) == ((0, order), UNMOVABLE)


def test_after_a_callback_that_gave_nothing_the_request_falls_back():
    memory = of_one_type(0)
    free_block(memory, 1024, 0, 5, FPI_NONE)
    assert alloc_pages(memory, 0, 4, UNMOVABLE, 0)[0] == NEEDS_CALLBACK
    assert memory.notify[CALLED] == 1
    assert alloc_pages(memory, 0, 4, UNMOVABLE, 0)[0] == 1024
    assert memory.notify[CALLED] == 0  # the next allocation calls again
    assert alloc_pages(memory, 0, 10, UNMOVABLE, 0)[0] == NEEDS_CALLBACK


def test_a_callback_that_gave_blocks_back_prevents_the_fallback():
    memory = of_one_type(0)
    free_block(memory, 1024, 0, 5, FPI_NONE)
    memory.pageblock[0] = UNMOVABLE
    assert alloc_pages(memory, 0, 4, UNMOVABLE, 0)[0] == NEEDS_CALLBACK
    free_block(memory, 0, 0, 4, FPI_NONE)
    assert alloc_pages(memory, 0, 4, UNMOVABLE, 0)[0] == 0
    assert memory.nr_free[0, 5, MOVABLE] == 1


def test_a_zone_with_nothing_at_all_is_called_for_once_before_the_request_fails():
    memory = of_one_type(0)
    answers = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(4)]
    assert answers == [NEEDS_CALLBACK, NO_PAGE] * 2


def test_each_zone_is_called_for_once():
    memory = empty_memory({"DMA": (0, 4096), "DMA32": (4096, 8192)}, watermark=(-1, -1, -1))
    memory.notify[WATCH_EMPTY] = 1
    answers = [alloc_pages(memory, 0, 0, MOVABLE, 0)[:2] for _ in range(3)]
    assert answers == [(NEEDS_CALLBACK, 1), (NEEDS_CALLBACK, 0), (NO_PAGE, -1)]


def test_a_refill_ends_where_the_lists_of_its_type_do():
    memory = of_one_type(3)
    memory.pageblock[2] = UNMOVABLE
    free_block(memory, 1024, 0, 5, FPI_NONE)
    nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(3)]
    assert sorted(nodes) == [0, 2, 4] and memory.pcp[0, 0].count == 0
    assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] == NEEDS_CALLBACK
    assert memory.nr_free[0, 5, UNMOVABLE] == 1
    assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] >= 1024
    assert memory.pcp[0, 0].count == 6  # the rest of a whole refill of 7


def test_without_a_watching_policy_the_refill_goes_on_at_once():
    memory = of_one_type(3, watched=False)
    memory.pageblock[2] = UNMOVABLE
    free_block(memory, 1024, 0, 5, FPI_NONE)
    assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] in (0, 2, 4)
    assert memory.pcp[0, 0].count == 6
    assert memory.notify[CALLED] == memory.notify[EMPTIED] == 0
