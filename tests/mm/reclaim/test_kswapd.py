"""Who wakes kswapd, how far it reclaims, when it sleeps, and what a boost changes."""

import pytest
from lru_guest import lru_guest, page_of

from freehint.mm.check import check_memory
from freehint.mm.memory import MOVABLE, ZONE_RECLAIM_ACTIVE
from freehint.mm.reclaim.direct import allow_direct_reclaim
from freehint.mm.reclaim.kswapd import end_nap, end_pass, kswapd_step, pgdat_balanced, wakeup_kswapd
from freehint.mm.reclaim.lru import add_file_page
from freehint.mm.reclaim.slowpath import alloc
from freehint.mm.reclaim.state import (
    BY_KSWAPD,
    DEF_PRIORITY,
    KSWAPD_ASLEEP,
    KSWAPD_BALANCES,
    KSWAPD_NAPS,
    KSWAPD_SHRINKS,
    MAX_NR_ZONES,
    NO_BOOST,
    NO_KSWAPD_FLAG,
    vmstat,
)


def full(left, files=None, **options):
    """A guest with ``left`` free pages, all others of files or of the kernel."""
    memory, reclaim = lru_guest(**options)
    while memory.zones.nr_free_pages[0] > left:
        node = page_of(memory)
        assert node >= 0
        if files is None or reclaim.zone_lru.sum() < files:
            add_file_page(memory, reclaim, node, int(reclaim.zone_lru.sum()), False)
    return memory, reclaim


def until_it_rests(memory, reclaim):
    """Let kswapd work; the number of steps."""
    steps = 0
    while kswapd_step(memory, reclaim, 0):
        steps += 1
        assert steps < 100_000
    return steps


def test_it_sleeps_while_a_zone_is_balanced():
    memory, reclaim = lru_guest()
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    assert not reclaim.node[0].kswapd_awake and not kswapd_step(memory, reclaim, 0)
    # It does not wake but it remembers what was asked for.
    assert reclaim.node[0].kswapd_highest_zoneidx == 3


def test_it_reclaims_until_the_high_watermark_and_naps():
    memory, reclaim = full(34)
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    assert reclaim.node[0].kswapd_awake
    flags = set()
    while kswapd_step(memory, reclaim, 0):
        flags.add(bool(memory.zones[0]["flags"] & ZONE_RECLAIM_ACTIVE))
    assert flags == {True, False}  # False only when it tries to sleep
    assert not memory.zones[0]["flags"] & ZONE_RECLAIM_ACTIVE
    assert 48 < memory.zones.nr_free_pages[0] < 48 + 40  # not more than a pcp list and a batch
    assert reclaim.node[0].kswapd_at == KSWAPD_NAPS
    counts = vmstat(reclaim)
    assert counts["pageoutrun"] == 1 and counts["pgsteal_kswapd"] == counts["pgscan_kswapd"]
    end_nap(memory, reclaim)
    assert reclaim.node[0].kswapd_at == KSWAPD_ASLEEP and reclaim.node[0].kswapd_sleeps == 1
    check_memory(memory, reclaim)


def test_a_wake_up_during_the_nap_is_a_low_watermark_hit_quickly():
    memory, reclaim = full(34)
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    until_it_rests(memory, reclaim)
    while not reclaim.node[0].kswapd_awake:
        assert alloc(memory, reclaim, 0, 0, MOVABLE, 0)[0] >= 0
    assert vmstat(reclaim)["kswapd_low_wmark_hit_quickly"] == 1
    until_it_rests(memory, reclaim)
    assert vmstat(reclaim)["pageoutrun"] == 2


def test_memory_taken_during_the_nap_is_a_high_watermark_hit_quickly():
    memory, reclaim = full(34)
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    until_it_rests(memory, reclaim)
    while pgdat_balanced(memory, 0, 3):
        page_of(memory)
    end_nap(memory, reclaim)
    assert vmstat(reclaim)["kswapd_high_wmark_hit_quickly"] == 1 and reclaim.node[0].kswapd_awake
    until_it_rests(memory, reclaim)
    assert vmstat(reclaim)["pageoutrun"] == 2


@pytest.mark.parametrize(
    ("order", "reclaimed", "again"), [(9, 5, True), (9, 0, False), (0, 5, False), (3, 5, False)]
)
def test_kswapd_passes_again_until_compaction_can_begin(order, reclaimed, again):
    memory, reclaim = full(34)
    sc = reclaim.control[BY_KSWAPD]
    sc.order, sc.priority, sc.lru_reclaimed = order, DEF_PRIORITY, reclaimed
    reclaim.node.kswapd_at = KSWAPD_SHRINKS
    end_pass(memory, reclaim)
    assert reclaim.node[0].kswapd_at == (KSWAPD_SHRINKS if again else KSWAPD_BALANCES)
    assert sc.nr_reclaimed == reclaimed


def test_a_hopeless_node_is_left_to_direct_reclaim():
    memory, reclaim = full(34, files=0)
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    until_it_rests(memory, reclaim)
    assert reclaim.node[0].kswapd_failures == 16
    counts = vmstat(reclaim)
    assert counts == {"pageoutrun": 16, "kswapd_high_wmark_hit_quickly": 15}
    end_nap(memory, reclaim)
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    assert not reclaim.node[0].kswapd_awake
    assert allow_direct_reclaim(memory, reclaim)


def test_requests_for_higher_zones_and_orders_add_up():
    memory, reclaim = full(34)
    for order, zone in ((0, 2), (3, 1), (1, 3)):
        wakeup_kswapd(memory, reclaim, order, zone, True)
    state = reclaim.node[0]
    assert (state.kswapd_order, state.kswapd_highest_zoneidx) == (3, 3)
    kswapd_step(memory, reclaim, 0)
    assert (state.alloc_order, state.zoneidx) == (3, 3)
    assert (state.kswapd_order, state.kswapd_highest_zoneidx) == (0, MAX_NR_ZONES)


def boosted(ablations=0):
    """A balanced guest of file pages whose only zone has a boost of 50 pages."""
    memory, reclaim = full(300, pages=8192, places=9000)
    memory.zones.watermark_boost[0] = 50
    reclaim.node[0].ablations = ablations
    return memory, reclaim


def test_a_boost_is_reclaimed_and_given_back():
    memory, reclaim = boosted()
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    assert reclaim.node[0].kswapd_awake
    kswapd_step(memory, reclaim, 0)
    kswapd_step(memory, reclaim, 0)
    sc = reclaim.control[0]
    assert (sc.may_swap, sc.may_writepage) == (0, 0)
    memory.zones.watermark_boost[0] += 7  # what comes meanwhile stays
    until_it_rests(memory, reclaim)
    assert memory.zones.watermark_boost[0] == 7
    # Passes of 1, 3 and 7 pages; priority 10 is the highest of a boost, so 7 again and again.
    counts = vmstat(reclaim)
    assert (
        counts["pgsteal_kswapd"] == 1 + 3 + 7 * 7
        and counts["pageoutrun"] == 1
        and sc.priority == 10
    )
    assert (reclaim.node[0].kcompactd_order, reclaim.node[0].kcompactd_zoneidx) == (9, 3)


def test_a_boost_that_reclaims_nothing_is_over_at_once():
    memory, reclaim = full(300)  # 1,700 pages: none at priority 12
    memory.zones.watermark_boost[0] = 50
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    until_it_rests(memory, reclaim)
    assert vmstat(reclaim) == {"pageoutrun": 1} and memory.zones.watermark_boost[0] == 0


def test_an_unbalanced_node_ends_the_boost_first():
    memory, reclaim = full(34)
    memory.zones.watermark_boost[0] = 50
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    until_it_rests(memory, reclaim)
    assert reclaim.control[0].may_swap == 1 and memory.zones.watermark_boost[0] == 0
    assert memory.zones.nr_free_pages[0] > 48 + 50


@pytest.mark.parametrize(
    ("ablations", "factor", "awake"), [(0, 15000, 1), (NO_BOOST, 15000, 0), (0, 0, 0)]
)
def test_a_steal_wakes_kswapd_for_its_zone_but_for_the_wrong_rule_or_factor_0(
    ablations, factor, awake
):
    memory, reclaim = lru_guest(watermark_boost_factor=factor)
    reclaim.node[0].ablations = ablations
    for _ in range(1600):
        page_of(memory)
    # The first UNMOVABLE page steals a MOVABLE block that is smaller than a pageblock.
    assert alloc(memory, reclaim, 0, 0, 0, 0)[0] >= 0
    assert reclaim.node[0].kswapd_awake == awake
    assert (memory.zones.watermark_boost[0] > 0) == awake
    assert reclaim.node[0].kswapd_highest_zoneidx == (1 if awake else MAX_NR_ZONES)


def test_the_wrong_rule_leaves_the_pcp_lists_alone():
    memory, reclaim = full(34)
    reclaim.node[0].ablations = NO_KSWAPD_FLAG
    wakeup_kswapd(memory, reclaim, 0, 3, True)
    while kswapd_step(memory, reclaim, 0):
        assert memory.zones[0]["flags"] == 0


@pytest.mark.parametrize(("free", "allowed"), [(17, True), (16, False)])
def test_a_task_must_wait_below_half_of_the_reserves(free, allowed):
    memory, reclaim = full(34)
    memory.zones.nr_free_pages[0] = free
    assert bool(allow_direct_reclaim(memory, reclaim)) is allowed
    assert reclaim.node[0].kswapd_awake == (not allowed)
