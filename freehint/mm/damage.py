"""The recount behind check_memory, compiled: every counter, every list both ways, every page."""

from freehint.jit import kernel
from freehint.mm.list import list_next, list_prev
from freehint.mm.memory import (
    BUDDY,
    BUDDY_AND_ORDER,
    HIGHATOMIC,
    ISOLATE,
    ISOLATED,
    LRU,
    MAX_ORDER,
    MOVABLE,
    NO_PAGEBLOCK,
    NODES_PER_USER,
    NR_ORDERS,
    NR_PCP_LISTS,
    NR_USERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    PCP,
    RECLAIMABLE,
    UNMOVABLE,
    USER_LIST,
    frame_order,
    frame_type,
    free_list_head,
    nr_types,
    pcp_list_head,
    user_node,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import pindex_to_order

OK = 0
MESSAGES = (
    "",
    "next and prev disagree at node {node}",
    "node {node} has no business on this list",
    "pfn {pfn} is on the list but its frame says it is elsewhere",
    "pfn {pfn} has order {value} in its frame",
    "pfn {pfn} has migratetype {value} in its frame",
    "pfn {pfn} is not aligned to its order",
    "pfn {pfn} does not lie in the zone",
    "pfn {pfn} belongs to two blocks",
    "pfn {pfn} lies inside a free block but its frame is {value:#x}",
    "the list holds {value} but its counter says {count}",
    "pfn {pfn} stands unmerged beside its free buddy",
    "pfn {pfn} lies in a pageblock of type {value}",
    "pfn {pfn} lies in a hole",
    "pfn {pfn} claims to be on a list but is on none (frame {value:#x})",
    "pcp.count is {count} but the lists hold {value} pages",
    "nr_free_pages is {count} but lists and pending differences make {value}",
    "pageblock at pfn {pfn} has unknown migratetype {value}",
    "more pages are free ({value}) than managed ({count})",
    "the zone of pfn {pfn} has {value} pageblocks of type ISOLATE but counts {count}",
)
(
    _,
    BAD_LINKS,
    STRANGER,
    WRONG_STATE,
    WRONG_ORDER,
    WRONG_TYPE,
    UNALIGNED,
    OUT_OF_ZONE,
    TWO_BLOCKS,
    INSIDE_NOT_ZERO,
    WRONG_COUNT,
    UNMERGED,
    WRONG_PAGEBLOCK,
    IN_HOLE,
    LOST,
    WRONG_PCP_COUNT,
    WRONG_FREE_PAGES,
    BAD_PAGEBLOCK,
    TOO_MANY_FREE,
    WRONG_ISOLATE_COUNT,
) = range(len(MESSAGES))

FREE_LIST, PCP_LIST, PRIVATE_LIST = range(3)


@kernel(inline=True)
def check_links(memory, node):
    """Are its neighbours nodes, and do they point back?

    Where all agree, the list comes back to its head: a chain cannot run into its own middle.
    """
    nr_nodes = memory.links.shape[0] // 2
    after = list_next(memory.links, node)
    before = list_prev(memory.links, node)
    if after < 0 or after >= nr_nodes or before < 0 or before >= nr_nodes:
        return BAD_LINKS
    if list_prev(memory.links, after) != node or list_next(memory.links, before) != node:
        return BAD_LINKS
    return OK


@kernel(inline=True)
def is_bookmark(memory, node):
    """Is this a node that a policy may leave standing in a free list?"""
    first = user_node(memory, 0, 0)
    return node >= first and (node - first) % NODES_PER_USER != USER_LIST


@kernel(inline=True)
def check_frame(memory, node, zone, kind, order, migratetype):
    """Does the block's frame say what its list says?  Source of truth: the list."""
    frame = memory.frame[node]
    state = BUDDY if kind == FREE_LIST else (PCP if kind == PCP_LIST else ISOLATED)
    if frame & (BUDDY | PCP | ISOLATED | LRU) != state:
        return WRONG_STATE
    if kind != PRIVATE_LIST and frame_order(frame) != order:
        return WRONG_ORDER
    if kind == FREE_LIST and frame_type(frame) != migratetype:
        return WRONG_TYPE
    if kind == PCP_LIST:
        # HIGHATOMIC pages stand on the MOVABLE list; list 12 takes all that are not movable.
        kept = frame_type(frame)
        listed = MOVABLE if kept == HIGHATOMIC else kept
        if order == PAGEBLOCK_ORDER and listed == RECLAIMABLE:
            listed = UNMOVABLE
        if listed != migratetype:
            return WRONG_TYPE
    return OK


@kernel(inline=True)
def check_place(memory, node, zone, order):
    """Alignment, zone, hole."""
    if node & ((1 << order) - 1):
        return UNALIGNED
    if zone >= 0:
        start = memory.zones[zone].start_pfn - memory.base_pfn
        end = start + memory.zones[zone].spanned
        if node < start or node + (1 << order) > end:
            return OUT_OF_ZONE
    last = node + (1 << order) - 1
    for block in range(node >> PAGEBLOCK_ORDER, (last >> PAGEBLOCK_ORDER) + 1):
        if memory.pageblock[block] == NO_PAGEBLOCK:
            return IN_HOLE
    return OK


@kernel(inline=True)
def claim_frames(memory, owned, node, order):
    """Enter a block's frames; (code, frame where it went wrong)."""
    for page in range(node, node + (1 << order)):
        if owned[page]:
            return TWO_BLOCKS, page
        owned[page] = True
        if page > node and memory.frame[page] != 0:
            return INSIDE_NOT_ZERO, page
    return OK, node


@kernel(inline=True)
def check_neighbourhood(memory, node, order):
    """What only a free block must fulfil, merged as far as it goes and hygiene: (code, frame)."""
    if order < PAGEBLOCK_ORDER:
        if (memory.frame[node ^ (1 << order)] & BUDDY_AND_ORDER) == BUDDY | order:
            return UNMERGED, node
    if memory.profile.freelist_hygiene:
        for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
            if get_pageblock_migratetype(memory, first) != frame_type(memory.frame[node]):
                return WRONG_PAGEBLOCK, first
    return OK, node


@kernel(cold=True)
def check_list(memory, owned, head, zone, kind, order, migratetype):
    """Walk one list; (code, node, blocks, pages)."""
    blocks = pages = 0
    code = check_links(memory, head)
    node = head if code else list_next(memory.links, head)
    while code == OK and node != head:
        code = check_links(memory, node)
        if code:
            break
        if node >= memory.nr_pages:
            if kind != FREE_LIST or not is_bookmark(memory, node):
                code = STRANGER
                break
            node = list_next(memory.links, node)
            continue
        size = frame_order(memory.frame[node])
        if size >= MAX_ORDER:
            code = WRONG_ORDER
            break
        code = check_frame(memory, node, zone, kind, order, migratetype)
        code = code or check_place(memory, node, zone, size)
        where = node
        if code == OK and kind == FREE_LIST:
            code, where = check_neighbourhood(memory, node, size)
        if code == OK:
            code, where = claim_frames(memory, owned, node, size)
        if code:
            node = where
            break
        blocks += 1
        pages += 1 << size
        node = list_next(memory.links, node)
    return code, node, blocks, pages


@kernel
def check_free_lists(memory, owned, where):
    """All free lists and their counters; code, with ``where`` filled for the message."""
    for zone in range(memory.nr_free.shape[0]):
        counted = 0
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                head = free_list_head(memory, zone, order, migratetype)
                where[0], where[1], where[2], where[3] = FREE_LIST, zone, order, migratetype
                code, node, blocks, pages = check_list(
                    memory, owned, head, zone, FREE_LIST, order, migratetype
                )
                where[5] = node
                if code:
                    return code
                where[6], where[7] = blocks, memory.nr_free[zone, order, migratetype]
                if blocks != memory.nr_free[zone, order, migratetype]:
                    return WRONG_COUNT
                if migratetype != ISOLATE:
                    counted += pages
        where[6] = counted + memory.zones[zone].free_pages_offset
        where[7] = memory.zones[zone].nr_free_pages
        if where[6] != where[7]:
            return WRONG_FREE_PAGES
        where[6], where[7] = counted, memory.zones[zone].managed
        if counted > memory.zones[zone].managed:
            return TOO_MANY_FREE
    return OK


@kernel
def check_pcp_lists(memory, owned, where):
    """All pcp lists and their counts."""
    for zone in range(memory.nr_free.shape[0]):
        for cpu in range(memory.nr_cpus):
            counted = 0
            for pindex in range(NR_PCP_LISTS):
                order = pindex_to_order(pindex)
                # THP lists 12 and 13 hold "not movable" and "movable".
                migratetype = pindex % 3 if order != PAGEBLOCK_ORDER else pindex - 12
                head = pcp_list_head(memory, zone, cpu, pindex)
                where[0], where[1], where[2], where[3] = PCP_LIST, zone, order, migratetype
                where[4] = cpu
                code, node, _blocks, pages = check_list(
                    memory, owned, head, zone, PCP_LIST, order, migratetype
                )
                where[5] = node
                if code:
                    return code
                counted += pages
            where[6], where[7] = counted, memory.pcp[zone, cpu].count
            if counted != memory.pcp[zone, cpu].count:
                return WRONG_PCP_COUNT
    return OK


@kernel
def check_private_lists(memory, owned, where):
    """Blocks that policies have taken off the free lists."""
    for user in range(NR_USERS):
        head = user_node(memory, user, USER_LIST)
        where[0], where[1], where[4] = PRIVATE_LIST, -1, user
        code, node, _blocks, _pages = check_list(memory, owned, head, -1, PRIVATE_LIST, 0, 0)
        where[5] = node
        if code:
            return code
    return OK


@kernel
def check_frames(memory, owned, where):
    """No frame outside the blocks found may claim to be on a list; pageblock types are known."""
    where[0] = -1
    for node in range(memory.nr_pages):
        if not owned[node] and memory.frame[node] & (0xFFFF ^ LRU):
            where[5], where[6] = node, memory.frame[node]
            return LOST
    for block in range(memory.pageblock.shape[0]):
        value = memory.pageblock[block]
        if value != NO_PAGEBLOCK and value & PAGEBLOCK_TYPE_MASK >= nr_types(memory):
            where[5], where[6] = block << PAGEBLOCK_ORDER, value & PAGEBLOCK_TYPE_MASK
            return BAD_PAGEBLOCK
    return OK


@kernel
def check_isolate_counts(memory, where):
    """Drains look at this counter: is it right in every zone?"""
    for zone in range(memory.zones.shape[0]):
        start = memory.zones[zone].start_pfn - memory.base_pfn
        last = start + memory.zones[zone].spanned - 1
        counted = 0
        for block in range(start >> PAGEBLOCK_ORDER, (last >> PAGEBLOCK_ORDER) + 1):
            value = memory.pageblock[block]
            if value != NO_PAGEBLOCK and value & PAGEBLOCK_TYPE_MASK == ISOLATE:
                counted += 1
        if counted != memory.zones[zone].nr_isolate_pageblock:
            where[5], where[6] = start, counted
            where[7] = memory.zones[zone].nr_isolate_pageblock
            return WRONG_ISOLATE_COUNT
    return OK


@kernel
def recount(memory, owned, where):
    """First contradiction: its code, with ``where`` = kind, zone, order, migratetype, cpu or
    user, node, value, count.

    ``owned``, all False before, says which pages stand on lists.
    """
    code = check_free_lists(memory, owned, where)
    code = code or check_pcp_lists(memory, owned, where)
    code = code or check_private_lists(memory, owned, where)
    code = code or check_frames(memory, owned, where)
    return code or check_isolate_counts(memory, where)


@kernel
def pages_held(memory):
    """Pages of blocks on private lists; it stays within the memory even if a list is damaged."""
    pages = 0
    for user in range(NR_USERS):
        node = list_next(memory.links, user_node(memory, user, USER_LIST))
        for _ in range(memory.nr_pages):
            if node < 0 or node >= memory.nr_pages:
                break
            pages += 1 << frame_order(memory.frame[node])
            node = list_next(memory.links, node)
    return pages


@kernel
def pages_at_hand(memory):
    """Pages that are free, on pcp lists or held; no verb changes this sum."""
    pages = pages_held(memory)
    for zone in range(memory.nr_free.shape[0]):
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                pages += memory.nr_free[zone, order, migratetype] << order
        for cpu in range(memory.nr_cpus):
            pages += memory.pcp[zone, cpu].count
    return pages
