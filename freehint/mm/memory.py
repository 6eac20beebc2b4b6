"""The guest's memory as arrays: page frames, list heads, zones, pcp state, pageblocks.

One flat node space holds everything that can stand on a list.  Nodes ``0 .. nr_pages-1`` are
page frames (``pfn - base_pfn``).  They are followed, in the same link array, by::

    free list heads   one per (zone, order, migratetype)
    pcp list heads    one per (zone, cpu, pindex)
    private nodes     heads and bookmarks of the policies' users

``base_pfn`` and ``nr_pages`` are rounded to whole order-10 blocks, so that the buddy of a node
is ``node ^ (1 << order)`` without a bounds check; the frames of holes are never free buddies.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.list import copy_lines, gather_links, list_fill, list_length, list_next, new_lines
from freehint.mm.profile import Profile

MAX_ORDER = 11  # exclusive, as in 6.1; order 10 is the largest block
NR_ORDERS = MAX_ORDER
PAGEBLOCK_ORDER = 9
PAGEBLOCK_NR_PAGES = 1 << PAGEBLOCK_ORDER
MAX_ORDER_NR_PAGES = 1 << (MAX_ORDER - 1)

# freehint's numbers.  A kernel with CMA numbers ISOLATE 5 and CMA 4; files are read by name.
UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, ISOLATE, CMA = range(6)
MIGRATE_PCPTYPES = 3
MIGRATETYPE_NAMES = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "ISOLATE", "CMA")
WITHOUT_CMA = 5  # migratetypes of a guest whose kernel was built without CMA
HEADS = 6  # list heads for each order of a zone, so that their nodes need no look at the guest
ZONE_NAMES = ("DMA", "DMA32", "Normal", "Movable")

# The 16 bits of a frame.  All but LRU are cleared whenever the block leaves its list.
ORDER_MASK = 0x000F
BUDDY = 0x0010  # heads a block on a free list
PCP = 0x0020  # heads a block on a pcp list
ISOLATED = 0x0040  # heads a block on a policy's private list
LRU = 0x0080  # allocated and movable (PageLRU or __PageMovable)
TYPE_SHIFT = 8
TYPE_MASK = 0x0700  # migratetype of the block's free list; on a pcp list, the block's own type
REPORTED = 0x0800  # the block was reported to the host (PageReported)
HINTED = 0x1000  # a hint for the block was taken during this stay on the list
MARK_SHIFT = 13  # three bits: user u's mark of this stay is 1 << (MARK_SHIFT + u)
BUDDY_AND_ORDER = BUDDY | ORDER_MASK

NR_USERS = 3
USER_LIST, USER_BOOKMARK, USER_END = range(3)  # one END for each list of a zone
NODES_PER_USER = USER_END + NR_ORDERS * HEADS

NR_PCP_LISTS = 14
PCP_THP = 12  # pindex 12 holds order 9 that is not movable, pindex 13 movable order 9

SKIP_BIT = 0x08  # compaction's skip bit, beside the type in a pageblock's byte
PAGEBLOCK_TYPE_MASK = 0x07
# 1 + the type that an ISOLATE pageblock goes back to (7.3), 0 if it is not known
KEPT_TYPE_SHIFT, KEPT_TYPE_MASK, KEPT_TYPE_ONE = 4, 0x70, 0x10
NO_PAGEBLOCK = 0xFF  # a hole

WMARK_MIN, WMARK_LOW, WMARK_HIGH = range(3)
# zone->flags (enum zone_flags): kswapd is balancing (from 5.14 on); an allocation found the
# zone below its high watermark (from 6.7 on)
ZONE_RECLAIM_ACTIVE, ZONE_BELOW_HIGH = 1 << 1, 1 << 2
ZONE_NORMAL, ZONE_MOVABLE = 2, 3  # kernel zone indices

# Links are gathered before a walk if at least GATHER_FROM blocks of the order are possible and
# at least 1 in GATHER_SHARE of them stands on the list: gathering a link takes a tenth of the
# time of waiting for one that is in no cache (make bench).
GATHER_SHARE, GATHER_FROM = 8, 4096
# One record for each of the ``Z`` zones, ascending by pfn.  Values are pages unless noted.
ZONE_DTYPE = np.dtype(
    [
        ("index", np.int64),  # the kernel's zone index, into ZONE_NAMES
        ("start_pfn", np.int64),
        ("spanned", np.int64),  # pfns from start to end, holes included
        ("present", np.int64),  # pfns that exist
        ("managed", np.int64),  # pages handed to the buddy allocator
        ("watermark", np.int64, (3,)),  # min, low, high
        ("watermark_boost", np.int64),  # temporary raise of all three
        ("lowmem_reserve", np.int64, (5,)),  # [j] is kept from requests that may use zone index j
        ("nr_free_pages", np.int64),  # NR_FREE_PAGES as watermark tests read it
        ("free_pages_offset", np.int64),  # nr_free_pages minus pages on lists: per-CPU differences
        ("nr_reserved_highatomic", np.int64),
        ("nr_isolate_pageblock", np.int64),  # pageblocks of type ISOLATE
        ("flags", np.int64),  # zone->flags as recorded
        ("bookmark_steps", np.int64),  # times the allocator stepped over a policy's bookmark
    ]
)

# ``struct per_cpu_pages`` of a zone and CPU.
PCP_DTYPE = np.dtype(
    [
        ("count", np.int64),  # pages on the lists
        ("high", np.int64),  # drain limit, pages
        ("batch", np.int64),  # refill size, pages
        ("free_factor", np.int64),  # 6.1: doublings of the drain batch
        # 6.12 (0 elsewhere)
        ("high_min", np.int64),
        ("high_max", np.int64),
        ("flags", np.int64),
        ("alloc_factor", np.int64),
        ("free_count", np.int64),
        ("expire", np.int64),
    ]
)


def new_zones(**columns) -> np.recarray:
    """Zone records from columns.  Columns that are not named are 0."""
    zones = np.zeros(len(columns["start_pfn"]), ZONE_DTYPE)
    for name, column in columns.items():
        zones[name] = column
    return zones.view(np.recarray)


# REPORT_ORDER      of Memory.notify: smallest order whose free requests a report, or NR_ORDERS
# REPORT_REQUESTED  1 if a free has requested a report since this was last cleared
# WATCH_EMPTY       1 if a policy watches for free lists that run empty
# EMPTIED           0, or 1 + the index of a free list that ran empty
# CALLED            one bit for each zone for which an allocation has had the policy called
REPORT_ORDER, REPORT_REQUESTED, WATCH_EMPTY, EMPTIED, CALLED, NR_NOTIFY = range(6)


class Memory(NamedTuple):
    """A guest's memory: ``Z`` zones, ``C`` CPUs, ``T`` types, ``N = nr_pages + heads`` nodes.

    links : int32[2 N]       next and prev of every node, in turn; only mm/list.py accesses it
    frame : uint16[nr_pages] order and state bits of the block that a frame heads, else 0 or LRU
    pageblock : uint8[nr_pages / 512]   type (bits 0..2), skip (3), kept type (4..6); 0xFF = hole
    nr_free : int64[Z, 11, T]           blocks on each free list; T is 5, or 6 with CMA
    zones : record[Z]                   ZONE_DTYPE
    pcp : record[Z, C]                  PCP_DTYPE
    notify : int64[5]                   REPORT_ORDER .. CALLED
    profile : Profile
    base_pfn : int           pfn of node 0, a multiple of 1024
    nr_pages : int           frames, a multiple of 1024
    nr_cpus : int
    reported_known : bool    whether the recording had a Reported flag for each free block
    """

    links: np.ndarray
    frame: np.ndarray
    pageblock: np.ndarray
    nr_free: np.ndarray
    zones: np.recarray
    pcp: np.recarray
    notify: np.ndarray
    profile: Profile
    base_pfn: int
    nr_pages: int
    nr_cpus: int
    reported_known: bool


@kernel(inline=True)
def nr_types(memory):
    """The number of migratetypes: 5, or 6 if the guest's kernel was built with CMA."""
    return memory.nr_free.shape[2]


def new_memory(
    zones: np.recarray, nr_cpus: int, profile: Profile, reported_known=False, types=WITHOUT_CMA
) -> Memory:
    """Memory with every list empty, every page allocated and every pageblock a hole.

    Zones ascend, and all but the first begin on an order-10 boundary, so no buddies lie in two.
    """
    nr_zones = len(zones.start_pfn)
    end_pfn = zones.start_pfn + zones.spanned
    for z in range(1, nr_zones):
        start = int(zones.start_pfn[z])
        if start < end_pfn[z - 1] or start % MAX_ORDER_NR_PAGES:
            raise ValueError(
                f"zone {ZONE_NAMES[zones[z].index]}: start_pfn must be a multiple of"
                f" {MAX_ORDER_NR_PAGES} after the end of the previous zone, got {start}"
            )
    base_pfn = int(zones.start_pfn[0]) // MAX_ORDER_NR_PAGES * MAX_ORDER_NR_PAGES
    nr_pages = -(-(int(end_pfn[-1]) - base_pfn) // MAX_ORDER_NR_PAGES) * MAX_ORDER_NR_PAGES
    per_zone = NR_ORDERS * HEADS + nr_cpus * NR_PCP_LISTS
    nr_heads = nr_zones * per_zone + NR_USERS * NODES_PER_USER
    if nr_pages + nr_heads >= 2**31:
        raise ValueError(f"a guest of {nr_pages} pages is too large for int32 links")
    links = new_lines(2 * (nr_pages + nr_heads), np.int32)
    links[2 * nr_pages :] = np.repeat(np.arange(nr_pages, nr_pages + nr_heads, dtype=np.int32), 2)
    pcp = np.zeros((nr_zones, nr_cpus), PCP_DTYPE).view(np.recarray)
    return Memory(
        links=links,
        frame=new_lines(nr_pages, np.uint16),
        pageblock=np.full(nr_pages >> PAGEBLOCK_ORDER, NO_PAGEBLOCK, np.uint8),
        nr_free=np.zeros((nr_zones, NR_ORDERS, types), np.int64),
        zones=zones,
        pcp=pcp,
        notify=np.array([NR_ORDERS, 0, 0, 0, 0], np.int64),
        profile=profile,
        base_pfn=base_pfn,
        nr_pages=nr_pages,
        nr_cpus=nr_cpus,
        reported_known=bool(reported_known),
    )


def copy_memory(memory: Memory) -> Memory:
    """An independent copy that shares no array with the original."""
    return memory._replace(
        links=copy_lines(memory.links),
        frame=copy_lines(memory.frame),
        pageblock=memory.pageblock.copy(),
        nr_free=memory.nr_free.copy(),
        zones=memory.zones.copy(),
        pcp=memory.pcp.copy(),
        notify=memory.notify.copy(),
    )


@kernel(inline=True)
def gathering_pays(memory, order, length):
    """Is a list of ``length`` blocks walked faster if its links are gathered first?"""
    possible = memory.nr_pages >> order
    large = order >= PAGEBLOCK_ORDER and possible >= GATHER_FROM
    return large and GATHER_SHARE * length >= possible


def list_nodes(memory: Memory, head: int) -> np.ndarray:
    """The page frames on a list, first to last, as int64 nodes without the bookmarks."""
    place, migratetype = divmod(head - memory.nr_pages, HEADS)
    zone, order = divmod(place, NR_ORDERS)
    counted = zone < len(memory.nr_free) and migratetype < nr_types(memory)
    length = int(memory.nr_free[zone, order, migratetype]) if counted else 0
    gathered, covered = np.zeros((0, 0), np.int32), 0
    if counted and gathering_pays(memory, order, length):
        gathered = np.empty((2, memory.nr_pages >> order), np.int32)
        covered = gather_links(memory.links, gathered, memory.nr_pages, order)
    nodes = np.empty(length, np.int64)
    where = gathered, covered, order, head, memory.nr_pages
    filled = list_fill(memory.links, *where, nodes)
    if filled < 0:  # nr_free does not count this list, or counts it wrong
        nodes = np.empty(list_length(memory.links, head), np.int64)
        filled = list_fill(memory.links, *where, nodes)
    return nodes[:filled]


def zone_name(memory: Memory, zone: int) -> str:
    """The kernel's name of the zone at position ``zone``."""
    return ZONE_NAMES[memory.zones[zone].index]


@kernel(inline=True)
def free_list_head(memory, zone, order, migratetype):
    """Node that heads ``zone->free_area[order].free_list[migratetype]``."""
    return memory.nr_pages + (zone * NR_ORDERS + order) * HEADS + migratetype


@kernel(inline=True)
def pcp_list_head(memory, zone, cpu, pindex):
    """Node that heads ``per_cpu_pages.lists[pindex]`` of a zone and CPU."""
    first = memory.nr_pages + memory.nr_free.shape[0] * NR_ORDERS * HEADS
    return first + (zone * memory.nr_cpus + cpu) * NR_PCP_LISTS + pindex


@kernel(inline=True)
def user_node(memory, user, which):
    """The node of a policy user that ``which`` names: USER_LIST, USER_BOOKMARK, USER_END + list."""
    first = memory.nr_pages + memory.nr_free.shape[0] * (
        NR_ORDERS * HEADS + memory.nr_cpus * NR_PCP_LISTS
    )
    return first + user * NODES_PER_USER + which


@kernel(inline=True)
def first_block(memory, head):
    """The first block of a free list after any bookmarks, or ``head`` if the list has none."""
    node = list_next(memory.links, head)
    while node >= memory.nr_pages and node != head:
        zone = (head - memory.nr_pages) // (NR_ORDERS * HEADS)
        memory.zones[zone].bookmark_steps += 1
        node = list_next(memory.links, node)
    return node


@kernel(inline=True)
def page_zone(memory, node):
    """Position of the zone that a frame lies in."""
    zone = memory.zones.shape[0] - 1
    while zone > 0 and node + memory.base_pfn < memory.zones[zone].start_pfn:
        zone -= 1
    return zone


@kernel(inline=True)
def frame_order(frame):
    """Order of the block that a frame heads."""
    return int(frame & ORDER_MASK)


@kernel(inline=True)
def frame_type(frame):
    """Migratetype kept in a frame."""
    return int(frame & TYPE_MASK) >> TYPE_SHIFT
