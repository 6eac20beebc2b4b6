"""The multi-generation LRU: where pages come to stand, what is evicted, what refaults do."""

import random

import pytest
from lru_guest import page_of, places_on, shrink_node

from freehint.config import InputError
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.list import list_empty
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reclaim.counts import (
    ALLOCSTALL_DMA,
    PGSCAN_DIRECT,
    PGSTEAL_DIRECT,
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_REFAULT_ANON,
)
from freehint.mm.reclaim.direct import begin_direct_reclaim, reclaim_with_force
from freehint.mm.reclaim.lists import set_bits
from freehint.mm.reclaim.lru import (
    activate_page,
    add_anon_page,
    add_file_page,
    forget_place,
    mark_page_accessed,
    move_page,
    touch,
)
from freehint.mm.reclaim.lru_gen.aging import should_run_aging, try_to_inc_max_seq
from freehint.mm.reclaim.lru_gen.evict import kind_and_tier, scan_folios
from freehint.mm.reclaim.lru_gen.generations import (
    folio_lru_gen,
    folio_lru_refs,
    gen_head,
    lru_tier_from_refs,
)
from freehint.mm.reclaim.lru_gen.node import set_initial_priority
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    BY_TASK,
    EVICTED,
    GENERATION_HEADS,
    INACTIVE_FILE,
    PG_ACTIVE,
    PG_DIRTY,
    PG_GENERATION,
    PG_REFERENCED,
    PG_REFS,
    PG_WORKINGSET,
    PROTECTED,
    PTE_YOUNG,
    REFAULTED,
    new_reclaim,
)
from freehint.mm.reclaim.sysctl import Sysctl
from freehint.mm.reclaim.writeback import end_writeback, next_writeback, start_writeback
from freehint.mm.zone import free_pages
from memories import empty_memory, free_everything, free_memory

ANON, FILE = 0, 1
ANON_PLACES = 2048


def guest(files=0, anon=0, swap=0, pages=2048, **sysctls):
    """Linux 6.12 with generations: file places from 0 on, anonymous ones from 2048 on."""
    memory = free_memory(pages=pages, nr_cpus=1, profile=LINUX_6_12)
    reclaim = new_reclaim(memory, 4096, swap, Sysctl(**sysctls))
    for place in range(files):
        add_file_page(memory, reclaim, page_of(memory), place, False)
    for place in range(anon):
        add_anon_page(memory, reclaim, page_of(memory), ANON_PLACES + place)
    return memory, reclaim


def node_of(reclaim, place):
    return int(reclaim.place[place]) - 1


def on_generation(memory, reclaim, gen, kind):
    """The places on a generation's list of the first zone, first to last."""
    lru = gen_head(memory, gen, kind, 0) - memory.nr_pages
    return places_on(memory, reclaim, lru)


def reclaim_once(memory, reclaim, priority=12, pages=32):
    """One pass of direct reclaim; return the pages reclaimed."""
    begin_direct_reclaim(reclaim, 0, 3, pages)
    reclaim.control[BY_TASK].priority = priority
    shrink_node(memory, reclaim, BY_TASK, 0)
    return int(reclaim.control[BY_TASK].nr_reclaimed)


def age(memory, reclaim, times=1, can_swap=True):
    for _ in range(times):
        try_to_inc_max_seq(memory, reclaim, can_swap)


# Where pages come to stand


def test_a_faulted_page_is_of_the_youngest_generation_and_a_read_one_of_the_second_oldest():
    memory, reclaim = guest(files=2, anon=2)
    assert on_generation(memory, reclaim, 3, ANON) == [ANON_PLACES + 1, ANON_PLACES]
    assert on_generation(memory, reclaim, 1, FILE) == [1, 0]
    assert reclaim.zone_lru[0].tolist() == [0, 2, 2, 0, 0]
    check_memory(memory, reclaim)


def test_with_three_generations_a_page_that_is_read_is_of_the_oldest():
    memory, reclaim = guest(files=1)
    reclaim.min_seq[:] = 1
    add_file_page(memory, reclaim, page_of(memory), 1, False)
    assert on_generation(memory, reclaim, 1, FILE) == [1, 0]
    reclaim.node[0].max_seq = 4
    add_file_page(memory, reclaim, page_of(memory), 2, False)
    assert on_generation(memory, reclaim, 2, FILE) == [2]


def test_a_page_that_waited_for_its_writeback_is_the_next_to_be_evicted():
    memory, reclaim = guest(files=3)
    node = node_of(reclaim, 2)
    set_bits(reclaim, node, PG_DIRTY)
    reclaim.node[0].nr_dirty += 1
    reclaim.min_seq[:] = 1
    begin_direct_reclaim(reclaim, 0, 3, 32)
    assert scan_folios(memory, reclaim, BY_TASK, FILE, 3) == 3  # 2 isolated, the dirty one sorted
    assert on_generation(memory, reclaim, 2, FILE) == [2]
    start_writeback(memory, reclaim, node)
    end_writeback(memory, reclaim, next_writeback(reclaim))
    assert on_generation(memory, reclaim, 1, FILE) == [2]


def test_a_page_that_is_isolated_is_not_referenced_any_more_but_keeps_its_uses():
    memory, reclaim = guest(files=2)
    used, unused = node_of(reclaim, 0), node_of(reclaim, 1)
    set_bits(reclaim, used, PG_REFERENCED | PG_WORKINGSET)
    set_bits(reclaim, unused, PG_WORKINGSET)
    reclaim.min_seq[:] = 1
    begin_direct_reclaim(reclaim, 0, 3, 32)
    scan_folios(memory, reclaim, BY_TASK, FILE, 3)
    flags = PG_REFERENCED | PG_WORKINGSET
    assert [int(reclaim.page[node] & flags) for node in (used, unused)] == [PG_WORKINGSET, 0]


def test_activated_pages_and_pages_that_move_stay_as_young_as_they_are():
    memory, reclaim = guest(files=2)
    activate_page(memory, reclaim, node_of(reclaim, 0))
    assert on_generation(memory, reclaim, 3, FILE) == [0]
    target = page_of(memory)
    source = node_of(reclaim, 0)
    move_page(memory, reclaim, source, target)
    free_pages(memory, source, 0, 0, 0)
    assert on_generation(memory, reclaim, 3, FILE) == [0]
    assert node_of(reclaim, 0) == target
    check_memory(memory, reclaim)


def test_reads_raise_the_tier():
    memory, reclaim = guest(files=1)
    node, tiers = node_of(reclaim, 0), []
    for _ in range(7):
        mark_page_accessed(memory, reclaim, node)
        tiers.append(lru_tier_from_refs(folio_lru_refs(reclaim, node)))
    assert tiers == [0, 1, 2, 2, 3, 3, 3]
    assert on_generation(memory, reclaim, 1, FILE) == [0]  # it does not move


# Aging


def test_a_new_generation_makes_the_second_youngest_inactive():
    memory, reclaim = guest(files=2, anon=2, swap=64)
    activate_page(memory, reclaim, node_of(reclaim, 0))
    reclaim.page[:] &= 0xFFFFFFFF ^ PTE_YOUNG
    age(memory, reclaim)
    assert reclaim.zone_lru[0, ACTIVE_FILE] == 1 and reclaim.zone_lru[0, ACTIVE_ANON] == 2
    age(memory, reclaim)
    assert reclaim.zone_lru[0, ACTIVE_FILE] == 0 and reclaim.zone_lru[0, ACTIVE_ANON] == 0
    assert reclaim.node[0].max_seq == 5
    check_memory(memory, reclaim)


def test_pages_used_through_page_tables_become_young_and_stay_on_their_list():
    memory, reclaim = guest(anon=4, swap=64)
    age(memory, reclaim)  # clears the accessed bits of the faults
    touch(memory, reclaim, ANON_PLACES + 1, False)
    age(memory, reclaim)
    gens = [folio_lru_gen(reclaim, node_of(reclaim, ANON_PLACES + i)) for i in range(4)]
    assert gens == [3, 0, 3, 3]  # the youngest was 4 when the accessed bit was seen
    assert on_generation(memory, reclaim, 3, ANON)[2] == ANON_PLACES + 1
    check_memory(memory, reclaim)


def test_without_swap_anonymous_pages_are_neither_walked_nor_moved():
    memory, reclaim = guest(files=4, anon=4)
    age(memory, reclaim, times=3, can_swap=False)
    assert on_generation(memory, reclaim, 3, ANON) == [ANON_PLACES + i for i in (3, 2, 1, 0)]
    assert reclaim.min_seq.tolist() == [3, 3] and reclaim.node[0].max_seq == 6
    assert sorted(on_generation(memory, reclaim, 3, FILE)) == [0, 1, 2, 3]
    check_memory(memory, reclaim)


def test_aging_is_wanted_when_too_few_pages_are_old():
    memory, reclaim = guest(files=8)
    reclaim.min_seq[:] = 1
    assert should_run_aging(reclaim, False) == (False, 8)
    for place in range(7):
        activate_page(memory, reclaim, node_of(reclaim, place))
    assert should_run_aging(reclaim, False) == (True, 8)
    reclaim.min_seq[FILE] = 0
    assert should_run_aging(reclaim, False) == (False, 8)  # four generations are enough


# Eviction


def test_a_batch_is_64_pages_from_the_end_of_the_oldest_generation():
    memory, reclaim = guest(files=200)
    reclaim.min_seq[:] = 1
    assert reclaim_once(memory, reclaim) == 0  # 200 >> 12: nothing to scan
    assert reclaim_once(memory, reclaim, priority=6) == 64
    assert [node_of(reclaim, place) >= 0 for place in (0, 63, 64)] == [False, False, True]
    assert reclaim.count[PGSTEAL_DIRECT] == reclaim.count[PGSCAN_DIRECT] == 64
    check_memory(memory, reclaim)


def test_the_higher_zone_is_emptied_first():
    spans = {"DMA": (1, 1024), "DMA32": (1024, 3072)}
    memory = free_everything(empty_memory(spans, nr_cpus=1, profile=LINUX_6_12))
    reclaim = new_reclaim(memory, 4096)
    for place in range(2500):
        add_file_page(memory, reclaim, page_of(memory), place, False)
    reclaim.min_seq[:] = 1
    low, high = reclaim.zone_lru[:, INACTIVE_FILE].tolist()
    assert reclaim_once(memory, reclaim, priority=2) >= 64
    after = reclaim.zone_lru[:, INACTIVE_FILE].tolist()
    assert after[0] == low and after[1] <= high - 64


def test_kswapd_begins_at_a_priority_that_may_suffice():
    _, reclaim = guest(files=1000)
    begin_direct_reclaim(reclaim, 0, 3, 63)
    set_initial_priority(reclaim, BY_TASK)
    assert reclaim.control[BY_TASK].priority == 12  # fewer than a batch: as ever
    begin_direct_reclaim(reclaim, 0, 3, 64)
    set_initial_priority(reclaim, BY_TASK)
    assert reclaim.control[BY_TASK].priority == 6  # 2^9 pages against 2^6, at least half of 12
    reclaim.zone_lru[0, INACTIVE_FILE] = 1 << 16
    begin_direct_reclaim(reclaim, 0, 3, 64)
    set_initial_priority(reclaim, BY_TASK)
    assert reclaim.control[BY_TASK].priority == 10


def test_a_page_in_use_is_spared_and_its_neighbours_become_young():
    memory, reclaim = guest(anon=200, swap=400)
    age(memory, reclaim, times=2)
    for place in (0, 10, 30, 100):
        touch(memory, reclaim, ANON_PLACES + place, False)
    reclaim_once(memory, reclaim, priority=4)
    young = (folio_lru_gen(reclaim, node_of(reclaim, ANON_PLACES + i)) for i in (0, 10, 30))
    assert list(young) == [5 % 4] * 3  # 100 is farther than 64 places: nobody has looked
    assert folio_lru_gen(reclaim, node_of(reclaim, ANON_PLACES + 100)) != 5 % 4
    check_memory(memory, reclaim)


def test_anonymous_pages_are_evicted_only_while_a_batch_fits_into_swap():
    memory, reclaim = guest(anon=200, swap=63)
    reclaim.page[:] &= 0xFFFFFFFF ^ PTE_YOUNG
    age(memory, reclaim)
    reclaim_once(memory, reclaim, priority=2)
    assert reclaim.node[0].nr_writeback == 0
    memory, reclaim = guest(anon=200, swap=64)
    reclaim.page[:] &= 0xFFFFFFFF ^ PTE_YOUNG
    age(memory, reclaim, times=2)
    reclaim_once(memory, reclaim, priority=2)
    assert reclaim.node[0].nr_writeback == 64
    check_memory(memory, reclaim)


# Refaults


def test_a_refault_counts_as_recent_while_its_generation_is_the_oldest():
    memory, reclaim = guest(files=3)
    reclaim.min_seq[:] = 1
    reclaim_once(memory, reclaim, priority=1)
    assert reclaim.tiers[EVICTED, FILE].tolist() == [3, 0, 0, 0]
    add_file_page(memory, reclaim, page_of(memory), 0, False)
    assert reclaim.tiers[REFAULTED, FILE].tolist() == [1, 0, 0, 0]
    assert reclaim.count[WORKINGSET_ACTIVATE_ANON + FILE] == 1
    reclaim.node[0].max_seq, reclaim.min_seq[FILE] = 5, 3
    add_file_page(memory, reclaim, page_of(memory), 1, False)
    assert reclaim.count[WORKINGSET_REFAULT_ANON + FILE] == 2
    assert reclaim.count[WORKINGSET_ACTIVATE_ANON + FILE] == 1


def test_a_page_read_often_comes_back_as_one_of_the_working_set():
    memory, reclaim = guest(files=70)
    node = node_of(reclaim, 0)
    for _ in range(4):
        mark_page_accessed(memory, reclaim, node)
    reclaim.min_seq[:] = 1
    reclaim_once(memory, reclaim, priority=1)
    assert node_of(reclaim, 0) < 0
    assert reclaim.tiers[EVICTED, FILE].tolist() == [63, 0, 1, 0]
    node = page_of(memory)
    add_file_page(memory, reclaim, node, 0, False)
    assert reclaim.page[node] & (PG_REFS | PG_WORKINGSET) == PG_REFS | PG_WORKINGSET


def test_a_tier_that_is_faulted_back_more_often_than_the_first_is_kept():
    memory, reclaim = guest(files=80)
    reclaim.min_seq[:] = 1
    for _ in range(2):
        mark_page_accessed(memory, reclaim, node_of(reclaim, 0))
    assert kind_and_tier(reclaim, 0) == (FILE, 3)
    reclaim.tiers[REFAULTED, FILE] = 10, 100, 0, 0
    reclaim.tiers[EVICTED, FILE] = 1000, 200, 0, 0
    assert kind_and_tier(reclaim, 0) == (FILE, 0)
    reclaim_once(memory, reclaim, priority=1)
    assert node_of(reclaim, 0) >= 0 and node_of(reclaim, 1) < 0
    assert reclaim.tiers[PROTECTED, FILE].tolist() == [0, 1, 0, 0]


def test_swappiness_and_refaults_decide_which_kind_is_scanned():
    _memory, reclaim = guest(swap=100)
    assert [kind_and_tier(reclaim, s)[0] for s in (0, 1, 60, 200)] == [FILE, FILE, FILE, ANON]
    reclaim.tiers[REFAULTED] = (10, 0, 0, 0), (500, 0, 0, 0)
    reclaim.tiers[EVICTED] = (1000, 0, 0, 0), (1000, 0, 0, 0)
    assert kind_and_tier(reclaim, 60)[0] == ANON
    reclaim.min_seq[:] = 1, 0
    assert kind_and_tier(reclaim, 1)[0] == FILE


# The switch


def test_a_profile_and_a_switch_choose_the_lru():
    old = free_memory(pages=1024, nr_cpus=1, profile=LINUX_6_1)
    assert new_reclaim(old, 8).node[0].lru_gen == 0
    memory, reclaim = guest(files=1, lru_gen=0)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [0]
    for lru in range(GENERATION_HEADS, GENERATION_HEADS + 32):
        assert list_empty(reclaim.links, memory.nr_pages + lru)
    with pytest.raises(InputError, match=r"lru_gen 1 needs a kernel from 6\.12 on.*Linux 6\.1"):
        new_reclaim(old, 8, 0, Sysctl(lru_gen=1))


# Damage

NO_GENERATION = 0xFFFFFFFF ^ PG_GENERATION


def put(array, at, value):
    array[at] = value


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (lambda r, n: put(r.page, n, r.page[n] | PG_ACTIVE), "is of another kind, zone or"),
        (lambda r, n: put(r.page, n, r.page[n] & NO_GENERATION), "is of another kind, zone or"),
        (lambda r, n: put(r.gen_pages, (1, 1, 0), 4), "3 pages have a generation that counts 4"),
        (lambda r, n: put(r.zone_lru, (0, 2), 4), "has 3 pages on the list but counts 4"),
        (lambda r, n: put(r.min_seq, 1, 3), "file pages have 1 generations"),
        (lambda r, n: put(r.min_seq, 1, 2), "is of another kind, zone or generation"),
    ],
)
def test_check_memory_names_damage_to_generations(plant, sentence):
    memory, reclaim = guest(files=3)
    check_memory(memory, reclaim)
    plant(reclaim, node_of(reclaim, 1))
    with pytest.raises(InvariantError, match=sentence):
        check_memory(memory, reclaim)


# Histories


def any_step(memory, reclaim, chance):
    """One step that a guest might take."""
    place = chance.randrange(300)
    anon = chance.random() < 0.5
    place += ANON_PLACES if anon else 0
    node = node_of(reclaim, place)
    step = chance.randrange(8)
    if step < 3 and node < 0:
        page = page_of(memory)
        if anon:
            add_anon_page(memory, reclaim, page, place)
        else:
            add_file_page(memory, reclaim, page, place, chance.random() < 0.2)
    elif step == 3 and node >= 0:
        touch(memory, reclaim, place, chance.random() < 0.3)
    elif step == 4 and node >= 0 and not anon:
        mark_page_accessed(memory, reclaim, node)
    elif step == 5 and chance.random() < 0.3:
        reclaim_once(memory, reclaim, priority=chance.randrange(7))
    elif step == 6:
        forgotten = forget_place(memory, reclaim, place)
        if forgotten >= 0:
            free_pages(memory, forgotten, 0, 0, 0)
    elif step == 7:
        written = next_writeback(reclaim)
        if written >= 0:
            end_writeback(memory, reclaim, written)


@pytest.mark.parametrize("seed", range(12))
def test_any_history_keeps_the_lists_whole(seed):
    chance = random.Random(seed)
    memory, reclaim = guest(
        swap=chance.choice((0, 70, 1000)), swappiness=chance.choice((0, 60, 200))
    )
    for _ in range(400):
        any_step(memory, reclaim, chance)
        if chance.random() < 0.1:
            check_memory(memory, reclaim)
    assert reclaim.gen_pages.sum() == reclaim.zone_lru.sum() > 0


def test_a_fruitless_attempt_is_made_twice_over_all_cgroups():
    memory, reclaim = guest()
    begin_direct_reclaim(reclaim, 0, 3, 32)
    assert reclaim_with_force(memory, reclaim, 0) == 0
    assert reclaim.count[ALLOCSTALL_DMA + 3] == 2
    old = new_reclaim(memory._replace(profile=LINUX_6_1), 8)
    begin_direct_reclaim(old, 0, 3, 32)
    assert reclaim_with_force(memory._replace(profile=LINUX_6_1), old, 0) == 0
    assert old.count[ALLOCSTALL_DMA + 3] == 1
