"""The migration scanner, and its search through the free lists.

Source: mm/compaction.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.compact.data import (
    ASYNC,
    COMPACT_CLUSTER_MAX,
    PAGE_ALLOC_COSTLY_ORDER,
    block_of,
    is_aligned,
    is_skipped,
    isolation_suitable,
    move_freelist_tail,
    set_skip,
    update_cached_migrate,
)
from freehint.mm.reference.compact.free import exists, freelist_scan_limit
from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    get_pageblock_migratetype,
)


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
                if compactor.twin.release < 603:
                    set_skip(compactor, free_pfn)
                found = free_pfn
                if compactor.twin.release < 603:
                    set_skip(compactor, found)
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
