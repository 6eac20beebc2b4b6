"""Asking the memory ahead of time changes nothing; the flat counters count as others do."""

import numpy as np
import pytest

from benchmarks.ahead import prefetch_free
from freehint.jit import add_at, as_python, kernel, store_pair
from freehint.mm.buddy import SPLIT_LATER_ORDER, count_blocks, prefetch_block, rmqueue_smallest
from freehint.mm.list import CACHE_LINE, list_add
from freehint.mm.memory import MOVABLE, Memory, copy_memory, free_list_head, list_nodes
from memories import free_memory


@kernel
def ask_for_everything(memory):
    for node in range(0, memory.nr_pages, 1 << SPLIT_LATER_ORDER):
        prefetch_free(memory, node)
        prefetch_block(memory, node, SPLIT_LATER_ORDER)


def arrays(memory: Memory) -> dict:
    return {name: a.copy() for name, a in memory._asdict().items() if isinstance(a, np.ndarray)}


def test_asking_ahead_changes_nothing():
    memory = free_memory(pages=4096)
    before = arrays(memory)
    ask_for_everything(memory)
    for name, array in before.items():
        assert np.array_equal(array, getattr(memory, name)), name


@kernel
def added(array, index, change):
    return add_at(array, index, change)


@pytest.mark.parametrize("add", [added, add_at])
def test_add_at_counts_in_place_and_tells_the_new_value(add):
    counts = np.arange(24).reshape(2, 3, 4)
    assert add(counts, (1 * 3 + 2) * 4 + 1, -5) == 21 - 5
    expected = np.arange(24)
    expected[21] = 16
    assert counts.ravel().tolist() == expected.tolist()


@kernel
def store_and_link(values, links, node):
    store_pair(values, 3, -7, 8)
    list_add(links, node, 0)


@pytest.mark.parametrize("run", [store_and_link, as_python(store_and_link)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_two_elements_are_stored_at_once(run, dtype):
    values, links = np.arange(6, dtype=dtype), np.zeros(4, dtype)
    run(values, links, 1)
    assert values.tolist() == [0, 1, 2, -7, 8, 5]
    assert links.tolist() == [1, 1, 0, 0]


def test_a_node_that_is_none_is_refused_where_indices_are_checked():
    links = np.zeros(4, np.int32)
    with pytest.raises(IndexError):
        store_and_link.call_checked(np.arange(6, dtype=np.int32), links, 2)


def test_blocks_are_counted_on_their_own_list():
    memory = free_memory(pages=4096)
    before = memory.nr_free.copy()
    found = count_blocks(memory, 0, 7, MOVABLE, 3)
    assert found == before[0, 7, MOVABLE] + 3
    before[0, 7, MOVABLE] += 3
    assert np.array_equal(memory.nr_free, before)


@pytest.mark.parametrize("run", [rmqueue_smallest, as_python(rmqueue_smallest)])
def test_a_split_passes_the_order_asked_for_ahead_unharmed(run):
    memory = free_memory(pages=1024)
    (node,) = list_nodes(memory, free_list_head(memory, 0, 10, MOVABLE))
    assert run(memory, 0, 0, MOVABLE) == node
    for order in range(10):
        head = free_list_head(memory, 0, order, MOVABLE)
        assert list_nodes(memory, head).tolist() == [node + (1 << order)]
        assert memory.nr_free[0, order, MOVABLE] == 1


@pytest.mark.parametrize("pages", [1024, 1 << 17])
def test_buddies_of_small_orders_share_a_cache_line(pages):
    memory = free_memory(pages=pages)
    for one in (memory, copy_memory(memory)):
        for array in (one.links, one.frame):
            assert array.ctypes.data % CACHE_LINE == 0 and array.flags.c_contiguous
            assert array.flags.writeable
    copy = copy_memory(memory)
    assert not np.shares_memory(copy.links, memory.links)
    assert np.array_equal(copy.links, memory.links) and copy.frame.dtype == memory.frame.dtype
