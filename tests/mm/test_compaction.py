"""Compaction: its fast search turns a free list, its free scanner takes pages to move others to."""

import pytest

from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.check import check_memory
from freehint.mm.compact.proactive import (
    begin_compaction,
    isolate_freepages,
    new_compact_control,
    take_target,
)
from freehint.mm.compact.turn import move_freelist_head, move_freelist_tail
from freehint.mm.list import list_next, list_prev, set_list
from freehint.mm.memory import (
    HINTED,
    MOVABLE,
    REPORTED,
    UNMOVABLE,
    USER_BOOKMARK,
    free_list_head,
    list_nodes,
    user_node,
)
from freehint.mm.pageblock import set_pageblock_migratetype
from memories import empty_memory, free_memory

BLOCKS = [0, 1024, 2048, 3072]


@pytest.fixture
def memory():
    """Four blocks of order 10 on one list, ascending."""
    return free_memory(pages=4096)


def head_of(memory):
    return free_list_head(memory, 0, 10, MOVABLE)


def blocks(memory):
    return list_nodes(memory, head_of(memory)).tolist()


@pytest.mark.parametrize("at", range(4))
def test_a_list_turned_to_the_head_begins_with_the_block(memory, at):
    move_freelist_head(memory, head_of(memory), BLOCKS[at])
    assert blocks(memory) == BLOCKS[at:] + BLOCKS[:at]
    check_memory(memory)


@pytest.mark.parametrize("at", range(4))
def test_a_list_turned_to_the_tail_ends_with_the_block(memory, at):
    move_freelist_tail(memory, head_of(memory), BLOCKS[at])
    assert blocks(memory) == BLOCKS[at + 1 :] + BLOCKS[: at + 1]
    check_memory(memory)


@pytest.mark.parametrize("move", [move_freelist_head, move_freelist_tail])
def test_a_list_of_one_block_stays(move):
    memory = free_memory(pages=1024)
    move(memory, head_of(memory), 0)
    assert blocks(memory) == [0]
    check_memory(memory)


@pytest.mark.parametrize("move", [move_freelist_head, move_freelist_tail])
def test_other_lists_counters_and_marks_stay(memory, move):
    memory.frame[1024] |= REPORTED | HINTED
    frame, nr_free = memory.frame.copy(), memory.nr_free.copy()
    free, others = memory.zones.nr_free_pages[0], memory.links.reshape(-1, 2).copy()
    move(memory, head_of(memory), 1024)
    assert (memory.frame == frame).all() and (memory.nr_free == nr_free).all()
    assert memory.zones.nr_free_pages[0] == free
    moved = [*BLOCKS, head_of(memory)]
    others[moved] = memory.links.reshape(-1, 2)[moved]
    assert (memory.links.reshape(-1, 2) == others).all()


def test_a_bookmark_keeps_its_place_among_the_blocks(memory):
    bookmark = user_node(memory, 0, USER_BOOKMARK)
    set_list(memory.links, head_of(memory), [0, bookmark, 1024, 2048, 3072])
    move_freelist_head(memory, head_of(memory), 2048)
    assert blocks(memory) == [2048, 3072, 0, 1024]
    assert list_prev(memory.links, bookmark) == 0
    assert list_next(memory.links, bookmark) == 1024
    check_memory(memory)


def pages_in_hand(free, watermark=0):
    """What the free scanner takes for 8 pages of a zone with these free blocks, in its order."""
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(watermark,) * 3)
    set_pageblock_migratetype(memory, 3584, UNMOVABLE)
    for node, order in free:
        free_block(memory, node, 0, order, FPI_NONE)
    control = new_compact_control()
    begin_compaction(memory, control, 0)
    return [take_target(control) for _ in range(isolate_freepages(memory, control, 0, 8))]


def test_the_free_scanner_takes_blocks_of_movable_pageblocks_that_are_partly_used():
    # 3584 is UNMOVABLE, 3072 wholly free; a block's pages are used from the first one on.
    assert pages_in_hand([(3584, 3), (3072, 9), (2560, 3), (2048, 3)]) == [*range(2560, 2568)]


def test_the_free_scanner_leaves_the_min_watermark():
    assert pages_in_hand([(2560, 2), (2568, 2)], watermark=2) == [*range(2560, 2564)]
