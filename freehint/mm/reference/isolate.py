"""Isolation of free blocks and of pageblocks.

Source: mm/page_alloc.c (__isolate_free_page(), __putback_isolated_page()) and
mm/page_isolation.c, Linux 6.1 and 6.12.
"""

from freehint.mm.reference.buddy import FPI_TO_TAIL, free_block, free_one_page
from freehint.mm.reference.fallback import move_freepages_block, pageblock_in_zone
from freehint.mm.reference.highatomic import reserved
from freehint.mm.reference.lists import (
    ISOLATE,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PCPTYPES,
    WMARK_MIN,
    del_page_from_free_list,
    get_pageblock_migratetype,
    nr_free_pages,
    page_zone,
    set_pageblock_migratetype,
)


def isolate_free_page(twin, pfn, user):
    """Take a free block off its list; return False if too little would be left.

    The limit is the plain min watermark.  A pageblock of which half leaves the lists becomes
    MOVABLE, from 6.10 on with its other free blocks.  Source: __isolate_free_page().
    """
    zone, order = page_zone(twin, pfn), twin.buddy[pfn]
    if get_pageblock_migratetype(twin, pfn) != ISOLATE:
        free = nr_free_pages(zone) - reserved(twin, zone)
        if free <= zone.watermark[WMARK_MIN] + (1 << order):
            return False
    del_page_from_free_list(twin, zone, pfn, order)
    twin.private[user].append((pfn, order))
    if order >= PAGEBLOCK_ORDER - 1:
        for pageblock in range(pfn, pfn + (1 << order), PAGEBLOCK_NR_PAGES):
            if get_pageblock_migratetype(twin, pageblock) not in PCPTYPES:
                continue
            if twin.release >= 610:
                move_freepages_block(twin, zone, pageblock, MOVABLE)
            else:
                set_pageblock_migratetype(twin, pageblock, MOVABLE)
    return True


def putback_isolated_page(twin, pfn, order):
    """Free a block to the tail of its pageblock's list.  Source: __putback_isolated_page()."""
    for blocks in twin.private:
        if (pfn, order) in blocks:
            blocks.remove((pfn, order))
    migratetype = get_pageblock_migratetype(twin, pfn)
    free_one_page(twin, page_zone(twin, pfn), pfn, order, migratetype, FPI_TO_TAIL)


def retag(twin, pfn, migratetype):
    """Give a pageblock and its free pages another type.

    From 6.10 on a pageblock that reaches out of the zone is refused, and a free block of two
    pageblocks is freed anew as two blocks.
    Source: set_migratetype_isolate(); move_freepages_block_isolate() of 6.12.
    """
    zone = page_zone(twin, pfn)
    large = pfn // (2 * PAGEBLOCK_NR_PAGES) * (2 * PAGEBLOCK_NR_PAGES)
    order = twin.buddy.get(large, 0)
    if twin.release < 610:
        move_freepages_block(twin, zone, pfn, migratetype)
        set_pageblock_migratetype(twin, pfn, migratetype)
    elif pageblock_in_zone(twin, zone, pfn) and order > PAGEBLOCK_ORDER:
        del_page_from_free_list(twin, zone, large, order)
        set_pageblock_migratetype(twin, pfn, migratetype)
        free_block(twin, zone, large, order)
    else:
        move_freepages_block(twin, zone, pfn, migratetype)


def set_migratetype_isolate(twin, pfn):
    """Isolate a pageblock and its free pages.

    7.3 has a bit for isolation, so the type stays.  Source: set_migratetype_isolate();
    set_pageblock_isolate() of 7.3.
    """
    old = get_pageblock_migratetype(twin, pfn)
    retag(twin, pfn, ISOLATE)
    isolated = get_pageblock_migratetype(twin, pfn) == ISOLATE
    if twin.release >= 703 and isolated and old not in (ISOLATE, None):
        twin.kept_type[pfn // PAGEBLOCK_NR_PAGES] = old


def unset_migratetype_isolate(twin, pfn, migratetype):
    """Give an isolated pageblock another type, in 7.3 the one that it had.

    Source: unset_migratetype_isolate(), without its merge of the pageblock.
    """
    retag(twin, pfn, twin.kept_type.pop(pfn // PAGEBLOCK_NR_PAGES, migratetype))
