"""Pageblocks: 512 pages that share a migratetype.

Source: mm/page_alloc.c, mm/page_isolation.c and include/linux/pageblock-flags.h of Linux 6.1,
where no other is named.
"""

import numpy as np

from freehint.jit import kernel
from freehint.mm.list import list_move, list_move_tail
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    LRU,
    NO_PAGEBLOCK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
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
    return int(memory.pageblock[np.uint64(node >> PAGEBLOCK_ORDER)] & PAGEBLOCK_TYPE_MASK)


@kernel(inline=True)
def set_pageblock_migratetype(memory, node, migratetype):
    """Retag one pageblock; its skip bit stays, holes stay holes."""
    block = node >> PAGEBLOCK_ORDER
    old = memory.pageblock[block]
    if old == NO_PAGEBLOCK:
        return
    memory.pageblock[block] = (old & (0xFF ^ PAGEBLOCK_TYPE_MASK)) | migratetype
    gained = int(migratetype == ISOLATE) - int(old & PAGEBLOCK_TYPE_MASK == ISOLATE)
    if gained != 0:
        memory.zones[page_zone(memory, node)].nr_isolate_pageblock += gained


@kernel(inline=True)
def change_pageblock_range(memory, node, order, migratetype):
    """Retag every pageblock of a block of at least a pageblock.  Source: the same name."""
    for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
        set_pageblock_migratetype(memory, first, migratetype)


@kernel(inline=True)
def move_to_free_list(memory, node, zone, order, migratetype):
    """Move a free block to the TAIL of another type's list (to the HEAD before 5.10).

    Tail since 5.10: a block just stolen should not be the next one split.  Its Reported flag
    and a hint for it stay: it never was off the lists.
    Source: move_to_free_list(); list_move() in steal_suitable_fallback() of v4.15.
    """
    frame = memory.frame[np.uint64(node)]
    head = free_list_head(memory, zone, order, migratetype)
    if memory.profile.steal_to_tail:
        list_move_tail(memory.links, node, head)
    else:
        list_move(memory.links, node, head)
    memory.nr_free[zone, order, frame_type(frame)] -= 1
    memory.nr_free[zone, order, migratetype] += 1
    memory.frame[np.uint64(node)] = (frame & (0xFFFF ^ TYPE_MASK)) | (migratetype << TYPE_SHIFT)


@kernel(inline=True)
def pageblock_in_zone(memory, node, zone):
    """The frames of a pageblock that may move together: (start, end), equal if none may.

    None where it leaves the zone at its end.  Where it begins before the zone, those from
    ``node`` on; none with freelist hygiene, which retags what it moves.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.
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
    """What a pageblock holds: (free pages, allocated movable pages); (-1, 0) if none may move.

    Pages on pcp lists count as neither.
    Source: move_freepages_block(); prep_move_freepages_block() of 6.12.
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

    With freelist hygiene the pageblock takes the type too; before, that is the caller's.
    Returns the pages moved; -1 where none may (see :func:`pageblock_in_zone`).
    Source: move_freepages_block(), move_freepages(); __move_freepages_block() of 6.12.
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
    """Set every zone's ``nr_isolate_pageblock``; for loaders that fill ``pageblock`` directly."""
    for z, start in enumerate(memory.zones.start_pfn - memory.base_pfn):
        first, behind = int(start), int(start + memory.zones.spanned[z])
        types = memory.pageblock[first >> PAGEBLOCK_ORDER : -(-behind >> PAGEBLOCK_ORDER)]
        isolated = (types != NO_PAGEBLOCK) & (types & PAGEBLOCK_TYPE_MASK == ISOLATE)
        memory.zones.nr_isolate_pageblock[z] = isolated.sum()
