"""Pages come, are used, change lists, and go.

Source: mm/swap.c, mm/filemap.c, mm/memory.c, mm/huge_memory.c of Linux 6.1.
"""

from freehint.mm.reference.lists import PAGEBLOCK_NR_PAGES
from freehint.mm.reference.reclaim.lists import add_folio, del_folio, is_file, nr_pages
from freehint.mm.reference.reclaim.workingset import age_nonresident, workingset_refault
from freehint.mm.reference.reclaim.writeback import (
    account_dirtied,
    end_writeback,
    free_slot,
    free_swap,
    leave_disk,
    vm_swap_full,
)


def back_place(reclaimer, pfn, place, flags):
    """A page, or the 512 of a folio, become those of one place, or of 512 in a row."""
    compactor = reclaimer.compactor
    reclaimer.flags[pfn] = flags
    for i in range(nr_pages(flags)):
        reclaimer.page[place + i] = pfn + i
        compactor.place[pfn + i] = place + i
        compactor.twin.lru.add(pfn + i)


def add_file_page(reclaimer, pfn, place, dirty):
    """Source: filemap_add_folio(), which looks at no shadow if the page is to be written."""
    flags, shadow = set(), reclaimer.shadow.pop(place, None)
    if shadow is not None and not dirty:
        workingset_refault(reclaimer, flags, shadow)
    back_place(reclaimer, pfn, place, flags)
    add_folio(reclaimer, pfn)
    if dirty:
        account_dirtied(reclaimer, flags)


def add_anon_page(reclaimer, pfn, place):
    """Source: do_anonymous_page(), do_swap_page()."""
    flags, shadow = {"swapbacked"}, reclaimer.shadow.pop(place, None)
    if shadow is None:
        flags.add("dirty")
    else:
        reclaimer.counts["pswpin"] += 1
        flags.add("swapcache")
        workingset_refault(reclaimer, flags, shadow)
    back_place(reclaimer, pfn, place, flags)
    add_folio(reclaimer, pfn)
    flags |= {"mapped", "young"}
    if shadow is not None and vm_swap_full(reclaimer):
        free_swap(reclaimer, pfn)


def add_huge_page(reclaimer, pfn, place):
    """Source: __do_huge_pmd_anonymous_page()."""
    flags = {"swapbacked", "huge", "dirty", "mapped", "young"}
    back_place(reclaimer, pfn, place, flags)
    add_folio(reclaimer, pfn)


def split_huge_page(reclaimer, pfn):
    """Each page gets the flags of the folio.  Source: __split_huge_page()."""
    reclaimer.flags[pfn].remove("huge")
    for i in range(1, PAGEBLOCK_NR_PAGES):
        reclaimer.flags[pfn + i] = set(reclaimer.flags[pfn])


def page_folio(reclaimer, pfn):
    """The first page of the folio.  Source: page_folio()."""
    return pfn if pfn in reclaimer.flags else pfn // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES


def touch(reclaimer, place, write):
    """Access through a page table; True if a page is there.

    A fault finds a page in the swap cache, and frees its slot if swap is more than half full or
    the page will be written.  Source: do_swap_page(), should_try_to_free_swap(), do_wp_page().
    """
    if place not in reclaimer.page:
        return False
    pfn = page_folio(reclaimer, reclaimer.page[place])
    flags = reclaimer.flags[pfn]
    fault = "mapped" not in flags
    flags |= {"mapped", "young"}
    if is_file(flags):
        if write:
            account_dirtied(reclaimer, flags)
        return True
    if write or (fault and vm_swap_full(reclaimer)):
        free_swap(reclaimer, pfn)
    if write:
        flags.add("dirty")
    return True


def mark_page_accessed(reclaimer, pfn):
    """Source: folio_mark_accessed(), folio_activate_fn(), workingset_activation()."""
    flags = reclaimer.flags[pfn]
    if "referenced" not in flags:
        flags.add("referenced")
    elif "active" not in flags:
        del_folio(reclaimer, pfn)
        flags.add("active")
        add_folio(reclaimer, pfn)
        reclaimer.counts["pgactivate"] += nr_pages(flags)
        flags.remove("referenced")
        age_nonresident(reclaimer, flags)


def unmap_page(reclaimer, pfn):
    """Source: zap_pte_range()."""
    flags = reclaimer.flags[pfn]
    young = "young" in flags
    flags -= {"mapped", "young", "exec"}
    if young and is_file(flags):
        mark_page_accessed(reclaimer, pfn)


def unlink_place(reclaimer, pfn, shadow=None):
    """A page and its place part; the place keeps a shadow, if there is one."""
    for i in range(nr_pages(reclaimer.flags.pop(pfn))):
        place = reclaimer.compactor.place.pop(pfn + i)
        del reclaimer.page[place]
        if shadow is not None:
            reclaimer.shadow[place] = shadow


def forget_page(reclaimer, pfn):
    """Truncation, or the end of a process.  Source: delete_from_page_cache(), zap_pte_range()."""
    flags = reclaimer.flags[pfn]
    if "lru" in flags:
        del_folio(reclaimer, pfn)
    if "writeback" in flags:  # the caller has waited for it
        leave_disk(reclaimer, pfn)
        flags.discard("reclaim")
        end_writeback(reclaimer, pfn)
    free_swap(reclaimer, pfn)
    unlink_place(reclaimer, pfn)


def forget_place(reclaimer, place):
    """End a place; its page, or None."""
    pfn = reclaimer.page.get(place)
    if pfn is not None:
        forget_page(reclaimer, pfn)
        return pfn
    reclaimer.shadow.pop(place, None)
    free_slot(reclaimer, place)
    return None


def deactivate_page(reclaimer, pfn):
    """Source: lru_deactivate_fn()."""
    flags = reclaimer.flags[pfn]
    if {"active", "lru"} <= flags:
        del_folio(reclaimer, pfn)
        flags -= {"active", "referenced"}
        add_folio(reclaimer, pfn)
        reclaimer.counts["pgdeactivate"] += nr_pages(flags)
