"""What compaction remembers, which lists it turns, and where it does not look again.

Source: mm/compaction.c and struct compact_control of mm/internal.h, Linux 6.1 and 6.12.
"""

from dataclasses import dataclass, field

from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    Twin,
    Zone,
    get_pageblock_migratetype,
)

COMPACT_CLUSTER_MAX = 32
COMPACT_MAX_DEFER_SHIFT = 6
PAGE_ALLOC_COSTLY_ORDER = 3
ASYNC, SYNC_LIGHT, SYNC = range(3)


def move_freelist_head(pfns, pfn):
    """Rotate the list until ``pfn`` is first.  Source: move_freelist_head()."""
    at = pfns.index(pfn)
    pfns[:] = pfns[at:] + pfns[:at]


def move_freelist_tail(pfns, pfn):
    """Rotate the list until ``pfn`` is last.  Source: move_freelist_tail()."""
    behind = pfns.index(pfn) + 1
    pfns[:] = pfns[behind:] + pfns[:behind]


@dataclass
class ZoneMemory:
    """The fields of ``struct zone`` that belong to compaction, without their prefix."""

    zone: Zone
    cached_migrate_pfn: list[int] = field(default_factory=lambda: [0, 0])
    cached_free_pfn: int = 0
    init_migrate_pfn: int = 0
    init_free_pfn: int = 0
    considered: int = 0
    defer_shift: int = 0
    order_failed: int = 0
    blockskip_flush: bool = False


@dataclass
class Compactor:
    """A twin's compaction, and what it needs to know of the pages.

    skip       pfn >> 9 of pageblocks that are marked
    writeback  pfns of pages under writeback
    huge       first pfns of huge pages
    place      pfn -> the place that the page backs
    lru        pfns on each LRU list, the most recent first
    """

    twin: Twin
    zones: list[ZoneMemory]
    skip: set[int] = field(default_factory=set)
    writeback: set[int] = field(default_factory=set)
    huge: set[int] = field(default_factory=set)
    place: dict[int, int] = field(default_factory=dict)
    lru: list[list[int]] = field(default_factory=list)


@dataclass
class Control:
    """``struct compact_control``.  ``freepages`` has lists of first pfns by order.

    ``fast_start_pfn`` is None before the search has found anything, -1 after that was used.
    """

    zone: ZoneMemory
    order: int
    mode: int
    cpu: int = 0
    migratetype: int = 0
    mark: int = 0
    alloc_flags: int = 0
    highest_zoneidx: int = 0
    direct: bool = False
    proactive_low: int | None = None
    whole_zone: bool = False
    ignore_skip_hint: bool = False
    ignore_block_suitable: bool = False
    search_order: int = 0
    fast_search_fail: int = 0
    fast_start_pfn: int | None = None
    migrate_pfn: int = 0
    free_pfn: int = 0
    finish_pageblock: bool = False
    nr_migratepages: int = 0
    freepages: list[list[int]] = field(default_factory=lambda: [[] for _ in range(11)])
    migratepages: list[int] = field(default_factory=list)
    moves: list[tuple[int, int]] = field(default_factory=list)
    migrate_scanned: int = 0
    free_scanned: int = 0
    isolated: int = 0
    failed: int = 0


def nr_freepages(cc):
    """Pages in hand.  The kernel keeps this count."""
    return sum(len(pfns) << order for order, pfns in enumerate(cc.freepages))


def block_of(pfn):
    """The pageblock around a pfn, as the range of its pfns."""
    start = pfn // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES
    return range(start, start + PAGEBLOCK_NR_PAGES)


def is_aligned(pfn):
    """Does a pageblock begin here?"""
    return pfn % PAGEBLOCK_NR_PAGES == 0


def is_skipped(compactor, pfn):
    """Is the pageblock marked?  Source: get_pageblock_skip()."""
    return pfn // PAGEBLOCK_NR_PAGES in compactor.skip


def set_skip(compactor, pfn):
    """Mark a pageblock.  Source: set_pageblock_skip()."""
    compactor.skip.add(pfn // PAGEBLOCK_NR_PAGES)


def isolation_suitable(compactor, cc, pfn):
    """May a scanner look at the pageblock?  Source: isolation_suitable()."""
    return cc.ignore_skip_hint or not is_skipped(compactor, pfn)


def reset_cached_positions(memory):
    """Begin at the zone's ends next time.  Source: reset_cached_positions()."""
    memory.cached_migrate_pfn = [memory.zone.start_pfn] * 2
    memory.cached_free_pfn = block_of(memory.zone.end_pfn - 1)[0]


def update_cached_migrate(cc, pfn):
    """Begin behind the pageblock next time.  Source: update_cached_migrate()."""
    end = block_of(pfn)[-1] + 1
    for i in range(1 if cc.mode == ASYNC else 2):
        cc.zone.cached_migrate_pfn[i] = max(cc.zone.cached_migrate_pfn[i], end)


def reset_isolation_pfn(compactor, zone, pfn, source, target):
    """Unmark a pageblock if it looks as if something could be done there.

    Source: __reset_isolation_pfn().
    """
    twin, block = compactor.twin, block_of(pfn)
    migratetype = get_pageblock_migratetype(twin, pfn)
    if migratetype is None or block[0] in compactor.huge:
        return False
    if source and target and not is_skipped(compactor, pfn):
        return True
    if not source and migratetype != MOVABLE:
        return False
    first, last = max(block[0], zone.start_pfn), min(block[-1], zone.end_pfn - 1)
    for page in range(first, last + 1, 8):
        if (source and page in twin.lru) or (target and page in twin.buddy):
            compactor.skip.discard(pfn // PAGEBLOCK_NR_PAGES)
            return True
    return False


def reset_isolation_suitable(compactor, memory):
    """Unmark a zone's pageblocks if a request has scanned it whole.

    Source: __reset_isolation_suitable().
    """
    if not memory.blockskip_flush:
        return
    memory.blockskip_flush = False
    zone = memory.zone
    low, high = zone.start_pfn, zone.end_pfn - 1
    first, last = None, None
    while low < high:
        if reset_isolation_pfn(compactor, zone, low, True, first is not None) and first is None:
            first = low
            memory.init_migrate_pfn = first
            memory.cached_migrate_pfn = [first, first]
        if reset_isolation_pfn(compactor, zone, high, last is not None, True) and last is None:
            last = high
            memory.init_free_pfn = memory.cached_free_pfn = last
        low += PAGEBLOCK_NR_PAGES
        high -= PAGEBLOCK_NR_PAGES
    reset_migrate = zone.end_pfn - 1 if first is None else first
    reset_free = zone.start_pfn if last is None else last
    if reset_migrate >= reset_free:
        memory.cached_migrate_pfn = [low, low]
        memory.cached_free_pfn = high


def defer_compaction(memory, order):
    """Put the next attempts off.  Source: defer_compaction()."""
    memory.considered = 0
    memory.defer_shift = min(memory.defer_shift + 1, COMPACT_MAX_DEFER_SHIFT)
    memory.order_failed = min(memory.order_failed, order)


def compaction_deferred(memory, order):
    """Is this attempt put off?  Source: compaction_deferred()."""
    if order < memory.order_failed:
        return False
    memory.considered = min(memory.considered + 1, 1 << memory.defer_shift)
    return memory.considered < 1 << memory.defer_shift


def compaction_defer_reset(memory, order, success):
    """An attempt has succeeded.  Source: compaction_defer_reset()."""
    if success:
        memory.considered = memory.defer_shift = 0
    memory.order_failed = max(memory.order_failed, order + 1)


def compaction_restarting(memory, order):
    """Is it the attempt after 63 that were put off?  Source: compaction_restarting()."""
    if order < memory.order_failed:
        return False
    longest = memory.defer_shift == COMPACT_MAX_DEFER_SHIFT
    return longest and memory.considered >= 1 << memory.defer_shift
