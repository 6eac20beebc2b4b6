"""Build a twin of a :class:`Memory`, and compare the two."""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from freehint.mm.list import NEXT
from freehint.mm.memory import (
    KEPT_TYPE_MASK,
    KEPT_TYPE_SHIFT,
    LRU,
    NO_PAGEBLOCK,
    NR_USERS,
    PAGEBLOCK_TYPE_MASK,
    USER_LIST,
    Memory,
    frame_order,
    frame_type,
    free_list_head,
    pcp_list_head,
    user_node,
    zone_name,
)
from freehint.mm.reference.lists import (
    MAX_ORDER,
    MIGRATETYPES,
    PAGEBLOCK_ORDER,
    PerCpuPages,
    Twin,
    Zone,
    nr_free_pages,
)
from freehint.mm.reference.pcp import NR_PCP_LISTS, count

ZONE_COUNTERS = ("nr_free_pages", "watermark_boost", "nr_reserved_highatomic", "flags")
PCP_COUNTERS = [field.name for field in fields(PerCpuPages) if field.name != "lists"]


def plain(kernel):
    """The Python function under a kernel.  Calling it does not pass 40 arrays to Numba."""
    return getattr(kernel, "py_func", kernel)


free_list_head, pcp_list_head, user_node = map(plain, (free_list_head, pcp_list_head, user_node))
frame_order, frame_type = map(plain, (frame_order, frame_type))


def pfns_on(memory: Memory, head: int) -> list[int]:
    """The pfns of the blocks on a list, without the bookmarks."""
    return _pfns_at(_places(memory), head)


def _places(memory: Memory) -> tuple[memoryview, int, int]:
    """What to walk a list with: links, number of pages, first pfn."""
    return memory.links.data, memory.nr_pages, int(memory.base_pfn)


def _pfns_at(places, head: int) -> list[int]:
    """:func:`pfns_on` in plain Python: most lists are short, and a kernel's call takes longer."""
    links, nr_pages, base = places
    node, found = links[2 * head + NEXT], []
    while node != head:
        if node < nr_pages:
            found.append(node + base)
        node = links[2 * node + NEXT]
    return found


def pageblock_types(memory: Memory) -> dict[int, int]:
    """A dict from pfn >> 9 to the migratetype of every pageblock that is no hole."""
    first = memory.base_pfn >> PAGEBLOCK_ORDER
    exists = np.flatnonzero(memory.pageblock != NO_PAGEBLOCK)
    types = memory.pageblock[exists] & PAGEBLOCK_TYPE_MASK
    return dict(zip((exists + first).tolist(), types.tolist()))


def kept_types(memory: Memory) -> dict[int, int]:
    """A dict from pfn >> 9 to the type that an isolated pageblock goes back to."""
    first = memory.base_pfn >> PAGEBLOCK_ORDER
    kept = (memory.pageblock & KEPT_TYPE_MASK) >> KEPT_TYPE_SHIFT
    where = np.flatnonzero((memory.pageblock != NO_PAGEBLOCK) & (kept > 0))
    return dict(zip((where + first).tolist(), (kept[where].astype(int) - 1).tolist()))


def private_lists(memory: Memory) -> list[list[tuple[int, int]]]:
    """For every user, the (pfn, order) of each block on its private list."""
    lists = [pfns_on(memory, user_node(memory, user, USER_LIST)) for user in range(NR_USERS)]
    base = memory.base_pfn
    return [[(pfn, frame_order(memory.frame[pfn - base])) for pfn in pfns] for pfns in lists]


def _pcp_from(memory: Memory, z: int, cpu: int) -> PerCpuPages:
    return PerCpuPages(
        **{name: int(memory.pcp[name][z, cpu]) for name in PCP_COUNTERS},
        lists=[
            pfns_on(memory, pcp_list_head(memory, z, cpu, pindex)) for pindex in range(NR_PCP_LISTS)
        ],
    )


def _zone_from(memory: Memory, z: int) -> Zone:
    zones = memory.zones
    zone = Zone(
        name=zone_name(memory, z),
        index=int(zones.index[z]),
        start_pfn=int(zones.start_pfn[z]),
        end_pfn=int(zones.start_pfn[z] + zones.spanned[z]),
        managed_pages=int(zones.managed[z]),
        watermark=zones.watermark[z].tolist(),
        watermark_boost=int(zones.watermark_boost[z]),
        lowmem_reserve=zones.lowmem_reserve[z].tolist(),
        nr_reserved_highatomic=int(zones.nr_reserved_highatomic[z]),
        flags=int(zones["flags"][z]),
        drift=0,
        pcp=[_pcp_from(memory, z, cpu) for cpu in range(memory.nr_cpus)],
    )
    for order in range(MAX_ORDER):
        for migratetype in MIGRATETYPES:
            head = free_list_head(memory, z, order, migratetype)
            zone.free_list[order, migratetype] = pfns_on(memory, head)
    zone.drift = int(zones.nr_free_pages[z]) - nr_free_pages(zone)
    return zone


def from_memory(memory: Memory) -> Twin:
    """A twin with the same lists, pageblocks, counters and movable pages.

    Examples
    --------
    >>> import freehint as fh
    >>> twin = from_memory(fh.load_snapshot(fh.data("linux-6.1/traces/idle20.T0")))
    >>> [zone.name for zone in twin.zones]
    ['DMA', 'DMA32']
    """
    zones = [_zone_from(memory, z) for z in range(len(memory.zones.index))]
    free = [z.free_list.items() for z in zones]
    cached = [pfns for zone in zones for pcp in zone.pcp for pfns in pcp.lists]
    base = memory.base_pfn
    return Twin(
        release=memory.profile.release,
        zones=zones,
        buddy={pfn: order for lists in free for (order, _), pfns in lists for pfn in pfns},
        pcp_migratetype={
            pfn: frame_type(memory.frame[pfn - base]) for pfns in cached for pfn in pfns
        },
        lru={int(node) + base for node in np.flatnonzero(memory.frame & LRU)},
        pageblock=pageblock_types(memory),
        private=private_lists(memory),
        kept_type=kept_types(memory),
    )


def differences(twin: Twin, memory: Memory) -> Iterator[str]:
    """Yield a sentence for each list and counter in which the two differ."""
    places = _places(memory)
    counters = {name: memory.zones[name].tolist() for name in ZONE_COUNTERS}
    of_cpus = {name: memory.pcp[name].tolist() for name in ("count", *PCP_COUNTERS)}
    for z, zone in enumerate(twin.zones):
        for (order, migratetype), pfns in zone.free_list.items():
            theirs = _pfns_at(places, free_list_head(memory, z, order, migratetype))
            if pfns != theirs:
                where = f"zone {zone.name}, order {order}, migratetype {migratetype}"
                yield f"{where}: twin {pfns}, memory {theirs}"
        for cpu, pcp in enumerate(zone.pcp):
            yield from _pcp_differences(pcp, memory, places, of_cpus, z, cpu)
        for name, theirs in counters.items():
            ours = nr_free_pages(zone) if name == "nr_free_pages" else getattr(zone, name)
            if ours != theirs[z]:
                yield f"zone {zone.name}: {name}: twin {ours}, memory {theirs[z]}"
    if twin.private != private_lists(memory):
        yield f"private lists: twin {twin.private}, memory {private_lists(memory)}"
    if twin.pageblock != pageblock_types(memory):
        yield f"pageblocks: twin {twin.pageblock}, memory {pageblock_types(memory)}"
    if twin.kept_type != kept_types(memory):
        yield f"kept types: twin {twin.kept_type}, memory {kept_types(memory)}"


def _pcp_differences(pcp, memory: Memory, places, counters: dict, z: int, cpu: int):
    where = f"zone {zone_name(memory, z)}, cpu {cpu}"
    for pindex, pfns in enumerate(pcp.lists):
        theirs = _pfns_at(places, pcp_list_head(memory, z, cpu, pindex))
        if pfns != theirs:
            yield f"{where}, pcp list {pindex}: twin {pfns}, memory {theirs}"
    for name, theirs in counters.items():
        ours = count(pcp) if name == "count" else getattr(pcp, name)
        if ours != theirs[z][cpu]:
            yield f"{where}: pcp.{name}: twin {ours}, memory {theirs[z][cpu]}"


def same_lists(twin: Twin, memory: Memory) -> bool:
    """Are all lists (order included), pageblocks and counters equal?"""
    return next(differences(twin, memory), None) is None
