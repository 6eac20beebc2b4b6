"""Pageblocks: 512 pages that share a migratetype.

Source: mm/page_alloc.c, mm/page_isolation.c and include/linux/pageblock-flags.h of Linux 6.1,
unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.list import list_move, list_move_tail
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    KEPT_TYPE_MASK,
    KEPT_TYPE_ONE,
    KEPT_TYPE_SHIFT,
    LRU,
    MOVABLE,
    NO_PAGEBLOCK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    SKIP_BIT,
    TYPE_MASK,
    TYPE_SHIFT,
    frame_order,
    frame_type,
    free_list_head,
    page_zone,
)


@kernel(inline=True)
def get_pageblock_migratetype(memory, node):
    """Migratetype of the pageblock around a frame."""
    return int(memory.pageblock[node >> PAGEBLOCK_ORDER] & PAGEBLOCK_TYPE_MASK)


@kernel(inline=True)
def in_hole(memory, node):
    """Does a frame lie in a pageblock that has no memory?"""
    return memory.pageblock[node >> PAGEBLOCK_ORDER] == NO_PAGEBLOCK


def existing_pages(memory) -> int:
    """Frames in pageblocks that have memory."""
    return int((memory.pageblock != NO_PAGEBLOCK).sum()) << PAGEBLOCK_ORDER


@kernel(inline=True)
def set_pageblock_migratetype(memory, node, migratetype):
    """Set the migratetype of one pageblock.  Its skip bit stays, and a hole stays a hole.

    In 7.3 isolation is a bit of its own, and the type below it stays: it is kept beside ISOLATE.
    """
    block = node >> PAGEBLOCK_ORDER
    old = memory.pageblock[block]
    if old == NO_PAGEBLOCK:
        return
    kept = 0
    if migratetype == ISOLATE and memory.profile.isolation_keeps_type:
        old_type = int(old & PAGEBLOCK_TYPE_MASK)
        kept = old & KEPT_TYPE_MASK if old_type == ISOLATE else 1 + old_type << KEPT_TYPE_SHIFT
    memory.pageblock[block] = old & SKIP_BIT | kept | migratetype
    gained = int(migratetype == ISOLATE) - int(old & PAGEBLOCK_TYPE_MASK == ISOLATE)
    if gained != 0:
        memory.zones[page_zone(memory, node)].nr_isolate_pageblock += gained


@kernel(inline=True)
def kept_type(memory, node):
    """The type below an isolated pageblock's isolation, or -1 if it is not known."""
    return int(memory.pageblock[node >> PAGEBLOCK_ORDER] & KEPT_TYPE_MASK) // KEPT_TYPE_ONE - 1


@kernel(inline=True)
def change_pageblock_range(memory, node, order, migratetype):
    """Set the migratetype of every pageblock in a block of pageblock order or above.

    Source: change_pageblock_range().
    """
    for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
        set_pageblock_migratetype(memory, first, migratetype)


@kernel(inline=True)
def move_to_free_list(memory, node, zone, order, migratetype):
    """Move a free block to the TAIL of another type's list (to the HEAD before 5.10).

    It goes to the tail because a block just stolen should not be the next one split.  Its
    Reported flag and its hint stay, because it never leaves the free lists.
    Source: move_to_free_list(); list_move() in steal_suitable_fallback() of v4.15.
    """
    frame = memory.frame[node]
    head = free_list_head(memory, zone, order, migratetype)
    if memory.profile.steal_to_tail:
        list_move_tail(memory.links, node, head)
    else:
        list_move(memory.links, node, head)
    memory.nr_free[zone, order, frame_type(frame)] -= 1
    memory.nr_free[zone, order, migratetype] += 1
    memory.frame[node] = (frame & (0xFFFF ^ TYPE_MASK)) | (migratetype << TYPE_SHIFT)


@kernel(inline=True)
def pageblock_in_zone(memory, node, zone):
    """The frames of a pageblock whose free blocks may move together.

    None may move if the pageblock ends outside the zone.  If it begins before the zone, those
    from ``node`` on may; with freelist hygiene, which sets the pageblock's type, none may.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.

    Returns
    -------
    start, end : int
        First node and the node after the last; equal if no frame may move.
    """
    start = node & ~(PAGEBLOCK_NR_PAGES - 1)
    end = start + PAGEBLOCK_NR_PAGES
    zone_start = memory.zones[zone].start_pfn - memory.base_pfn
    if end > zone_start + memory.zones[zone].spanned:
        return end, end
    if start < zone_start:
        return end if memory.profile.freelist_hygiene else node, end
    return start, end


@kernel
def pageblock_pages(memory, node, zone):
    """Count the free pages and the allocated movable pages of a pageblock.

    Pages on pcp lists count as neither.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.

    Returns
    -------
    free, movable : int
        Pages; (-1, 0) if none of the pageblock's pages may move.
    """
    page, end = pageblock_in_zone(memory, node, zone)
    if page == end:
        return -1, 0
    free = movable = 0
    while page < end:
        frame = memory.frame[page]
        if frame & BUDDY:
            free += 1 << frame_order(frame)
            page += 1 << frame_order(frame)
        else:
            if frame & LRU:
                movable += 1
            page += 1
    return free, movable


@kernel
def move_freepages_block(memory, node, zone, migratetype):
    """Move all free blocks of a pageblock to another type's lists, in address order.

    With freelist hygiene the pageblock takes the type too; without it, the caller sets that.
    Source: move_freepages_block(), move_freepages(); __move_freepages_block() of 6.12.

    Returns
    -------
    int
        Pages moved; -1 if none may move (see :func:`pageblock_in_zone`).
    """
    page, end = pageblock_in_zone(memory, node, zone)
    if page == end:
        return -1
    moved = 0
    while page < end:
        frame = memory.frame[page]
        if frame & BUDDY:
            order = frame_order(frame)
            move_to_free_list(memory, page, zone, order, migratetype)
            moved += 1 << order
            page += 1 << order
        else:
            page += 1
    if memory.profile.freelist_hygiene:
        set_pageblock_migratetype(memory, node, migratetype)
    return moved


def count_isolate_pageblocks(memory) -> None:
    """Recount ``nr_isolate_pageblock`` of every zone, after a loader has filled ``pageblock``."""
    for z, start in enumerate(memory.zones.start_pfn - memory.base_pfn):
        first, behind = int(start), int(start + memory.zones.spanned[z])
        types = memory.pageblock[first >> PAGEBLOCK_ORDER : -(-behind >> PAGEBLOCK_ORDER)]
        isolated = (types != NO_PAGEBLOCK) & (types & PAGEBLOCK_TYPE_MASK == ISOLATE)
        memory.zones.nr_isolate_pageblock[z] = isolated.sum()


@kernel(inline=True)
def claims_pageblock(start_type, old_type, free, movable):
    """Does a pageblock change to ``start_type``, because half of it is free or compatible?

    Source: steal_suitable_fallback(); try_to_steal_block() of 6.12.
    """
    if start_type == MOVABLE:
        alike = movable
    elif old_type == MOVABLE:
        alike = PAGEBLOCK_NR_PAGES - (free + movable)
    else:
        alike = 0
    return free + alike >= PAGEBLOCK_NR_PAGES // 2
