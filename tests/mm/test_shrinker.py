"""The hint shrinker by priority, beside do_shrink_slab()'s arithmetic in plain Python."""

import numpy as np
import pytest

import freehint as fh
from freehint.mm.list import list_add
from freehint.mm.memory import ISOLATED, USER_LIST, list_nodes, user_node
from freehint.mm.reclaim.shrinker import (
    count_objects,
    do_shrink_slab,
    new_shrinkers,
    shrink_slab,
)
from memories import empty_memory


def holding(blocks, user=0):
    """A guest whose balloon holds so many blocks of order 10, the last one at the end of memory."""
    memory = empty_memory({"DMA32": (0, 1024 * (blocks + 1))}, watermark=(-1, -1, -1))
    for i in range(blocks):
        memory.frame[1024 * i] = ISOLATED | 10
        list_add(memory.links, 1024 * i, user_node(memory, user, USER_LIST))
    return memory


def plain(blocks, deferred, priority):
    """The same in plain Python: blocks left, nr_deferred, pages scanned."""
    freeable = blocks * 1024
    if freeable == 0:
        return 0, deferred, 0
    delta = (freeable >> priority) * 4 // 2
    total, scanned = min((deferred >> priority) + delta, 2 * freeable), 0
    while total and (total >= 128 or total >= freeable):
        batch = min(128, total)
        blocks = max(blocks - -(-batch // 1024), 0)
        total, scanned = total - batch, scanned + batch
    return blocks, min(max(deferred + delta - scanned, 0), 2 * freeable), scanned


@pytest.mark.parametrize("seed", range(20))
def test_passes_of_reclaim_free_and_defer_as_the_plain_twin_does(seed):
    chance = np.random.default_rng(seed)
    blocks = int(chance.integers(1, 400))
    memory, shrinkers, deferred = holding(blocks), new_shrinkers(), 0
    shrinkers[0].registered = 1
    for _ in range(30):
        priority = int(chance.integers(0, 13))
        before = blocks
        blocks, deferred, looked = plain(blocks, deferred, priority)
        freed, scanned = shrink_slab(memory, shrinkers, priority)
        assert (freed, scanned) == ((before - blocks) * 1024, looked)
        assert count_objects(memory, 0) == blocks * 1024
        assert shrinkers[0].nr_deferred == deferred
    fh.check_memory(memory)


def test_the_first_passes_free_nothing_of_a_small_balloon():
    memory, shrinkers = holding(100), new_shrinkers()
    # 100 blocks ask for 50 pages at priority 12; a rest of an earlier pass is shifted away.
    passes = [do_shrink_slab(memory, shrinkers, 0, 12) for _ in range(5)]
    assert passes == [(0, 0)] * 5 and shrinkers[0].nr_deferred == 250
    # At priority 9 it is 400 pages: three scans, so three blocks.
    assert do_shrink_slab(memory, shrinkers, 0, 9) == (3 * 1024, 3 * 128)


def test_the_block_taken_last_comes_back_first():
    memory, shrinkers = holding(4), new_shrinkers()
    assert do_shrink_slab(memory, shrinkers, 0, 3)[0] == 4 * 1024  # 1,024 pages: eight scans
    memory = holding(200)
    assert do_shrink_slab(memory, shrinkers, 0, 11)[0] == 1024
    held = list_nodes(memory, user_node(memory, 0, USER_LIST))
    assert 199 * 1024 not in held and len(held) == 199


def test_who_is_not_registered_keeps_its_blocks():
    memory, shrinkers = holding(10, user=1), new_shrinkers()
    shrinkers[0].registered = 1
    assert shrink_slab(memory, shrinkers, 0) == (0, 0)
    shrinkers[1].registered = 1
    assert shrink_slab(memory, shrinkers, 0)[0] == 10 * 1024
