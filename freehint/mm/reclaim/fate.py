"""What becomes of a page that was taken off the end of an inactive list.

Source: shrink_folio_list(), folio_check_references(), pageout() of mm/vmscan.c, Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add_tail
from freehint.mm.memory import PAGEBLOCK_NR_PAGES
from freehint.mm.reclaim.counts import (
    NR_VMSCAN_IMMEDIATE_RECLAIM,
    NR_VMSCAN_WRITE,
    PSWPOUT,
    THP_SPLIT_PAGE,
    THP_SWPOUT_FALLBACK,
    WORK_SWAPPED,
)
from freehint.mm.reclaim.lists import clear_bits, has, is_file, list_head, nr_pages_of, set_bits
from freehint.mm.reclaim.lru import split_huge_page
from freehint.mm.reclaim.lru_gen.aging import lru_gen_look_around
from freehint.mm.reclaim.lru_gen.generations import lru_gen_enabled
from freehint.mm.reclaim.state import (
    BY_KSWAPD,
    ISOLATED,
    PG_DIRTY,
    PG_EXEC,
    PG_HELD,
    PG_HUGE,
    PG_MAPPED,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_SWAPCACHE,
    PG_WRITEBACK,
    PTE_YOUNG,
)
from freehint.mm.reclaim.writeback import add_to_swap, plug_page, start_writeback

REFERENCED_ACTIVATE, REFERENCED_KEEP, REFERENCED_CLEAN, REFERENCED_NOT = range(4)
KEEP, ACTIVATE, RECLAIM = range(3)  # what becomes of a page


@kernel(inline=True)
def check_references(memory, reclaim, node):
    """Was the page used since it was last looked at?  Source: folio_check_references()."""
    young, referenced = has(reclaim, node, PTE_YOUNG), has(reclaim, node, PG_REFERENCED)
    if lru_gen_enabled(reclaim):
        if referenced and has(reclaim, node, PG_MAPPED):
            return REFERENCED_KEEP
        if young:
            lru_gen_look_around(memory, reclaim, node)
    clear_bits(reclaim, node, PTE_YOUNG | PG_REFERENCED)
    if young:
        set_bits(reclaim, node, PG_REFERENCED)
        if referenced or (has(reclaim, node, PG_EXEC) and is_file(reclaim, node)):
            return REFERENCED_ACTIVATE
        return REFERENCED_KEEP
    return REFERENCED_CLEAN if referenced and is_file(reclaim, node) else REFERENCED_NOT


@kernel(cold=True)
def split_isolated(memory, reclaim, who, node):
    """Split a huge page; its other pages are looked at next, and counted then.

    Source: split_folio_to_list(), shrink_folio_list().
    """
    split_huge_page(memory, reclaim, node)
    reclaim.control[who].nr_scanned -= PAGEBLOCK_NR_PAGES - 1
    reclaim.count[THP_SPLIT_PAGE] += 1
    reclaim.count[THP_SWPOUT_FALLBACK] += 1
    for i in range(PAGEBLOCK_NR_PAGES - 1, 0, -1):
        list_add_tail(reclaim.links, node + i, list_head(memory, ISOLATED))


@kernel(cold=True)
def pageout(memory, reclaim, who, node):
    """Begin to write a dirty page.  Source: pageout(), swap_writepage()."""
    pages = nr_pages_of(reclaim, node)
    set_bits(reclaim, node, PG_RECLAIM)
    reclaim.count[NR_VMSCAN_WRITE] += pages
    if is_file(reclaim, node):
        start_writeback(memory, reclaim, node)
        return
    reclaim.count[PSWPOUT] += pages
    reclaim.work[WORK_SWAPPED] += pages
    plug_page(reclaim, who, node)


@kernel(inline=True)
def page_in_writeback(reclaim, who, node):
    """A page that the disk has not yet written stays; note why.  Source: shrink_folio_list()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    pages = nr_pages_of(reclaim, node)
    if who == BY_KSWAPD and has(reclaim, node, PG_RECLAIM) and state.writeback_pages_at_tail:
        sc.immediate += pages
    else:
        set_bits(reclaim, node, PG_RECLAIM)
        sc.writeback += pages
    return ACTIVATE


@kernel(inline=True)
def note_dirty(reclaim, who, node):
    """Count dirty pages and pages under writeback; True if dirty and not yet on its way.

    Source: folio_check_dirty_writeback(), shrink_folio_list().
    """
    sc, pages = reclaim.control[who], nr_pages_of(reclaim, node)
    writeback = has(reclaim, node, PG_WRITEBACK)
    dirty = has(reclaim, node, PG_DIRTY) and is_file(reclaim, node)
    if dirty or (writeback and is_file(reclaim, node)):
        sc.dirty += pages
    unqueued = dirty and not writeback
    if unqueued:
        sc.unqueued_dirty += pages
    if writeback and is_file(reclaim, node) and has(reclaim, node, PG_RECLAIM):
        sc.nr_congested += pages
    return unqueued


@kernel(inline=True)
def write_dirty(memory, reclaim, who, node, references):
    """Begin to write a dirty page, if it may be written here.  Source: shrink_folio_list().

    Returns
    -------
    what becomes of the page, pages handed to the disk
    """
    by_flusher = who != BY_KSWAPD or not has(reclaim, node, PG_RECLAIM)
    if is_file(reclaim, node) and (by_flusher or not reclaim.node[0].dirty_pages_at_tail):
        reclaim.count[NR_VMSCAN_IMMEDIATE_RECLAIM] += nr_pages_of(reclaim, node)
        set_bits(reclaim, node, PG_RECLAIM)
        return ACTIVATE, 0
    if references == REFERENCED_CLEAN or not reclaim.control[who].may_writepage:
        return KEEP, 0
    pageout(memory, reclaim, who, node)
    return KEEP, nr_pages_of(reclaim, node)


@kernel(cold=True)
def look_at_page(memory, reclaim, who, node):
    """Decide what becomes of an isolated page: (fate, pages handed to the disk).

    Source: shrink_folio_list().
    """
    reclaim.control[who].nr_scanned += nr_pages_of(reclaim, node)
    if has(reclaim, node, PG_WRITEBACK):
        return page_in_writeback(reclaim, who, node), 0
    references = check_references(memory, reclaim, node)
    if references == REFERENCED_ACTIVATE:
        return ACTIVATE, 0
    if references == REFERENCED_KEEP:
        return KEEP, 0
    if not is_file(reclaim, node) and not has(reclaim, node, PG_SWAPCACHE):
        if has(reclaim, node, PG_HUGE):
            split_isolated(memory, reclaim, who, node)
        if not add_to_swap(reclaim, node):
            return ACTIVATE, 0
    clear_bits(reclaim, node, PG_MAPPED)
    if has(reclaim, node, PG_DIRTY):
        return write_dirty(memory, reclaim, who, node, references)
    return ACTIVATE if has(reclaim, node, PG_HELD) else RECLAIM, 0
