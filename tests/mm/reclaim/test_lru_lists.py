"""Pages on LRU lists: they come, are used, change lists, are written, swapped and moved."""

import random

import pytest
from lru_guest import lru_guest, page_of, pages_on, places_on

from freehint.config import InputError
from freehint.mm.check import check_memory
from freehint.mm.memory import LRU, MOVABLE
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.kswapd import kswapd_step
from freehint.mm.reclaim.lists import del_from_lru
from freehint.mm.reclaim.lru import (
    MAPPED,
    MINOR_FAULT,
    NOT_RESIDENT,
    add_anon_page,
    add_file_page,
    deactivate_page,
    forget_page,
    forget_place,
    mark_page_accessed,
    move_page,
    touch,
    unmap_page,
)
from freehint.mm.reclaim.pages import evict_page, free_reclaimed
from freehint.mm.reclaim.slowpath import alloc
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    PG_DIRTY,
    PG_ON_LRU,
    PG_RECLAIM,
    PG_SWAPCACHE,
    new_reclaim,
    vmstat,
)
from freehint.mm.reclaim.sysctl import Sysctl
from freehint.mm.reclaim.writeback import (
    add_to_swap,
    end_writeback,
    next_writeback,
    start_writeback,
)
from freehint.mm.zone import free_pages
from memories import free_memory


def node_of(reclaim, place):
    return int(reclaim.place[place]) - 1


def test_new_pages_stand_first_on_the_inactive_lists():
    memory, reclaim = lru_guest(files=3, anon=2, swap=8)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [2, 1, 0]
    assert places_on(memory, reclaim, INACTIVE_ANON) == [2001, 2000]
    assert reclaim.zone_lru.tolist() == [[2, 0, 3, 0, 0]]
    assert all(memory.frame[node_of(reclaim, place)] == LRU for place in (0, 2001))
    check_memory(memory, reclaim)


def test_a_page_read_twice_becomes_active():
    memory, reclaim = lru_guest(files=3)
    node = node_of(reclaim, 0)
    mark_page_accessed(memory, reclaim, node)
    assert places_on(memory, reclaim, ACTIVE_FILE) == []
    mark_page_accessed(memory, reclaim, node)
    assert places_on(memory, reclaim, ACTIVE_FILE) == [0]
    assert vmstat(reclaim) == {"pgactivate": 1}
    assert reclaim.node[0].nonresident_age == 1
    mark_page_accessed(memory, reclaim, node)
    mark_page_accessed(memory, reclaim, node)  # an active page only stays referenced
    assert vmstat(reclaim) == {"pgactivate": 1}
    deactivate_page(memory, reclaim, node)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [0, 2, 1]
    check_memory(memory, reclaim)


def test_touch_tells_whether_the_page_was_there_and_mapped():
    memory, reclaim = lru_guest(files=1)
    assert touch(memory, reclaim, 7, False) == NOT_RESIDENT
    assert touch(memory, reclaim, 0, False) == MINOR_FAULT
    assert touch(memory, reclaim, 0, True) == MAPPED
    assert reclaim.node[0].nr_dirty == 1 and vmstat(reclaim) == {"nr_dirtied": 1}
    unmap_page(memory, reclaim, node_of(reclaim, 0))
    assert touch(memory, reclaim, 0, False) == MINOR_FAULT
    check_memory(memory, reclaim)


def evict(memory, reclaim, place):
    """Let reclaim take the page of a place."""
    node = node_of(reclaim, place)
    del_from_lru(memory, reclaim, node)
    evict_page(memory, reclaim, node)
    free_reclaimed(memory, reclaim, 0)


@pytest.mark.parametrize(("evictions", "active"), [(3, [0]), (4, [])])
def test_a_refault_within_the_working_set_activates(evictions, active):
    # Three file pages are active: a page that comes back after three evictions would have stayed
    # if the active list were not there.
    memory, reclaim = lru_guest(files=12)
    for place in range(9, 12):
        for _ in range(2):
            mark_page_accessed(memory, reclaim, node_of(reclaim, place))
    evict(memory, reclaim, 0)
    for place in range(1, evictions):
        evict(memory, reclaim, place)
    add_file_page(memory, reclaim, page_of(memory), 0, False)
    counts = vmstat(reclaim)
    assert counts["workingset_refault_file"] == 1
    assert counts.get("workingset_activate_file", 0) == len(active)
    assert places_on(memory, reclaim, ACTIVE_FILE)[: len(active)] == active
    check_memory(memory, reclaim)


def test_a_page_about_to_be_overwritten_is_no_refault():
    memory, reclaim = lru_guest(files=4)
    evict(memory, reclaim, 0)
    add_file_page(memory, reclaim, page_of(memory), 0, True)
    assert "workingset_refault_file" not in vmstat(reclaim)


def test_a_page_that_reclaim_waits_for_becomes_the_last_when_it_is_written():
    memory, reclaim = lru_guest(files=3)
    node = node_of(reclaim, 2)
    touch(memory, reclaim, 2, True)
    start_writeback(memory, reclaim, node)
    assert reclaim.node[0].nr_dirty == 0 and reclaim.node[0].nr_writeback == 1
    reclaim.page[node] |= PG_RECLAIM
    assert next_writeback(reclaim) == node and next_writeback(reclaim) == -1
    end_writeback(memory, reclaim, node)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [1, 0, 2]
    assert vmstat(reclaim) == {"nr_dirtied": 1, "nr_written": 1, "pgrotated": 1}
    check_memory(memory, reclaim)


def test_a_page_that_goes_leaves_ring_and_swap():
    memory, reclaim = lru_guest(files=2, anon=2, swap=4)
    file, anon = node_of(reclaim, 0), node_of(reclaim, 2000)
    touch(memory, reclaim, 0, True)
    start_writeback(memory, reclaim, file)
    add_to_swap(reclaim, anon)
    assert reclaim.node[0].swap_free == 3
    for node in (file, anon):
        forget_page(memory, reclaim, node)
        free_pages(memory, node, 0, 0, 0)
    assert reclaim.node[0].swap_free == 4 and next_writeback(reclaim) == -1
    assert places_on(memory, reclaim, INACTIVE_FILE) == [1]
    check_memory(memory, reclaim)


def test_swap_is_given_in_turn_until_it_is_full():
    memory, reclaim = lru_guest(anon=4, swap=3)
    nodes = [node_of(reclaim, 2000 + i) for i in range(4)]
    assert [add_to_swap(reclaim, node) for node in nodes] == [True, True, True, False]
    assert reclaim.swap_map.tolist() == [2001, 2002, 2003]
    touch(memory, reclaim, 2001, True)  # a write makes the copy in swap useless
    assert not reclaim.page[nodes[1]] & PG_SWAPCACHE and reclaim.page[nodes[1]] & PG_DIRTY
    assert add_to_swap(reclaim, nodes[3]) and reclaim.swap_map.tolist() == [2001, 2004, 2003]
    check_memory(memory, reclaim)


@pytest.mark.parametrize(("swap", "kept"), [(8, True), (3, False)])
def test_a_page_from_swap_keeps_its_slot_unless_swap_is_more_than_half_full(swap, kept):
    memory, reclaim = lru_guest(anon=2, swap=swap)
    for place in (2000, 2001):
        node = node_of(reclaim, place)
        add_to_swap(reclaim, node)
        reclaim.page[node] &= 0xFFFFFFFF ^ PG_DIRTY
        evict(memory, reclaim, place)
    assert touch(memory, reclaim, 2000, False) == NOT_RESIDENT
    add_anon_page(memory, reclaim, page_of(memory), 2000)
    assert vmstat(reclaim)["pswpin"] == 1 == vmstat(reclaim)["workingset_refault_anon"]
    assert bool(reclaim.swap[2000] > 0) is kept
    assert forget_place(memory, reclaim, 2001) == -1
    assert reclaim.node[0].swap_free == swap - kept
    check_memory(memory, reclaim)


def test_a_migrated_page_stands_first_and_keeps_its_place():
    memory, reclaim = lru_guest(files=3)
    source, target = node_of(reclaim, 0), page_of(memory)
    mark_page_accessed(memory, reclaim, source)
    bits = reclaim.page[source]
    move_page(memory, reclaim, source, target)
    free_pages(memory, source, 0, 0, 0)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [0, 2, 1]
    assert node_of(reclaim, 0) == target and reclaim.page[target] == bits
    assert reclaim.page[source] == 0 == reclaim.slot[source]
    check_memory(memory, reclaim)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (
            {"swappiness": 201},
            r"vm\.swappiness must lie in 0\.\.200 \(the kernel's range\), got 201",
        ),
        ({"watermark_scale_factor": 0}, r"vm\.watermark_scale_factor must lie in 1\.\.3000"),
        ({"compaction_proactiveness": -1}, r"vm\.compaction_proactiveness must lie in 0\.\.100"),
        ({"dirty_ratio": 0.5}, r"vm\.dirty_ratio must be an integer, got 0\.5"),
    ],
)
def test_a_sysctl_out_of_the_kernels_range_is_refused(bad, sentence):
    with pytest.raises(InputError, match=sentence):
        Sysctl(**bad)


def test_swap_below_zero_and_reserves_above_the_memory_are_refused():
    memory = free_memory(pages=2048)
    with pytest.raises(InputError, match="swap must have 0 to 2147483647 pages, got -1"):
        new_reclaim(memory, 10, -1)
    with pytest.raises(InputError, match=r"smaller than the guest's 8192 kB of memory, got 8192"):
        new_reclaim(memory, 10, 0, Sysctl(min_free_kbytes=8192))


def test_min_free_kbytes_and_scale_factor_set_the_watermarks():
    memory = free_memory(pages=20480)
    new_reclaim(memory, 10, 0, Sysctl(min_free_kbytes=400, watermark_scale_factor=100))
    assert memory.zones.watermark.tolist() == [[100, 304, 508]]


def step(memory, reclaim, chance):
    """One random event of a guest under pressure; bounded by its places."""
    place = chance.randrange(1200) + chance.choice((0, 2000))
    act = chance.random()
    if act < 0.6:
        anon = place >= 2000
        if touch(memory, reclaim, place, anon) != NOT_RESIDENT:
            return
        node, _, _ = alloc(memory, reclaim, 0, 0, MOVABLE, 0)
        if node < 0:
            reclaim.node[0].oom = 0
        elif anon:
            add_anon_page(memory, reclaim, node, place)
        else:
            add_file_page(memory, reclaim, node, place, chance.random() < 0.3)
    elif act < 0.8:
        kswapd_step(memory, reclaim, 0)
    elif act < 0.9:
        node = next_writeback(reclaim)
        if node >= 0:
            end_writeback(memory, reclaim, node)
    elif act < 0.95:
        node = int(reclaim.place[place]) - 1
        if node >= 0:
            mark_page_accessed(memory, reclaim, node)
            if reclaim.page[node] & PG_DIRTY and place < 2000:
                start_writeback(memory, reclaim, node)
    elif act < 0.998:
        node = forget_place(memory, reclaim, place)
        if node >= 0:
            free_pages(memory, node, 0, 0, 0)
    elif act < 0.999:
        memory_reclaim(memory, reclaim, 0, 64)
    else:
        drop_caches(memory, reclaim, 0, 50)


@pytest.mark.parametrize("swap", [0, 300, 3000])
@pytest.mark.parametrize("seed", range(3))
def test_no_history_contradicts_itself(seed, swap):
    memory, reclaim = lru_guest(files=200, anon=200, swap=swap, pages=1024)
    chance = random.Random(seed)
    for _ in range(8):
        for _ in range(500):
            step(memory, reclaim, chance)
        check_memory(memory, reclaim)
    counts = vmstat(reclaim)
    stolen = counts["pgsteal_anon"] if swap else 0
    scanned, reclaimed = (
        sum(counts.get(f"pg{what}_{kind}", 0) for kind in ("file", "anon"))
        for what in ("scan", "steal")
    )
    assert scanned >= reclaimed > 0
    assert (stolen > 0) is (counts.get("pswpout", 0) > 0) is (swap > 0)
    assert (reclaim.page[pages_on(memory, reclaim, ACTIVE_ANON)] & PG_ON_LRU).all()
