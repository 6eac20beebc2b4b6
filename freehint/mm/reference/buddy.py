"""Split and merge: the buddy of a block is the other half of the next larger block.

Source: mm/page_alloc.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.lists import (
    ISOLATE,
    MAX_ORDER,
    MOVABLE,
    PAGEBLOCK_ORDER,
    PCPTYPES,
    add_to_free_list,
    add_to_free_list_tail,
    del_page_from_free_list,
    get_pageblock_migratetype,
    page_zone,
    set_pageblock_migratetype,
)

FPI_NONE, FPI_TO_TAIL = 0, 2


def page_is_buddy(twin, zone, pfn, order):
    """Does a free block of exactly this order begin here, in this zone?

    Source: page_is_buddy(), find_buddy_page_pfn().
    """
    return twin.buddy.get(pfn) == order and page_zone(twin, pfn) is zone


def may_merge_pageblocks(twin, buddy, migratetype):
    """May whole pageblocks merge?  HIGHATOMIC and ISOLATE must not mix with other types.

    4.15 and 5.10 look at ISOLATE only.  Source: __free_one_page(), migratetype_is_mergeable().
    """
    types = {migratetype, get_pageblock_migratetype(twin, buddy)}
    if twin.release < 601:
        return len(types) == 1 or ISOLATE not in types
    return len(types) == 1 or types <= set(PCPTYPES)


def buddy_merge_likely(twin, zone, pfn, order):
    """Is the buddy of the block that this one would merge into free already?

    Such a block goes to the tail, so that it stays free until it merges.
    Source: buddy_merge_likely().
    """
    if order + 1 > MAX_ORDER - 2:  # the merged block would have the largest order
        return False
    merged = pfn & ~(1 << order)
    return page_is_buddy(twin, zone, merged ^ (2 << order), order + 1)


def compaction_capture(twin, zone, pfn, order, migratetype):
    """Does the process in direct compaction take the block, instead of the free lists?

    Source: task_capc(), compaction_capture().
    """
    waits = twin.capture
    if waits is None or waits.pfn is not None or waits.zone is not zone or waits.order != order:
        return False
    if migratetype == ISOLATE:
        return False
    if order < PAGEBLOCK_ORDER and migratetype == MOVABLE and waits.migratetype != MOVABLE:
        return False
    waits.pfn = pfn
    return True


def free_one_page(twin, zone, pfn, order, migratetype, fpi_flags=FPI_NONE):
    """Merge a block with its free buddies and list it under ``migratetype``.

    From 6.10 on a buddy of pageblock order or above takes that type too.
    Source: __free_one_page().
    """
    while order < MAX_ORDER - 1:
        if compaction_capture(twin, zone, pfn, order, migratetype):
            return
        buddy = pfn ^ (1 << order)
        if not page_is_buddy(twin, zone, buddy, order):
            break
        if order >= PAGEBLOCK_ORDER:
            if not may_merge_pageblocks(twin, buddy, migratetype):
                break
            if twin.release >= 610:
                set_pageblock_migratetype(twin, buddy, migratetype)
        del_page_from_free_list(twin, zone, buddy, order)
        pfn = min(pfn, buddy)
        order += 1
    to_tail = fpi_flags & FPI_TO_TAIL and twin.release >= 510
    if to_tail or buddy_merge_likely(twin, zone, pfn, order):
        add_to_free_list_tail(twin, zone, pfn, order, migratetype)
    else:
        add_to_free_list(twin, zone, pfn, order, migratetype)


def free_block(twin, zone, pfn, order, fpi_flags=FPI_NONE):
    """Free a block under its pageblock's type, from 6.10 on pageblock by pageblock.

    Source: free_one_page(), split_large_buddy().
    """
    size = min(order, PAGEBLOCK_ORDER) if twin.release >= 610 else order
    for part in range(pfn, pfn + (1 << order), 1 << size):
        migratetype = get_pageblock_migratetype(twin, part)
        free_one_page(twin, zone, part, size, migratetype, fpi_flags)


def expand(twin, zone, pfn, low, high, migratetype):
    """Halve a block down to order ``low``; each upper half goes to a list head.

    Source: expand().
    """
    for order in reversed(range(low, high)):
        add_to_free_list(twin, zone, pfn + (1 << order), order, migratetype)


def rmqueue_smallest(twin, zone, order, migratetype):
    """Take the head of the first list with blocks, from ``order`` up, and split it to size.

    Returns its pfn, or None if all lists are empty.  Source: __rmqueue_smallest().
    """
    for current in range(order, MAX_ORDER):
        pfns = zone.free_list[current, migratetype]
        if pfns:
            pfn = pfns[0]
            del_page_from_free_list(twin, zone, pfn, current)
            expand(twin, zone, pfn, order, current, migratetype)
            return pfn
    return None
