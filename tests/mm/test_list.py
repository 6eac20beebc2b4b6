"""Steps of mm/list.py and mm/buddy.py: where a block comes to stand, which blocks merge."""

import numpy as np
import pytest

from freehint.mm.buddy import (
    FPI_NONE,
    FPI_TO_TAIL,
    buddy_merge_likely,
    del_page_from_free_list,
    expand,
    free_one_page,
    rmqueue_smallest,
)
from freehint.mm.check import check_memory
from freehint.mm.list import (
    gather_links,
    init_list_head,
    list_add,
    list_add_tail,
    list_del,
    list_del_init,
    list_empty,
    list_fill,
    list_length,
    list_move_tail,
    list_next,
    list_prev,
    list_turn,
    set_list,
)
from freehint.mm.memory import (
    BUDDY,
    GATHER_FROM,
    HIGHATOMIC,
    HINTED,
    ISOLATE,
    LRU,
    MOVABLE,
    RECLAIMABLE,
    REPORTED,
    UNMOVABLE,
    USER_BOOKMARK,
    USER_END,
    first_block,
    free_list_head,
    gathering_pays,
    list_nodes,
    user_node,
)
from freehint.mm.pageblock import (
    change_pageblock_range,
    move_freepages_block,
    move_to_free_list,
    pageblock_pages,
    set_pageblock_migratetype,
)
from memories import block_type, empty_memory, free_everything, free_memory

HEAD = 9  # of the bare lists below
NOT_GATHERED = np.zeros((0, 0), np.int32)


@pytest.fixture
def links():
    """Ten nodes, all lists of their own."""
    return np.repeat(np.arange(10, dtype=np.int32), 2)


def forward(links, head=HEAD):
    """Nodes along next; the same must come along prev."""
    nodes = np.empty(list_length(links, head), np.int64)
    assert list_fill(links, NOT_GATHERED, 0, 0, head, len(links), nodes) == len(nodes)
    backward, node = [], list_prev(links, head)
    while node != head:
        backward.append(node)
        node = list_prev(links, node)
    assert backward == nodes.tolist()[::-1]
    return nodes.tolist()


def test_a_new_list_is_empty(links):
    links[2 * HEAD : 2 * HEAD + 2] = 5
    init_list_head(links, HEAD)
    assert list_empty(links, HEAD)
    assert forward(links) == []


def test_list_add_puts_first_and_list_add_tail_last(links):
    for node in (1, 2):
        list_add(links, node, HEAD)
    list_add_tail(links, 3, HEAD)
    assert forward(links) == [2, 1, 3]
    assert not list_empty(links, HEAD)
    assert (list_next(links, HEAD), list_prev(links, HEAD)) == (2, 3)


def test_a_node_can_be_put_beside_any_node(links):
    set_list(links, HEAD, [1, 2])
    list_add(links, 3, 1)
    list_add_tail(links, 4, 1)
    assert forward(links) == [4, 1, 3, 2]


@pytest.mark.parametrize(("last", "order"), [(1, [2, 3, 4, 1]), (3, [4, 1, 2, 3])])
def test_list_turn_puts_the_first_ones_behind_the_others(links, last, order):
    set_list(links, HEAD, [1, 2, 3, 4])
    list_turn(links, HEAD, last)
    assert forward(links) == order


@pytest.mark.parametrize("node", [1, 2, 3])
def test_list_del_joins_the_neighbours(links, node):
    set_list(links, HEAD, [1, 2, 3])
    list_del(links, node)
    assert forward(links) == [n for n in (1, 2, 3) if n != node]


def test_list_del_init_leaves_a_list_of_its_own(links):
    set_list(links, HEAD, [1, 2])
    list_del_init(links, 1)
    assert list_empty(links, 1)
    assert forward(links) == [2]


def test_list_move_tail_takes_a_node_to_another_list(links):
    set_list(links, HEAD, [1, 2])
    set_list(links, 8, [3])
    list_move_tail(links, 1, 8)
    assert forward(links) == [2]
    assert forward(links, 8) == [3, 1]


def test_set_list_links_both_ways(links):
    set_list(links, HEAD, [4, 1, 7])
    assert forward(links) == [4, 1, 7]


@pytest.mark.parametrize("length", range(6))
def test_a_list_is_filled_in_from_both_ends_without_the_nodes_behind_the_end(links, length):
    """Node 8 stands for a bookmark: at the head, between pages, at the tail."""
    pages = [5, 2, 7, 1, 4][:length]
    for at in range(length + 1):
        listed = [*pages[:at], 8, *pages[at:]]
        set_list(links, HEAD, listed)
        for room in range(length):
            short = np.zeros(room, np.int64)
            assert list_fill(links, NOT_GATHERED, 0, 0, HEAD, 8, short) == -1
        for room in range(length, length + 3):
            nodes = np.zeros(room, np.int64)
            assert list_fill(links, NOT_GATHERED, 0, 0, HEAD, 8, nodes) == length
            assert nodes[:length].tolist() == pages


def test_gathered_links_are_followed_where_there_are_any():
    links = np.repeat(np.arange(40, dtype=np.int32), 2)
    set_list(links, 33, [24, 0, 34, 16])  # 32 frames; 33 the head, 34 a bookmark
    gathered = np.zeros((2, 4), np.int32)
    assert gather_links(links, gathered, 32, 3) == 32
    assert gathered.tolist() == [[34, 8, 33, 0], [24, 8, 34, 33]]
    only_next = np.zeros((1, 4), np.int32)
    assert gather_links(links, only_next, 32, 3) == 32
    assert only_next.tolist() == gathered[:1].tolist()
    links[[0, 1, 32, 33, 48, 49]] = -1  # what was gathered is not looked at again
    nodes = np.zeros(3, np.int64)
    assert list_fill(links, gathered, 32, 3, 33, 32, nodes) == 3
    assert nodes.tolist() == [24, 0, 16]


@pytest.mark.parametrize("order", [8, 9, 10])
@pytest.mark.parametrize("bookmarks", [0, 2])
@pytest.mark.parametrize("miscounted", [-2, 0, 2])
def test_list_nodes_is_the_list_whatever_the_counter_says(order, bookmarks, miscounted):
    """Orders 9 and 10 are gathered: half the possible blocks stand on the list."""
    pages = GATHER_FROM << order
    memory = empty_memory({"Normal": (4096, 4096 + pages)})
    head = free_list_head(memory, 0, order, MOVABLE)
    generator = np.random.default_rng(order)
    nodes = generator.permutation(np.arange(0, pages, 2 << order)).tolist()
    assert gathering_pays(memory, order, len(nodes)) == (order >= 9)
    assert not gathering_pays(memory, order, len(nodes) // 8)
    listed = list(nodes)
    for user in range(bookmarks):
        listed.insert(7 * user, user_node(memory, user, USER_BOOKMARK))
    set_list(memory.links, head, listed)
    memory.nr_free[0, order, MOVABLE] = len(nodes) + miscounted
    assert list_nodes(memory, head).tolist() == nodes


def on_list(memory, order, migratetype=MOVABLE, zone=0):
    """Nodes on a free list, head first."""
    return list_nodes(memory, free_list_head(memory, zone, order, migratetype)).tolist()


def free(memory, node, order, migratetype=MOVABLE, flags=FPI_NONE):
    free_one_page(memory, node, 0, order, migratetype, flags)
    check_memory(memory)


def allocated(pages=4096):
    """One zone, nothing free, all pageblocks MOVABLE."""
    return empty_memory({"DMA32": (4096, 4096 + pages)})


def test_a_freed_block_goes_to_the_head():
    memory = allocated()
    for node in (0, 16, 32):
        free(memory, node, 0)
    assert on_list(memory, 0) == [32, 16, 0]


def test_to_tail_puts_it_last():
    memory = allocated()
    for node in (0, 16, 32):
        free(memory, node, 0, flags=FPI_TO_TAIL)
    assert on_list(memory, 0) == [0, 16, 32]


def test_a_block_whose_merge_would_merge_again_goes_to_the_tail():
    memory = allocated()
    free(memory, 16, 0)
    free(memory, 2, 1)  # the buddy of 0..1, which page 0 would become
    free(memory, 0, 0)
    assert on_list(memory, 0) == [16, 0]


def test_a_free_block_of_another_order_does_not_make_a_merge_likely():
    memory = allocated()
    free(memory, 16, 0)
    free(memory, 2, 0)
    free(memory, 0, 0)
    assert on_list(memory, 0) == [0, 2, 16]


@pytest.mark.parametrize(("order", "to_tail"), [(8, True), (9, False)])
def test_no_merge_is_likely_from_order_9_on(order, to_tail):
    memory = allocated(pages=8192)
    merged = 2 << order
    free(memory, 4096, order)
    free(memory, merged, order + 1)
    free(memory, 0, order)
    assert on_list(memory, order) == ([4096, 0] if to_tail else [0, 4096])


def test_buddy_merge_likely_never_looks_past_the_largest_order():
    memory = free_memory(pages=4096)
    assert not buddy_merge_likely(memory, 0, 1024, 10)


def test_the_place_is_decided_for_the_merged_block():
    memory = allocated()
    free(memory, 32, 1)
    free(memory, 4, 2)  # makes the merge of 0..3 likely
    free(memory, 64, 2)
    free(memory, 2, 1)
    free(memory, 0, 0)
    free(memory, 1, 0)  # 0..1, then 0..3, then 0..7: on order 3 nothing is likely
    assert on_list(memory, 3) == [0]
    assert on_list(memory, 2) == [64]
    assert on_list(memory, 1) == [32]


def test_freeing_everything_page_by_page_merges_it_all():
    memory = allocated()
    for node in np.random.default_rng(1).permutation(4096).tolist():
        free_one_page(memory, node, 0, 0, MOVABLE, FPI_NONE)
    check_memory(memory)
    assert sorted(on_list(memory, 10)) == [0, 1024, 2048, 3072]
    assert memory.zones.nr_free_pages[0] == 4096


def test_the_freed_type_names_the_list_and_pageblocks_keep_theirs():
    memory = allocated()
    free(memory, 0, 9, UNMOVABLE)
    free(memory, 512, 9, MOVABLE)
    assert on_list(memory, 10, MOVABLE) == [0]
    assert block_type(memory, 0) == block_type(memory, 512) == MOVABLE


@pytest.mark.parametrize(
    ("pageblock", "freed", "merges"),
    [
        (MOVABLE, UNMOVABLE, True),
        (RECLAIMABLE, MOVABLE, True),
        (HIGHATOMIC, HIGHATOMIC, True),
        (HIGHATOMIC, MOVABLE, False),
        (MOVABLE, HIGHATOMIC, False),
        (ISOLATE, MOVABLE, False),
        (MOVABLE, ISOLATE, False),
    ],
)
def test_whole_pageblocks_merge_only_with_their_kind(pageblock, freed, merges):
    memory = allocated()
    set_pageblock_migratetype(memory, 0, pageblock)
    free(memory, 0, 9, pageblock)
    free(memory, 512, 9, freed)
    assert on_list(memory, 10, freed) == ([0] if merges else [])
    assert on_list(memory, 9, freed) == ([] if merges else [512])


def test_below_a_pageblock_types_do_not_hinder_a_merge():
    memory = allocated()
    free(memory, 0, 8, HIGHATOMIC)
    free(memory, 256, 8, MOVABLE)
    assert on_list(memory, 9, MOVABLE) == [0]


def test_order_10_does_not_merge():
    memory = allocated()
    free(memory, 0, 10)
    free(memory, 1024, 10)
    assert on_list(memory, 10) == [1024, 0]


def test_isolated_pages_are_not_counted_as_free():
    memory = allocated()
    set_pageblock_migratetype(memory, 0, ISOLATE)
    free(memory, 0, 0, ISOLATE)
    free(memory, 1024, 0)
    assert memory.zones.nr_free_pages[0] == 1


def test_expand_puts_the_upper_halves_at_the_heads():
    memory = allocated()
    free(memory, 32, 0)
    expand(memory, 8, 0, 0, 3, MOVABLE)
    assert [on_list(memory, order) for order in range(4)] == [[9, 32], [10], [12], []]


def test_rmqueue_smallest_takes_the_head_of_the_smallest_list():
    memory = allocated()
    for node, order in ((0, 3), (64, 2), (128, 2)):
        free(memory, node, order)
    assert rmqueue_smallest(memory, 0, 1, MOVABLE) == 128
    assert [on_list(memory, order) for order in (1, 2, 3)] == [[130], [64], [0]]
    assert memory.zones.nr_free_pages[0] == 14
    check_memory(memory)


def test_rmqueue_smallest_finds_nothing_of_another_type_or_a_smaller_order():
    memory = allocated()
    free(memory, 0, 2, UNMOVABLE)
    free(memory, 64, 2)
    assert rmqueue_smallest(memory, 0, 3, MOVABLE) == -1
    assert rmqueue_smallest(memory, 0, 2, RECLAIMABLE) == -1


@pytest.mark.parametrize("which", [USER_BOOKMARK, USER_END])
def test_rmqueue_smallest_steps_over_a_bookmark(which):
    memory = free_memory(pages=2048)
    head, bookmark = free_list_head(memory, 0, 10, MOVABLE), user_node(memory, 1, which)
    set_list(memory.links, head, [bookmark, 0, 1024])
    assert first_block(memory, head) == 0
    assert rmqueue_smallest(memory, 0, 10, MOVABLE) == 0
    assert forward(memory.links, head) == [bookmark, 1024]
    check_memory(memory)


def test_a_list_with_nothing_but_bookmarks_is_empty():
    memory = allocated()
    head = free_list_head(memory, 0, 10, MOVABLE)
    set_list(memory.links, head, [user_node(memory, u, USER_BOOKMARK) for u in range(3)])
    assert first_block(memory, head) == head
    assert rmqueue_smallest(memory, 0, 0, MOVABLE) == -1
    check_memory(memory)


def test_a_hint_ends_when_its_block_leaves_the_list():
    memory = free_memory(pages=2048)
    memory.frame[0] |= REPORTED | HINTED
    del_page_from_free_list(memory, 0, 0, 10)
    assert memory.frame[0] == 0
    assert on_list(memory, 10) == [1024]


def test_a_hint_ends_when_its_block_is_merged():
    memory = allocated()
    free(memory, 0, 9)
    memory.frame[0] |= REPORTED | HINTED
    free(memory, 512, 9)
    assert memory.frame[0] == BUDDY | 10 | MOVABLE << 8


def test_a_hint_survives_the_move_to_another_type():
    memory = free_memory(pages=2048)
    memory.frame[0] |= REPORTED | HINTED
    move_to_free_list(memory, 0, 0, 10, UNMOVABLE)
    assert memory.frame[0] == BUDDY | 10 | UNMOVABLE << 8 | REPORTED | HINTED
    assert (on_list(memory, 10, UNMOVABLE), on_list(memory, 10)) == ([0], [1024])
    check_memory(memory)


def test_a_stolen_block_goes_to_the_tail():
    memory = free_memory(pages=4096)
    for node in (2048, 0):
        move_to_free_list(memory, node, 0, 10, UNMOVABLE)
    assert on_list(memory, 10, UNMOVABLE) == [2048, 0]


def test_a_pageblock_is_moved_in_address_order():
    memory = allocated()
    for node in (600, 512, 700, 520):
        free(memory, node, 0)
    assert move_freepages_block(memory, 600, 0, UNMOVABLE) == 4
    assert on_list(memory, 0, UNMOVABLE) == [512, 520, 600, 700]
    check_memory(memory)


def test_what_a_pageblock_holds():
    memory = free_everything(empty_memory({"DMA32": (4096, 4096 + 700)}))
    assert rmqueue_smallest(memory, 0, 3, MOVABLE) == 688
    assert rmqueue_smallest(memory, 0, 8, MOVABLE) == 0
    memory.frame[0:5] = LRU
    assert pageblock_pages(memory, 300, 0) == (256, 5)
    assert pageblock_pages(memory, 688, 0) == (-1, 0)  # it leaves the zone


def test_a_pageblock_that_leaves_the_zone_is_not_moved():
    memory = free_everything(empty_memory({"DMA32": (4096, 4096 + 700)}))
    assert on_list(memory, 7) == [512]
    assert move_freepages_block(memory, 512, 0, UNMOVABLE) == -1
    assert move_freepages_block(memory, 0, 0, UNMOVABLE) == 512
    check_memory(memory)


def test_retagging_keeps_the_skip_bit_and_the_holes():
    memory = allocated(pages=2048)
    memory.pageblock[:] = (MOVABLE | 8, 0xFF, MOVABLE, MOVABLE | 8)
    change_pageblock_range(memory, 0, 10, RECLAIMABLE)
    set_pageblock_migratetype(memory, 1024 + 17, UNMOVABLE)
    assert memory.pageblock.tolist() == [RECLAIMABLE | 8, 0xFF, UNMOVABLE, MOVABLE | 8]
