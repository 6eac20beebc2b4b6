"""check_memory names every damage to LRU lists, places, swap and writeback, each planted."""

import pytest

from freehint.mm.check import InvariantError, check_memory
from freehint.mm.list import NEXT, list_add
from freehint.mm.memory import MOVABLE
from freehint.mm.reclaim.lru import activate_page, add_anon_page, add_file_page, forget_page
from freehint.mm.reclaim.state import (
    ACTIVE_FILE,
    INACTIVE_FILE,
    ISOLATED,
    PG_ACTIVE,
    PG_DIRTY,
    PG_MAPPED,
    PG_ON_LRU,
    PG_SWAPCACHE,
    PG_WRITEBACK,
    new_reclaim,
)
from freehint.mm.reclaim.writeback import REQUEST_END, add_to_swap, start_writeback
from freehint.mm.zone import alloc_pages, free_pages
from memories import free_memory


def guest():
    """16 MiB from pfn 4096 on, with eight pages on lists: ``nodes``.

    Four are of a file (places 0..3): 0 and 1 inactive, 2 active, 3 under writeback.  Four are
    anonymous (places 10..13); 13 has swap slot 0, of four.
    """
    memory = free_memory(pages=4096)
    reclaim = new_reclaim(memory, places=20, swap_pages=4)
    nodes = [alloc_pages(memory, 0, 0, MOVABLE, 0)[0] for _ in range(8)]
    for place in range(4):
        add_file_page(memory, reclaim, nodes[place], place, place == 3)
    activate_page(memory, reclaim, nodes[2])
    start_writeback(memory, reclaim, nodes[3])
    for place in range(10, 14):
        add_anon_page(memory, reclaim, nodes[place - 6], place)
    add_to_swap(reclaim, nodes[7])
    return memory, reclaim, nodes


DAMAGES = {}


def damage(message):
    """Register a damage with the sentence that must name it; {0} to {7} are the pages' pfns."""

    def register(plant):
        DAMAGES[plant.__name__] = plant, message
        return plant

    return register


def pair(reclaim, node):
    """Next and prev of a node."""
    return reclaim.links.reshape(-1, 2)[node]


@damage("LRU list inactive_file: next and prev disagree at node {node1}")
def broken_link(_memory, reclaim, nodes):
    pair(reclaim, nodes[1])[NEXT] = nodes[4]


@damage("LRU list inactive_file: next and prev disagree at node {node3}")
def link_out_of_range(_memory, reclaim, nodes):
    pair(reclaim, nodes[3])[NEXT] = -7


@damage("LRU list inactive_file: node 4099 has no business on this list")
def head_on_a_list(memory, reclaim, nodes):
    head, stranger = memory.nr_pages + INACTIVE_FILE, memory.nr_pages + ACTIVE_FILE
    last = nodes[0]
    pair(reclaim, last)[NEXT] = stranger
    pair(reclaim, stranger)[:] = head, last
    pair(reclaim, head)[1] = stranger


@damage("LRU list inactive_file: next and prev disagree at node 4098")
def page_on_two_lists(memory, reclaim, nodes):
    list_add(reclaim.links, nodes[0], memory.nr_pages + ACTIVE_FILE)


@damage("LRU list inactive_file: pfn {1} is on the list but not PG_ON_LRU")
def page_without_the_lru_bit(_memory, reclaim, nodes):
    reclaim.page[nodes[1]] &= 0xFFFFFFFF ^ PG_ON_LRU


@damage("LRU list inactive_file: pfn {1} is free or unmovable (frame 0x120)")
def free_page_on_the_lru(memory, _reclaim, nodes):
    free_pages(memory, nodes[1], 0, 0, 0)


@damage(
    "LRU list inactive_file: pfn {1} has the bits of a page of list active_file (flags {flags})"
)
def active_bit_on_an_inactive_list(_memory, reclaim, nodes):
    reclaim.page[nodes[1]] |= PG_ACTIVE


@damage("LRU list inactive_file: zone DMA32 has 3 pages on the list but counts 4")
def wrong_counter(_memory, reclaim, _nodes):
    reclaim.zone_lru[0, INACTIVE_FILE] += 1


@damage("pfn {lost} is PG_ON_LRU but on no list")
def lost_page(_memory, reclaim, _nodes):
    reclaim.page[4000] = PG_ON_LRU


@damage("LRU list inactive_file: pfn {1} backs no place")
def page_without_a_place(_memory, reclaim, nodes):
    reclaim.slot[nodes[1]] = 0


@damage("pfn {0} backs place 5, which has page -1")
def slot_names_another_place(_memory, reclaim, nodes):
    reclaim.slot[nodes[0]] = 1 + 5


@damage("place 5 has pfn {0}, which backs place 0")
def place_names_another_page(_memory, reclaim, nodes):
    reclaim.place[5] = 1 + nodes[0]


@damage("place 6 has swap slot 0, which belongs to another place")
def place_with_a_foreign_swap_slot(_memory, reclaim, _nodes):
    reclaim.swap[6] = 1


@damage("swap slot 2 belongs to place 6, which does not have it")
def swap_slot_of_a_place_without_it(_memory, reclaim, _nodes):
    reclaim.swap_map[2] = 1 + 6


@damage("pfn {4} has PG_SWAPCACHE but no swap slot, or the other way round")
def swapcache_without_a_slot(_memory, reclaim, nodes):
    reclaim.page[nodes[4]] |= PG_SWAPCACHE


@damage("3 swap slots are free but 4 are counted")
def swap_slots_that_do_not_add_up(_memory, reclaim, _nodes):
    reclaim.node[0].swap_free = 4


@damage("the writeback ring holds pfn {3}, which is free or unmovable (frame 0x120)")
def ring_lists_a_free_page(memory, reclaim, nodes):
    forget_page(memory, reclaim, nodes[3])
    free_pages(memory, nodes[3], 0, 0, 0)
    reclaim.writeback[0] = nodes[3]


@damage("the writeback ring holds pfn {0}, which is not PG_WRITEBACK")
def ring_lists_a_page_at_rest(_memory, reclaim, nodes):
    reclaim.writeback[0] = nodes[0]


@damage("a plug holds pfn {0}, which is not PG_WRITEBACK")
def plug_lists_a_page_at_rest(_memory, reclaim, nodes):
    reclaim.plug[1, 0] = nodes[0] | REQUEST_END
    reclaim.control[1].plugged = 1


@damage("2 pages are PG_WRITEBACK but 1 are counted")
def page_under_writeback_that_nobody_counts(_memory, reclaim, nodes):
    reclaim.page[nodes[0]] |= PG_WRITEBACK


@damage("1 file pages are dirty but 0 are counted")
def dirty_page_that_nobody_counts(_memory, reclaim, nodes):
    reclaim.page[nodes[0]] |= PG_DIRTY


@damage("a batch has left pages on an internal list")
def page_left_on_the_isolated_list(memory, reclaim, nodes):
    head = memory.nr_pages + ISOLATED
    pair(reclaim, head)[:] = nodes[0], nodes[0]


@pytest.mark.parametrize("name", DAMAGES)
def test_check_memory_names_the_damage(name):
    plant, message = DAMAGES[name]
    memory, reclaim, nodes = guest()
    check_memory(memory, reclaim)
    plant(memory, reclaim, nodes)
    with pytest.raises(InvariantError) as error:
        check_memory(memory, reclaim)
    pfns = [node + memory.base_pfn for node in nodes]
    flags = hex(PG_ON_LRU | PG_ACTIVE)
    expected = message.format(
        *pfns, node1=nodes[1], node3=nodes[3], lost=4000 + memory.base_pfn, flags=flags
    )
    assert str(error.value) == expected


def test_a_mapped_page_is_no_damage():
    memory, reclaim, nodes = guest()
    reclaim.page[nodes[0]] |= PG_MAPPED
    check_memory(memory, reclaim)


def test_the_damages_are_found_only_if_the_lists_are_given():
    memory, reclaim, nodes = guest()
    reclaim.slot[nodes[0]] = 1 + 5
    check_memory(memory)
