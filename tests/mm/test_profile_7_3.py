"""7.3 beside 6.12: every difference by name."""

import numpy as np
import pytest

from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.check import check_memory
from freehint.mm.highatomic import ALLOC_HIGHATOMIC, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK
from freehint.mm.isolate import set_migratetype_isolate, unset_migratetype_isolate
from freehint.mm.memory import (
    CMA,
    ISOLATE,
    MOVABLE,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    WITHOUT_CMA,
    WMARK_MIN,
    free_list_head,
    list_nodes,
    new_memory,
    pcp_list_head,
)
from freehint.mm.pageblock import kept_type, set_pageblock_migratetype
from freehint.mm.pcp_limits import PCPF_PREV_FREE_HIGH_ORDER
from freehint.mm.profile import LINUX_6_12, LINUX_7_3, profile_for_kernel
from freehint.mm.zone import alloc_from_zonelist, alloc_pages, free_pages
from memories import block_type, empty_memory, free_memory

ATOMIC = ALLOC_HIGHATOMIC | ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK


def both(outcome):
    """The results of the two kernels, the older first."""
    return outcome(LINUX_6_12), outcome(LINUX_7_3)


def guest(profile):
    """16 MiB without a free page, all of it MOVABLE; one CPU that may keep 40 to 600 pages."""
    memory = empty_memory({"DMA32": (4096, 8192)}, nr_cpus=1, profile=profile)
    memory.pcp.batch[:], memory.pcp.high_min[:], memory.pcp.high_max[:] = 4, 40, 600
    memory.pcp.high[:] = 600
    return memory


def test_7_3_differs_from_6_12_as_named():
    assert profile_for_kernel("7.3.4+deb13-cloud-amd64") is LINUX_7_3
    fields = LINUX_7_3._fields
    assert {f for f in fields if getattr(LINUX_6_12, f) != getattr(LINUX_7_3, f)} == {
        "release",
        "isolation_keeps_type",
        "highatomic_skips_pcp",
        "reporting_fits_ring",
        "free_high_adds_high_min",
        "drain_in_chunks",
    }


@pytest.mark.parametrize(
    ("version", "nearest"),
    [
        ("6.6.12", "6.1"),
        ("6.18.1", "7.3"),
        ("5.19.0-1-amd64", "6.1"),
        ("7.12", "7.3"),
        ("4.9", "4.15"),
    ],
)
def test_a_release_without_a_profile_names_the_nearest(version, nearest):
    with pytest.raises(ValueError, match=f"no profile .*; the nearest is {nearest}, which is not"):
        profile_for_kernel(version)


@pytest.mark.parametrize("version", ["hello", "3.2.0", "", "6"])
def test_what_is_no_release_has_no_nearest(version):
    with pytest.raises(ValueError, match=r"there are 4\.15, [^;]*$"):
        profile_for_kernel(version)


def test_a_run_of_high_orders_must_be_longer_by_half_of_high_min():
    def drained(profile, run):
        memory = guest(profile)
        memory.pcp["flags"][:] = PCPF_PREV_FREE_HIGH_ORDER
        memory.pcp.free_count[:] = run
        for node in range(0, 80, 8):
            free_pages(memory, node, 0, 1, 0)
            memory.pcp.free_count[:] = run
        check_memory(memory)
        return 20 - int(memory.pcp.count[0, 0])

    assert both(lambda profile: drained(profile, 10)) == (20, 0)
    assert both(lambda profile: drained(profile, 4 + 40 // 2)) == (20, 20)


def test_a_drain_in_chunks_frees_a_huge_page_for_every_batch():
    def drained(profile):
        memory = guest(profile)
        memory.pcp.high[:] = memory.pcp.high_max[:] = memory.pcp.high_min[:] = 2_000
        memory.pcp.free_count[:] = 16  # four batches
        for node in (0, 512, 1024, 1536):
            free_pages(memory, node, 0, PAGEBLOCK_ORDER, 0)
            memory.pcp.free_count[:] = 16
        check_memory(memory)
        return 2048 - int(memory.pcp.count[0, 0])

    # 528 pages are asked for: two huge pages, or one for each of 132 batches.
    assert both(drained) == (1024, 2048)


def test_a_high_order_atomic_request_refills_no_list():
    def left_on_lists(profile):
        memory = guest(profile)
        memory.zones.watermark[:] = 0
        free_one_page(memory, 0, 0, 10, MOVABLE, FPI_NONE)
        node, _, _ = alloc_from_zonelist(memory, 0, 1, MOVABLE, ATOMIC, 0)
        assert node == 0
        check_memory(memory)
        return int(memory.pcp.count[0, 0])

    before, after = both(left_on_lists)
    assert before > 0 and after == 0


@pytest.mark.parametrize(("order", "grows"), [(4, True), (1, False)])
def test_the_reserve_grows_only_for_blocks_of_the_buddy_lists(order, grows):
    def reserved(profile):
        memory = free_memory(64 * 1024, profile=profile)
        memory.pcp.batch[:], memory.pcp.high[:] = 8, 100
        memory.pcp.high_min[:] = memory.pcp.high_max[:] = 100
        alloc_pages(memory, 0, 1, MOVABLE, 0)  # some are left on a pcp list
        memory.zones.watermark[:] = 64 * 1024 * 3 // 2
        memory.zones.watermark[:, WMARK_MIN] = 0
        node, _, _ = alloc_from_zonelist(memory, 0, order, MOVABLE, ATOMIC, 0)
        assert node >= 0
        check_memory(memory)
        return int(memory.zones.nr_reserved_highatomic[0]) > 0

    assert both(reserved) == (True, grows)


def test_an_isolated_pageblock_keeps_its_type():
    def type_after(profile):
        memory = free_memory(4096, profile=profile)
        node = int(list_nodes(memory, free_list_head(memory, 0, 10, MOVABLE))[0])
        set_migratetype_isolate(memory, node)
        assert block_type(memory, node) == ISOLATE
        set_pageblock_migratetype(memory, node, ISOLATE)  # once more changes nothing
        kept = kept_type(memory, node)
        unset_migratetype_isolate(memory, node, RECLAIMABLE)
        check_memory(memory)
        return kept, block_type(memory, node)

    assert both(type_after) == ((-1, RECLAIMABLE), (MOVABLE, MOVABLE))


@pytest.mark.parametrize("types", [WITHOUT_CMA, WITHOUT_CMA + 1])
def test_arrays_are_as_wide_as_the_guests_types(types):
    like = empty_memory({"DMA": (1, 2048), "DMA32": (4096, 8192)}, nr_cpus=2, profile=LINUX_7_3)
    memory = new_memory(like.zones.copy(), 2, LINUX_7_3, types=types)
    assert memory.nr_free.shape == (2, 11, types)
    heads = [
        free_list_head(memory, zone, order, migratetype)
        for zone in range(2)
        for order in range(11)
        for migratetype in range(types)
    ]
    heads += [pcp_list_head(memory, z, c, p) for z in range(2) for c in range(2) for p in range(14)]
    assert len(set(heads)) == len(heads) and min(heads) >= memory.nr_pages
    assert all(len(list_nodes(memory, head)) == 0 for head in heads)
    assert CMA == WITHOUT_CMA


def test_six_types_allocate_as_five_do():
    def pages(types):
        like = free_memory(4096, profile=LINUX_7_3)
        memory = new_memory(like.zones.copy(), like.nr_cpus, LINUX_7_3, types=types)
        memory.pageblock[:] = like.pageblock
        memory.pcp[:] = like.pcp
        memory.zones.nr_free_pages[:] = 0
        for node in range(0, 4096, 1024):
            free_one_page(memory, node, 0, 10, MOVABLE, FPI_NONE)
        memory.zones.watermark[:] = 0
        taken = [alloc_pages(memory, 0, order, MOVABLE, 0)[0] for order in (0, 3, 5, 9) * 3]
        for node, order in zip(taken, (0, 3, 5, 9) * 3):
            free_pages(memory, node, 0, order, 0)
        check_memory(memory)
        return taken, list_nodes(memory, free_list_head(memory, 0, 9, MOVABLE)).tolist()

    five, six = pages(WITHOUT_CMA), pages(WITHOUT_CMA + 1)
    assert five == six and np.min(five[0]) >= 0
