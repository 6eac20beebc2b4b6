"""6.12 beside 6.1: every difference by name."""

import pytest

from freehint.mm.buddy import FPI_NONE, free_block, free_one_page
from freehint.mm.check import check_memory
from freehint.mm.fallback import RMQUEUE_NORMAL, RMQUEUE_STEAL, rmqueue
from freehint.mm.highatomic import ALLOC_MIN_RESERVE, reserve_highatomic_pageblock
from freehint.mm.isolate import isolate_free_page
from freehint.mm.memory import (
    HIGHATOMIC,
    LRU,
    MOVABLE,
    RECLAIMABLE,
    UNMOVABLE,
    WMARK_MIN,
    ZONE_BELOW_HIGH,
    ZONE_RECLAIM_ACTIVE,
    free_list_head,
    list_nodes,
)
from freehint.mm.pageblock import set_pageblock_migratetype
from freehint.mm.pcp import decay_pcp_high, drain_pages_zone, rmqueue_bulk
from freehint.mm.pcp_limits import PCPF_PREV_FREE_HIGH_ORDER
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.watermark import set_pcp_limits
from freehint.mm.zone import (
    NO_PAGE,
    alloc_from_zonelist,
    alloc_pages,
    free_pages,
    zone_watermark_ok,
)
from memories import block_type, empty_memory, free_memory


def both(outcome):
    """The results of the two kernels, the older first."""
    return outcome(LINUX_6_1), outcome(LINUX_6_12)


def on_list(memory, order, migratetype=MOVABLE):
    return list_nodes(memory, free_list_head(memory, 0, order, migratetype)).tolist()


def guest(profile, **options):
    """16 MiB without a free page, all of it MOVABLE; one CPU that may keep 40 to 600 pages."""
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, profile=profile, **options)
    memory.pcp.batch[:], memory.pcp.high_min[:], memory.pcp.high_max[:] = 4, 40, 600
    return memory


def full_of_movable_pages(profile, blocks, **options):
    """These MOVABLE blocks, as (node, order), are free; all other pages are movable ones."""
    memory = guest(profile, **options)
    memory.frame[:] = LRU
    for node, order in blocks:
        free_block(memory, node, 0, order, FPI_NONE)
        memory.frame[node + 1 : node + (1 << order)] = 0
    return memory


# fallback


def test_fallback_one_block_is_stolen_where_6_1_takes_all_of_it():
    def left(profile):
        memory = full_of_movable_pages(profile, [(0, 3)])
        assert rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)[0] == 0
        check_memory(memory)
        return on_list(memory, 2, UNMOVABLE), on_list(memory, 2), block_type(memory, 0)

    assert both(left) == (([4], [], MOVABLE), ([], [4], MOVABLE))


def test_fallback_after_a_refused_claim_the_next_smaller_block_is_tried():
    def taken(profile):
        memory = full_of_movable_pages(profile, [(0, 4), (512, 3)])
        memory.frame[520:1024] = 0  # unmovable: that pageblock can be claimed
        node, _mode = rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)
        check_memory(memory)
        return node, on_list(memory, 4), block_type(memory, 512)

    assert both(taken) == ((0, [], MOVABLE), (512, [0], UNMOVABLE))


def test_fallback_a_claimed_pageblock_gives_its_smallest_block():
    def taken(profile):
        memory = guest(profile)
        for node, order in ((100, 0), (0, 5), (200, 0)):
            free_block(memory, node, 0, order, FPI_NONE)
        node, _mode = rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)
        check_memory(memory)
        return node, on_list(memory, 0, UNMOVABLE), on_list(memory, 5, UNMOVABLE)

    # In address order to the tail, in both; 6.1 comes to it by trying again.
    assert both(taken) == ((100, [200], [0]),) * 2


def test_fallback_steals_the_smallest_block_where_6_1_takes_the_largest():
    def taken(profile):
        memory = full_of_movable_pages(profile, [(0, 5), (512, 2)])
        return rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)

    assert both(taken) == ((0, RMQUEUE_NORMAL), (512, RMQUEUE_STEAL))


def test_fallback_a_refill_that_steals_goes_on_stealing():
    def boost(profile):
        singles = [(512 * block, 0) for block in range(8)]
        memory = full_of_movable_pages(profile, singles, watermark=(32, 40, 10_000))
        memory.pcp.batch[:] = 6
        assert rmqueue_bulk(memory, 0, 0, 0, UNMOVABLE, 0) == 6
        check_memory(memory)
        return int(memory.zones.watermark_boost[0])

    # Every search for a pageblock boosts; 6.12 searches once.
    assert both(boost) == (6 * 512, 512)


def test_fallback_a_refill_that_claims_begins_with_its_own_lists_again():
    memory = guest(LINUX_6_12)
    free_block(memory, 0, 0, 3, FPI_NONE)
    node, mode = rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)
    assert (node, mode, block_type(memory, 0)) == (0, RMQUEUE_NORMAL, UNMOVABLE)
    assert rmqueue(memory, 0, 0, UNMOVABLE, 0, mode) == (1, RMQUEUE_NORMAL)


def test_fallback_a_pageblock_that_begins_before_the_zone_is_not_claimed():
    def claimed(profile):
        memory = empty_memory({"DMA32": (4097, 8192)}, profile=profile)
        free_block(memory, 100, 0, 0, FPI_NONE)
        assert rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)[0] == 100
        return block_type(memory, 100)

    assert both(claimed) == (UNMOVABLE, MOVABLE)


# freelist_hygiene


def halves(profile, first, second):
    """An order-10 block, freed over two pageblocks of these types."""
    memory = guest(profile)
    set_pageblock_migratetype(memory, 0, first)
    set_pageblock_migratetype(memory, 512, second)
    free_block(memory, 0, 0, 10, FPI_NONE)
    check_memory(memory)
    return memory


def test_freelist_hygiene_a_merge_makes_both_pageblocks_alike():
    def merged(profile):
        memory = halves(profile, MOVABLE, UNMOVABLE)
        lists = on_list(memory, 10), on_list(memory, 10, UNMOVABLE)
        return *lists, block_type(memory, 0), block_type(memory, 512)

    expected = ([0], [], MOVABLE, UNMOVABLE), ([], [0], UNMOVABLE, UNMOVABLE)
    assert both(merged) == expected


def test_freelist_hygiene_a_large_block_is_freed_pageblock_by_pageblock():
    def freed(profile):
        memory = halves(profile, MOVABLE, HIGHATOMIC)
        return on_list(memory, 10), on_list(memory, 9), on_list(memory, 9, HIGHATOMIC)

    assert both(freed) == (([0], [], []), ([], [0], [512]))


def test_freelist_hygiene_a_drain_reads_the_type_again():
    def drained(profile):
        memory = guest(profile)
        free_pages(memory, 0, 0, 0, 0)
        set_pageblock_migratetype(memory, 0, RECLAIMABLE)
        drain_pages_zone(memory, 0, 0)
        check_memory(memory)
        return on_list(memory, 0), on_list(memory, 0, RECLAIMABLE)

    assert both(drained) == (([0], []), ([], [0]))


def test_freelist_hygiene_isolating_half_a_pageblock_moves_the_other_half():
    def rest(profile):
        memory = guest(profile, watermark=(0, 0, 0))
        set_pageblock_migratetype(memory, 0, UNMOVABLE)
        for node, order in ((0, 8), (256, 3)):
            free_block(memory, node, 0, order, FPI_NONE)
        assert isolate_free_page(memory, 0, 0)
        check_memory(memory)
        return on_list(memory, 3, UNMOVABLE), on_list(memory, 3), block_type(memory, 0)

    assert both(rest) == (([256], [], MOVABLE), ([], [256], MOVABLE))


def test_freelist_hygiene_a_large_block_is_reserved_with_all_its_pageblocks():
    def reserved(profile):
        memory = guest(profile)
        memory.zones.managed[0] = 120_000
        reserve_highatomic_pageblock(memory, 0, 0, 10)
        types = block_type(memory, 0), block_type(memory, 512)
        return int(memory.zones.nr_reserved_highatomic[0]), *types

    assert both(reserved) == ((512, HIGHATOMIC, MOVABLE), (1024, HIGHATOMIC, HIGHATOMIC))


def test_freelist_hygiene_a_pageblock_that_leaves_the_zone_is_not_reserved():
    def reserved(profile):
        memory = empty_memory({"DMA32": (4096, 4096 + 700)}, profile=profile)
        memory.zones.managed[0] = 120_000
        reserve_highatomic_pageblock(memory, 600, 0, 0)
        return int(memory.zones.nr_reserved_highatomic[0])

    assert both(reserved) == (512, 0)


# small_zones_reserve, watermarks_count_reserve, high_ignores_boost


@pytest.mark.parametrize(
    ("managed", "pages"), [(4096, (1024, 0)), (51_199, (1024, 0)), (60_000, (1536, 1024))]
)
def test_small_zones_reserve_nothing_and_others_whole_pageblocks(managed, pages):
    def reserved(profile):
        memory = guest(profile)
        memory.zones.managed[0] = managed
        for node in range(0, 4096, 512):
            reserve_highatomic_pageblock(memory, node, 0, 0)
        return int(memory.zones.nr_reserved_highatomic[0])

    assert both(reserved) == pages


def test_watermarks_count_reserve_only_as_far_as_it_is_free():
    def passes(mark):
        def outcome(profile):
            memory = guest(profile, watermark=(mark, mark, mark))
            reserve = 512
            memory.zones.nr_reserved_highatomic[0] = reserve
            set_pageblock_migratetype(memory, 0, HIGHATOMIC)
            free_one_page(memory, 0, 0, 6, HIGHATOMIC, FPI_NONE)
            free_one_page(memory, 1024, 0, 10, MOVABLE, FPI_NONE)
            return zone_watermark_ok(memory, 0, 0, WMARK_MIN, 0, 1, 0)

        return outcome

    # 1088 pages are free, 64 of them reserved.
    assert both(passes(1088 - 512)) == (False, True)
    assert both(passes(1088 - 64 - 1)) == (False, True)
    assert both(passes(1088 - 64)) == (False, False)


def test_high_ignores_boost_without_being_atomic():
    def served(profile):
        memory = free_memory(pages=2048, nr_cpus=1, profile=profile, watermark=(100, 5000, 6000))
        memory.zones.watermark_boost[0] = 8000
        assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] == NO_PAGE
        return alloc_from_zonelist(memory, 0, 0, MOVABLE, ALLOC_MIN_RESERVE, 0)[0] != NO_PAGE

    assert both(served) == (False, True)


# pcp_high, pcp_free


def with_pages(profile, **options):
    """16 MiB free; one CPU with a batch of 4 that may keep 40 to 600 pages."""
    memory = free_memory(nr_cpus=1, profile=profile, **options)
    memory.pcp.batch[:], memory.pcp.high_min[:], memory.pcp.high_max[:] = 4, 40, 600
    return memory


def test_pcp_high_refills_double_as_long_as_nothing_is_freed():
    def refills(profile):
        memory = with_pages(profile)
        taken = [alloc_pages(memory, 0, 0, MOVABLE, 0) for _ in range(300)]
        refills = [under_lock for _node, _zone, under_lock in taken if under_lock]
        free_pages(memory, taken[0][0], 0, 0, 0)
        drain_pages_zone(memory, 0, 0)
        return refills[:7], alloc_pages(memory, 0, 0, MOVABLE, 0)[2]

    # A free halves the number of doublings: 5 to 2.
    assert both(refills) == (([4] * 7, 4), ([4, 8, 16, 32, 64, 128, 128], 16))


def test_pcp_high_grows_by_what_is_refilled_up_to_its_limit():
    def high(profile):
        memory = with_pages(profile)
        highs = []
        for _ in range(1000):
            alloc_pages(memory, 0, 0, MOVABLE, 0)
            highs.append(int(memory.pcp.high[0, 0]))
        return highs[0], highs[4], highs[-1]

    assert both(high) == ((40, 40, 40), (44, 52, 600))


def test_pcp_high_is_the_low_watermark_up_to_an_eighth_of_the_zone():
    def limits(profile):
        memory = empty_memory({"DMA32": (4096, 4096 + (1 << 20))}, nr_cpus=2, profile=profile)
        memory.zones.watermark[0] = 10_000, 12_500, 15_000
        set_pcp_limits(memory)
        pcp = memory.pcp[0, 0]
        return int(pcp.high), int(pcp.high_min), int(pcp.high_max)

    assert both(limits) == ((6250, 0, 0), (6250, 6250, (1 << 20) // 16))


def test_pcp_high_decays_and_what_stands_above_it_is_drained():
    def decayed(profile):
        memory = guest(profile)
        memory.pcp.high[:] = 80
        for node in range(0, 150, 2):
            free_pages(memory, node, 0, 0, 0)
        drained = decay_pcp_high(memory, 0, 0)
        check_memory(memory)
        return drained, int(memory.pcp.count[0, 0]), int(memory.pcp.high[0, 0])

    assert both(decayed) == ((0, 75, 80), (5, 70, 70))


@pytest.mark.parametrize(
    ("count", "high", "after"), [(0, 600, 525), (0, 42, 40), (0, 30, 30), (400, 300, 272)]
)
def test_pcp_high_decays_by_an_eighth_within_limits(count, high, after):
    memory = guest(LINUX_6_12)
    memory.pcp.high[:] = 10**6
    memory.pcp.high_max[:] = 10**6
    for node in range(0, 2 * count, 2):
        free_pages(memory, node, 0, 0, 0)
    memory.pcp.high[:] = high
    decay_pcp_high(memory, 0, 0)
    # Not below high_min, nor by more than 128 pages below what stands there.
    assert memory.pcp.high[0, 0] == after


def test_pcp_high_shrinks_while_the_zone_is_below_its_high_watermark():
    def below(profile):
        memory = with_pages(profile, watermark=(0, 0, 5000))
        nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(100)]
        drain_pages_zone(memory, 0, 0)
        flag = int(memory.zones["flags"][0])
        memory.pcp.high[:] = 90
        for node in nodes[:50]:
            free_pages(memory, node, 0, 0, 0)
        return flag, int(memory.pcp.count[0, 0]), int(memory.pcp.high[0, 0])

    # From 40 = high_min on every free drains, at first a run of 40 but for a batch.
    flag, kept, high = below(LINUX_6_12)
    assert (flag, high) == (ZONE_BELOW_HIGH, 40)
    assert kept < 40
    assert below(LINUX_6_1) == (0, 50, 90)


def test_pcp_high_is_free_to_grow_again_above_the_high_watermark():
    memory = with_pages(LINUX_6_12, watermark=(0, 0, 4090))
    nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(100)]
    assert memory.zones["flags"][0] == ZONE_BELOW_HIGH
    memory.zones.watermark[0, 2] = 48
    for node in nodes[:60]:
        free_pages(memory, node, 0, 0, 0)
    assert memory.zones["flags"][0] == 0


def test_pcp_high_falls_while_kswapd_balances():
    def reclaiming(profile):
        memory = with_pages(profile)
        nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(30)]
        drain_pages_zone(memory, 0, 0)
        memory.pcp.high[:] = 200
        memory.zones["flags"][0] = ZONE_RECLAIM_ACTIVE
        for node in nodes[:15]:
            free_pages(memory, node, 0, 0, 0)
        return int(memory.pcp.count[0, 0]), int(memory.pcp.high[0, 0])

    # 15 frees: 200 less the run or a batch at each: 4 + 4 + 4 + 4 + 5 + .. + 15.
    assert both(reclaiming) == ((15, 200), (15, 200 - 126))


def test_pcp_free_one_free_of_a_high_order_does_not_end_a_run_as_in_6_1():
    def kept(profile):
        memory = guest(profile)
        memory.pcp.high[:] = 40
        memory.pcp.free_factor[:], memory.pcp.free_count[:] = 1, 100
        counts = []
        for node in (0, 16):
            free_pages(memory, node, 0, 1, 0)
            counts.append(int(memory.pcp.count[0, 0]))
        return counts, int(memory.pcp["flags"][0, 0])

    # 6.12 drains when the free before was of such an order too.
    assert both(kept) == (([0, 0], 0), ([2, 0], PCPF_PREV_FREE_HIGH_ORDER))
