"""Take a free block off the lists for a while, and put it back.

Free page reporting and compaction do this.  The block stands on its user's private list with
ISOLATED in its frame: it is neither free nor allocated.

Source: mm/page_alloc.c of Linux 6.1, where no other is named.
"""

from freehint.jit import kernel
from freehint.mm.buddy import FPI_TO_TAIL, del_page_from_free_list, free_one_page
from freehint.mm.list import list_add_tail, list_del
from freehint.mm.memory import (
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
from freehint.mm.pageblock import get_pageblock_migratetype, set_pageblock_migratetype


@kernel(inline=True)
def may_isolate(memory, node, zone, order):
    """Would the min watermark hold without the block?  No boost and no lowmem reserve count."""
    if get_pageblock_migratetype(memory, node) == ISOLATE:
        return True
    free = memory.zones[zone].nr_free_pages - memory.zones[zone].nr_reserved_highatomic
    return free > memory.zones[zone].watermark[WMARK_MIN] + (1 << order)


@kernel(inline=True)
def make_movable(memory, node, order):
    """Half a free pageblock and more becomes MOVABLE, unless it is set apart."""
    for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
        migratetype = get_pageblock_migratetype(memory, first)
        if migratetype != ISOLATE and migratetype != HIGHATOMIC:
            set_pageblock_migratetype(memory, first, MOVABLE)


@kernel
def isolate_free_page(memory, node, user):
    """Move a free block to the end of a user's private list; False if the zone is too low.

    Other free blocks of the pageblock stay on their lists.  Source: __isolate_free_page().
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
    if order >= PAGEBLOCK_ORDER - 1:
        make_movable(memory, node, order)
    return True


@kernel
def putback_isolated_page(memory, node):
    """Free a block from a private list, to the tail of its pageblock's type.

    The type is read again.  Before 5.10 the block is placed like any freed one.
    Source: __putback_isolated_page() of v5.10 and 6.1.
    """
    list_del(memory.links, node)
    order = frame_order(memory.frame[node])
    migratetype = get_pageblock_migratetype(memory, node)
    free_one_page(memory, node, page_zone(memory, node), order, migratetype, FPI_TO_TAIL)
