"""Reserves, isolation, bulk allocation and draining, step by step."""

import numpy as np
import pytest

from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.check import check_memory
from freehint.mm.fallback import find_suitable_fallback
from freehint.mm.highatomic import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    reserve_highatomic_pageblock,
    unreserve_highatomic_pageblock,
)
from freehint.mm.isolate import (
    isolate_free_page,
    putback_isolated_page,
    set_migratetype_isolate,
    unset_migratetype_isolate,
)
from freehint.mm.memory import (
    HIGHATOMIC,
    HINTED,
    ISOLATE,
    ISOLATED,
    MOVABLE,
    RECLAIMABLE,
    UNMOVABLE,
    USER_LIST,
    ZONE_BELOW_HIGH,
    free_list_head,
    list_nodes,
    user_node,
)
from freehint.mm.pageblock import count_isolate_pageblocks, set_pageblock_migratetype
from freehint.mm.pcp import drain_pages_zone, free_pcppages_bulk, rmqueue_bulk
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.zone import (
    LOCKED,
    NO_PAGE,
    alloc_from_zonelist,
    alloc_pages,
    alloc_pages_bulk,
    free_pages,
)
from memories import block_type, empty_memory, free_everything, free_memory

GFP_ATOMIC = ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK
HIGH_ORDER_ATOMIC = GFP_ATOMIC | ALLOC_HIGHATOMIC


def on_list(memory, order, migratetype=MOVABLE):
    return list_nodes(memory, free_list_head(memory, 0, order, migratetype)).tolist()


def short_memory(**options):
    """1 GiB/128 with free pages between min and low: only the slow path serves."""
    memory = free_memory(pages=2048, nr_cpus=1, **options)
    memory.zones.watermark[0] = 100, 5000, 6000
    return memory


def test_a_high_order_atomic_request_reserves_its_pageblock():
    memory = short_memory()
    node, zone, _taken = alloc_from_zonelist(memory, 0, 4, MOVABLE, HIGH_ORDER_ATOMIC, 0)
    assert (node, zone) == (0, 0)
    assert block_type(memory, node) == HIGHATOMIC
    assert memory.zones.nr_reserved_highatomic[0] == 512
    # What was free of the pageblock waits on HIGHATOMIC lists; the rest does not.
    assert [on_list(memory, order, HIGHATOMIC) for order in range(4, 9)] == [
        [16],
        [32],
        [64],
        [128],
        [256],
    ]
    assert on_list(memory, 9) == [512]
    check_memory(memory)
    # The next one is served from there.
    assert alloc_from_zonelist(memory, 0, 4, MOVABLE, HIGH_ORDER_ATOMIC, 0)[0] == 16


def test_the_fast_path_neither_reserves_nor_uses_the_reserve():
    memory = free_memory(pages=2048)
    alloc_from_zonelist(memory, 0, 4, MOVABLE, HIGH_ORDER_ATOMIC, 0)
    assert memory.zones.nr_reserved_highatomic[0] == 0


def test_a_request_for_the_reserve_waits_for_a_held_lock():
    memory = short_memory()
    assert alloc_from_zonelist(memory, 0, 1, MOVABLE, HIGH_ORDER_ATOMIC, 1)[0] == LOCKED
    check_memory(memory)


def test_the_reserve_may_exceed_its_limit_by_a_pageblock():
    memory = free_memory(pages=4096)  # limit: 40 + 512 pages
    for node in range(0, 4096, 512):
        reserve_highatomic_pageblock(memory, node, 0, 0)
    assert memory.zones.nr_reserved_highatomic[0] == 1024


@pytest.mark.parametrize("migratetype", [HIGHATOMIC, ISOLATE])
def test_pageblocks_set_apart_are_not_reserved(migratetype):
    memory = empty_memory({"DMA32": (4096, 8192)})
    set_pageblock_migratetype(memory, 0, migratetype)
    reserve_highatomic_pageblock(memory, 0, 0, 0)
    assert memory.zones.nr_reserved_highatomic[0] == 0
    assert block_type(memory, 0) == migratetype


def test_unreserving_keeps_the_last_pageblock_unless_forced():
    memory = empty_memory({"DMA32": (4096, 8192)})
    for node in (0, 512):
        reserve_highatomic_pageblock(memory, node, 0, 0)
        free_one_page(memory, node, 0, 3, HIGHATOMIC, FPI_NONE)
    assert unreserve_highatomic_pageblock(memory, RECLAIMABLE, False)
    assert on_list(memory, 3, RECLAIMABLE) == [512]  # the list's head
    assert memory.zones.nr_reserved_highatomic[0] == 512
    assert not unreserve_highatomic_pageblock(memory, RECLAIMABLE, False)
    assert unreserve_highatomic_pageblock(memory, UNMOVABLE, True)
    assert memory.zones.nr_reserved_highatomic[0] == 0
    assert block_type(memory, 0) == UNMOVABLE
    check_memory(memory)


def test_an_atomic_request_goes_below_min_and_at_last_into_the_reserve():
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, watermark=(20, 30, 40))
    reserve_highatomic_pageblock(memory, 0, 0, 0)
    free_one_page(memory, 0, 0, 4, HIGHATOMIC, FPI_NONE)
    assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] == NO_PAGE
    # 16 pages: above 20 - 20 / 2, and above that less a quarter.
    assert alloc_from_zonelist(memory, 0, 0, MOVABLE, ALLOC_MIN_RESERVE, 0)[0] == NO_PAGE
    assert alloc_from_zonelist(memory, 0, 0, MOVABLE, GFP_ATOMIC, 0)[0] == 0
    assert on_list(memory, 3, HIGHATOMIC) == [8]


def test_atomic_single_pages_ignore_the_boost_at_the_min_watermark():
    memory = short_memory()
    memory.zones.watermark_boost[0] = 8000
    assert alloc_pages(memory, 0, 0, MOVABLE, 0)[0] == NO_PAGE
    assert alloc_from_zonelist(memory, 0, 0, MOVABLE, GFP_ATOMIC, 0)[0] == 0
    assert alloc_from_zonelist(memory, 0, 4, MOVABLE, GFP_ATOMIC, 0)[0] == NO_PAGE


def test_isolation_obeys_the_plain_min_watermark():
    memory = free_memory(pages=2048)
    memory.zones.watermark_boost[0] = 10**6
    memory.zones.lowmem_reserve[0] = 10**6
    memory.zones.watermark[0] = 1024, 1500, 2000
    assert not isolate_free_page(memory, 0, 0)
    memory.zones.watermark[0, 0] = 1023
    memory.zones.nr_reserved_highatomic[0] = 1
    assert not isolate_free_page(memory, 0, 0)
    memory.zones.nr_reserved_highatomic[0] = 0
    assert isolate_free_page(memory, 0, 0)
    assert memory.frame[0] == ISOLATED | 10
    assert list_nodes(memory, user_node(memory, 0, USER_LIST)).tolist() == [0]
    assert memory.zones.nr_free_pages[0] == 1024
    check_memory(memory)


@pytest.mark.parametrize(
    ("order", "migratetype", "after"),
    [
        (7, UNMOVABLE, UNMOVABLE),
        (8, UNMOVABLE, MOVABLE),
        (10, RECLAIMABLE, MOVABLE),
        (9, HIGHATOMIC, HIGHATOMIC),
        (9, ISOLATE, ISOLATE),
    ],
)
def test_isolating_half_a_pageblock_makes_it_movable(order, migratetype, after):
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(0, 0, 0))
    for node in (0, 512, 1024):
        set_pageblock_migratetype(memory, node, migratetype)
    for node, size in ((0, order), (1024, 10)):
        free_one_page(memory, node, 0, size, migratetype, FPI_NONE)
    memory.frame[0] |= HINTED
    assert isolate_free_page(memory, 0, 1)
    assert block_type(memory, 0) == after
    assert block_type(memory, 512) == (MOVABLE if order == 10 else migratetype)
    check_memory(memory)
    putback_isolated_page(memory, 0)
    assert on_list(memory, order, after)[-1] == 0
    assert not memory.frame[0] & HINTED
    check_memory(memory)


def test_a_page_on_a_pcp_list_goes_to_an_isolated_pageblock_by_its_pageblock():
    memory = free_memory(pages=2048, nr_cpus=1)
    rmqueue_bulk(memory, 0, 0, 0, MOVABLE, 0)
    for node in (0, 512):
        set_migratetype_isolate(memory, node)
    assert memory.zones.nr_isolate_pageblock[0] == 2
    assert memory.zones.nr_free_pages[0] == 1024
    free_pcppages_bulk(memory, 0, 0, 7, 0)
    assert on_list(memory, 10, ISOLATE) == [0]
    assert memory.zones.nr_free_pages[0] == 1024
    check_memory(memory)
    for node in (0, 512):
        unset_migratetype_isolate(memory, node, RECLAIMABLE)
    assert on_list(memory, 10, RECLAIMABLE) == [0]
    assert memory.zones.nr_free_pages[0] == 2048
    assert memory.zones.nr_isolate_pageblock[0] == 0
    check_memory(memory)


@pytest.mark.parametrize(("profile", "after"), [(LINUX_6_1, ISOLATE), (LINUX_6_12, MOVABLE)])
def test_a_pageblock_that_leaves_the_zone_is_not_set_apart_by_6_12(profile, after):
    memory = free_memory(pages=2048 + 300, profile=profile)
    set_migratetype_isolate(memory, 2048)
    assert block_type(memory, 2048) == after
    assert on_list(memory, 8) == [2048]  # not moved in any kernel
    assert memory.zones.nr_free_pages[0] == 2348


def test_half_of_a_free_block_is_set_apart_and_given_back_by_6_12():
    memory = free_memory(pages=2048, profile=LINUX_6_12)
    set_migratetype_isolate(memory, 512)
    assert (on_list(memory, 9), on_list(memory, 9, ISOLATE)) == ([0], [512])
    assert memory.zones.nr_free_pages[0] == 1536
    check_memory(memory)
    unset_migratetype_isolate(memory, 512, RECLAIMABLE)
    assert (on_list(memory, 9), on_list(memory, 9, RECLAIMABLE)) == ([0], [512])
    assert memory.zones.nr_free_pages[0] == 2048
    check_memory(memory)


def test_a_drain_of_nothing_still_ends_the_shortage():
    memory = free_memory(pages=2048, nr_cpus=1, profile=LINUX_6_12)
    nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(9)]
    drain_pages_zone(memory, 0, 0)
    memory.pcp.high[:] = memory.pcp.high_min[:] = memory.pcp.high_max[:] = 7
    memory.zones["flags"][0] = ZONE_BELOW_HIGH
    for node in nodes[:6]:
        free_pages(memory, node, 0, 0, 0)
    assert memory.zones["flags"][0] == ZONE_BELOW_HIGH
    free_pages(memory, nodes[6], 0, 0, 0)  # a batch must stay: the lists hold no more
    assert memory.pcp.count[0, 0] == 7
    assert memory.zones["flags"][0] == 0
    check_memory(memory)


def test_loaders_can_count_isolated_pageblocks():
    memory = empty_memory({"DMA": (1, 1024), "DMA32": (1024, 4096)})
    memory.pageblock[[0, 3, 4]] = ISOLATE
    count_isolate_pageblocks(memory)
    assert memory.zones.nr_isolate_pageblock.tolist() == [1, 2]


def test_bulk_takes_from_one_pcp_list_and_refills_it():
    memory = free_memory(pages=2048, nr_cpus=1)
    memory.pcp.free_factor[:] = 4
    nodes = np.full(20, -1)
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes) == 20
    assert nodes.tolist() == list(range(20))
    # Three refills of 7; the run of frees is not called off.
    assert memory.pcp.count[0, 0] == 1
    assert memory.pcp.free_factor[0, 0] == 4
    check_memory(memory)


def test_bulk_needs_low_and_its_pages_free_in_one_zone():
    memory = free_everything(empty_memory({"DMA": (1, 1024), "DMA32": (1024, 2048)}, nr_cpus=1))
    memory.zones.watermark[:, 1] = 1000
    memory.zones.lowmem_reserve[:, 3] = 10**6  # against zone Movable: not what bulk looks at
    nodes = np.full(24, -1)
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes) == 0
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes[:23]) == 23
    assert nodes[0] == 1024
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes[:23]) == 0
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes[:1]) == 0


def test_bulk_may_return_fewer():
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, watermark=(0, 0, 0))
    free_one_page(memory, 0, 0, 3, MOVABLE, FPI_NONE)
    free_one_page(memory, 512, 0, 8, HIGHATOMIC, FPI_NONE)  # counts as free, is not for all
    nodes = np.full(12, -1)
    assert alloc_pages_bulk(memory, 0, MOVABLE, nodes) == 8
    assert nodes.tolist() == [*range(8), -1, -1, -1, -1]
    check_memory(memory)


def test_draining_a_zone_leaves_no_page_on_the_cpus_lists():
    memory = free_memory(pages=2048, nr_cpus=2)
    taken = [alloc_pages(memory, 0, order, MOVABLE, 0)[0] for order in (0, 1, 2, 3, 9)]
    for order, node in zip((0, 1, 2, 3, 9), taken, strict=True):
        memory.pcp.high[:] = 10**6
        free_pages(memory, node, 0, order, 0)
    assert memory.pcp.count[0, 0] > 500
    assert drain_pages_zone(memory, 0, 0) > 500
    assert memory.pcp.count[0, 0] == 0
    assert sorted(on_list(memory, 10)) == [0, 1024]
    check_memory(memory)


@pytest.mark.parametrize(
    ("migratetype", "others"),
    [
        (UNMOVABLE, (RECLAIMABLE, MOVABLE)),
        (MOVABLE, (RECLAIMABLE, UNMOVABLE)),
        (RECLAIMABLE, (UNMOVABLE, MOVABLE)),
    ],
)
def test_a_type_falls_back_to_the_others_in_the_kernels_order(migratetype, others):
    """Source: fallbacks[][] of mm/page_alloc.c."""
    memory = empty_memory({"DMA32": (4096, 8192)})
    for place, other in enumerate(reversed(others)):
        node = 512 * place
        set_pageblock_migratetype(memory, node, other)
        free_one_page(memory, node, 0, 3, other, FPI_NONE)
        assert find_suitable_fallback(memory, 0, 3, migratetype) == other


def test_a_drain_takes_what_was_freed_first():
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1)
    for node in (8, 16, 24):
        free_pages(memory, node, 0, 0, 0)
    assert free_pcppages_bulk(memory, 0, 0, 1, MOVABLE) == 1
    assert on_list(memory, 0) == [8]


@pytest.mark.parametrize(("order", "blocks"), [(0, 7), (1, 3), (2, 2), (3, 2), (9, 2)])
def test_a_refill_asks_for_a_batch_of_pages_and_for_two_blocks_at_least(order, blocks):
    memory = free_memory(nr_cpus=1)
    assert rmqueue_bulk(memory, 0, 0, order, MOVABLE, 0) == blocks
    assert memory.pcp["count"][0, 0] == blocks << order
