"""The data of a guest's memory, and how blocks come onto and off the free lists.

A free list is a Python list of first pfns: index 0 is the head, the next to be handed out.

Source: include/linux/mmzone.h (struct zone, free_area, per_cpu_pages) and the four list
helpers of mm/page_alloc.c, Linux 6.1 and 6.12.
"""

from dataclasses import dataclass, field

MAX_ORDER = 11  # exclusive
PAGEBLOCK_ORDER = 9
PAGEBLOCK_NR_PAGES = 512

UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, ISOLATE = MIGRATETYPES = range(5)
PCPTYPES = (UNMOVABLE, MOVABLE, RECLAIMABLE)  # the types before MIGRATE_PCPTYPES

WMARK_MIN, WMARK_LOW, WMARK_HIGH = range(3)
ZONE_RECLAIM_ACTIVE, ZONE_BELOW_HIGH = 2, 4  # kswapd is balancing; free pages fell below high


@dataclass
class PerCpuPages:
    """``struct per_cpu_pages``: sizes in pages, and 14 lists of first pfns.

    6.12 has free_count instead of free_factor, and only 6.12 has the fields below it.
    """

    high: int
    batch: int
    free_factor: int
    free_count: int
    alloc_factor: int
    high_min: int
    high_max: int
    flags: int
    lists: list[list[int]]


@dataclass
class Zone:
    """``struct zone``.  Values are pages unless noted.

    ``end_pfn`` is the first pfn after the zone.  ``flags`` are the ZONE_.. flags.
    ``drift`` is NR_FREE_PAGES minus the pages on the lists: per-CPU differences that were not
    yet folded in when the zone was recorded.
    """

    name: str
    index: int
    start_pfn: int
    end_pfn: int
    managed_pages: int
    watermark: list[int]
    watermark_boost: int
    lowmem_reserve: list[int]
    nr_reserved_highatomic: int
    flags: int
    drift: int
    pcp: list[PerCpuPages]
    free_list: dict[tuple[int, int], list[int]] = field(
        default_factory=lambda: {(o, t): [] for o in range(MAX_ORDER) for t in MIGRATETYPES}
    )


@dataclass
class Capture:
    """``struct capture_control``: a process in direct compaction of a zone waits for a block."""

    zone: Zone
    order: int
    migratetype: int
    pfn: int | None = None


@dataclass
class Twin:
    """A guest's memory: zones ascending by pfn, and the data that ``struct page`` holds.

    buddy            first pfn of a free block -> its order (PageBuddy, page->private)
    pcp_migratetype  first pfn of a block on a pcp list -> the type it keeps (page->index)
    lru              allocated movable pages (PageLRU or __PageMovable)
    pageblock        pfn >> 9 -> migratetype; a hole has no entry
    private          one list of (pfn, order) for each user that isolates free blocks
    kept_type        pfn >> 9 -> the type below an isolated pageblock's isolation (7.3)
    capture          current->capture_control, or None
    release          kernel version: 415, 510, 601, 612 or 703
    """

    release: int
    zones: list[Zone]
    buddy: dict[int, int]
    pcp_migratetype: dict[int, int]
    lru: set[int]
    pageblock: dict[int, int]
    private: list[list[tuple[int, int]]] = field(default_factory=lambda: [[], [], []])
    kept_type: dict[int, int] = field(default_factory=dict)
    capture: Capture | None = None


def get_pageblock_migratetype(twin, pfn):
    """Migratetype of the pageblock around a pfn, or None in a hole."""
    return twin.pageblock.get(pfn >> PAGEBLOCK_ORDER)


def set_pageblock_migratetype(twin, pfn, migratetype):
    """Set the migratetype of the pageblock around a pfn.  A hole stays a hole."""
    if pfn >> PAGEBLOCK_ORDER in twin.pageblock:
        twin.pageblock[pfn >> PAGEBLOCK_ORDER] = migratetype


def change_pageblock_range(twin, pfn, order, migratetype):
    """Set the migratetype of all pageblocks in a block.  Source: change_pageblock_range()."""
    for pageblock in range(pfn, pfn + (1 << order), PAGEBLOCK_NR_PAGES):
        set_pageblock_migratetype(twin, pageblock, migratetype)


def has_isolate_pageblock(twin, zone):
    """Is any pageblock of the zone isolated?  Source: has_isolate_pageblock()."""
    first, last = zone.start_pfn >> PAGEBLOCK_ORDER, (zone.end_pfn - 1) >> PAGEBLOCK_ORDER
    return any(twin.pageblock.get(block) == ISOLATE for block in range(first, last + 1))


def page_zone(twin, pfn):
    """The zone that a page lies in.  Source: page_zone()."""
    return next(zone for zone in twin.zones if zone.start_pfn <= pfn < zone.end_pfn)


def list_with(zone, pfn, order):
    """The free list of this order, of any type, on which a block stands."""
    lists = [zone.free_list[order, t] for t in MIGRATETYPES if pfn in zone.free_list[order, t]]
    (only,) = lists
    return only


def add_to_free_list(twin, zone, pfn, order, migratetype):
    """Put a block first.  Source: add_to_free_list(), set_buddy_order()."""
    zone.free_list[order, migratetype].insert(0, pfn)
    twin.buddy[pfn] = order


def add_to_free_list_tail(twin, zone, pfn, order, migratetype):
    """Put a block last.  Source: add_to_free_list_tail(), set_buddy_order()."""
    zone.free_list[order, migratetype].append(pfn)
    twin.buddy[pfn] = order


def move_to_free_list(twin, zone, pfn, order, migratetype):
    """Put a block last (in 4.15 first) on another type's list.

    Source: move_to_free_list(), 5.10 and later; list_move() in move_freepages() of 4.15.
    """
    list_with(zone, pfn, order).remove(pfn)
    pfns = zone.free_list[order, migratetype]
    pfns.insert(0 if twin.release < 510 else len(pfns), pfn)


def del_page_from_free_list(twin, zone, pfn, order):
    """Take a block off its list.  Source: del_page_from_free_list()."""
    list_with(zone, pfn, order).remove(pfn)
    del twin.buddy[pfn]


def nr_free_pages(zone):
    """NR_FREE_PAGES: the pages on the lists that are not isolated.  The kernel keeps this count."""
    return zone.drift + sum(
        len(pfns) << order for (order, t), pfns in zone.free_list.items() if t != ISOLATE
    )


def nr_free_highatomic(zone):
    """Free pages in the HIGHATOMIC reserve.  Source: zone->nr_free_highatomic of 6.12."""
    return sum(len(zone.free_list[order, HIGHATOMIC]) << order for order in range(MAX_ORDER))
