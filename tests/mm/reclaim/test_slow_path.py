"""The order of the slow path: kswapd, direct reclaim, retries, OOM; and the recorded guests."""

import os
from pathlib import Path

import numpy as np
import pytest
from lru_guest import lru_guest, page_of, places_on

from freehint.formats.snapshots import load_snapshot
from freehint.mm.check import check_memory
from freehint.mm.memory import BUDDY, MOVABLE, PCP, UNMOVABLE, copy_memory, frame_order
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.kswapd import kswapd_step
from freehint.mm.reclaim.lists import set_bits
from freehint.mm.reclaim.lru import add_anon_page, add_file_page, mark_page_accessed, touch
from freehint.mm.reclaim.slowpath import PREEMPTED, WAITS, alloc, alloc_no_reclaim
from freehint.mm.reclaim.state import (
    CACHE_NEVER_RECLAIMED,
    INACTIVE_FILE,
    PG_DIRTY,
    PG_MAPPED,
    PG_ON_LRU,
    PG_RECLAIM,
    SWAP_IGNORED,
    new_reclaim,
    vmstat,
)
from freehint.mm.reclaim.sysctl import Sysctl
from freehint.mm.reclaim.writeback import end_writeback, next_writeback, set_page_dirty
from freehint.mm.zone import LOCKED, NO_PAGE, alloc_pages
from memories import free_memory

TRUTH = Path(__file__).parents[4] / "shared" / "ground-truth" / "reclaim"


def exhaust(memory):
    """Take pages until an ordinary allocation fails."""
    while page_of(memory) >= 0:
        pass


def test_without_pressure_it_is_the_ordinary_allocation():
    memory, reclaim = lru_guest()
    other = copy_memory(memory)
    for i in range(200):
        order, migratetype = i % 4, i % 2
        assert alloc(memory, reclaim, 0, order, migratetype, 0) == alloc_pages(
            other, 0, order, migratetype, 0
        )
    assert np.array_equal(memory.links, other.links)


def test_a_task_reclaims_when_kswapd_does_not():
    memory, reclaim = lru_guest(files=1000)
    exhaust(memory)
    node, _, _ = alloc(memory, reclaim, 0, 0, MOVABLE, 0)
    assert node >= 0 and reclaim.node[0].kswapd_awake
    counts = vmstat(reclaim)
    assert counts["allocstall_movable"] == 1
    # Priority 12 to 5 scan 0, 0, 0, 1, 3, 7, 15 and 31 pages; the last is cut off at 32 in all.
    assert counts["pgsteal_direct"] == counts["pgscan_direct"] >= 32
    check_memory(memory, reclaim)


def test_a_task_may_lose_the_cpu_between_rounds_and_goes_on_where_it_was():
    memory, reclaim = lru_guest(files=1000)
    exhaust(memory)
    reclaim.node[0].step_by_step = 1
    found = alloc(memory, reclaim, 0, 0, MOVABLE, 0)
    # kswapd has been woken and runs before anything is reclaimed.
    assert found[0] == PREEMPTED and reclaim.node[0].kswapd_awake and vmstat(reclaim) == {}
    turns = 0
    while found[0] == PREEMPTED:
        found = alloc(memory, reclaim, 0, 0, MOVABLE, 0)
        turns += 1
    assert turns >= 8 and reclaim.node[0].reclaiming == 0  # a turn for each priority at least
    other, at_once = lru_guest(files=1000)
    exhaust(other)
    assert alloc(other, at_once, 0, 0, MOVABLE, 0)[:2] == found[:2]
    assert vmstat(reclaim) == vmstat(at_once)
    assert np.array_equal(memory.links, other.links)


def test_a_request_that_may_not_reclaim_fails_and_wakes_kswapd():
    memory, reclaim = lru_guest(files=1000)
    exhaust(memory)
    assert alloc_no_reclaim(memory, reclaim, 0, 0, MOVABLE, 0)[0] == NO_PAGE
    assert reclaim.node[0].kswapd_awake and vmstat(reclaim) == {}


def test_a_held_lock_lets_the_request_wait_before_it_does_anything():
    memory, reclaim = lru_guest(files=1000)
    exhaust(memory)
    before = memory.links.copy()
    assert alloc(memory, reclaim, 0, 0, MOVABLE, 1)[0] == LOCKED
    assert np.array_equal(memory.links, before) and vmstat(reclaim) == {}


def test_after_17_rounds_without_progress_a_process_must_die():
    memory, reclaim = lru_guest()
    exhaust(memory)
    assert alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0] == NO_PAGE
    assert reclaim.node[0].oom == 1
    assert vmstat(reclaim) == {"allocstall_movable": 17}
    check_memory(memory, reclaim)


def test_a_huge_page_fails_without_a_victim():
    memory, reclaim = lru_guest(files=20)
    exhaust(memory)
    assert alloc(memory, reclaim, 0, 9, MOVABLE, 0)[0] == NO_PAGE
    # Compaction is skipped for want of free pages, and nothing is reclaimed for it.
    assert reclaim.node[0].oom == 0 and vmstat(reclaim) == {}


def test_a_task_waits_for_kswapd_below_half_of_the_reserves():
    memory, reclaim = lru_guest(files=1000)
    exhaust(memory)
    memory.zones.nr_free_pages[0] -= 20
    memory.zones.free_pages_offset[0] -= 20
    assert alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0] == WAITS
    assert alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0] == WAITS
    assert vmstat(reclaim) == {"pgscan_direct_throttle": 1}
    while kswapd_step(memory, reclaim, 0):
        pass
    assert alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0] >= 0
    assert reclaim.node[0].waits == 0


@pytest.mark.parametrize(
    ("rule", "options", "stolen"),
    [
        (0, {"files": 1000}, True),
        (CACHE_NEVER_RECLAIMED, {"files": 1000}, False),
        (0, {"anon": 1000, "swap": 2000}, True),
        (SWAP_IGNORED, {"anon": 1000, "swap": 2000}, False),
    ],
)
def test_the_wrong_rules_end_in_an_oom_that_need_not_be(rule, options, stolen):
    memory, reclaim = lru_guest(**options)
    reclaim.node[0].ablations = rule
    exhaust(memory)
    node = alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0]
    while node == WAITS:  # for the pages that were handed to the disk
        end_writeback(memory, reclaim, next_writeback(reclaim))
        node = alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0]
    assert (vmstat(reclaim).get("pgsteal_direct", 0) > 0) is stolen is (node >= 0)
    assert bool(reclaim.node[0].oom) is (not stolen)


def test_drop_caches_takes_clean_pages_that_nobody_maps():
    memory, reclaim = lru_guest(files=100, anon=5)
    touch(memory, reclaim, 3, True)  # dirty
    set_bits(reclaim, int(reclaim.place[4]) - 1, PG_MAPPED)
    assert drop_caches(memory, reclaim, 0, 40) == 40
    assert drop_caches(memory, reclaim, 0, 1000) == 100 - 40 - 2
    assert np.flatnonzero(reclaim.place > 0).tolist() == [3, 4, *range(2000, 2005)]
    assert vmstat(reclaim)["drop_pagecache"] == 1
    assert reclaim.place[:3].tolist() == [0, 0, 0]  # no shadows
    check_memory(memory, reclaim)


def test_drop_caches_takes_shadows_and_makes_dirty_pages_inactive():
    memory, reclaim = lru_guest(files=4, anon=1, swap=1)
    reclaim.place[7] = reclaim.place[2007] = -3  # evicted from a file, and from a process
    reclaim.swap[2007], reclaim.swap_map[0], reclaim.node.swap_free = 1, 2008, 0
    dirty = int(reclaim.place[2]) - 1
    set_page_dirty(reclaim, dirty)
    for _ in range(2):
        mark_page_accessed(memory, reclaim, dirty)
    assert drop_caches(memory, reclaim, 0, 1000) == 3
    assert np.flatnonzero(reclaim.place).tolist() == [2, 2000, 2007]
    assert reclaim.page[dirty] == PG_ON_LRU | PG_DIRTY | PG_RECLAIM
    assert places_on(memory, reclaim, INACTIVE_FILE) == [2]
    check_memory(memory, reclaim)


def test_memory_reclaim_gives_what_was_asked_for_and_counts_no_stall():
    memory, reclaim = lru_guest(files=1000)
    got = memory_reclaim(memory, reclaim, 0, 200)
    assert 200 <= got < 200 + 32 * 4 and reclaim.zone_lru.sum() == 1000 - got
    assert vmstat(reclaim) == {"pgscan_file": got, "pgsteal_file": got}
    assert memory_reclaim(memory, reclaim, 0, 5000) == 1000 - got
    check_memory(memory, reclaim)


@pytest.mark.parametrize(
    ("profile", "least", "most"), [(LINUX_6_1, 1400, 1600), (LINUX_6_12, 1000, 1064)]
)
def test_memory_reclaim_overshoots_but_in_quarters_by_a_batch_or_two(profile, least, most):
    memory = free_memory(pages=16384, nr_cpus=1, profile=profile)
    reclaim = new_reclaim(memory, 12_000, 0, Sysctl(lru_gen=0))
    for place in range(12_000):
        add_file_page(memory, reclaim, page_of(memory), place, False)
    assert least <= memory_reclaim(memory, reclaim, 0, 1000) <= most
    check_memory(memory, reclaim)


def recorded(name):
    """The guest of a recording at T0, with ``inactive`` file pages on its list."""
    if not TRUTH.is_dir():
        assert not os.environ.get("CI"), f"{TRUTH} is missing"
        pytest.skip(f"{name} is not among the shipped recordings")
    return load_snapshot(TRUTH / "linux-6.1" / f"{name}.T0")


def allocated(memory):
    """The MOVABLE pages of the last zone that are not free."""
    free = np.zeros(memory.nr_pages, bool)
    for node in np.flatnonzero(memory.frame & (BUDDY | PCP)):
        free[node : node + (1 << frame_order(memory.frame[node]))] = True
    start = int(memory.zones.start_pfn[-1]) - memory.base_pfn
    nodes = np.arange(start, start + int(memory.zones.spanned[-1]))
    movable = memory.pageblock[nodes >> 9] & 7 == MOVABLE
    return nodes[movable & ~free[nodes]].tolist()


def test_rc_oom_reclaims_in_the_recorded_steps_and_ends_at_the_recorded_page():
    """fhload fills memory with 53,762 pages of cache: kswapd reclaims 194, 191, 191, 190, 190 ..

    pages at a time, and the process dies with 62,815 pages (anon-rss 251,260 kB).
    """
    memory = recorded("rc_oom")
    cache, first = 53_762, 60_000
    reclaim = new_reclaim(memory, first + 600 * 256)
    nodes = allocated(memory)
    for place, node in enumerate(nodes[-cache:]):
        add_file_page(memory, reclaim, node, place, False)
    place, reclaimed = first, []
    while True:
        if place % 512 == first % 512 and alloc(memory, reclaim, 0, 0, UNMOVABLE, 0)[0] < 0:
            break
        node, _, _ = alloc(memory, reclaim, 0, 0, MOVABLE, 0)
        if node < 0:
            break
        add_anon_page(memory, reclaim, node, place)
        place += 1
        before = vmstat(reclaim).get("pgsteal_kswapd", 0)
        while kswapd_step(memory, reclaim, 0):
            pass
        gain = vmstat(reclaim).get("pgsteal_kswapd", 0) - before
        reclaimed += [gain] if gain else []
    # The recorded kswapd is interrupted by fhload in every third balance and then frees more.
    assert np.abs(np.array(reclaimed[1:6]) - [194, 191, 191, 190, 190]).max() <= 4
    assert place - first == pytest.approx(62_815, rel=0.001)
    counts = vmstat(reclaim)
    assert counts["pgsteal_kswapd"] == pytest.approx(53_723, rel=0.002)
    # As many as recorded rows of mm_vmscan_direct_reclaim_begin.  The recorded counter has 7 more,
    # for attempts made twice because of active pages, which this guest has not.
    assert counts["allocstall_movable"] == 18
    assert reclaim.node[0].oom == 1  # the engine counts the kill
    check_memory(memory, reclaim)
