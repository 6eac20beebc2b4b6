"""The kernels of reclaim and their plain twin agree: lists, order of frees, swap, shadows."""

import random

import pytest
from lru_guest import lru_guest, page_of, places_on

from freehint.mm.check import check_memory
from freehint.mm.memory import WMARK_HIGH
from freehint.mm.reclaim.lru import add_anon_page, add_file_page, mark_page_accessed, touch
from freehint.mm.reclaim.scan import snapshot_refaults
from freehint.mm.reclaim.shrink import shrink_node
from freehint.mm.reclaim.state import BY_KSWAPD, BY_TASK
from freehint.mm.reclaim.writeback import end_writeback, next_writeback
from freehint.mm.reference.reclaim import ANON, FILE, TwinReclaim
from memories import examples

LISTS = [(ANON, False), (ANON, True), (FILE, False), (FILE, True)]
ANON_FROM = 2000  # places from here on are anonymous


def one_pass(memory, reclaim, twin, chance):
    """The same pass over the node by both; the pages freed must agree in order."""
    who, priority = chance.choice((BY_KSWAPD, BY_TASK)), chance.choice((0, 1, 2, 3, 5, 12))
    sc = reclaim.control[who]
    sc.priority, sc.reclaim_idx, sc.nr_to_reclaim = priority, 3, chance.choice((1, 32, 60))
    sc.may_swap = sc.may_writepage = 1
    sc.nr_reclaimed = sc.force_deactivate = sc.proactive = reclaim.node[0].nr_freed = 0
    free = int(memory.zones.nr_free_pages.sum())
    high = int(memory.zones.watermark[:, WMARK_HIGH].sum() + memory.zones.watermark_boost.sum())
    twin.freed.clear()
    shrink_node(memory, reclaim, who, 0)
    got = twin.shrink_node(priority, int(sc.nr_to_reclaim), free, high, who == BY_KSWAPD)
    assert sc.nr_reclaimed == got
    assert reclaim.freed[: reclaim.node[0].nr_freed].tolist() == twin.freed
    if chance.random() < 0.5:
        snapshot_refaults(reclaim)
        twin.snapshot = list(twin.activated)


def use(memory, reclaim, twin, chance):
    """A place is used: its page comes, or is touched or read."""
    place = chance.randrange(500) + chance.choice((0, ANON_FROM))
    anon, write = place >= ANON_FROM, chance.random() < 0.3
    if place not in twin.at:
        node = page_of(memory)
        if node < 0:
            one_pass(memory, reclaim, twin, chance)
        elif anon:
            add_anon_page(memory, reclaim, node, place)
            twin.come(node, place, ANON)
        else:
            add_file_page(memory, reclaim, node, place, write)
            twin.come(node, place, FILE, write)
    elif anon or chance.random() < 0.3:
        touch(memory, reclaim, place, write)
        twin.touch(place, write)
    else:
        mark_page_accessed(memory, reclaim, int(reclaim.place[place]) - 1)
        twin.access(place)


def agree(memory, reclaim, twin):
    """Every list in order, what is in swap, the shadows, the costs."""
    for lru, key in enumerate(LISTS):
        assert places_on(memory, reclaim, lru) == [page.place for page in twin.lists[key]], key
    assert reclaim.swap_map.tolist() == [0 if p is None else p + 1 for p in twin.slots]
    state = reclaim.node[0]
    assert [state.anon_cost, state.file_cost] == twin.cost
    assert state.nonresident_age == twin.age
    shadows = {p: -1 - (2 * age + known) for p, (age, known) in twin.shadows.items()}
    assert {p: int(reclaim.place[p]) for p in shadows} == shadows
    assert state.nr_writeback == len(twin.ring)


@pytest.mark.parametrize("swap", [0, 40, 1000])
@pytest.mark.parametrize("seed", range(examples(4)))
def test_kernels_and_twin_agree_through_random_histories(seed, swap):
    memory, reclaim = lru_guest(swap=swap, pages=1024)
    twin, chance = TwinReclaim(swap), random.Random(seed)
    for _ in range(12):
        for _ in range(250):
            if chance.random() < 0.96:
                use(memory, reclaim, twin, chance)
            else:
                one_pass(memory, reclaim, twin, chance)
            if twin.ring and chance.random() < 0.5:
                end_writeback(memory, reclaim, next_writeback(reclaim))
                twin.written()
        agree(memory, reclaim, twin)
        check_memory(memory, reclaim)
    assert twin.stolen > 300
