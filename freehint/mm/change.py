"""The same guest under other circumstances: more CPUs, another kernel's rules, no huge pages."""

import numpy as np

from freehint.jit import kernel
from freehint.jit.pinned import pinned
from freehint.mm.list import list_add_tail, list_next, set_list
from freehint.mm.memory import (
    NR_ORDERS,
    NR_PCP_LISTS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    TYPE_MASK,
    TYPE_SHIFT,
    Memory,
    copy_memory,
    free_list_head,
    list_nodes,
    new_memory,
    nr_types,
    pcp_list_head,
)
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.profile import Profile
from freehint.mm.watermark import set_pcp_limits, zone_watermarks


def with_cpus(memory: Memory, nr_cpus: int) -> Memory:
    """A copy with ``nr_cpus`` CPUs.  New CPUs have empty pcp lists; all get new pcp limits.

    Raises
    ------
    ValueError
        There would be fewer CPUs than before, and the pages on the others' lists would be lost.
    """
    if nr_cpus == memory.nr_cpus:
        return copy_memory(memory)
    if nr_cpus < memory.nr_cpus:
        raise ValueError(f"the guest has {memory.nr_cpus} CPUs and cannot run on {nr_cpus}")
    more = new_memory(
        memory.zones.copy(),
        nr_cpus,
        memory.profile,
        memory.reported_known,
        nr_types(memory),
    )
    more.frame[:] = memory.frame
    more.pageblock[:] = memory.pageblock
    more.nr_free[:] = memory.nr_free
    more.pcp[:, : memory.nr_cpus] = memory.pcp
    _copy_lists(pinned(memory), pinned(more))
    set_pcp_limits(more)
    return more


@kernel
def _copy_lists(memory, more):
    """Copy free and pcp lists into a memory with more CPUs, where the heads are other nodes."""
    for zone in range(memory.nr_free.shape[0]):
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                copy_list(
                    memory.links,
                    free_list_head(memory, zone, order, migratetype),
                    more.links,
                    free_list_head(more, zone, order, migratetype),
                    memory.nr_pages,
                )
        for cpu in range(memory.nr_cpus):
            for pindex in range(NR_PCP_LISTS):
                copy_list(
                    memory.links,
                    pcp_list_head(memory, zone, cpu, pindex),
                    more.links,
                    pcp_list_head(more, zone, cpu, pindex),
                    memory.nr_pages,
                )


@kernel
def copy_list(links, head, to_links, to_head, nr_pages):
    """Copy a list's page frames, without the bookmarks, to an empty list in another link array."""
    node = list_next(links, head)
    while node != head:
        if node < nr_pages:
            list_add_tail(to_links, node, to_head)
        node = list_next(links, node)


def without_huge_pages(memory: Memory) -> Memory:
    """A copy with the watermarks and pcp limits of a guest with transparent_hugepage=never.

    With huge pages, khugepaged raises them: pcp.high of a 1 GiB guest is 13,860 pages with huge
    pages and 1,217 without (recorded).
    """
    memory = copy_memory(memory)
    memory.zones.watermark[:] = zone_watermarks(memory.zones.managed, huge_pages=False)
    set_pcp_limits(memory)
    return memory


def with_profile(memory: Memory, profile: Profile) -> Memory:
    """A copy that another kernel version runs from now on, with the pcp limits of its formulas.

    Lists keep their order.  If the new kernel keeps fewer orders on pcp lists, all pcp lists are
    drained first.  If it has freelist hygiene, whole pageblocks take the type of their free list,
    as a merge would set it, and smaller blocks go to the tail of the list for their pageblock's
    type.
    """
    memory = copy_memory(memory)
    if profile.pcp_max_order < memory.profile.pcp_max_order:
        for zone in range(len(memory.zones.index)):
            for cpu in range(memory.nr_cpus):
                drain_pages_zone(memory, zone, cpu)
    memory = memory._replace(profile=profile)
    set_pcp_limits(memory)
    if profile.freelist_hygiene:
        for zone in range(len(memory.zones.index)):
            for migratetype in range(nr_types(memory)):
                for order in range(PAGEBLOCK_ORDER, NR_ORDERS):
                    _retag_pageblocks(memory, zone, order, migratetype)
            for order in range(PAGEBLOCK_ORDER):
                _sort_by_pageblock(memory, zone, order)
    return memory


def _retag_pageblocks(memory: Memory, zone: int, order: int, migratetype: int) -> None:
    nodes = list_nodes(memory, free_list_head(memory, zone, order, migratetype))
    for first in range(0, 1 << order, PAGEBLOCK_NR_PAGES):
        blocks = (nodes + first) >> PAGEBLOCK_ORDER
        skip = memory.pageblock[blocks] & ~np.uint8(PAGEBLOCK_TYPE_MASK)
        memory.pageblock[blocks] = skip | migratetype


def _sort_by_pageblock(memory: Memory, zone: int, order: int) -> None:
    """Move the blocks of an order to their pageblocks' lists, after the blocks already there."""
    types = range(nr_types(memory))
    lists = [list_nodes(memory, free_list_head(memory, zone, order, t)) for t in types]
    tags = [memory.pageblock[n >> PAGEBLOCK_ORDER] & PAGEBLOCK_TYPE_MASK for n in lists]
    for wanted in types:
        sources = [wanted, *(t for t in types if t != wanted)]
        nodes = np.concatenate([lists[t][tags[t] == wanted] for t in sources])
        set_list(memory.links, free_list_head(memory, zone, order, wanted), nodes)
        memory.nr_free[zone, order, wanted] = len(nodes)
        memory.frame[nodes] &= ~np.uint16(TYPE_MASK)
        memory.frame[nodes] |= np.uint16(wanted << TYPE_SHIFT)
