"""How much of which list reclaim scans, and what becomes of each page."""

import pytest
from lru_guest import lru_guest, page_of, pages_on, places_on, two_zones

from freehint.mm.check import check_memory
from freehint.mm.memory import MOVABLE
from freehint.mm.reclaim.fate import ACTIVATE, KEEP, RECLAIM, look_at_page
from freehint.mm.reclaim.lists import set_bits
from freehint.mm.reclaim.lru import (
    activate_page,
    add_file_page,
    add_huge_page,
    forget_page,
    mark_page_accessed,
    touch,
)
from freehint.mm.reclaim.pages import (
    isolate_lru_pages,
    next_isolated,
    putback_page,
    shrink_active_list,
    shrink_inactive_list,
)
from freehint.mm.reclaim.scan import (
    begin_shrink_node,
    get_scan_count,
    inactive_is_low,
    keep_proportion,
    prepare_scan_count,
)
from freehint.mm.reclaim.state import (
    ACTIVE_FILE,
    BY_KSWAPD,
    BY_TASK,
    CACHE_NEVER_RECLAIMED,
    INACTIVE_ANON,
    INACTIVE_FILE,
    PG_ACTIVE,
    PG_DIRTY,
    PG_EXEC,
    PG_HELD,
    PG_HUGE,
    PG_MAPPED,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_SWAPCACHE,
    PG_WORKINGSET,
    PG_WRITEBACK,
    PTE_YOUNG,
    SWAP_IGNORED,
    vmstat,
)
from freehint.mm.reclaim.writeback import (
    add_to_swap,
    end_writeback,
    flush_plug,
    next_writeback,
    plug_page,
    request_pages,
    set_page_dirty,
    start_writeback,
)
from freehint.mm.zone import alloc_pages


def sizes(reclaim, inactive_anon, active_anon, inactive_file, active_file):
    """Say how many pages the lists have, without a page."""
    reclaim.zone_lru[0, :4] = inactive_anon, active_anon, inactive_file, active_file


def control(reclaim, who=BY_TASK, priority=2):
    """A scan_control that may do everything."""
    sc = reclaim.control[who]
    sc.priority, sc.reclaim_idx, sc.may_swap, sc.may_writepage = priority, 3, 1, 1
    sc.nr_to_reclaim = 32
    return sc


CASES = {
    # lists, swap, priority, swappiness, costs of (anon, file), pages to scan
    "no swap": ((1000, 1000, 1000, 1000), 0, 2, 60, (0, 0), [0, 0, 250, 250]),
    "by swappiness": ((1000, 900, 1000, 1100), 8, 2, 60, (0, 0), [75, 67, 175, 192]),
    "file costs more": ((1000, 900, 1000, 1100), 8, 2, 100, (0, 300), [166, 150, 83, 91]),
    "swappiness 0": ((1000, 900, 1000, 1100), 8, 2, 0, (0, 0), [0, 0, 250, 275]),
    "last priority": ((1000, 1000, 1000, 900), 8, 0, 60, (0, 0), [1000, 1000, 1000, 900]),
    "much cache": ((1000, 1000, 1000, 900), 8, 2, 60, (0, 0), [0, 0, 250, 225]),
    "tiny cache": ((1000, 900, 0, 9), 8, 2, 60, (0, 0), [250, 225, 0, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_pages_to_scan_follow_swappiness_costs_and_lists(name):
    lists, swap, priority, swappiness, costs, expected = CASES[name]
    memory, reclaim = lru_guest(swap=swap, swappiness=swappiness)
    if name == "tiny cache":
        memory.zones.nr_free_pages[0] = 30
    sizes(reclaim, *lists)
    reclaim.node[0].anon_cost, reclaim.node[0].file_cost = costs
    control(reclaim, priority=priority)
    prepare_scan_count(memory, reclaim, BY_TASK)
    get_scan_count(memory, reclaim, BY_TASK)
    assert reclaim.nr[BY_TASK].tolist() == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [(SWAP_IGNORED, [0, 0, 250, 275]), (CACHE_NEVER_RECLAIMED, [75, 67, 0, 0])],
)
def test_a_wrong_rule_leaves_one_kind_of_page_alone(rule, expected):
    memory, reclaim = lru_guest(swap=8)
    sizes(reclaim, 1000, 900, 1000, 1100)
    reclaim.node[0].ablations = rule
    control(reclaim)
    prepare_scan_count(memory, reclaim, BY_TASK)
    get_scan_count(memory, reclaim, BY_TASK)
    assert reclaim.nr[BY_TASK].tolist() == expected


@pytest.mark.parametrize(
    ("inactive", "active", "low"),
    [(99, 100, True), (100, 100, False), (150_000, 898_576, False), (149_000, 899_576, True)],
)
def test_the_inactive_list_may_be_smaller_where_there_is_more_memory(inactive, active, low):
    # 4 GiB: the square root of 40 is 6, and 6 * 149,762 = 898,572.
    _, reclaim = lru_guest()
    sizes(reclaim, inactive, active, 0, 0)
    assert bool(inactive_is_low(reclaim, INACTIVE_ANON)) is low


def test_pages_of_zones_too_high_are_skipped_and_go_to_the_head():
    memory, reclaim = two_zones()
    low, high = [], []
    while len(low) < 5 or len(high) < 5:
        node = page_of(memory)
        (low if node + memory.base_pfn < 1024 else high).append(node)
    for place, node in enumerate(high[:3] + low[:2] + high[3:5]):
        add_file_page(memory, reclaim, node, place, False)
    sc = control(reclaim, BY_KSWAPD)
    sc.reclaim_idx = 0
    assert isolate_lru_pages(memory, reclaim, BY_KSWAPD, 1, INACTIVE_FILE) == (4, 1)
    assert places_on(memory, reclaim, INACTIVE_FILE) == [2, 1, 0, 6, 5, 4]
    assert vmstat(reclaim) == {"pgskip_dma32": 3}
    putback_page(memory, reclaim, next_isolated(memory, reclaim))
    assert places_on(memory, reclaim, INACTIVE_FILE) == [3, 2, 1, 0, 6, 5, 4]
    check_memory(memory, reclaim)


FATES = {
    # bits, of a file, who -> fate, bits afterwards (of those that can change)
    "clean": (0, True, BY_KSWAPD, RECLAIM, 0),
    "read once": (PG_REFERENCED, True, BY_KSWAPD, RECLAIM, 0),
    "used by a program": (PG_MAPPED | PTE_YOUNG, True, BY_KSWAPD, KEEP, PG_MAPPED | PG_REFERENCED),
    "used again": (
        PG_MAPPED | PTE_YOUNG | PG_REFERENCED,
        True,
        BY_KSWAPD,
        ACTIVATE,
        PG_MAPPED | PG_REFERENCED,
    ),
    "a program's code": (
        PG_MAPPED | PTE_YOUNG | PG_EXEC,
        True,
        BY_TASK,
        ACTIVATE,
        PG_MAPPED | PG_REFERENCED | PG_EXEC,
    ),
    "mapped, not used": (PG_MAPPED, True, BY_TASK, RECLAIM, 0),
    "held by its file system": (PG_HELD, True, BY_KSWAPD, ACTIVATE, PG_HELD),
    "dirty": (PG_DIRTY, True, BY_KSWAPD, ACTIVATE, PG_DIRTY | PG_RECLAIM),
    "dirty, read once": (PG_DIRTY | PG_REFERENCED, True, BY_TASK, ACTIVATE, PG_DIRTY | PG_RECLAIM),
    "under writeback": (PG_WRITEBACK, True, BY_TASK, ACTIVATE, PG_WRITEBACK | PG_RECLAIM),
    "anonymous": (
        PG_DIRTY | PG_MAPPED,
        False,
        BY_TASK,
        KEEP,
        PG_WRITEBACK | PG_RECLAIM | PG_SWAPCACHE,
    ),
    "in swap already": (PG_SWAPCACHE, False, BY_TASK, RECLAIM, PG_SWAPCACHE),
}
CHANGING = (
    PG_DIRTY
    | PG_REFERENCED
    | PTE_YOUNG
    | PG_MAPPED
    | PG_RECLAIM
    | PG_WRITEBACK
    | PG_SWAPCACHE
    | PG_EXEC
    | PG_HELD
)


@pytest.mark.parametrize("name", FATES)
def test_the_fate_of_a_page(name):
    bits, of_file, who, fate, after = FATES[name]
    memory, reclaim = lru_guest(files=1, anon=1, swap=4)
    control(reclaim, who)
    node = pages_on(memory, reclaim, INACTIVE_FILE if of_file else INACTIVE_ANON)[0]
    kept = reclaim.page[node] & (0xFFFFFFFF ^ CHANGING)
    reclaim.page[node] = kept | bits
    got, _ = look_at_page(memory, reclaim, who, node)
    assert (got, int(reclaim.page[node]) & CHANGING) == (fate, after)


def test_kswapd_writes_a_dirty_page_when_it_meets_nothing_else():
    memory, reclaim = lru_guest(files=1)
    node = pages_on(memory, reclaim, INACTIVE_FILE)[0]
    touch(memory, reclaim, 0, True)
    reclaim.page[node] = (reclaim.page[node] & (0xFFFFFFFF ^ PTE_YOUNG)) | PG_RECLAIM
    control(reclaim, BY_KSWAPD)
    reclaim.node[0].dirty_pages_at_tail = 1
    assert look_at_page(memory, reclaim, BY_KSWAPD, node) == (KEEP, 1)
    assert reclaim.page[node] & PG_WRITEBACK and vmstat(reclaim)["nr_vmscan_write"] == 1


def test_the_newest_of_the_reclaimed_pages_is_freed_first():
    memory, reclaim = lru_guest(files=6)
    control(reclaim)
    oldest = pages_on(memory, reclaim, INACTIVE_FILE)[::-1][:4]
    assert shrink_inactive_list(memory, reclaim, BY_TASK, 0, 4, INACTIVE_FILE) == 4
    assert vmstat(reclaim) == {
        "pgsteal_direct": 4,
        "pgscan_direct": 4,
        "pgscan_file": 4,
        "pgsteal_file": 4,
    }
    assert reclaim.freed[:4].tolist() == oldest[::-1] and reclaim.node[0].nr_freed == 4
    got = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(4)]
    assert got == oldest  # a pcp list hands out first what was freed last
    assert reclaim.place[:6].tolist()[:4] == [-1, -3, -5, -7]  # the shadows tell the order
    check_memory(memory, reclaim)


def test_anonymous_pages_go_through_swap():
    memory, reclaim = lru_guest(anon=3, swap=8)
    control(reclaim, BY_KSWAPD)
    for node in pages_on(memory, reclaim, INACTIVE_ANON):
        reclaim.page[node] &= 0xFFFFFFFF ^ PTE_YOUNG
    assert shrink_inactive_list(memory, reclaim, BY_KSWAPD, 0, 2, INACTIVE_ANON) == 0
    assert places_on(memory, reclaim, INACTIVE_ANON) == [2001, 2000, 2002]
    assert reclaim.node[0].swap_free == 6 and reclaim.node[0].anon_cost == 1  # 2 fade at once
    assert next_writeback(reclaim) == -1  # they wait in the plug until the pass ends
    flush_plug(reclaim, BY_KSWAPD)
    node = next_writeback(reclaim)
    while node >= 0:
        end_writeback(memory, reclaim, node)
        node = next_writeback(reclaim)
    assert places_on(memory, reclaim, INACTIVE_ANON) == [2002, 2000, 2001]
    assert shrink_inactive_list(memory, reclaim, BY_KSWAPD, 0, 2, INACTIVE_ANON) == 2
    assert reclaim.place[2000:2002].max() < 0 and reclaim.node[0].swap_free == 6
    check_memory(memory, reclaim)


def requests(reclaim, most=32):
    """The lengths of all requests that the disk has, in their order."""
    found = []
    while pages := request_pages(reclaim, most):
        found.append(pages)
        for _ in range(pages):
            next_writeback(reclaim)
    return found


def test_neighbours_in_swap_are_one_request_of_at_most_254_pages():
    memory, reclaim = lru_guest(anon=600, swap=700)
    nodes = pages_on(memory, reclaim, INACTIVE_ANON)[::-1]
    for node in nodes:
        add_to_swap(reclaim, node)
    for node in nodes[:300]:
        plug_page(reclaim, BY_KSWAPD, node)
    # The 255th page begins a request, and the one before, of more than 31 pages, goes to the disk.
    assert reclaim.control[BY_KSWAPD].plugged == 46
    assert requests(reclaim) == [254]
    for node in nodes[300:310]:
        plug_page(reclaim, BY_TASK, node)
    plug_page(reclaim, BY_KSWAPD, nodes[310])  # no neighbour of the 46, which therefore go
    check_memory(memory, reclaim)
    flush_plug(reclaim, BY_TASK)
    flush_plug(reclaim, BY_KSWAPD)
    assert requests(reclaim) == [46, 10, 1]
    assert reclaim.node[0].nr_writeback == 311


def test_a_plug_of_32_requests_is_full():
    memory, reclaim = lru_guest(anon=100, swap=128)
    nodes = pages_on(memory, reclaim, INACTIVE_ANON)[::-1]
    for node in nodes:
        add_to_swap(reclaim, node)
    for node in nodes[:64:2]:
        plug_page(reclaim, BY_TASK, node)
    assert requests(reclaim) == []
    plug_page(reclaim, BY_TASK, nodes[64])
    assert requests(reclaim) == [1] * 32 and reclaim.control[BY_TASK].plugged == 1


def test_a_page_that_goes_leaves_the_plug():
    memory, reclaim = lru_guest(anon=3, swap=8)
    nodes = pages_on(memory, reclaim, INACTIVE_ANON)[::-1]
    for node in nodes:
        add_to_swap(reclaim, node)
        plug_page(reclaim, BY_KSWAPD, node)
    forget_page(memory, reclaim, nodes[1])
    flush_plug(reclaim, BY_KSWAPD)
    assert [next_writeback(reclaim) for _ in range(3)] == [nodes[0], nodes[2], -1]
    assert reclaim.node[0].nr_writeback == 2


def test_files_are_written_32_pages_at_a_time():
    memory, reclaim = lru_guest(files=70)
    for node in pages_on(memory, reclaim, INACTIVE_FILE):
        set_page_dirty(reclaim, node)
        start_writeback(memory, reclaim, node)
    assert requests(reclaim) == [32, 32, 6]


def test_the_active_list_gives_all_but_used_code():
    memory, reclaim = lru_guest(files=4)
    control(reclaim)
    nodes = pages_on(memory, reclaim, INACTIVE_FILE)[::-1]
    for node in nodes:
        activate_page(memory, reclaim, node)
    set_bits(reclaim, nodes[1], PG_MAPPED | PTE_YOUNG | PG_EXEC)
    set_bits(reclaim, nodes[2], PG_MAPPED | PTE_YOUNG)
    shrink_active_list(memory, reclaim, BY_TASK, 3, ACTIVE_FILE)
    assert places_on(memory, reclaim, ACTIVE_FILE) == [1, 3]
    assert places_on(memory, reclaim, INACTIVE_FILE) == [2, 0]
    bits = reclaim.page[nodes[2]]
    assert bits & PG_WORKINGSET and not bits & (PG_ACTIVE | PTE_YOUNG)
    counts = vmstat(reclaim)
    assert (counts["pgrefill"], counts["pgdeactivate"]) == (3, 2)
    check_memory(memory, reclaim)


def test_a_huge_page_is_split_before_it_goes_to_swap():
    memory, reclaim = lru_guest(swap=600, pages=4096)
    block = alloc_pages(memory, 0, 9, MOVABLE, 0)[0]
    add_huge_page(memory, reclaim, block, 2000)
    check_memory(memory, reclaim)
    assert reclaim.zone_lru[0, INACTIVE_ANON] == 512
    reclaim.page[block] &= 0xFFFFFFFF ^ PTE_YOUNG
    control(reclaim, BY_KSWAPD)
    shrink_inactive_list(memory, reclaim, BY_KSWAPD, 0, 32, INACTIVE_ANON)
    assert not reclaim.page[block] & PG_HUGE and reclaim.node[0].swap_free == 600 - 512
    assert reclaim.control[BY_KSWAPD].nr_scanned == 512
    assert (vmstat(reclaim)["thp_split_page"], vmstat(reclaim)["pswpout"]) == (1, 512)
    assert reclaim.zone_lru[0, INACTIVE_ANON] == 512
    check_memory(memory, reclaim)


def test_enough_is_reclaimed_so_the_larger_kind_gets_its_share_only():
    _, reclaim = lru_guest(swap=8)
    # A quarter of the file pages' 400 is left, so a quarter of the 800 anonymous ones may be.
    reclaim.targets[BY_TASK] = 400, 400, 200, 200
    reclaim.nr[BY_TASK] = 300, 350, 50, 50
    assert keep_proportion(reclaim, BY_TASK)
    # 100 * 100 // 401 = 24 % left; 76 % of 400 is 304, of which 100 and 50 are scanned.
    assert reclaim.nr[BY_TASK].tolist() == [204, 254, 0, 0]
    assert not keep_proportion(reclaim, BY_TASK)


def test_a_pass_of_direct_reclaim_at_the_first_priority_is_proportional():
    memory, reclaim = lru_guest(files=20)
    for who, priority, proportional in ((BY_TASK, 12, 1), (BY_TASK, 11, 0), (BY_KSWAPD, 12, 0)):
        control(reclaim, who, priority)
        begin_shrink_node(memory, reclaim, who)
        assert reclaim.control[who].proportional == proportional


def test_a_page_read_twice_survives_a_stream_of_others():
    memory, reclaim = lru_guest(files=40)
    control(reclaim, BY_KSWAPD)
    for _ in range(2):
        mark_page_accessed(memory, reclaim, int(reclaim.place[0]) - 1)
    assert shrink_inactive_list(memory, reclaim, BY_KSWAPD, 0, 39, INACTIVE_FILE) == 39
    assert places_on(memory, reclaim, ACTIVE_FILE) == [0]
