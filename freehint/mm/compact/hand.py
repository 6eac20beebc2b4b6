"""Free pages in hand: blocks that compaction took off the free lists to move pages there.

In 6.1 what it takes is split into single pages, the last page first.  From 6.10 on blocks stay
whole until a page is wanted, and the smallest block is split first.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.compact.state import (
    hand_head,
)
from freehint.mm.isolate import make_movable_around, may_isolate
from freehint.mm.list import list_add, list_add_tail, list_del, list_empty, list_next
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    frame_order,
    frame_type,
)
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


@kernel(inline=True)
def smallest_in_hand(memory, compaction, who):
    """The smallest order of which a control has a block in hand; NR_ORDERS if it has none."""
    for order in range(NR_ORDERS):
        if not list_empty(compaction.links, hand_head(memory, who, order)):
            return order
    return NR_ORDERS


@kernel
def take_target(memory, compaction, who):
    """Take the next page in hand and return its node; -1 if there is none.

    Source: compaction_alloc(); compaction_alloc_noprof() of 6.12, which also counts the pages
    that are still to be moved.
    """
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
