"""Compaction's two scanners and their searches through the free lists.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.compaction import (
    ASYNC,
    COMPACT_CLUSTER_MAX,
    PAGE_ALLOC_COSTLY_ORDER,
    block_of,
    is_aligned,
    is_skipped,
    isolation_suitable,
    move_freelist_head,
    move_freelist_tail,
    nr_freepages,
    set_skip,
    update_cached_migrate,
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


def fast_find_migrateblock(compactor, cc):
    """Where the migration scanner goes on.  Source: fast_find_migrateblock()."""
    zone, pfn = cc.zone.zone, cc.migrate_pfn
    if cc.ignore_skip_hint or (cc.finish_pageblock and compactor.twin.release >= 603):
        return pfn
    if pfn != zone.start_pfn and not is_aligned(pfn):
        return pfn
    if cc.order <= PAGE_ALLOC_COSTLY_ORDER or (cc.direct and cc.migratetype != MOVABLE):
        return pfn
    limit = freelist_scan_limit(cc)
    distance = (cc.free_pfn - pfn) // (2 if pfn == zone.start_pfn else 8)
    high_pfn = block_of(pfn + distance)[0]
    found, scanned = None, 0
    for order in range(cc.order - 1, PAGE_ALLOC_COSTLY_ORDER - 1, -1):
        if found is not None or scanned >= limit:
            break
        pfns = zone.free_list[order, MOVABLE]
        for free_pfn in list(pfns):
            scanned += 1
            if scanned > limit:
                move_freelist_tail(pfns, free_pfn)
                break
            if free_pfn < high_pfn and not is_skipped(compactor, free_pfn):
                move_freelist_tail(pfns, free_pfn)
                found = free_pfn
                break
    cc.migrate_scanned += scanned
    if found is not None:
        if cc.fast_start_pfn != -1:
            lowest = found if cc.fast_start_pfn is None else cc.fast_start_pfn
            cc.fast_start_pfn = min(found, lowest)
        cc.fast_search_fail = 0
        return max(block_of(found)[0], zone.start_pfn)
    cc.fast_search_fail += 1
    if cc.fast_start_pfn not in (None, -1):
        cc.migrate_pfn, cc.fast_start_pfn = cc.fast_start_pfn, -1
    return cc.migrate_pfn


def putback(compactor, cc):
    """Put isolated pages back, first on their LRU lists.  Source: putback_movable_pages()."""
    for pfn in cc.migratepages:
        for pfns in compactor.lru:
            if pfn in pfns:
                pfns.remove(pfn)
                pfns.insert(0, pfn)
    count = len(cc.migratepages)
    cc.migratepages.clear()
    return count


def movable(compactor, pfn):
    """Can the page be moved now?  Source: isolate_migratepages_block()."""
    known = pfn in compactor.twin.lru or pfn in compactor.place
    return known and pfn not in compactor.writeback and pfn not in compactor.huge


def isolate_migratepages_block(compactor, cc, low_pfn, end_pfn):
    """Isolate pages of one pageblock.  Source: isolate_migratepages_block()."""
    release, start = compactor.twin.release, low_pfn
    picky = cc.direct and cc.mode == ASYNC
    size = 1 << max(cc.order, 0)
    valid = is_aligned(start) or (release >= 602 and start == cc.zone.zone.start_pfn)
    if valid and not isolation_suitable(compactor, cc, start):
        cc.migrate_scanned += 1
        update_cached_migrate(cc, end_pfn)
        cc.migrate_pfn = end_pfn
        return
    next_skip = (low_pfn // size + 1) * size
    isolated, updated = 0, False
    while low_pfn < end_pfn:
        if picky and low_pfn >= next_skip:
            if isolated:
                break
            next_skip = (low_pfn // size + 1) * size
        cc.migrate_scanned += 1
        order = compactor.twin.buddy.get(low_pfn)
        if order is not None:
            low_pfn += 1 << order
            cc.migrate_scanned += (1 << order) - 1 if release >= 605 else 0
            continue
        if movable(compactor, low_pfn):
            if not updated:
                updated = True
                wanted = valid and (release >= 603 or low_pfn == start)
                if wanted and not cc.ignore_skip_hint:
                    set_skip(compactor, start)
            cc.migratepages.insert(0, low_pfn)
            cc.nr_migratepages += 1
            isolated += 1
            low_pfn += 1
            if cc.nr_migratepages >= COMPACT_CLUSTER_MAX and not cc.finish_pageblock:
                break
            continue
        if low_pfn in compactor.huge:
            low_pfn += PAGEBLOCK_NR_PAGES - 1
            cc.migrate_scanned += PAGEBLOCK_NR_PAGES - 1 if release >= 604 else 0
        if picky:
            if isolated:
                putback(compactor, cc)
                cc.nr_migratepages = isolated = 0
            if low_pfn < next_skip:
                low_pfn = next_skip - 1
                next_skip += size
        low_pfn += 1
    low_pfn = min(low_pfn, end_pfn)
    cc.isolated += isolated
    if low_pfn == end_pfn and (not isolated or cc.finish_pageblock):
        if valid and not updated:
            set_skip(compactor, start)
        update_cached_migrate(cc, low_pfn)
    cc.migrate_pfn = low_pfn


def suitable_migration_source(compactor, cc, pfn):
    """May pages of the pageblock be moved?  Source: suitable_migration_source()."""
    if block_of(pfn)[0] in compactor.huge:
        return False
    if cc.mode != ASYNC or not cc.direct:
        return True
    return get_pageblock_migratetype(compactor.twin, pfn) == cc.migratetype


def isolate_migratepages(compactor, cc):
    """Isolate pages of the next pageblock; are there any?  Source: isolate_migratepages()."""
    low_pfn = fast_find_migrateblock(compactor, cc)
    found = low_pfn != cc.migrate_pfn and cc.fast_search_fail == 0
    while (end := block_of(low_pfn)[-1] + 1) <= cc.free_pfn:
        first = is_aligned(low_pfn) or low_pfn == cc.zone.zone.start_pfn
        known = first and not found and not isolation_suitable(compactor, cc, low_pfn)
        if exists(compactor, low_pfn) and not known:
            if suitable_migration_source(compactor, cc, low_pfn):
                isolate_migratepages_block(compactor, cc, low_pfn, end)
                break
            update_cached_migrate(cc, end)
        found = False
        low_pfn = cc.migrate_pfn = end
    return cc.nr_migratepages > 0
