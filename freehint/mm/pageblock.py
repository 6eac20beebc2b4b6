"""Pageblocks: 512 pages that share a migratetype.

Source: mm/page_alloc.c and include/linux/pageblock-flags.h of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.list import list_move_tail
from freehint.mm.memory import (
    BUDDY,
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
)


@kernel(inline=True)
def get_pageblock_migratetype(memory, node):
    """Migratetype of the pageblock around a frame."""
    return int(memory.pageblock[node >> PAGEBLOCK_ORDER] & PAGEBLOCK_TYPE_MASK)


@kernel(inline=True)
def set_pageblock_migratetype(memory, node, migratetype):
    """Retag one pageblock; its skip bit stays, holes stay holes."""
    block = node >> PAGEBLOCK_ORDER
    old = memory.pageblock[block]
    if old != NO_PAGEBLOCK:
        memory.pageblock[block] = (old & (0xFF ^ PAGEBLOCK_TYPE_MASK)) | migratetype


@kernel(inline=True)
def change_pageblock_range(memory, node, order, migratetype):
    """Retag every pageblock of a block of at least a pageblock.  Source: the same name."""
    for first in range(node, node + (1 << order), PAGEBLOCK_NR_PAGES):
        set_pageblock_migratetype(memory, first, migratetype)


@kernel(inline=True)
def move_to_free_list(memory, node, zone, order, migratetype):
    """Move a free block to the TAIL of another type's list.

    Tail since 5.10: a block just stolen should not be the next one split.  Its Reported flag
    and a hint for it stay: it never was off the lists.  Source: move_to_free_list().
    """
    frame = memory.frame[node]
    list_move_tail(memory.links, node, free_list_head(memory, zone, order, migratetype))
    memory.nr_free[zone, order, frame_type(frame)] -= 1
    memory.nr_free[zone, order, migratetype] += 1
    memory.frame[node] = (frame & (0xFFFF ^ TYPE_MASK)) | (migratetype << TYPE_SHIFT)


@kernel
def move_freepages_block(memory, node, zone, migratetype):
    """Move all free blocks of a pageblock to another type's lists, in address order.

    Returns
    -------
    (int, int)
        Pages moved (0 also where the pageblock leaves the zone at its end) and allocated
        movable pages seen.  Pages on pcp lists count as neither.

    Source: move_freepages_block(), move_freepages().
    """
    start = node & ~(PAGEBLOCK_NR_PAGES - 1)
    end = start + PAGEBLOCK_NR_PAGES
    zone_start = memory.zones[zone].start_pfn - memory.base_pfn
    if start < zone_start:
        start = node
    if end > zone_start + memory.zones[zone].spanned:
        return 0, 0
    moved = movable = 0
    while start < end:
        frame = memory.frame[start]
        if frame & BUDDY:
            order = frame_order(frame)
            move_to_free_list(memory, start, zone, order, migratetype)
            moved += 1 << order
            start += 1 << order
        else:
            if frame & LRU:
                movable += 1
            start += 1
    return moved, movable
