"""A small guest with LRU lists, for the tests of reclaim."""

from freehint.mm.list import list_next
from freehint.mm.memory import MOVABLE
from freehint.mm.reclaim.lru import add_anon_page, add_file_page
from freehint.mm.reclaim.shrink import (
    begin_pass_over_node,
    end_pass_over_node,
    next_round,
)
from freehint.mm.reclaim.state import new_reclaim
from freehint.mm.reclaim.sysctl import Sysctl
from freehint.mm.zone import alloc_pages
from memories import empty_memory, free_everything, free_memory


def lru_guest(files=0, anon=0, swap=0, pages=2048, places=4096, **sysctls):
    """A zone DMA32 with pages on lists; places from 0 on are of files, from 2000 on anonymous.

    Returns
    -------
    (Memory, Reclaim)
    """
    memory = free_memory(pages=pages, nr_cpus=1)
    reclaim = new_reclaim(memory, places, swap, Sysctl(**sysctls))
    for place in range(files):
        add_file_page(memory, reclaim, page_of(memory), place, False)
    for place in range(anon):
        add_anon_page(memory, reclaim, page_of(memory), 2000 + place)
    return memory, reclaim


def two_zones(places=4096, swap=0):
    """DMA of 1023 pages and DMA32 of 2048, every page free, with lists that are empty."""
    memory = free_everything(empty_memory({"DMA": (1, 1024), "DMA32": (1024, 3072)}, nr_cpus=1))
    return memory, new_reclaim(memory, places, swap)


def page_of(memory):
    """A page that was just allocated."""
    return alloc_pages(memory, 0, 0, MOVABLE, 0)[0]


def pages_on(memory, reclaim, lru):
    """The pages on a list, first to last."""
    head = memory.nr_pages + lru
    found, node = [], list_next(reclaim.links, head)
    while node != head:
        found.append(node)
        node = list_next(reclaim.links, node)
    return found


def places_on(memory, reclaim, lru):
    """The places of the pages on a list, first to last."""
    return [int(reclaim.slot[node]) - 1 for node in pages_on(memory, reclaim, lru)]


def shrink_node(memory, reclaim, who, cpu):
    """A whole pass."""
    begin_pass_over_node(memory, reclaim, who)
    while next_round(memory, reclaim, who, cpu):
        pass
    end_pass_over_node(memory, reclaim, who)
