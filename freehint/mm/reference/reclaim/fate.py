"""What becomes of a page that was taken off the end of an inactive list.

Source: shrink_folio_list(), folio_check_references(), pageout() of mm/vmscan.c, Linux 6.1.
"""

from freehint.mm.reference.lists import PAGEBLOCK_NR_PAGES
from freehint.mm.reference.reclaim.lists import is_file, nr_pages
from freehint.mm.reference.reclaim.lru import split_huge_page
from freehint.mm.reference.reclaim.writeback import add_to_swap, plug_page, start_writeback

ACTIVATE, KEEP, FREE = "activate", "keep", "free"
USED, ONCE, CLEAN, UNUSED = "used", "once", "clean", "unused"


def check_references(flags):
    """How was the page used since it was last looked at?  Source: folio_check_references()."""
    young, referenced = "young" in flags, "referenced" in flags
    flags -= {"young", "referenced"}
    if not young:
        return CLEAN if referenced and is_file(flags) else UNUSED
    flags.add("referenced")
    code = "exec" in flags and is_file(flags)
    return USED if referenced or code else ONCE


def note_dirty(sc, flags):
    """Count dirty pages of files.  Source: folio_check_dirty_writeback(), shrink_folio_list()."""
    if not is_file(flags):
        return
    pages = nr_pages(flags)
    if flags & {"dirty", "writeback"}:
        sc.nr["dirty"] += pages
    if "dirty" in flags and "writeback" not in flags:
        sc.nr["unqueued_dirty"] += pages
    if {"writeback", "reclaim"} <= flags:
        sc.nr["congested"] += pages


def meet_writeback(reclaimer, sc, flags):
    """The disk does not yet have the page.  Source: shrink_folio_list()."""
    stuck = sc.kswapd and "reclaim" in flags and reclaimer.node.writeback_pages_at_tail
    sc.nr["immediate" if stuck else "writeback"] += nr_pages(flags)
    flags.add("reclaim")
    return ACTIVATE


def give_slots(reclaimer, sc, pfn, isolated):
    """Give an anonymous page a swap slot; a huge one is split for that, and its pages come next.

    Source: shrink_folio_list(), add_to_swap(), split_folio_to_list().
    """
    flags = reclaimer.flags[pfn]
    if "huge" in flags:
        split_huge_page(reclaimer, pfn)
        isolated[:0] = [pfn + i for i in range(1, PAGEBLOCK_NR_PAGES)]
        sc.nr_scanned -= PAGEBLOCK_NR_PAGES - 1
        reclaimer.counts["thp_split_page"] += 1
        reclaimer.counts["thp_swpout_fallback"] += 1
    return add_to_swap(reclaimer, pfn)


def pageout(reclaimer, sc, pfn):
    """Source: pageout(), swap_writepage()."""
    flags = reclaimer.flags[pfn]
    flags.add("reclaim")
    reclaimer.counts["nr_vmscan_write"] += 1
    sc.nr["pageout"] += 1
    if is_file(flags):
        start_writeback(reclaimer, pfn)
        return
    reclaimer.counts["pswpout"] += 1
    plug_page(reclaimer, sc.kswapd, pfn)


def meet_dirty(reclaimer, sc, pfn, references):
    """Leave a page of a file to the flusher, or write it.  Source: shrink_folio_list()."""
    flags = reclaimer.flags[pfn]
    writes = sc.kswapd and "reclaim" in flags and reclaimer.node.dirty_pages_at_tail
    if is_file(flags) and not writes:
        flags.add("reclaim")
        reclaimer.counts["nr_vmscan_immediate_reclaim"] += 1
        return ACTIVATE
    if references != CLEAN and sc.may_writepage:
        pageout(reclaimer, sc, pfn)
    return KEEP


def look_at_page(reclaimer, sc, pfn, isolated):
    """What becomes of a page; ``isolated`` are those to be looked at afterwards.

    Source: shrink_folio_list().
    """
    flags = reclaimer.flags[pfn]
    sc.nr_scanned += nr_pages(flags)
    note_dirty(sc, flags)
    if "writeback" in flags:
        return meet_writeback(reclaimer, sc, flags)
    references = check_references(flags)
    if references == USED:
        return ACTIVATE
    if references == ONCE:
        return KEEP
    if not is_file(flags) and "swapcache" not in flags:
        if not give_slots(reclaimer, sc, pfn, isolated):
            return ACTIVATE
    flags.discard("mapped")
    return meet_dirty(reclaimer, sc, pfn, references) if "dirty" in flags else FREE
