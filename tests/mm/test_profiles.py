"""4.15, 5.10, 6.1 and 6.12: every difference by name, and none elsewhere.

The new rules of 6.12 have their tests in test_profile_6_12.py.
"""

import random

import numpy as np
import pytest

from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, free_one_page
from freehint.mm.check import check_memory
from freehint.mm.fallback import (
    ALLOC_NOFRAGMENT,
    RMQUEUE_NORMAL,
    rmqueue,
    steal_suitable_fallback,
)
from freehint.mm.highatomic import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    lowered_mark,
    rmqueue_reserve,
)
from freehint.mm.isolate import isolate_free_page, putback_isolated_page
from freehint.mm.memory import (
    HIGHATOMIC,
    MOVABLE,
    NR_PCP_LISTS,
    PCP,
    RECLAIMABLE,
    UNMOVABLE,
    ZONE_RECLAIM_ACTIVE,
    free_list_head,
    list_nodes,
    pcp_list_head,
)
from freehint.mm.pageblock import set_pageblock_migratetype
from freehint.mm.pcp import free_pcppages_bulk, pcp_allowed_order, rmqueue_bulk
from freehint.mm.pcp_limits import nr_pcp_high
from freehint.mm.profile import (
    LINUX_4_15,
    LINUX_5_10,
    LINUX_6_1,
    LINUX_6_12,
    PROFILES,
    profile_for_kernel,
    profile_name,
)
from freehint.mm.watermark import pcp_batch, set_pcp_limits
from freehint.mm.zone import alloc_pages, free_pages, zone_watermark_ok
from memories import busy_memory, empty_memory, free_memory

KERNELS = (LINUX_4_15, LINUX_5_10, LINUX_6_1, LINUX_6_12)


def on_list(memory, order, migratetype=MOVABLE):
    return list_nodes(memory, free_list_head(memory, 0, order, migratetype)).tolist()


def each(outcome):
    """The results of the four kernels, the oldest first."""
    return tuple(outcome(profile) for profile in KERNELS)


def before_6_12(outcome):
    """The results of the three kernels that have the rule at all, the oldest first."""
    return tuple(outcome(profile) for profile in KERNELS[:3])


def test_the_profiles_are_known_by_release_and_differ_from_their_neighbour_as_named():
    assert [profile_name(p) for p in PROFILES.values()] == list(PROFILES)
    assert profile_for_kernel("4.15.0-213-generic") is LINUX_4_15
    assert profile_for_kernel("5.10.0-30-amd64") is LINUX_5_10
    assert profile_for_kernel("6.12.95+deb12-cloud-amd64") is LINUX_6_12

    def differ(one, other):
        return {f for f in one._fields if getattr(one, f) != getattr(other, f)} - {"release"}

    assert differ(LINUX_4_15, LINUX_5_10) == {
        "fpi_flags",
        "steal_to_tail",
        "watermark_boost",
        "proactive_compaction",
        "nofragment",
        "fast_check_ignores_reserve",
        "pcp_batch_cap",
    }
    assert differ(LINUX_5_10, LINUX_6_1) == {
        "merge_rule",
        "nofragment",
        "reserves",
        "pcp_max_order",
        "pcp_thp",
        "pcp_drain",
        "pcp_free",
        "batch_scale_max",
        "reclaim_limits_pcp",
        "pcp_high",
    }
    assert differ(LINUX_6_1, LINUX_6_12) == {
        "fallback",
        "small_zones_reserve",
        "watermarks_count_reserve",
        "high_ignores_boost",
        "freelist_hygiene",
        "lru_gen",
        "compaction",
        "pcp_free",
        "pcp_high",
    }


def test_fpi_flags_putback_goes_to_the_tail_from_5_10_on():
    def order_of_list(profile):
        memory = free_memory(pages=4096, profile=profile)
        node = on_list(memory, 10)[1]
        assert isolate_free_page(memory, node, 0)
        putback_isolated_page(memory, node)
        check_memory(memory)
        return on_list(memory, 10).index(node)

    assert each(order_of_list) == (0, 3, 3, 3)


def test_steal_to_tail_stolen_pages_go_to_the_head_in_4_15():
    def stolen(profile):
        memory = free_memory(pages=4096, profile=profile)
        for node in (2048, 0):
            steal_suitable_fallback(memory, node, 0, UNMOVABLE, True, -1)
        return on_list(memory, 10, UNMOVABLE)

    assert before_6_12(stolen) == ([0, 2048], [2048, 0], [2048, 0])


def test_steal_to_tail_a_claimed_pageblock_lies_backwards_in_4_15():
    def claimed(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
        for node in (0, 100, 200):
            free_one_page(memory, node, 0, 0, MOVABLE, FPI_NONE)
        steal_suitable_fallback(memory, 0, 0, UNMOVABLE, True, -1)
        return on_list(memory, 0, UNMOVABLE)

    assert before_6_12(claimed) == ([200, 100, 0], [0, 100, 200], [0, 100, 200])


def test_watermark_boost_is_unknown_to_4_15():
    def boost(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
        free_one_page(memory, 0, 0, 3, MOVABLE, FPI_NONE)
        assert rmqueue(memory, 0, 0, UNMOVABLE, 0, RMQUEUE_NORMAL)[0] == 0
        return int(memory.zones.watermark_boost[0])

    assert each(boost) == (0, 512, 512, 512)


def test_nofragment_is_unknown_to_4_15_and_goes_too_far_in_5_10():
    def takes(order, size):
        def outcome(profile):
            memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
            free_one_page(memory, 0, 0, size, MOVABLE, FPI_NONE)
            got, _mode = rmqueue(memory, 0, order, UNMOVABLE, ALLOC_NOFRAGMENT, RMQUEUE_NORMAL)
            check_memory(memory)
            return got, on_list(memory, size, UNMOVABLE)

        return outcome

    assert each(takes(0, 8)) == ((0, []), (-1, []), (-1, []), (-1, []))
    # A block of order 9 does not serve a request of order 10; 5.10 steals it all the same.
    assert each(takes(10, 9)) == ((-1, []), (-1, [0]), (-1, []), (-1, []))


def test_merge_rule_highatomic_pageblocks_merge_with_others_before_6_1():
    def merged(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
        set_pageblock_migratetype(memory, 0, HIGHATOMIC)
        free_one_page(memory, 0, 0, 9, HIGHATOMIC, FPI_NONE)
        free_one_page(memory, 512, 0, 9, MOVABLE, FPI_NONE)
        check_memory(memory)
        return on_list(memory, 10)

    assert each(merged) == ([0], [0], [], [])


def test_merge_rule_no_kernel_merges_isolated_pageblocks_with_others():
    def merged(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
        set_pageblock_migratetype(memory, 0, 4)
        free_one_page(memory, 0, 0, 9, 4, FPI_NONE)
        free_one_page(memory, 512, 0, 9, MOVABLE, FPI_NONE)
        check_memory(memory)
        return on_list(memory, 9, 4), on_list(memory, 9)

    assert each(merged) == (([0], [512]),) * 4


def test_fast_check_ignores_reserve_for_order_0_in_4_15():
    def passes(order):
        def outcome(profile):
            memory = free_memory(pages=2048, watermark=(1000, 1000, 1000), profile=profile)
            memory.zones.nr_reserved_highatomic[0] = 1048
            return zone_watermark_ok(memory, 0, order, 0, 0, 0, 0)

        return outcome

    assert before_6_12(passes(0)) == (True, False, False)
    assert before_6_12(passes(1)) == (False, False, False)


def test_reserves_rights_lower_the_mark_differently():
    def mark(flags):
        return lambda profile: lowered_mark(free_memory(pages=2048, profile=profile), 1000, flags)

    assert each(mark(0)) == (1000, 1000, 1000, 1000)
    assert each(mark(ALLOC_MIN_RESERVE)) == (500, 500, 500, 500)
    assert each(mark(ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK)) == (375, 375, 375, 375)
    # Without __GFP_HIGH a request that cannot block gets nothing since 6.3's rules.
    assert each(mark(ALLOC_NON_BLOCK)) == (750, 750, 1000, 1000)
    assert each(mark(ALLOC_NON_BLOCK | ALLOC_OOM)) == (500, 500, 500, 500)
    assert each(mark(ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK | ALLOC_OOM)) == (250, 250, 188, 188)


def test_reserves_highatomic_is_a_last_resort_from_6_1_on():
    def served(order, flags):
        def outcome(profile):
            memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
            set_pageblock_migratetype(memory, 0, HIGHATOMIC)
            free_one_page(memory, 0, 0, 3, HIGHATOMIC, FPI_NONE)
            return rmqueue_reserve(memory, 0, order, MOVABLE, flags) == 0

        return outcome

    assert each(served(0, ALLOC_NON_BLOCK)) == (False, False, True, True)
    assert each(served(0, ALLOC_OOM)) == (False, False, True, True)
    assert each(served(0, ALLOC_MIN_RESERVE)) == (False, False, False, False)
    # ALLOC_HARDER of a high order is what ALLOC_HIGHATOMIC became.
    assert each(served(1, ALLOC_NON_BLOCK)) == (True, True, True, True)
    assert each(served(1, ALLOC_HIGHATOMIC)) == (False, False, True, True)


def test_pcp_orders_only_single_pages_before_6_1():
    def kept(profile):
        memory = free_memory(pages=2048, profile=profile)
        return [order for order in range(11) if pcp_allowed_order(memory, order)]

    assert each(kept) == ([0], [0], [0, 1, 2, 3, 9], [0, 1, 2, 3, 9])


def filled(profile, counts):
    """Pcp lists of order 0 with so many pages, by type; the buddy lists stay apart."""
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, profile=profile)
    memory.pcp.high_min[:] = memory.pcp.high_max[:] = memory.pcp.high[:]
    for migratetype, pages in enumerate(counts):
        set_pageblock_migratetype(memory, 512 * migratetype, migratetype)
        for i in range(pages):
            free_one_page(memory, 512 * migratetype + 2 * i, 0, 0, migratetype, FPI_NONE)
        memory.pcp.batch[:], memory.pcp.alloc_factor[:] = max(pages, 1), 0
        got = rmqueue_bulk(memory, 0, 0, 0, migratetype, 0) if pages else 0
        assert got == pages
    return memory


def test_pcp_drain_takes_turns_before_6_1():
    def left(profile):
        memory = filled(profile, (4, 4, 4))
        free_pcppages_bulk(memory, 0, 0, 6, UNMOVABLE)
        check_memory(memory)
        return [len(list_nodes(memory, pcp_list_head(memory, 0, 0, p))) for p in range(3)]

    # MOVABLE first, one page a turn; 6.1 empties the list that was asked for, then the next.
    assert each(left) == ([2, 2, 2], [2, 2, 2], [0, 2, 4], [0, 2, 4])


def test_pcp_drain_empty_lists_raise_the_stake_and_the_last_one_pays_all():
    def left(counts, pages):
        memory = filled(LINUX_4_15, counts)
        free_pcppages_bulk(memory, 0, 0, pages, 0)
        return [len(list_nodes(memory, pcp_list_head(memory, 0, 0, p))) for p in range(3)]

    # MOVABLE 1, past RECLAIMABLE to UNMOVABLE 2, MOVABLE 1.
    assert left((4, 4, 0), 4) == [2, 2, 0]
    # Past MOVABLE: RECLAIMABLE 2, UNMOVABLE 1.
    assert left((4, 0, 4), 3) == [3, 0, 2]
    # Past MOVABLE and RECLAIMABLE: all from UNMOVABLE.
    assert left((9, 0, 0), 7) == [2, 0, 0]
    # The stake left over from a list that ran dry passes to the next.
    assert left((4, 0, 1), 4) == [1, 0, 0]


def test_pcp_free_a_run_of_frees_drains_more_each_time_in_6_1_and_as_long_as_it_is_in_6_12():
    def drains(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, profile=profile)
        memory.pcp.batch[:], memory.pcp.high[:] = 4, 100
        memory.pcp.high_min[:] = memory.pcp.high_max[:] = 100
        sizes = []
        for node in range(0, 1000, 2):
            before = int(memory.pcp.count[0, 0])
            free_pages(memory, node, 0, 0, 0)
            if memory.pcp.count[0, 0] < before:
                sizes.append(before + 1 - int(memory.pcp.count[0, 0]))
        return sizes[:4]

    # A batch must stay.
    assert each(drains) == ([4] * 4, [4] * 4, [4, 8, 16, 32], [96] * 4)


def test_reclaim_limits_pcp_from_6_1_on():
    def high(profile):
        memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
        assert nr_pcp_high(memory, 0, 0, False) == 40
        memory.zones["flags"][0] = ZONE_RECLAIM_ACTIVE
        return int(nr_pcp_high(memory, 0, 0, False))

    assert before_6_12(high) == (40, 40, 28)


def test_pcp_limits_are_the_published_ones():
    def limits(profile):
        memory = empty_memory({"DMA": (1, 4096), "DMA32": (4096, 4096 + (1 << 20))}, 1)
        memory.zones.watermark[1] = 10000, 12500, 15000
        memory = memory._replace(profile=profile)
        set_pcp_limits(memory)
        return memory.pcp.batch[:, 0].tolist(), memory.pcp.high[:, 0].tolist()

    # The small zone keeps nothing before 5.14: six times a batch of 0.
    new = ([1, 63], [40, 12500])
    assert each(limits) == (([1, 31], [0, 186]), ([1, 63], [0, 378]), new, new)
    assert [pcp_batch(1 << 17, p) for p in KERNELS] == [31, 31, 31, 31]


def all_movable(seed):
    """Is every pageblock of this guest MOVABLE?  Then 6.12's hygiene has nothing to retag."""
    return set(busy_memory("one", seed)[0].pageblock.tolist()) == {MOVABLE}


def history(profile, seed):
    """Frees and allocations that touch no difference; all lists afterwards."""
    memory, live = busy_memory("one", seed)
    live = [(node, order) for node, order in live if memory.pageblock[node >> 9] & 7 < 3]
    memory = memory._replace(profile=profile)
    memory.pageblock[memory.pageblock & 7 == HIGHATOMIC] = RECLAIMABLE
    memory.zones.nr_reserved_highatomic[:] = 0
    memory.zones.watermark[:] = 0
    memory.pcp.batch[:], memory.pcp.high[:] = 4, 10**6
    memory.pcp.high_min[:] = memory.pcp.high_max[:] = 10**6
    chance = random.Random(seed)
    for _ in range(300):
        memory.pcp.alloc_factor[:] = 0  # no refill grows
        # Orders that no kernel keeps on pcp lists, and order 0, which all keep, never drained.
        order = chance.choice((0, 0, 0, 4, 5, 6, 7, 8, 10))
        types = [t for t in range(3) if memory.nr_free[0, order:, t].sum() >= 4]
        freed = [b for b in live if b[1] in (0, 4, 5, 6, 7, 8, 10)]
        if chance.random() < 0.5 and freed:
            block = chance.choice(freed)
            live.remove(block)
            free_pages(memory, *block[:1], chance.randrange(memory.nr_cpus), block[1], 0)
        elif types:
            cpu = chance.randrange(memory.nr_cpus)
            node, _zone, _taken = alloc_pages(memory, cpu, order, chance.choice(types), 0)
            assert node >= 0
            live.append((node, order))
        check_memory(memory)
    return memory


@pytest.mark.parametrize("seed", range(40))
def test_elsewhere_the_kernels_agree(seed):
    alike = KERNELS if all_movable(seed) else KERNELS[:3]
    memories = [history(profile, seed) for profile in alike]
    for other in memories[1:]:
        for name in ("links", "frame", "pageblock", "nr_free"):
            assert np.array_equal(getattr(memories[0], name), getattr(other, name)), name
        assert memories[0].zones.nr_free_pages.tolist() == other.zones.nr_free_pages.tolist()
        assert memories[0].pcp.count.tolist() == other.pcp.count.tolist()


def test_6_12_is_among_the_kernels_that_agree():
    assert sum(map(all_movable, range(40))) >= 5


def test_flags_and_frames_used_above_mean_what_they_say():
    memory = filled(LINUX_6_1, (2, 0, 0))
    assert memory.frame[0] == PCP | UNMOVABLE << 8
    assert NR_PCP_LISTS == 14
    assert FPI_TO_TAIL == 2
