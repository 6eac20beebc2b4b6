"""The recount of the LRU lists behind check_memory, compiled: lists, places, swap, writeback."""

import numpy as np

from freehint.jit import kernel
from freehint.mm.list import list_next, list_prev
from freehint.mm.memory import LRU, page_zone
from freehint.mm.reclaim.lists import has, is_file, list_head, lru_of, nr_pages_of
from freehint.mm.reclaim.lru_gen.generations import folio_lru_gen, nr_gens
from freehint.mm.reclaim.lru_gen.recount import (
    KINDS,
    column_of,
    generation_list_name,
    stands_wrong,
    wrong_generation_count,
    wrong_number_of_generations,
)
from freehint.mm.reclaim.state import (
    GENERATION_HEADS,
    LIST_NAMES,
    NR_GEN_ZONES,
    NR_HEADS,
    NR_LISTS,
    PG_DIRTY,
    PG_ON_LRU,
    PG_SWAPCACHE,
    PG_WRITEBACK,
    UNEVICTABLE,
)
from freehint.mm.reclaim.writeback import REQUEST_END

OK = 0
MESSAGES = (
    "",
    "next and prev disagree at node {node}",
    "node {node} has no business on this list",
    "pfn {pfn} is on the list but not PG_ON_LRU",
    "pfn {pfn} is free or unmovable (frame {value:#x})",
    "pfn {pfn} has the bits of a page of list {value} (flags {count:#x})",
    "zone {zone} has {value} pages on the list but counts {count}",
    "pfn {pfn} is PG_ON_LRU but on no list",
    "pfn {pfn} backs no place",
    "pfn {pfn} backs place {value}, which has page {count}",
    "place {value} has pfn {pfn}, which backs place {count}",
    "place {value} has swap slot {count}, which belongs to another place",
    "swap slot {count} belongs to place {value}, which does not have it",
    "pfn {pfn} has PG_SWAPCACHE but no swap slot, or the other way round",
    "{value} swap slots are free but {count} are counted",
    "the writeback ring holds pfn {pfn}, which is not PG_WRITEBACK",
    "the writeback ring holds pfn {pfn}, which is free or unmovable (frame {value:#x})",
    "a plug holds pfn {pfn}, which is not PG_WRITEBACK",
    "{value} pages are PG_WRITEBACK but {count} are counted",
    "{value} file pages are dirty but {count} are counted",
    "a batch has left pages on an internal list",
    "pfn {pfn} is of another kind, zone or generation, or active (flags {value:#x})",
    "{value} pages have a generation that counts {count}",
    "{value} pages have {count} generations, where 2 to 4 can be",
)
(
    _,
    BAD_LINKS,
    STRANGER,
    NOT_ON_LRU,
    NOT_ALLOCATED,
    WRONG_LIST,
    WRONG_ZONE_LRU,
    LOST,
    NO_PLACE,
    SLOT_LIES,
    PLACE_LIES,
    SWAP_LIES,
    SWAP_MAP_LIES,
    WRONG_SWAPCACHE,
    WRONG_SWAP_FREE,
    RING_STRANGER,
    RING_FREE,
    PLUG_STRANGER,
    WRONG_WRITEBACK,
    WRONG_DIRTY,
    LEFT_OVER,
    WRONG_GENERATION,
    WRONG_GEN_PAGES,
    WRONG_GENERATIONS,
) = range(len(MESSAGES))

# Indices of ``where``: the list or -1, the node, value and count of the message, the zone.
AT_LIST, AT_NODE, AT_VALUE, AT_COUNT, AT_ZONE, NR_WHERE = range(6)


@kernel(inline=True)
def note(where, code, node, value, count):
    """Fill in what the message needs, and return the code."""
    where[AT_NODE], where[AT_VALUE], where[AT_COUNT] = node, value, count
    return code


@kernel(cold=True)
def check_lru_links(memory, reclaim, node):
    """Do the neighbours of a node point back?  For a page on two lists they do not."""
    nodes = reclaim.links.shape[0] // 2
    after, before = list_next(reclaim.links, node), list_prev(reclaim.links, node)
    if after < 0 or after >= nodes or before < 0 or before >= nodes:
        return BAD_LINKS
    if list_prev(reclaim.links, after) != node or list_next(reclaim.links, before) != node:
        return BAD_LINKS
    return OK


@kernel(cold=True)
def check_lru_page(memory, reclaim, seen, node, lru, where):
    """One page on a list: its bits, its frame, its place."""
    if node >= memory.nr_pages:
        return note(where, STRANGER, node, 0, 0)
    seen[node] = True
    if not has(reclaim, node, PG_ON_LRU):
        return note(where, NOT_ON_LRU, node, 0, 0)
    if memory.frame[node] != LRU:
        return note(where, NOT_ALLOCATED, node, memory.frame[node], 0)
    if lru >= GENERATION_HEADS:
        if stands_wrong(memory, reclaim, node, lru):
            return note(where, WRONG_GENERATION, node, reclaim.page[node], 0)
    elif lru != UNEVICTABLE and lru_of(reclaim, node) != lru:
        return note(where, WRONG_LIST, node, lru_of(reclaim, node), reclaim.page[node])
    if reclaim.slot[node] == 0:
        return note(where, NO_PLACE, node, 0, 0)
    return OK


@kernel(cold=True)
def check_lru_list(memory, reclaim, seen, counted, lru, where):
    """Walk a list both ways and count its pages by zone, and by generation."""
    lists, gens = counted
    head = list_head(memory, lru)
    where[AT_LIST] = lru
    node, code = head, OK
    while True:
        if check_lru_links(memory, reclaim, node):
            return note(where, BAD_LINKS, node, 0, 0)
        node = list_next(reclaim.links, node)
        if node == head:
            return OK
        code = check_lru_page(memory, reclaim, seen, node, lru, where)
        if code:
            return code
        zone, pages = page_zone(memory, node), nr_pages_of(reclaim, node)
        if lru >= GENERATION_HEADS:
            lists[zone, column_of(reclaim, node)] += pages
            gens[folio_lru_gen(reclaim, node), is_file(reclaim, node), zone] += pages
        else:
            lists[zone, lru] += pages


@kernel(cold=True)
def check_lru_counts(memory, reclaim, counted, where):
    """Compare the counters with the recount; the lists of a batch must be empty."""
    lists, gens = counted
    wrong = wrong_generation_count(memory, reclaim, gens)
    if wrong >= 0:
        where[AT_LIST] = GENERATION_HEADS + wrong
        gen, rest = wrong // (2 * NR_GEN_ZONES), wrong % (2 * NR_GEN_ZONES)
        kind, zone = rest // NR_GEN_ZONES, rest % NR_GEN_ZONES
        right, told = gens[gen, kind, zone], reclaim.gen_pages[gen, kind, zone]
        return note(where, WRONG_GEN_PAGES, 0, right, told)
    for lru in range(NR_LISTS):
        for zone in range(lists.shape[0]):
            if lists[zone, lru] != reclaim.zone_lru[zone, lru]:
                where[AT_LIST], where[AT_ZONE] = lru, zone
                right, told = lists[zone, lru], reclaim.zone_lru[zone, lru]
                return note(where, WRONG_ZONE_LRU, 0, right, told)
    where[AT_LIST] = -1
    for lru in range(NR_LISTS, GENERATION_HEADS):
        head = list_head(memory, lru)
        if list_next(reclaim.links, head) != head or list_prev(reclaim.links, head) != head:
            return note(where, LEFT_OVER, head, 0, 0)
    return OK


@kernel(cold=True)
def check_pages(memory, reclaim, seen, where):
    """Every page: does it stand where its bits say, do page and place agree, what is dirty?"""
    dirty = writeback = 0
    for node in range(memory.nr_pages):
        if has(reclaim, node, PG_ON_LRU) and not seen[node]:
            return note(where, LOST, node, 0, 0)
        dirty += 1 if has(reclaim, node, PG_DIRTY) and is_file(reclaim, node) else 0
        writeback += 1 if has(reclaim, node, PG_WRITEBACK) else 0
        place = int(reclaim.slot[node]) - 1
        if place >= 0 and reclaim.place[place] != node + 1:
            return note(where, SLOT_LIES, node, place, reclaim.place[place] - 1)
        in_swap = place >= 0 and reclaim.swap[place] > 0
        if has(reclaim, node, PG_SWAPCACHE) != in_swap:
            return note(where, WRONG_SWAPCACHE, node, 0, 0)
    state = reclaim.node[0]
    if writeback != state.nr_writeback:
        return note(where, WRONG_WRITEBACK, 0, writeback, state.nr_writeback)
    if dirty != state.nr_dirty:
        return note(where, WRONG_DIRTY, 0, dirty, state.nr_dirty)
    return OK


@kernel(cold=True)
def check_places(memory, reclaim, where):
    """Every place and every swap slot: do they and their pages agree?"""
    for place in range(reclaim.place.shape[0]):
        node = int(reclaim.place[place]) - 1
        if node >= 0 and reclaim.slot[node] != place + 1:
            return note(where, PLACE_LIES, node, place, reclaim.slot[node] - 1)
        slot = int(reclaim.swap[place]) - 1
        if slot >= 0 and reclaim.swap_map[slot] != place + 1:
            return note(where, SWAP_LIES, 0, place, slot)
    free = 0
    for slot in range(reclaim.swap_map.shape[0]):
        place = int(reclaim.swap_map[slot]) - 1
        free += 1 if place < 0 else 0
        if place >= 0 and reclaim.swap[place] != slot + 1:
            return note(where, SWAP_MAP_LIES, 0, place, slot)
    if free != reclaim.node[0].swap_free:
        return note(where, WRONG_SWAP_FREE, 0, free, reclaim.node[0].swap_free)
    return OK


@kernel(cold=True)
def check_ring(memory, reclaim, where):
    """The writeback ring holds allocated pages under writeback; so do the plugs before it."""
    state, size = reclaim.node[0], reclaim.writeback.shape[0]
    for i in range(state.writeback_count):
        node = int(reclaim.writeback[(state.writeback_first + i) % size])
        if node < 0:
            continue
        if memory.frame[node] != LRU:
            return note(where, RING_FREE, node, memory.frame[node], 0)
        if not has(reclaim, node, PG_WRITEBACK):
            return note(where, RING_STRANGER, node, 0, 0)
    for who in range(2):
        for i in range(reclaim.control[who].plugged):
            node = int(reclaim.plug[who, i])
            if node >= 0 and not has(reclaim, node & ~REQUEST_END, PG_WRITEBACK):
                return note(where, PLUG_STRANGER, node & ~REQUEST_END, 0, 0)
    return OK


@kernel(cold=True, allocates=True)
def find_lru_damage(memory, reclaim, where):
    """First contradiction: its code, with ``where`` filled for the message."""
    seen = np.zeros(memory.nr_pages, np.bool_)
    lists = np.zeros((memory.zones.shape[0], NR_LISTS), np.int64)
    counted = lists, np.zeros_like(reclaim.gen_pages)
    kind = wrong_number_of_generations(reclaim)
    if kind >= 0:
        return note(where, WRONG_GENERATIONS, 0, kind, nr_gens(reclaim, kind))
    for i in range(NR_HEADS - GENERATION_HEADS + NR_LISTS):
        lru = i if i < NR_LISTS else i - NR_LISTS + GENERATION_HEADS
        code = check_lru_list(memory, reclaim, seen, counted, lru, where)
        if code:
            return code
    code = check_lru_counts(memory, reclaim, counted, where)
    code = code or check_ring(memory, reclaim, where)
    code = code or check_pages(memory, reclaim, seen, where)
    return code or check_places(memory, reclaim, where)


def name_of_list(lru: int) -> str:
    """Name of a list, the generations' included."""
    return LIST_NAMES[lru] if lru < NR_LISTS else generation_list_name(lru)


def lru_damage(memory, reclaim, name_of_zone) -> str:
    """A sentence that names the first contradiction; empty if there is none."""
    where = np.zeros(NR_WHERE, np.int64)
    where[AT_LIST] = -1
    code = find_lru_damage(memory, reclaim, where)
    if code == OK:
        return ""
    lru, node, value, count, zone = (int(x) for x in where)
    place = f"LRU list {name_of_list(lru)}: " if lru >= 0 else ""
    if code == WRONG_GENERATIONS:
        value = KINDS[value]
    if code == WRONG_LIST:
        value = LIST_NAMES[value]
    return place + MESSAGES[code].format(
        node=node,
        pfn=node + memory.base_pfn,
        value=value,
        count=count,
        zone=name_of_zone(memory, zone),
    )
