"""Searches through the free lists, which turn each list that they looked at.

The free scanner searches from the lists' ends for a block in the upper quarter of the space between
the two scanners; the migration scanner, if a large block is wanted, from their beginnings for a
pageblock near the zone's start that has free pages already.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.hand import isolate_freepages_block, take_in_hand
from freehint.mm.compact.skip import (
    get_pageblock_skip,
    pageblock_exists,
    set_pageblock_skip,
)
from freehint.mm.compact.state import (
    COMPACT_CLUSTER_MAX,
    MIGRATE_ASYNC,
    NO_FAST_START,
    PAGE_ALLOC_COSTLY_ORDER,
    TURNED_HEAD,
    TURNED_TAIL,
    note,
    pageblock_end_pfn,
    pageblock_start_pfn,
    zone_end_pfn,
)
from freehint.mm.compact.turn import move_freelist_head, move_freelist_tail
from freehint.mm.list import list_next, list_prev
from freehint.mm.memory import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    free_list_head,
)
from freehint.mm.profile import COMPACT_BLOCKS


@kernel(inline=True)
def freelist_scan_limit(cc):
    """Blocks that a search may look at; less after searches in vain.

    Source: freelist_scan_limit().
    """
    return (COMPACT_CLUSTER_MAX >> min(63, cc.fast_search_fail)) + 1


@kernel(inline=True)
def next_search_order(cc, order):
    """The order that the search looks at next, round and round, or -1.

    Source: next_search_order().
    """
    order -= 1
    if order < 0:
        order = cc.order - 1
    if order != cc.search_order:
        return order
    cc.search_order -= 1
    if cc.search_order < 0:
        cc.search_order = cc.order - 1
    return -1


@kernel
def search_free_list(memory, compaction, cc, order, limit, low_pfn, min_pfn, highest):
    """Look from a MOVABLE list's end for a block of the upper quarter, and turn the list.

    A block of the upper half will do if there is no better one; each such block halves what is
    left of the search.  Source: the loop over freelist in fast_isolate_freepages().

    Returns
    -------
    node, scanned, limit, highest : int
        The block, or -1; blocks looked at; how many the search may look at; first pfn of the
        highest pageblock seen.
    """
    head = free_list_head(memory, cc.zone, order, MOVABLE)
    scanned, high_node, found = 0, -1, -1
    node = list_prev(memory.links, head)
    while node != head:
        if node >= memory.nr_pages:  # a policy's bookmark
            node = list_prev(memory.links, node)
            continue
        scanned += 1
        pfn = node + memory.base_pfn
        if pfn >= highest:
            highest = max(pageblock_start_pfn(pfn), memory.zones[cc.zone].start_pfn)
        if pfn >= low_pfn:
            cc.fast_search_fail = 0
            cc.search_order = order
            found = node
            break
        if pfn >= min_pfn and node > high_node:
            high_node = node
            limit >>= 1
        if scanned >= limit:
            break
        node = list_prev(memory.links, node)
    if found < 0 and high_node >= 0:
        found = node = high_node
    if node != head:
        note(compaction, TURNED_HEAD, node + memory.base_pfn, 0, 0, 0)
        move_freelist_head(memory, head, node)
    return found, scanned, limit, highest


@kernel(inline=True)
def fallback_start(memory, cc, highest, min_pfn):
    """Where a first search that found nothing lets the free scanner begin, or -1.

    It is the highest pageblock seen on the lists; a direct compaction that saw none begins in the
    middle.  Source: fast_isolate_freepages().
    """
    if highest >= min_pfn:
        cc.free_pfn = highest
        return highest
    if cc.direct_compaction:
        cc.free_pfn = min_pfn
        return min_pfn if pageblock_exists(memory, min_pfn) else -1
    return -1


@kernel
def fast_isolate_around(memory, reclaim, compaction, who, pfn):
    """Take more from the pageblock that the search found, unless enough is in hand.

    Source: fast_isolate_around().
    """
    cc = compaction.control[who]
    if cc.nr_freepages >= cc.nr_migratepages:
        return
    if cc.direct_compaction and cc.mode == MIGRATE_ASYNC:
        return
    start = max(pageblock_start_pfn(pfn), memory.zones[cc.zone].start_pfn)
    end = min(pageblock_end_pfn(pfn), zone_end_pfn(memory, cc.zone))
    if not pageblock_exists(memory, start):
        return
    next_pfn, _ = isolate_freepages_block(memory, reclaim, compaction, who, start, end, 1)
    if next_pfn == end:
        set_pageblock_skip(memory, start)


@kernel
def fast_isolate_freepages(memory, reclaim, compaction, who):
    """Search the free lists for pages in the upper part of the space between the scanners.

    Source: fast_isolate_freepages().
    """
    cc = compaction.control[who]
    state = compaction.zone[cc.zone]
    if cc.order <= 0:
        return
    limit = max(1, freelist_scan_limit(cc) >> 1)
    scan_start = cc.free_pfn >= state.compact_init_free_pfn
    if scan_start:
        limit = PAGEBLOCK_NR_PAGES >> 1
    distance = cc.free_pfn - cc.migrate_pfn
    low_pfn = pageblock_start_pfn(cc.free_pfn - (distance >> 2))
    min_pfn = pageblock_start_pfn(cc.free_pfn - (distance >> 1))
    low_pfn = max(low_pfn, min_pfn)
    highest, page_pfn, all_scanned = 0, -1, 0
    cc.search_order = min(cc.order - 1, cc.search_order)
    order = cc.search_order
    while page_pfn < 0 and order >= 0:
        if memory.nr_free[cc.zone, order].sum() > 0:
            node, scanned, limit, highest = search_free_list(
                memory, compaction, cc, order, limit, low_pfn, min_pfn, highest
            )
            all_scanned += scanned
            if node >= 0:
                isolated = take_in_hand(memory, compaction, who, node)
                if isolated > 0:
                    all_scanned += isolated - 1
                    page_pfn = node + memory.base_pfn
                else:
                    order = cc.search_order + 1
            whole = memory.profile.compaction == COMPACT_BLOCKS
            if whole and cc.nr_freepages >= cc.nr_migratepages:
                break
            if scanned >= limit:
                limit = max(1, limit >> 1)
        order = next_search_order(cc, order)
    if page_pfn < 0:
        cc.fast_search_fail += 1
        if scan_start:
            page_pfn = fallback_start(memory, cc, highest, min_pfn)
    if highest > 0 and highest >= state.compact_cached_free_pfn:
        state.compact_cached_free_pfn = highest - PAGEBLOCK_NR_PAGES
    cc.total_free_scanned += all_scanned
    if page_pfn >= 0:
        fast_isolate_around(memory, reclaim, compaction, who, page_pfn)


@kernel(inline=True)
def update_fast_start_pfn(cc, pfn):
    """Keep the lowest pfn that the search has found.  Source: update_fast_start_pfn()."""
    if cc.fast_start_pfn == NO_FAST_START:
        return
    if cc.fast_start_pfn == 0 or pfn < cc.fast_start_pfn:
        cc.fast_start_pfn = pfn


@kernel(inline=True)
def reinit_migrate_pfn(cc):
    """Where the scan goes on after a search in vain: once at the lowest pfn found before.

    Source: reinit_migrate_pfn().
    """
    if cc.fast_start_pfn != 0 and cc.fast_start_pfn != NO_FAST_START:
        cc.migrate_pfn = cc.fast_start_pfn
        cc.fast_start_pfn = NO_FAST_START
    return cc.migrate_pfn


@kernel(inline=True)
def may_search(memory, cc):
    """May the migration scanner search the free lists?  Source: fast_find_migrateblock()."""
    pfn = cc.migrate_pfn
    if cc.ignore_skip_hint:
        return False
    if memory.profile.compaction == COMPACT_BLOCKS and cc.finish_pageblock:
        return False
    if pfn != memory.zones[cc.zone].start_pfn and pfn != pageblock_start_pfn(pfn):
        return False
    if cc.order <= PAGE_ALLOC_COSTLY_ORDER:
        return False
    return not cc.direct_compaction or cc.migratetype == MOVABLE


@kernel
def fast_find_migrateblock(memory, compaction, who):
    """The pfn at which the migration scanner goes on: that of a pageblock with free pages, if any.

    Before 6.3 the pageblock is marked at once, so that no search finds it twice: the scanner then
    passes over it.  Source: fast_find_migrateblock(); 6.1.8, Revert "mm/compaction: fix set skip in
    fast_find_migrateblock" (without it a search may go on for ever).
    """
    cc = compaction.control[who]
    pfn = cc.migrate_pfn
    if not may_search(memory, cc):
        return pfn
    limit = freelist_scan_limit(cc)
    distance = (cc.free_pfn - pfn) >> 1
    if pfn != memory.zones[cc.zone].start_pfn:
        distance >>= 2
    high_pfn = pageblock_start_pfn(pfn + distance)
    scanned, found = 0, -1
    order = cc.order - 1
    while order >= PAGE_ALLOC_COSTLY_ORDER and found < 0 and scanned < limit:
        head = free_list_head(memory, cc.zone, order, MOVABLE)
        node = list_next(memory.links, head)
        while node != head:
            if node >= memory.nr_pages:  # a policy's bookmark
                node = list_next(memory.links, node)
                continue
            scanned += 1
            if scanned > limit:
                note(compaction, TURNED_TAIL, node + memory.base_pfn, 0, 0, 0)
                move_freelist_tail(memory, head, node)
                break
            free_pfn = node + memory.base_pfn
            if free_pfn < high_pfn and not get_pageblock_skip(memory, free_pfn):
                note(compaction, TURNED_TAIL, free_pfn, 0, 0, 0)
                move_freelist_tail(memory, head, node)
                if memory.profile.compaction != COMPACT_BLOCKS:
                    set_pageblock_skip(memory, free_pfn)
                found = free_pfn
                break
            node = list_next(memory.links, node)
        order -= 1
    cc.total_migrate_scanned += scanned
    if found < 0:
        cc.fast_search_fail += 1
        return reinit_migrate_pfn(cc)
    update_fast_start_pfn(cc, found)
    cc.fast_search_fail = 0
    return max(pageblock_start_pfn(found), memory.zones[cc.zone].start_pfn)
