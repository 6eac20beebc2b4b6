"""The plain twin of the generations and the kernels agree after any history, lists in order."""

import random

import pytest
from lru_guest import page_of, places_on

from freehint.mm.check import check_memory
from freehint.mm.profile import LINUX_6_12
from freehint.mm.reclaim.direct import begin_direct_reclaim
from freehint.mm.reclaim.lru import (
    add_anon_page,
    add_file_page,
    forget_place,
    mark_page_accessed,
    touch,
)
from freehint.mm.reclaim.lru_gen.aging import try_to_inc_max_seq
from freehint.mm.reclaim.lru_gen.evict import evict_folios
from freehint.mm.reclaim.lru_gen.generations import gen_head
from freehint.mm.reclaim.state import BY_TASK, new_reclaim
from freehint.mm.reference.lru_gen import Generations
from freehint.mm.zone import free_pages
from memories import free_memory

PLACES = 300  # of which the first half are of a file


def compare(memory, reclaim, twin):
    state = reclaim.node[0]
    assert (state.max_seq, reclaim.min_seq.tolist()) == (twin.max_seq, twin.min_seq)
    for (gen, kind), pages in twin.lists.items():
        lru = gen_head(memory, gen, kind, 0) - memory.nr_pages
        assert places_on(memory, reclaim, lru) == pages
        counted = sum(page.gen == gen and page.kind == kind for page in twin.pages.values())
        assert reclaim.gen_pages[gen, kind, 0] == counted
    check_memory(memory, reclaim)


def step(memory, reclaim, twin, chance, can_swap):
    place, what = chance.randrange(PLACES), chance.random()
    kind, there = int(place < PLACES // 2), reclaim.place[place] > 0
    if what < 0.01:
        try_to_inc_max_seq(memory, reclaim, can_swap)
        twin.age(can_swap)
    elif what < 0.02:
        begin_direct_reclaim(reclaim, 0, 3, 32)
        before = {p for p in twin.pages if twin.pages[p].kind == 1}
        evict_folios(memory, reclaim, BY_TASK, 0, 0)
        gone = {p for p in before if reclaim.place[p] <= 0}
        assert gone == set(twin.evict_file_pages())
        for p in gone:  # without a shadow: refaults are not the twin's
            reclaim.place[p] = 0
    elif not there:
        if kind:
            add_file_page(memory, reclaim, page_of(memory), place, False)
        else:
            add_anon_page(memory, reclaim, page_of(memory), place)
        twin.add(place, kind)
    elif what < 0.2:
        free_pages(memory, forget_place(memory, reclaim, place), 0, 0, 0)
        twin.forget(place)
    elif kind:
        for _ in range(chance.randrange(6)):
            mark_page_accessed(memory, reclaim, int(reclaim.place[place]) - 1)
            twin.pages[place].reads += 1
    else:
        touch(memory, reclaim, place, False)
        twin.pages[place].young = True


@pytest.mark.parametrize("seed", range(10))
def test_twin_and_kernels_agree_after_any_history(seed):
    chance = random.Random(seed)
    memory = free_memory(pages=2048, nr_cpus=1, profile=LINUX_6_12)
    reclaim, twin, can_swap = new_reclaim(memory, PLACES), Generations(), seed % 2 == 1
    for i in range(3000):
        step(memory, reclaim, twin, chance, can_swap)
        if i % 100 == 0:
            compare(memory, reclaim, twin)
    compare(memory, reclaim, twin)
    assert twin.max_seq > 4 and twin.min_seq[1] > 1
