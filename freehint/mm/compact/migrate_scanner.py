"""The migration scanner: which pages are moved.

It goes up from the zone's start, or to where its search through the free lists (search.py) leads.
It isolates up to 32 pages of one pageblock at a time, or all that are left if it comes to the same
pageblock again.

Every movable page can be moved, but for those under writeback and for huge pages.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.search import fast_find_migrateblock
from freehint.mm.compact.skip import (
    isolation_suitable,
    pageblock_exists,
    pageblock_skip_persistent,
    set_pageblock_skip,
    update_cached_migrate,
)
from freehint.mm.compact.state import (
    COMPACT_CLUSTER_MAX,
    MIGRATE_ASYNC,
    pageblock_end_pfn,
    pageblock_start_pfn,
    sources_head,
)
from freehint.mm.list import list_add, list_del, list_empty, list_next
from freehint.mm.memory import (
    BUDDY,
    LRU,
    PAGEBLOCK_NR_PAGES,
    frame_order,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import COMPACT_BLOCKS
from freehint.mm.reclaim.lru import add_to_lru, del_from_lru
from freehint.mm.reclaim.state import PG_HUGE, PG_ON_LRU, PG_WRITEBACK


@kernel(inline=True)
def page_movable(memory, reclaim, node):
    """Can a page be moved now?  Source: the tests in isolate_migratepages_block().

    Unlike the kernel, a compaction of mode MIGRATE_SYNC does not wait for the end of writeback.
    """
    known = memory.frame[node] & LRU != 0 or reclaim.slot[node] != 0
    return known and reclaim.page[node] & PG_WRITEBACK == 0


@kernel
def putback_pages(memory, reclaim, compaction, who):
    """Give isolated pages back to the heads of their LRU lists, and return their number.

    Source: putback_movable_pages().
    """
    head, count = sources_head(memory, who), 0
    while not list_empty(compaction.links, head):
        node = list_next(compaction.links, head)
        list_del(compaction.links, node)
        if reclaim.page[node] & PG_ON_LRU:
            del_from_lru(memory, reclaim, node)
            add_to_lru(memory, reclaim, node)
        count += 1
    return count


@kernel(inline=True)
def block_end_pfn(pfn, order):
    """First pfn after the aligned block of this order around a pfn.  Source: block_end_pfn()."""
    return (pfn & ~((1 << order) - 1)) + (1 << order)


@kernel
def isolate_migratepages_block(memory, reclaim, compaction, who, low_pfn, end_pfn):
    """Isolate pages of a pageblock, those with the highest pfn first on the list.

    An asynchronous direct compaction gives up each aligned block of its order as soon as a page
    in it cannot be moved.  Source: isolate_migratepages_block().
    """
    cc = compaction.control[who]
    counts_blocks = memory.profile.compaction == COMPACT_BLOCKS
    head = sources_head(memory, who)
    zone_start = memory.zones[cc.zone].start_pfn
    skip_on_failure = cc.direct_compaction and cc.mode == MIGRATE_ASYNC
    next_skip_pfn = block_end_pfn(low_pfn, cc.order) if skip_on_failure else 0
    at_start = low_pfn == pageblock_start_pfn(low_pfn) or (counts_blocks and low_pfn == zone_start)
    scanned = isolated = 0
    marked = False
    if at_start and not isolation_suitable(memory, cc, low_pfn):
        cc.total_migrate_scanned += 1
        scan_ends(memory, compaction, cc, end_pfn, end_pfn, True, False, 0)
        return
    first_pfn = low_pfn
    while low_pfn < end_pfn:
        if skip_on_failure and low_pfn >= next_skip_pfn:
            if isolated > 0:
                break
            next_skip_pfn = block_end_pfn(low_pfn, cc.order)
        scanned += 1
        node = low_pfn - memory.base_pfn
        frame = memory.frame[node]
        if frame & BUDDY:
            low_pfn += (1 << frame_order(frame)) - 1
            if counts_blocks:
                scanned += (1 << frame_order(frame)) - 1
        elif page_movable(memory, reclaim, node) and reclaim.page[node] & PG_HUGE == 0:
            if not marked and marks_at(memory, cc, at_start, low_pfn, first_pfn):
                set_pageblock_skip(memory, first_pfn)
            marked = True
            list_add(compaction.links, node, head)
            cc.nr_migratepages += 1
            isolated += 1
            if cc.nr_migratepages >= COMPACT_CLUSTER_MAX and not cc.finish_pageblock:
                low_pfn += 1
                break
        else:
            if reclaim.page[node] & PG_HUGE:
                low_pfn += PAGEBLOCK_NR_PAGES - 1
                if counts_blocks:
                    scanned += PAGEBLOCK_NR_PAGES - 1
            if skip_on_failure:
                if isolated > 0:
                    putback_pages(memory, reclaim, compaction, who)
                    cc.nr_migratepages = isolated = 0
                if low_pfn < next_skip_pfn:
                    low_pfn = next_skip_pfn - 1
                    next_skip_pfn += 1 << cc.order
        low_pfn += 1
    cc.total_migrate_scanned += scanned
    cc.isolated += isolated
    scan_ends(memory, compaction, cc, min(low_pfn, end_pfn), end_pfn, at_start, marked, isolated)


@kernel(inline=True)
def marks_at(memory, cc, at_start, pfn, first_pfn):
    """Is the pageblock marked because of its first page that is isolated?

    In 6.1 only if that is the pageblock's very first page.  Source: test_and_set_skip().
    """
    if cc.ignore_skip_hint or not at_start:
        return False
    return memory.profile.compaction == COMPACT_BLOCKS or pfn == first_pfn


@kernel(inline=True)
def scan_ends(memory, compaction, cc, low_pfn, end_pfn, at_start, marked, isolated):
    """Note where the scan of a pageblock stopped; mark it if nothing in it is left to be moved.

    Source: the end of isolate_migratepages_block().
    """
    if low_pfn == end_pfn and (isolated == 0 or cc.finish_pageblock):
        if at_start and not marked:
            set_pageblock_skip(memory, end_pfn - 1)
        update_cached_migrate(compaction, cc, low_pfn)
    cc.migrate_pfn = low_pfn


@kernel(inline=True)
def suitable_migration_source(memory, reclaim, cc, pfn):
    """May pages of a pageblock be moved?  Source: suitable_migration_source()."""
    if pageblock_skip_persistent(memory, reclaim, pfn):
        return False
    if cc.mode != MIGRATE_ASYNC or not cc.direct_compaction:
        return True
    return get_pageblock_migratetype(memory, pfn - memory.base_pfn) == cc.migratetype


@kernel
def isolate_migratepages(memory, reclaim, compaction, who):
    """Isolate pages of the first pageblock that is suitable; return whether there are any.

    Source: isolate_migratepages().
    """
    cc = compaction.control[who]
    zone_start = memory.zones[cc.zone].start_pfn
    low_pfn = fast_find_migrateblock(memory, compaction, who)
    found = low_pfn != cc.migrate_pfn and cc.fast_search_fail == 0
    block_end = pageblock_end_pfn(low_pfn)
    while block_end <= cc.free_pfn:
        at_start = low_pfn == pageblock_start_pfn(low_pfn) or low_pfn == zone_start
        skipped = at_start and not found and not isolation_suitable(memory, cc, low_pfn)
        if pageblock_exists(memory, low_pfn) and not skipped:
            if suitable_migration_source(memory, reclaim, cc, low_pfn):
                isolate_migratepages_block(memory, reclaim, compaction, who, low_pfn, block_end)
                break
            update_cached_migrate(compaction, cc, block_end)
        found = False
        low_pfn = cc.migrate_pfn = block_end
        block_end += PAGEBLOCK_NR_PAGES
    return cc.nr_migratepages > 0
