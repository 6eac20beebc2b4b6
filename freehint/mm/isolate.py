"""Take a free block off the lists for a while, and put it back; isolate pageblocks.

Free page reporting and compaction isolate blocks.  An isolated block stands on its user's private
list with ISOLATED in its frame: it is neither free nor allocated.

Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.buddy import (
    FPI_NONE,
    FPI_SKIP_REPORT_NOTIFY,
    FPI_TO_TAIL,
    del_page_from_free_list,
    free_block,
    free_one_page,
)
from freehint.mm.highatomic import unusable_highatomic
from freehint.mm.list import list_add_tail, list_del
from freehint.mm.memory import (
    BUDDY,
    HIGHATOMIC,
    ISOLATE,
    ISOLATED,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    USER_LIST,
    WMARK_MIN,
    frame_order,
    frame_type,
    page_zone,
    user_node,
)
from freehint.mm.pageblock import (
    get_pageblock_migratetype,
    kept_type,
    move_freepages_block,
    set_pageblock_migratetype,
)


@kernel(inline=True)
def may_isolate(memory, node, zone, order):
    """Would the zone keep its min watermark (no boost, no lowmem reserve) without the block?"""
    if get_pageblock_migratetype(memory, node) == ISOLATE:
        return True
    free = memory.zones[zone].nr_free_pages - unusable_highatomic(memory, zone)
    return free > memory.zones[zone].watermark[WMARK_MIN] + (1 << order)


@kernel(inline=True)
def make_movable_around(memory, node, zone, order):
    """Make a pageblock MOVABLE if at least half of it leaves the lists.

    ISOLATE and HIGHATOMIC pageblocks keep their type.  With freelist hygiene, the other free
    blocks of the pageblock move to the MOVABLE lists.
    """
    if order < PAGEBLOCK_ORDER - 1:
        return
    for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
        migratetype = get_pageblock_migratetype(memory, first)
        if migratetype == ISOLATE or migratetype == HIGHATOMIC:
            continue
        if memory.profile.freelist_hygiene:
            move_freepages_block(memory, first, zone, MOVABLE)
        else:
            set_pageblock_migratetype(memory, first, MOVABLE)


@kernel
def isolate_free_page(memory, node, user):
    """Move a free block to the end of a user's private list.

    Source: __isolate_free_page().

    Returns
    -------
    bool
        False, and nothing has changed, if the zone would fall to its min watermark.
    """
    zone = page_zone(memory, node)
    frame = memory.frame[node]
    order = frame_order(frame)
    if not may_isolate(memory, node, zone, order):
        return False
    if frame_type(frame) != ISOLATE:
        memory.zones[zone].nr_free_pages -= 1 << order
    del_page_from_free_list(memory, node, zone, order)
    memory.frame[node] = ISOLATED | order
    list_add_tail(memory.links, node, user_node(memory, user, USER_LIST))
    make_movable_around(memory, node, zone, order)
    return True


@kernel
def putback_isolated_page(memory, node):
    """Free a block of a private list to the tail of the list for its pageblock's type.

    The type is read again.  Before 5.10 the block is placed like any other freed block.
    Source: __putback_isolated_page() of v5.10 and 6.1.
    """
    putback_page(memory, node, FPI_SKIP_REPORT_NOTIFY | FPI_TO_TAIL)


@kernel
def putback_page(memory, node, fpi_flags):
    """Like :func:`putback_isolated_page`, with the FPI flags of the caller."""
    list_del(memory.links, node)
    order = frame_order(memory.frame[node])
    migratetype = get_pageblock_migratetype(memory, node)
    free_one_page(memory, node, page_zone(memory, node), order, migratetype, fpi_flags)


@kernel(cold=True)
def retag_free_pages(memory, node, migratetype):
    """Give a pageblock and its free pages another type.

    With freelist hygiene, a free block that reaches into the neighbouring pageblock is split
    first, and a pageblock that reaches out of the zone is refused.  In earlier kernels such a
    block moves whole if it begins in this pageblock, else it stays, and the pageblock changes its
    type in any case.
    Source: set_migratetype_isolate(); move_freepages_block_isolate() of 6.12.
    """
    zone = page_zone(memory, node)
    first = node & ~(PAGEBLOCK_NR_PAGES - 1)
    large = first & ~((PAGEBLOCK_NR_PAGES << 1) - 1)
    frame = memory.frame[large]
    old = frame_type(frame)
    spans = frame & BUDDY and frame_order(frame) > PAGEBLOCK_ORDER
    if memory.profile.freelist_hygiene and spans:
        order = frame_order(frame)
        if old != ISOLATE:
            memory.zones[zone].nr_free_pages -= 1 << order
        del_page_from_free_list(memory, large, zone, order)
        set_pageblock_migratetype(memory, first, migratetype)
        free_block(memory, large, zone, order, FPI_NONE)
        return
    was_isolated = get_pageblock_migratetype(memory, node) == ISOLATE
    moved = max(move_freepages_block(memory, node, zone, migratetype), 0)
    if was_isolated:
        memory.zones[zone].nr_free_pages += moved
    if migratetype == ISOLATE:
        memory.zones[zone].nr_free_pages -= moved
    if not memory.profile.freelist_hygiene:
        set_pageblock_migratetype(memory, node, migratetype)


@kernel
def set_migratetype_isolate(memory, node):
    """Isolate a pageblock: no allocation takes pages that are free in it or freed into it.

    The caller searches for unmovable pages.  It should isolate whole order-10 blocks, as
    alloc_contig_range() does: before 6.10 a free block may reach into the next pageblock.
    Source: set_migratetype_isolate().
    """
    retag_free_pages(memory, node, ISOLATE)


@kernel
def unset_migratetype_isolate(memory, node, migratetype):
    """Give an isolated pageblock back to a type: from 7.3 on to the one that it kept.

    Unlike the kernel's, this function does not merge a free block of pageblock order.
    Source: unset_migratetype_isolate().
    """
    kept = kept_type(memory, node)
    retag_free_pages(memory, node, migratetype if kept < 0 else kept)
