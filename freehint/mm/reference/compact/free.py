"""The free scanner, and its search through the free lists.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.compact.data import (
    ASYNC,
    COMPACT_CLUSTER_MAX,
    block_of,
    isolation_suitable,
    move_freelist_head,
    nr_freepages,
    set_skip,
)
from freehint.mm.reference.isolate import isolate_free_page
from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    get_pageblock_migratetype,
)


def freelist_scan_limit(cc):
    """Blocks that a search looks at.  Source: freelist_scan_limit()."""
    return COMPACT_CLUSTER_MAX // 2**cc.fast_search_fail + 1


def take(compactor, cc, pfn):
    """Take a free block in hand and return its number of pages, 0 if too little would be left.

    6.1 splits it: the pages come before all others, the last one first.
    Source: __isolate_free_page(), split_map_pages().
    """
    order = compactor.twin.buddy[pfn]
    if not isolate_free_page(compactor.twin, pfn, 0):
        return 0
    compactor.twin.private[0].pop()
    if compactor.twin.release >= 610:
        cc.freepages[order].append(pfn)
    else:
        pages = range(pfn, pfn + (1 << order))
        cc.freepages[0][:0] = reversed(pages)
    cc.isolated += 1 << order
    return 1 << order


def isolate_freepages_block(compactor, cc, start_pfn, end_pfn, stride):
    """Take free blocks of a pageblock; return where the scan stopped and the pages taken.

    Source: isolate_freepages_block().
    """
    pfn, total = start_pfn, 0
    while pfn < end_pfn:
        cc.free_scanned += 1
        if pfn in compactor.twin.buddy:
            pages = take(compactor, cc, pfn)
            if pages == 0:
                break
            cc.free_scanned += pages - 1
            total += pages
            if nr_freepages(cc) >= cc.nr_migratepages:
                pfn += pages
                break
            pfn += pages - 1
        elif pfn in compactor.huge:
            pfn += PAGEBLOCK_NR_PAGES - 1
            if compactor.twin.release >= 610:
                cc.free_scanned += PAGEBLOCK_NR_PAGES - 1
        pfn += stride
    return min(pfn, end_pfn), total


def exists(compactor, pfn):
    """Is the pageblock no hole?  Source: pageblock_pfn_to_page()."""
    return get_pageblock_migratetype(compactor.twin, pfn) is not None


def fast_isolate_around(compactor, cc, pfn):
    """Take more from the pageblock that the search found.  Source: fast_isolate_around()."""
    if nr_freepages(cc) >= cc.nr_migratepages or (cc.direct and cc.mode == ASYNC):
        return
    zone = cc.zone.zone
    start = max(block_of(pfn)[0], zone.start_pfn)
    end = min(block_of(pfn)[-1] + 1, zone.end_pfn)
    if exists(compactor, start):
        stopped, _ = isolate_freepages_block(compactor, cc, start, end, 1)
        if stopped == end:
            set_skip(compactor, start)


def next_search_order(cc, order):
    """The next order in turn, or None after all.  Source: next_search_order()."""
    order = order - 1 if order > 0 else cc.order - 1
    if order == cc.search_order:
        cc.search_order = cc.search_order - 1 if cc.search_order > 0 else cc.order - 1
        return None
    return order


def fast_isolate_freepages(compactor, cc):
    """Search the lists, from their tails, for a block high up.

    Source: fast_isolate_freepages().
    """
    if cc.order <= 0:
        return
    zone, memory = cc.zone.zone, cc.zone
    limit = max(1, freelist_scan_limit(cc) // 2)
    scan_start = cc.free_pfn >= memory.init_free_pfn
    if scan_start:
        limit = PAGEBLOCK_NR_PAGES // 2
    distance = cc.free_pfn - cc.migrate_pfn
    low_pfn = block_of(cc.free_pfn - distance // 4)[0]
    min_pfn = block_of(cc.free_pfn - distance // 2)[0]
    highest, found = 0, None
    cc.search_order = min(cc.search_order, cc.order - 1)
    order = cc.search_order
    while found is None and order is not None:
        pfns = zone.free_list[order, MOVABLE]
        if not any(zone.free_list[order, other] for other in range(5)):
            order = next_search_order(cc, order)
            continue
        order_scanned, high_pfn, last = 0, 0, None
        for pfn in reversed(pfns):
            order_scanned += 1
            if pfn >= highest:
                highest = max(block_of(pfn)[0], zone.start_pfn)
            if pfn >= low_pfn:
                cc.fast_search_fail, cc.search_order = 0, order
                found = last = pfn
                break
            if pfn >= min_pfn and pfn > high_pfn:
                high_pfn = pfn
                limit //= 2
            if order_scanned >= limit:
                last = pfn
                break
        if found is None and high_pfn:
            found = last = high_pfn
        if last is not None:
            move_freelist_head(pfns, last)
        cc.free_scanned += order_scanned
        if found is not None:
            pages = take(compactor, cc, found)
            cc.free_scanned += max(pages - 1, 0)
            if pages == 0:
                found, order = None, cc.search_order + 1
        if compactor.twin.release >= 605 and nr_freepages(cc) >= cc.nr_migratepages:
            break
        if order_scanned >= limit:
            limit = max(1, limit // 2)
        order = next_search_order(cc, order)
    if found is None:
        cc.fast_search_fail += 1
        if scan_start and highest >= min_pfn:
            found = cc.free_pfn = highest
        elif scan_start and cc.direct:
            cc.free_pfn = min_pfn
            found = min_pfn if exists(compactor, min_pfn) else None
    if highest and highest >= memory.cached_free_pfn:
        memory.cached_free_pfn = highest - PAGEBLOCK_NR_PAGES
    if found is not None:
        fast_isolate_around(compactor, cc, found)


def suitable_migration_target(compactor, cc, pfn):
    """May pages be moved into the pageblock?  Source: suitable_migration_target()."""
    if compactor.twin.buddy.get(pfn, 0) >= PAGEBLOCK_ORDER:
        return False
    return cc.ignore_block_suitable or get_pageblock_migratetype(compactor.twin, pfn) == MOVABLE


def isolate_freepages(compactor, cc):
    """Get pages to move others to.  Source: isolate_freepages()."""
    fast_isolate_freepages(compactor, cc)
    if nr_freepages(cc):
        return
    zone, memory = cc.zone.zone, cc.zone
    start, at = block_of(cc.free_pfn)[0], cc.free_pfn
    end = min(start + PAGEBLOCK_NR_PAGES, zone.end_pfn)
    stride = COMPACT_CLUSTER_MAX if cc.mode == ASYNC else 1
    while start > block_of(cc.migrate_pfn)[-1]:
        if (
            exists(compactor, start)
            and suitable_migration_target(compactor, cc, start)
            and isolation_suitable(compactor, cc, start)
        ):
            at, taken = isolate_freepages_block(compactor, cc, at, end, stride)
            if at == end:
                set_skip(compactor, start)
                below = start - PAGEBLOCK_NR_PAGES if compactor.twin.release >= 606 else start
                memory.cached_free_pfn = min(memory.cached_free_pfn, below)
            if nr_freepages(cc) >= cc.nr_migratepages:
                if at >= end:
                    at = start - PAGEBLOCK_NR_PAGES
                break
            if at < end:
                break
            stride = 1 if taken else min(2 * stride, COMPACT_CLUSTER_MAX)
        end = start
        start -= PAGEBLOCK_NR_PAGES
        at = start
    cc.free_pfn = at


def compaction_alloc(compactor, cc):
    """A page to move another one to, or None.

    Source: compaction_alloc(); compaction_alloc_noprof() of 6.12.
    """
    if not nr_freepages(cc):
        isolate_freepages(compactor, cc)
    if not nr_freepages(cc):
        return None
    order = next(order for order, pfns in enumerate(cc.freepages) if pfns)
    pfn = cc.freepages[order].pop(0)
    while order:
        order -= 1
        cc.freepages[order].insert(0, pfn + (1 << order))
    if compactor.twin.release >= 605:
        cc.nr_migratepages -= 1
    return pfn
