"""The free scanner: where pages are moved to.

It first searches the free lists for a block in the upper quarter of the space between the two
scanners, and turns each list that it looked at.  If that finds nothing it comes down from the
zone's end, pageblock by pageblock, in strides that grow as long as nothing is free.

In 6.1 what it takes is split into single pages, the last page first.  From 6.10 on blocks stay
whole until a page is wanted, and the smallest block is split first.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.compact.skip import (
    isolation_suitable,
    pageblock_exists,
    set_pageblock_skip,
)
from freehint.mm.compact.state import (
    COMPACT_CLUSTER_MAX,
    MIGRATE_ASYNC,
    hand_head,
    pageblock_end_pfn,
    pageblock_start_pfn,
    zone_end_pfn,
)
from freehint.mm.compact.turn import move_freelist_head
from freehint.mm.isolate import make_movable_around, may_isolate
from freehint.mm.list import list_add, list_add_tail, list_del, list_empty, list_next, list_prev
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    frame_order,
    frame_type,
    free_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import COMPACT_BLOCKS
from freehint.mm.reclaim.state import PG_HUGE


@kernel
def take_in_hand(memory, compaction, who, node):
    """Take a free block off its list for pages that are to be moved.

    Source: __isolate_free_page(), split_map_pages(); isolate_freepages_block() of 6.12.

    Returns
    -------
    int
        Pages taken; 0, and nothing has changed, if the zone would fall to its min watermark.
    """
    cc = compaction.control[who]
    frame = memory.frame[node]
    order = frame_order(frame)
    if not may_isolate(memory, node, cc.zone, order):
        return 0
    if frame_type(frame) != ISOLATE:
        memory.zones[cc.zone].nr_free_pages -= 1 << order
    del_page_from_free_list(memory, node, cc.zone, order)
    make_movable_around(memory, node, cc.zone, order)
    if memory.profile.compaction == COMPACT_BLOCKS:
        list_add_tail(compaction.links, node, hand_head(memory, who, order))
    else:
        for page in range(node, node + (1 << order)):
            list_add(compaction.links, page, hand_head(memory, who, 0))
    cc.nr_freepages += 1 << order
    cc.isolated += 1 << order
    return 1 << order


@kernel
def isolate_freepages_block(memory, reclaim, compaction, who, start_pfn, end_pfn, stride):
    """Take free blocks of a pageblock in hand until there are as many pages as are to be moved.

    Source: isolate_freepages_block().

    Returns
    -------
    next_pfn, isolated : int
        Where the scan stopped, at most ``end_pfn``; pages taken.
    """
    cc = compaction.control[who]
    scanned = total = 0
    pfn = start_pfn
    while pfn < end_pfn:
        node = pfn - memory.base_pfn
        scanned += 1
        if memory.frame[node] & BUDDY:
            isolated = take_in_hand(memory, compaction, who, node)
            if isolated == 0:
                break
            scanned += isolated - 1
            total += isolated
            if cc.nr_migratepages <= cc.nr_freepages:
                pfn += isolated
                break
            pfn += isolated - 1
        elif reclaim.page[node] & PG_HUGE:
            pfn += PAGEBLOCK_NR_PAGES - 1
            if memory.profile.compaction == COMPACT_BLOCKS:
                scanned += PAGEBLOCK_NR_PAGES - 1
        pfn += stride
    cc.total_free_scanned += scanned
    return min(pfn, end_pfn), total


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
def search_free_list(memory, cc, order, limit, low_pfn, min_pfn, highest):
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
        move_freelist_head(memory, head, node)
    return found, scanned, limit, highest


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
                memory, cc, order, limit, low_pfn, min_pfn, highest
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
def freelist_scan_limit(cc):
    """Blocks that a search may look at; less after searches in vain.

    Source: freelist_scan_limit().
    """
    return (COMPACT_CLUSTER_MAX >> min(63, cc.fast_search_fail)) + 1


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


@kernel(inline=True)
def suitable_migration_target(memory, cc, pfn):
    """May pages be moved into a pageblock?  It must be MOVABLE and not wholly free.

    Source: suitable_migration_target().
    """
    node = pfn - memory.base_pfn
    frame = memory.frame[node]
    if frame & BUDDY and frame_order(frame) >= PAGEBLOCK_ORDER:
        return False
    if cc.ignore_block_suitable:
        return True
    return get_pageblock_migratetype(memory, node) == MOVABLE


@kernel(inline=True)
def update_pageblock_skip(memory, compaction, cc, start_pfn):
    """Mark a pageblock that was scanned to its end; the next compaction begins below it.

    Before 6.6 it begins in it.  Source: update_pageblock_skip().
    """
    set_pageblock_skip(memory, start_pfn)
    if memory.profile.compaction == COMPACT_BLOCKS:
        start_pfn -= PAGEBLOCK_NR_PAGES
    state = compaction.zone[cc.zone]
    state.compact_cached_free_pfn = min(state.compact_cached_free_pfn, start_pfn)


@kernel
def isolate_freepages(memory, reclaim, compaction, who):
    """Take pages in hand: by the search, else by the scan from the zone's end.

    Source: isolate_freepages().
    """
    cc = compaction.control[who]
    fast_isolate_freepages(memory, reclaim, compaction, who)
    if cc.nr_freepages > 0:
        return
    scan_pfn = cc.free_pfn
    block_start = pageblock_start_pfn(scan_pfn)
    block_end = min(block_start + PAGEBLOCK_NR_PAGES, zone_end_pfn(memory, cc.zone))
    low_pfn = pageblock_end_pfn(cc.migrate_pfn)
    stride = COMPACT_CLUSTER_MAX if cc.mode == MIGRATE_ASYNC else 1
    while block_start >= low_pfn:
        suitable = (
            pageblock_exists(memory, block_start)
            and suitable_migration_target(memory, cc, block_start)
            and isolation_suitable(memory, cc, block_start)
        )
        if suitable:
            scan_pfn, isolated = isolate_freepages_block(
                memory, reclaim, compaction, who, scan_pfn, block_end, stride
            )
            if scan_pfn == block_end:
                update_pageblock_skip(memory, compaction, cc, block_start)
            if cc.nr_freepages >= cc.nr_migratepages:
                if scan_pfn >= block_end:
                    scan_pfn = block_start - PAGEBLOCK_NR_PAGES
                break
            if scan_pfn < block_end:
                break
            stride = 1 if isolated > 0 else min(COMPACT_CLUSTER_MAX, stride << 1)
        block_end = block_start
        block_start -= PAGEBLOCK_NR_PAGES
        scan_pfn = block_start
    cc.free_pfn = scan_pfn


@kernel
def compaction_alloc(memory, reclaim, compaction, who):
    """The page that the next page is moved to; -1 if there is none.

    Source: compaction_alloc(); compaction_alloc_noprof() of 6.12, which also counts the pages
    that are still to be moved.
    """
    order = smallest_in_hand(memory, compaction, who)
    if order == NR_ORDERS:
        isolate_freepages(memory, reclaim, compaction, who)
        order = smallest_in_hand(memory, compaction, who)
        if order == NR_ORDERS:
            return -1
    cc = compaction.control[who]
    node = list_next(compaction.links, hand_head(memory, who, order))
    list_del(compaction.links, node)
    while order > 0:
        order -= 1
        list_add(compaction.links, node + (1 << order), hand_head(memory, who, order))
    cc.nr_freepages -= 1
    if memory.profile.compaction == COMPACT_BLOCKS:
        cc.nr_migratepages -= 1
    return node


@kernel(inline=True)
def smallest_in_hand(memory, compaction, who):
    """The smallest order of which a control has a block in hand; NR_ORDERS if it has none."""
    for order in range(NR_ORDERS):
        if not list_empty(compaction.links, hand_head(memory, who, order)):
            return order
    return NR_ORDERS
