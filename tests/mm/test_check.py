"""check_memory passes sound memory and names every kind of damage, each planted."""

import numpy as np
import pytest

from freehint.mm.check import InvariantError, check_memory
from freehint.mm.list import NEXT, PREV, set_list
from freehint.mm.memory import (
    BUDDY,
    HIGHATOMIC,
    ISOLATED,
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    PAGEBLOCK_ORDER,
    PCP,
    RECLAIMABLE,
    REPORTED,
    TYPE_SHIFT,
    UNMOVABLE,
    USER_BOOKMARK,
    USER_END,
    USER_LIST,
    free_list_head,
    list_nodes,
    pcp_list_head,
    user_node,
)
from freehint.mm.pcp import rmqueue_bulk
from freehint.mm.profile import LINUX_6_1, LINUX_6_12
from freehint.mm.reference.check import verify
from freehint.mm.reference.convert import from_memory
from memories import SPANS, busy_memory, empty_memory, free_everything, free_memory

NOTHING = np.zeros(0, np.int64)


def healthy(profile=LINUX_6_1):
    """16 MiB from pfn 4096 on, with something on free, pcp and private lists.

    Nodes 0..6 are on a pcp list; 7, 8, 16, .. 512 head free blocks of orders 0, 3, 4, .. 9;
    1024 and 2048 of order 10; the block of order 10 at 3072 is on user 1's private list.
    Node 4157 heads the free list of order 10, 4190 is user 0's list, 4191 its bookmark.
    """
    memory = free_memory(pages=4096, profile=profile)
    rmqueue_bulk(memory, 0, 0, 0, MOVABLE, 0)
    relist(memory, 10, [1024, 2048])
    memory.frame[3072] = ISOLATED | 10 | MOVABLE << TYPE_SHIFT
    set_list(memory.links, user_node(memory, 1, USER_LIST), [3072])
    return memory


def free_nodes(memory, order, zone=0):
    """Nodes on the zone's MOVABLE list of an order."""
    return list_nodes(memory, free_list_head(memory, zone, order, MOVABLE)).tolist()


def relist(memory, order, nodes, zone=0):
    """Make ``nodes`` the MOVABLE list of an order, counters included: a damage may only be one."""
    gained = len(nodes) - int(memory.nr_free[zone, order, MOVABLE])
    set_list(memory.links, free_list_head(memory, zone, order, MOVABLE), nodes)
    memory.nr_free[zone, order, MOVABLE] += gained
    memory.zones.nr_free_pages[zone] += gained << order


def relist_pcp(memory, nodes, pindex=1):
    """Make ``nodes`` cpu 0's list, counter included."""
    set_list(memory.links, pcp_list_head(memory, 0, 0, pindex), nodes)
    memory.pcp.count[0, 0] += len(nodes) - 7


DAMAGES = {}


def damage(message):
    """Register a damage with the whole sentence that must name it."""

    def register(plant):
        DAMAGES[plant.__name__] = plant, message
        return plant

    return register


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 4157")
def swapped_links(memory):
    pair = memory.links.reshape(-1, 2)[2048]
    pair[:] = pair[::-1].copy()


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 1024")
def prev_of_the_next_points_elsewhere(memory):
    memory.links.reshape(-1, 2)[2048, PREV] = 0


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 4157")
def next_is_out_of_range(memory):
    memory.links.reshape(-1, 2)[2048, NEXT] = len(memory.links) // 2


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 1024")
def prev_is_negative(memory):
    memory.links.reshape(-1, 2)[2048, PREV] = -1


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 4157")
def head_is_out_of_range(memory):
    memory.links.reshape(-1, 2)[free_list_head(memory, 0, 10, MOVABLE), NEXT] = -5


@damage("zone DMA32, order 10, MOVABLE: next and prev disagree at node 4157")
def list_does_not_return(memory):
    # 1024 -> 2048 -> 1024 -> ..: the two agree with each other, the head is left out.
    memory.links.reshape(-1, 2)[2048, NEXT] = 1024
    memory.links.reshape(-1, 2)[1024, PREV] = 2048


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 has order 9 in its frame")
def wrong_order_in_the_frame(memory):
    memory.frame[2048] = BUDDY | 9 | MOVABLE << TYPE_SHIFT


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 has order 13 in its frame")
def impossible_order_in_the_frame(memory):
    memory.frame[2048] = BUDDY | 13 | MOVABLE << TYPE_SHIFT


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 has migratetype 0 in its frame")
def wrong_type_in_the_frame(memory):
    memory.frame[2048] = BUDDY | 10 | UNMOVABLE << TYPE_SHIFT


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 is on the list but its frame says it is elsewhere")
def free_block_without_the_buddy_bit(memory):
    memory.frame[2048] = 10 | MOVABLE << TYPE_SHIFT


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 is on the list but its frame says it is elsewhere")
def free_block_on_the_lru(memory):
    memory.frame[2048] |= LRU


@damage("zone DMA, order 10, MOVABLE: pfn 2048 does not lie in the zone")
def block_on_the_list_of_another_zone(_memory):
    memory = free_everything(empty_memory({"DMA": (1, 2048), "DMA32": (2048, 4096)}))
    relist(memory, 10, free_nodes(memory, 10, zone=1)[1:], zone=1)
    relist(memory, 10, [*free_nodes(memory, 10), 2048])
    return memory


@damage("zone DMA32, order 0, MOVABLE: pfn 4608 does not lie in the zone")
def block_behind_the_zone(_memory):
    memory = free_memory(pages=512)
    memory.pageblock[1] = MOVABLE
    memory.frame[512] = BUDDY | MOVABLE << TYPE_SHIFT
    relist(memory, 0, [512])
    return memory


@damage("zone DMA32, order 3, MOVABLE: pfn 4108 is not aligned to its order")
def unaligned_block(memory):
    memory.frame[8] = 0
    memory.frame[12] = BUDDY | 3 | MOVABLE << TYPE_SHIFT
    relist(memory, 3, [12])


@damage("zone DMA32, order 4, MOVABLE: pfn 4120 belongs to two blocks")
def block_twice(memory):
    memory.frame[24] = BUDDY | 3 | MOVABLE << TYPE_SHIFT
    relist(memory, 3, [8, 24])


@damage("zone DMA32, cpu 0, pcp list 4: pfn 4097 belongs to two blocks")
def page_on_two_pcp_lists(memory):
    memory.frame[0] = PCP | 1 | MOVABLE << TYPE_SHIFT
    relist_pcp(memory, range(1, 7))
    set_list(memory.links, pcp_list_head(memory, 0, 0, 4), [0])
    memory.pcp.count[0, 0] += 2


@damage("zone DMA32, order 9, MOVABLE: pfn 4616 lies inside a free block but its frame is 0x120")
def page_both_free_and_on_a_pcp_list(memory):
    memory.frame[520] = PCP | MOVABLE << TYPE_SHIFT
    relist_pcp(memory, [*range(7), 520])


@damage("zone DMA32, order 10, MOVABLE: pfn 6149 lies inside a free block but its frame is 0x80")
def page_inside_a_free_block_is_on_the_lru(memory):
    memory.frame[2053] = LRU


@damage("zone DMA32, order 10, MOVABLE: the list holds 2 but its counter says 3")
def nr_free_is_off_by_one(memory):
    memory.nr_free[0, 10, MOVABLE] += 1


@damage("zone DMA32, order 9, HIGHATOMIC: the list holds 0 but its counter says 1")
def nr_free_of_an_empty_list(memory):
    memory.nr_free[0, 9, HIGHATOMIC] = 1


@damage(
    "zone DMA32, order 10, ISOLATE: nr_free_pages is 3066"
    " but lists and pending differences make 3065"
)
def nr_free_pages_is_off_by_one(memory):
    memory.zones.nr_free_pages[0] += 1


@damage("zone DMA32, order 10, ISOLATE: more pages are free (3065) than managed (3064)")
def more_is_free_than_managed(memory):
    memory.zones.managed[0] = 3064


@damage("zone DMA32, cpu 0, pcp list 13: pcp.count is 8 but the lists hold 7 pages")
def pcp_count_is_off_by_one(memory):
    memory.pcp.count[0, 0] += 1


@damage("zone DMA32, cpu 0, pcp list 1: pfn 4099 is on the list but its frame says it is elsewhere")
def pcp_page_without_the_pcp_bit(memory):
    memory.frame[3] = MOVABLE << TYPE_SHIFT


@damage("zone DMA32, cpu 0, pcp list 1: pfn 4099 has order 1 in its frame")
def pcp_page_of_another_order(memory):
    memory.frame[3] |= 1


@damage("zone DMA32, cpu 0, pcp list 1: pfn 4099 has migratetype 0 in its frame")
def pcp_page_of_another_type(memory):
    memory.frame[3] = PCP | UNMOVABLE << TYPE_SHIFT


@damage("zone DMA32, order 0, MOVABLE: pfn 4102 stands unmerged beside its free buddy")
def unmerged_buddies(memory):
    relist_pcp(memory, range(6))
    memory.frame[6] = BUDDY | MOVABLE << TYPE_SHIFT
    relist(memory, 0, [6, 7])


@damage("pfn 6144 claims to be on a list but is on none (frame 0x11a)")
def lost_block(memory):
    relist(memory, 10, [1024])


@damage("pfn 4102 claims to be on a list but is on none (frame 0x120)")
def lost_pcp_page(memory):
    relist_pcp(memory, range(6))


@damage("pfn 7168 claims to be on a list but is on none (frame 0x14a)")
def lost_isolated_block(memory):
    set_list(memory.links, user_node(memory, 1, USER_LIST), NOTHING)


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 lies in a hole")
def free_block_in_a_hole(memory):
    memory.pageblock[2048 >> 9] = NO_PAGEBLOCK


@damage("pageblock at pfn 7168 has unknown migratetype 6")
def unknown_pageblock_type(memory):
    memory.pageblock[3072 >> 9] = 6


@damage("the zone of pfn 4096 has 0 pageblocks of type ISOLATE but counts 1")
def isolated_pageblocks_are_miscounted(memory):
    memory.zones.nr_isolate_pageblock[0] = 1


@damage("zone DMA32, order 10, MOVABLE: node 4190 has no business on this list")
def list_head_of_a_user_on_a_free_list(memory):
    stranger = user_node(memory, 0, USER_LIST)
    set_list(memory.links, free_list_head(memory, 0, 10, MOVABLE), [1024, stranger, 2048])


@damage("zone DMA32, cpu 0, pcp list 1: node 4191 has no business on this list")
def bookmark_on_a_pcp_list(memory):
    stranger = user_node(memory, 0, USER_BOOKMARK)
    set_list(memory.links, pcp_list_head(memory, 0, 0, 1), [*range(7), stranger])


@damage("zone DMA32, order 10, MOVABLE: pfn 6144 lies in a pageblock of type 0")
def broken_hygiene_where_the_profile_has_it(_memory):
    memory = healthy(LINUX_6_12)
    memory.pageblock[2048 >> 9] = UNMOVABLE
    return memory


@damage("zone DMA32, order 10, MOVABLE: pfn 6656 lies in a pageblock of type 2")
def broken_hygiene_in_the_second_half_of_a_block(_memory):
    memory = healthy(LINUX_6_12)
    memory.pageblock[2560 >> 9] = RECLAIMABLE
    return memory


@damage("private list of user 1: pfn 7168 is on the list but its frame says it is elsewhere")
def private_block_without_the_isolated_bit(memory):
    memory.frame[3072] = 10 | MOVABLE << TYPE_SHIFT


@damage("private list of user 1: next and prev disagree at node 4258")
def private_list_with_a_broken_link(memory):
    memory.links.reshape(-1, 2)[3072, NEXT] = 0


@damage("private list of user 1: pfn 7680 belongs to two blocks")
def block_on_two_private_lists(memory):
    set_list(memory.links, user_node(memory, 0, USER_LIST), [3584])
    memory.frame[3584] = ISOLATED | 9


@pytest.mark.parametrize("name", DAMAGES)
def test_check_memory_names_the_damage(name):
    plant, message = DAMAGES[name]
    memory = healthy()
    check_memory(memory)
    memory = plant(memory) or memory
    with pytest.raises(InvariantError) as error:
        check_memory(memory)
    assert str(error.value) == message


@pytest.mark.parametrize("order", range(PAGEBLOCK_ORDER))
def test_unmerged_buddies_are_named_at_every_order_below_a_pageblock(order):
    memory = empty_memory({"DMA32": (4096, 8192)})
    nodes = [0, 1 << order]
    memory.frame[nodes] = BUDDY | order | MOVABLE << TYPE_SHIFT
    relist(memory, order, nodes)
    with pytest.raises(InvariantError, match=f"order {order}, MOVABLE: pfn 4096 stands unmerged"):
        check_memory(memory)


@pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12])
def test_a_healthy_memory_passes(profile):
    check_memory(healthy(profile))


@pytest.mark.parametrize("profile", [LINUX_6_1, LINUX_6_12])
@pytest.mark.parametrize("spans", SPANS)
def test_a_busy_memory_passes(spans, profile):
    check_memory(busy_memory(spans, seed=0, profile=profile)[0])


def test_more_than_one_zone_passes():
    check_memory(free_everything(empty_memory(SPANS["normal"])))


@pytest.mark.parametrize("which", [USER_BOOKMARK, USER_END])
@pytest.mark.parametrize("place", range(3))
def test_a_bookmark_standing_in_a_free_list_is_no_damage(which, place):
    memory = healthy()
    nodes = [1024, 2048]
    nodes.insert(place, user_node(memory, 2, which))
    set_list(memory.links, free_list_head(memory, 0, 10, MOVABLE), nodes)
    check_memory(memory)


def test_marks_and_types_that_may_stand_on_lists_are_no_damage():
    memory = healthy()
    memory.frame[2048] |= REPORTED
    # A HIGHATOMIC page stands among the movable ones and keeps its type.
    memory.frame[3] = PCP | HIGHATOMIC << TYPE_SHIFT
    # Without hygiene a list's type need not be the pageblock's.
    memory.pageblock[2048 >> 9] = UNMOVABLE
    check_memory(memory)


def test_list_and_frame_are_read_at_the_right_place():
    # The damages above rely on where healthy() puts things.
    memory = healthy()
    assert free_nodes(memory, 10) == [1024, 2048]
    assert free_nodes(memory, 0) == [7]
    assert list_nodes(memory, pcp_list_head(memory, 0, 0, 1)).tolist() == list(range(7))
    assert free_list_head(memory, 0, 10, MOVABLE) == 4157
    assert user_node(memory, 0, USER_LIST) == 4190


TWIN_DAMAGES = {
    "two blocks": lambda twin, zone: zone.free_list[4, MOVABLE].append(4096 + 16),
    "not aligned": lambda twin, zone: zone.free_list[4, MOVABLE].append(4096 + 7),
    "does not lie in zone": lambda twin, zone: zone.free_list[10, MOVABLE].append(1 << 20),
    "movable pages lie in it": lambda twin, zone: twin.lru.add(4096 + 1030),
    "lies in a hole": lambda twin, zone: twin.pageblock.pop((4096 + 1024) >> 9),
    "PageBuddy and lists differ": lambda twin, zone: twin.buddy.update({4096 + 1024: 9}),
    "pcp pages and lists differ": lambda twin, zone: twin.pcp_migratetype.pop(4096),
    "stands unmerged": lambda twin, zone: (
        zone.pcp[0].lists[1].remove(4096 + 6),
        twin.pcp_migratetype.pop(4096 + 6),
        zone.free_list[0, MOVABLE].append(4096 + 6),
        twin.buddy.update({4096 + 6: 0}),
    ),
    "pcp list 1": lambda twin, zone: twin.pcp_migratetype.update({4096: UNMOVABLE}),
}


@pytest.mark.parametrize("message", TWIN_DAMAGES)
def test_the_twins_verify_names_the_damage(message):
    twin = from_memory(healthy())
    verify(twin)
    TWIN_DAMAGES[message](twin, twin.zones[0])
    with pytest.raises(AssertionError, match=message):
        verify(twin)


def test_the_twins_verify_knows_hygiene_where_the_kernel_has_it():
    older, twin = (from_memory(healthy(profile)) for profile in (LINUX_6_1, LINUX_6_12))
    for each in (older, twin):
        each.pageblock[(4096 + 1536) >> 9] = UNMOVABLE  # the second half of a free block
    verify(older)
    with pytest.raises(AssertionError, match="pfn 5120 of type 1 lies in pageblocks of types"):
        verify(twin)
