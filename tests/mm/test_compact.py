"""Compaction under pressure: what is captured, put off, marked, woken, and counted."""

import random

import numpy as np
import pytest

from freehint.mm import zone
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.check import check_memory
from freehint.mm.compact import direct, finish, kcompactd, skip
from freehint.mm.compact.direct import compact_node, direct_compact
from freehint.mm.compact.hand import take_in_hand, take_target
from freehint.mm.compact.kcompactd import kcompactd_step
from freehint.mm.compact.search import fast_find_migrateblock, fast_isolate_freepages
from freehint.mm.compact.state import (
    COMPACT_CONTINUE,
    COMPACT_DEFERRED,
    COMPACT_MAX_DEFER_SHIFT,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    KCOMPACTD,
    MIGRATE_ASYNC,
    MIGRATE_SYNC_LIGHT,
    PRIO_ASYNC,
    PRIO_SYNC_FULL,
    PRIO_SYNC_LIGHT,
    PROCESS,
    copy_compaction,
    new_compaction,
)
from freehint.mm.compact.zone import begin_zone, step_zone
from freehint.mm.memory import (
    LRU,
    MOVABLE,
    UNMOVABLE,
    WMARK_MIN,
    free_list_head,
    list_nodes,
)
from freehint.mm.pageblock import set_pageblock_migratetype
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reclaim.lru import add_file_page
from freehint.mm.reclaim.state import PG_WRITEBACK, new_reclaim, vmstat
from memories import empty_memory

PAGES = 8192
PROFILES = pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12], ids=["6.1", "6.12"])


class Guest:
    """One zone of 16 pageblocks: every ``every``-th page is free, the others are movable."""

    def __init__(self, every=3, profile=LINUX_6_1, watermark=(8, 10, 12)):
        spans = {"DMA32": (4096, 4096 + PAGES)}
        self.memory = empty_memory(spans, nr_cpus=1, watermark=watermark, profile=profile)
        self.memory.pcp.high[:] = self.memory.pcp.high_min[:] = self.memory.pcp.high_max[:] = 100
        self.reclaim = new_reclaim(self.memory, self.memory.nr_pages)
        for node in range(PAGES):
            if node % every == 0:
                free_block(self.memory, node, 0, 0, FPI_NONE)
            else:
                self.memory.frame[node] = LRU
                add_file_page(self.memory, self.reclaim, node, node, False)
        self.compaction = new_compaction(self.memory)

    def compact(self, order, priority=PRIO_SYNC_LIGHT, migratetype=MOVABLE):
        return direct_compact(
            self.memory,
            self.reclaim,
            self.compaction,
            0,
            order,
            migratetype,
            (WMARK_MIN, 0, priority),
        )

    def control(self, who=KCOMPACTD, order=9):
        """A control that has its scanners at the zone's ends and wants 32 pages."""
        cc = self.compaction.control[who]
        direct.set_request(cc, 0, order, UNMOVABLE, 1)
        cc.mode = MIGRATE_SYNC_LIGHT
        cc.migrate_pfn, cc.free_pfn = 4096, 4096 + PAGES - 512
        cc.nr_migratepages = 32
        return cc

    def free_pages(self):
        memory = self.memory
        return int(memory.zones.nr_free_pages[0] + memory.pcp.count[0, 0])


@PROFILES
@pytest.mark.parametrize("order", [2, 4, 9])
def test_a_process_captures_the_block_that_it_waits_for(profile, order):
    guest = Guest(profile=profile)
    before = guest.free_pages()
    node, where, result = guest.compact(order)
    assert (where, result) == (0, COMPACT_SUCCESS)
    assert node == guest.compaction.control[PROCESS].captured
    assert node % (1 << order) == 0
    assert not guest.memory.frame[node : node + (1 << order)].any()
    assert guest.free_pages() == before - (1 << order)
    assert guest.compaction.control[PROCESS].captures == 0
    counts = vmstat(guest.reclaim)
    assert (counts["compact_stall"], counts["compact_success"]) == (1, 1)
    check_memory(guest.memory)


def test_a_smaller_block_of_a_movable_pageblock_is_captured_for_movable_requests_only():
    guest = Guest()
    node, _zone, result = guest.compact(6, migratetype=UNMOVABLE)
    assert result == COMPACT_SUCCESS and node >= 0
    assert guest.compaction.control[PROCESS].captured == -1


def test_kcompactd_captures_nothing():
    guest = Guest()
    kcompactd.wakeup_kcompactd(guest.memory, guest.compaction, 9, 3)
    while kcompactd_step(guest.memory, guest.reclaim, guest.compaction, 0):
        check_memory(guest.memory)
    assert guest.compaction.control[KCOMPACTD].captured == -1
    assert guest.memory.nr_free[0, 9:].sum() > 0


@PROFILES
def test_pages_keep_their_places_and_none_is_lost(profile):
    guest = Guest(profile=profile)
    free, used = guest.free_pages(), np.count_nonzero(guest.memory.frame & LRU)
    moved = compact_node(guest.memory, guest.reclaim, guest.compaction, 0)
    assert moved > 1000 and guest.free_pages() == free
    assert np.count_nonzero(guest.memory.frame & LRU) == used
    slots = np.flatnonzero(guest.reclaim.slot)
    assert (guest.memory.frame[slots] & LRU).all()
    assert (guest.reclaim.place[guest.reclaim.slot[slots] - 1] == slots + 1).all()
    assert vmstat(guest.reclaim)["pgmigrate_success"] == moved
    check_memory(guest.memory)


@PROFILES
def test_the_moves_of_a_step_are_told(profile):
    guest = Guest(profile=profile)
    cc = guest.control()
    assert begin_zone(guest.memory, guest.reclaim, guest.compaction, KCOMPACTD, 0) == (
        COMPACT_CONTINUE
    )
    before = guest.reclaim.slot.copy()
    step_zone(guest.memory, guest.reclaim, guest.compaction, KCOMPACTD)
    moves = guest.compaction.moves[KCOMPACTD, : cc.nr_moves]
    assert len(moves) == 32 == cc.migrated
    assert (guest.reclaim.slot[moves[:, 1]] == before[moves[:, 0]]).all()
    assert not guest.reclaim.slot[moves[:, 0]].any()
    assert moves[:, 0].tolist() == sorted(moves[:, 0].tolist(), reverse=True)


def test_pages_under_writeback_stay():
    guest = Guest()
    busy = np.flatnonzero(guest.reclaim.slot)[::7]
    guest.reclaim.page[busy] |= PG_WRITEBACK
    slots = guest.reclaim.slot[busy].copy()
    compact_node(guest.memory, guest.reclaim, guest.compaction, 0)
    assert (guest.reclaim.slot[busy] == slots).all()


@PROFILES
def test_what_is_in_hand_is_used_last_page_first_in_6_1_and_smallest_block_first_later(profile):
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(0, 0, 0), profile=profile)
    for node, order in ((64, 3), (128, 1), (256, 0)):
        free_block(memory, node, 0, order, FPI_NONE)
    compaction = new_compaction(memory)
    assert [take_in_hand(memory, compaction, 0, node) for node in (64, 128)] == [8, 2]
    used = [take_target(memory, compaction, 0) for _ in range(11)]
    pages = list(range(64, 72))
    in_6_1 = [129, 128, *reversed(pages), -1]
    assert used == (in_6_1 if profile is LINUX_6_1 else [128, 129, *pages, -1])
    assert memory.zones.nr_free_pages[0] == 1


def searched(pfns, order=3, init_free_pfn=0, **control):
    """The list of free blocks and the control, after the free scanner's search."""
    memory = empty_memory({"DMA32": (4096, 4096 + PAGES)}, watermark=(0, 0, 0))
    for pfn in reversed(pfns):
        free_block(memory, pfn - 4096, 0, order, FPI_NONE)
    guest = Guest.__new__(Guest)
    guest.memory, guest.compaction = memory, new_compaction(memory)
    guest.reclaim = new_reclaim(memory, 0)
    cc = guest.control()
    cc.search_order, cc.nr_migratepages = 9, 1
    guest.compaction.zone[0].compact_init_free_pfn = init_free_pfn
    for name, value in control.items():
        cc[name] = value
    fast_isolate_freepages(memory, guest.reclaim, guest.compaction, KCOMPACTD)
    left = list_nodes(memory, free_list_head(memory, 0, order, MOVABLE)) + 4096
    return left.tolist(), cc, guest.compaction.zone[0]


def test_the_search_takes_a_block_of_the_upper_quarter_and_turns_the_list():
    # Scanners at 4096 and 11776: the upper quarter begins in pageblock 9728, the half in 7680.
    left, cc, _ = searched([5000, 9728, 8192, 5008])
    assert left == [8192, 5008, 5000]
    assert (cc.nr_freepages, cc.search_order, cc.fast_search_fail) == (8, 3, 0)
    assert cc.total_free_scanned == 3 + 7


def test_the_search_makes_do_with_the_highest_block_of_the_upper_half():
    left, cc, _ = searched([5000, 8192, 9000, 8208])
    assert left == [8208, 5000, 8192]
    assert cc.nr_freepages == 8


def test_a_search_in_vain_turns_no_list_to_its_end_and_begins_at_the_highest_pageblock():
    left, cc, state = searched([5000, 5504, 4200])
    assert left == [5000, 5504, 4200]
    assert (cc.nr_freepages, cc.fast_search_fail, cc.free_pfn) == (0, 1, 11776)
    # 5504 lies in pageblock 5120, which is behind the cached position.
    assert state.compact_cached_free_pfn == 5120 - 512


def test_a_search_that_is_cut_short_leaves_its_last_block_first():
    # ((32 >> 3) + 1) >> 1 = 2 blocks after three searches in vain, unless it begins a scan.
    left, cc, _ = searched([5000, 5016, 5032, 5048], init_free_pfn=12000, fast_search_fail=3)
    assert left == [5032, 5048, 5000, 5016]
    assert (cc.total_free_scanned, cc.fast_search_fail) == (2, 4)


def test_the_migration_scanner_goes_to_a_pageblock_with_free_pages_and_turns_the_list():
    memory = empty_memory({"DMA32": (4096, 4096 + PAGES)}, watermark=(0, 0, 0))
    for pfn in (5640, 11000, 6000):  # their places on the list, from the end
        free_block(memory, pfn - 4096, 0, 3, FPI_NONE)
    guest = Guest.__new__(Guest)
    guest.memory, guest.compaction = memory, new_compaction(memory)
    cc = guest.control()
    assert fast_find_migrateblock(memory, guest.compaction, KCOMPACTD) == 5632
    left = list_nodes(memory, free_list_head(memory, 0, 3, MOVABLE)) + 4096
    assert left.tolist() == [11000, 5640, 6000]
    assert (cc.fast_start_pfn, cc.total_migrate_scanned) == (6000, 1)
    assert cc.fast_search_fail == 0


@PROFILES
def test_a_pageblock_of_which_nothing_can_be_isolated_is_not_searched_for_ever(profile):
    spans = {"DMA32": (4096, 4096 + PAGES)}
    memory = empty_memory(spans, nr_cpus=1, watermark=(8, 10, 12), profile=profile)
    # Pageblock 2 begins with free pages, then a page that can be moved and one that cannot.
    for node, order in ((1024, 3), *((node, 6) for node in range(4096, PAGES, 192))):
        free_block(memory, node, 0, order, FPI_NONE)
    guest = Guest.__new__(Guest)
    guest.memory, guest.compaction = memory, new_compaction(memory)
    guest.reclaim = new_reclaim(memory, PAGES)
    memory.frame[1032] = LRU
    add_file_page(memory, guest.reclaim, 1032, 1032, False)
    cc = guest.control(PROCESS)
    direct.set_request(cc, 0, 9, MOVABLE, 1)
    cc.mode, cc.direct_compaction = MIGRATE_ASYNC, 1
    result = begin_zone(memory, guest.reclaim, guest.compaction, PROCESS, 0)
    assert result == COMPACT_CONTINUE
    rounds = 0
    while result == COMPACT_CONTINUE and rounds < 100:
        result = step_zone(memory, guest.reclaim, guest.compaction, PROCESS)
        rounds += 1
    assert result == COMPACT_PARTIAL_SKIPPED, f"{rounds} rounds"


def test_attempts_are_put_off_twice_as_long_after_each_failure():
    compaction = Guest().compaction
    for failures in range(1, COMPACT_MAX_DEFER_SHIFT + 3):
        skip.defer_compaction(compaction, 0, 9)
        skipped = 0
        while skip.compaction_deferred(compaction, 0, 9):
            skipped += 1
        assert skipped == (1 << min(failures, COMPACT_MAX_DEFER_SHIFT)) - 1
    assert skip.compaction_restarting(compaction, 0, 9)
    skip.compaction_defer_reset(compaction, 0, 9, True)
    assert not skip.compaction_deferred(compaction, 0, 9)


def test_an_order_below_the_one_that_failed_is_not_put_off():
    compaction = Guest().compaction
    skip.compaction_defer_reset(compaction, 0, 5, False)
    skip.defer_compaction(compaction, 0, 6)
    assert skip.compaction_deferred(compaction, 0, 6)
    assert not skip.compaction_deferred(compaction, 0, 5)


def test_compaction_that_cannot_help_is_skipped():
    guest = Guest(watermark=(3000, 3000, 3000))
    node, _zone, result = guest.compact(9)
    assert (node, result) == (zone.NO_PAGE, COMPACT_SKIPPED)
    assert "compact_stall" not in vmstat(guest.reclaim)


def unmovable_guest():
    """A guest none of whose pages can be moved."""
    guest = Guest()
    guest.memory.frame[guest.memory.frame == LRU] = 0
    guest.reclaim.slot[:] = 0
    return guest


def test_a_failure_is_counted_and_puts_the_next_attempts_off():
    guest = unmovable_guest()
    guest.memory.zones.watermark[:] = 100
    assert guest.compact(9)[0] == zone.NO_PAGE
    assert vmstat(guest.reclaim)["compact_fail"] == 1
    assert guest.compaction.zone[0].compact_defer_shift == 1
    # The pageblocks are marked, and are to be unmarked when kswapd goes to sleep.
    assert guest.compaction.zone[0].compact_blockskip_flush == 1
    assert skip.get_pageblock_skip(guest.memory, 4096)
    assert guest.compact(9)[2] == COMPACT_DEFERRED
    guest.memory.frame[1:512] |= np.where(guest.memory.frame[1:512] == 0, LRU, 0).astype(np.uint16)
    skip.reset_isolation_suitable(guest.memory, guest.reclaim, guest.compaction)
    assert not skip.get_pageblock_skip(guest.memory, 4096)
    assert guest.compaction.zone[0].compact_cached_migrate_pfn.tolist() == [4096, 4096]


def test_fragmentation_index_and_suitability():
    guest = Guest()
    memory = guest.memory
    blocks = memory.nr_free[0, 0].sum()
    assert finish.fragmentation_index(memory, 0, 9) == 1000 - (1000 + blocks * 1000 // 512) // (
        blocks
    )
    assert finish.fragmentation_index(memory, 0, 0) == -1000
    assert finish.compaction_suitable(memory, 0, 9, 1)
    free_block(memory, 1, 0, 0, FPI_NONE)
    memory.zones.watermark[:] = int(memory.zones.nr_free_pages[0]) - 1024
    assert not finish.compaction_suitable(memory, 0, 9, 1)


def test_kswapd_wakes_kcompactd_for_its_order_and_only_if_it_can_help():
    guest = Guest()
    node, daemon = guest.reclaim.node[0], guest.compaction.daemon[0]
    node.kcompactd_order, node.kcompactd_zoneidx = 9, 1
    kcompactd.answer_kswapd(guest.memory, guest.reclaim, guest.compaction)
    assert (daemon.awake, daemon.kcompactd_max_order, node.kcompactd_order) == (1, 9, -1)
    guest = Guest(every=PAGES)
    kcompactd.wakeup_kcompactd(guest.memory, guest.compaction, 9, 1)
    assert guest.compaction.daemon[0].awake == 0


def test_an_order_that_woke_nobody_is_tried_before_the_score_is_looked_at():
    guest = Guest()
    daemon = guest.compaction.daemon[0]
    guest.memory.zones.watermark[:] = guest.memory.zones.nr_free_pages[0]
    kcompactd.wakeup_kcompactd(guest.memory, guest.compaction, 9, 3)
    assert (daemon.awake, daemon.kcompactd_max_order) == (0, 9)
    parts = guest.memory, guest.reclaim, guest.compaction
    assert not kcompactd.kcompactd_timeout(*parts)
    assert not kcompactd_step(*parts, 0)
    assert vmstat(guest.reclaim)["compact_daemon_wake"] == 1
    assert kcompactd.kcompactd_timeout(*parts)
    assert (daemon.awake, daemon.proactive) == (1, 1)


def test_an_order_asked_for_meanwhile_is_worked_on_next():
    guest = Guest()
    daemon = guest.compaction.daemon[0]
    kcompactd.wakeup_kcompactd(guest.memory, guest.compaction, 4, 3)
    kcompactd_step(guest.memory, guest.reclaim, guest.compaction, 0)
    kcompactd.wakeup_kcompactd(guest.memory, guest.compaction, 9, 3)
    while kcompactd_step(guest.memory, guest.reclaim, guest.compaction, 0):
        pass
    assert vmstat(guest.reclaim)["compact_daemon_wake"] == 2
    assert guest.memory.nr_free[0, 9:].sum() > 0
    assert (daemon.awake, daemon.kcompactd_max_order) == (0, 0)


@PROFILES
@pytest.mark.parametrize("seed", range(4))
def test_a_guest_goes_on_between_the_steps(profile, seed):
    guest, chance = Guest(profile=profile), random.Random(seed)
    memory = guest.memory
    compact_node(memory, guest.reclaim, guest.compaction, 0)
    held = []
    for _ in range(60):
        kcompactd.wakeup_kcompactd(memory, guest.compaction, 9, 3)
        kcompactd_step(memory, guest.reclaim, guest.compaction, 0)
        check_memory_but_for_hands(guest)
        for _ in range(chance.randrange(60)):
            node, _zone, _locked = zone.alloc_pages(memory, 0, chance.choice((0, 0, 2)), 0, 0)
            if node >= 0:
                held.append(node)
        if chance.random() < 0.2:
            guest.compact(4, PRIO_ASYNC)
        check_memory_but_for_hands(guest)
    hands = guest.compaction.links[2 * memory.nr_pages :]
    assert held and not set(held) & set(hands.tolist())


def check_memory_but_for_hands(guest):
    """Pages in hand count as allocated, so the memory is sound between the steps too."""
    check_memory(guest.memory)
    for who in (KCOMPACTD, PROCESS):
        assert guest.compaction.control[who].nr_migratepages >= 0


def test_the_hardest_priority_scans_the_whole_zone_and_every_pageblock():
    guest = unmovable_guest()
    set_pageblock_migratetype(guest.memory, 512, UNMOVABLE)
    guest.memory.zones.watermark[:] = 100
    guest.compact(9, PRIO_SYNC_FULL)
    cc = guest.compaction.control[PROCESS]
    assert cc.whole_zone == 1
    assert cc.total_migrate_scanned >= PAGES - 512


def test_work_is_noted_for_the_engine():
    guest = Guest()
    compact_node(guest.memory, guest.reclaim, guest.compaction, 0)
    counts, work = vmstat(guest.reclaim), guest.reclaim.work
    scanned = counts["compact_migrate_scanned"] + counts["compact_free_scanned"]
    assert work[-2] == scanned and work[-1] == counts["pgmigrate_success"]
    assert counts["compact_isolated"] > counts["pgmigrate_success"]


def test_a_copy_shares_nothing():
    compaction = Guest().compaction
    copy = copy_compaction(compaction)
    copy.zone["compact_defer_shift"] = 3
    copy.links[:] = 0
    assert compaction.zone[0].compact_defer_shift == 0 and compaction.links.any()
