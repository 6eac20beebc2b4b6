"""A batch of pages is taken off the end of a list; they are looked at, put back or freed.

Source: mm/vmscan.c of Linux 6.1: isolate_lru_folios(), shrink_active_list(),
shrink_inactive_list(), shrink_folio_list(), move_folios_to_lru().
"""

from freehint.mm.reference.reclaim.fate import ACTIVATE, FREE, look_at_page
from freehint.mm.reference.reclaim.lists import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    INACTIVE_FILE,
    add_folio,
    is_file,
    kind,
    nr_pages,
    zone_index,
)
from freehint.mm.reference.reclaim.lru import unlink_place
from freehint.mm.reference.reclaim.workingset import (
    age_nonresident,
    lru_note_cost,
    workingset_eviction,
)
from freehint.mm.reference.reclaim.writeback import free_swap, vm_swap_full
from freehint.mm.reference.zone import free_pages

ZONE_NAMES = ("dma", "dma32", "normal", "movable")


def isolate_lru_folios(reclaimer, sc, lru, wanted):
    """Take at least ``wanted`` pages, and skip those of zones too high.

    Returns (pages scanned, pfns, the oldest first).  Source: isolate_lru_folios().
    """
    pfns, skipped, isolated = reclaimer.compactor.lru[lru], [], []
    scanned = taken = 0
    while pfns and taken < wanted:
        pfn = pfns.pop()
        flags = reclaimer.flags[pfn]
        pages, index = nr_pages(flags), zone_index(reclaimer, pfn)
        scanned += pages
        if index > sc.reclaim_idx:
            reclaimer.counts[f"pgskip_{ZONE_NAMES[index]}"] += pages
            skipped.insert(0, pfn)
            continue
        flags.remove("lru")
        isolated.append(pfn)
        taken += pages
    pfns[:0] = skipped
    return scanned, isolated


def move_folios_to_lru(reclaimer, pfns):
    """Put isolated pages back; return their number.  Source: move_folios_to_lru()."""
    moved = 0
    for pfn in pfns:
        flags = reclaimer.flags[pfn]
        add_folio(reclaimer, pfn)
        if "active" in flags:
            age_nonresident(reclaimer, flags)
        moved += nr_pages(flags)
    return moved


def shrink_active_list(reclaimer, sc, lru, wanted):
    """Deactivate pages, but not code that was used.  Source: shrink_active_list()."""
    scanned, isolated = isolate_lru_folios(reclaimer, sc, lru, wanted)
    reclaimer.counts["pgrefill"] += scanned
    active, inactive = [], []
    for pfn in isolated:
        flags = reclaimer.flags[pfn]
        used = "young" in flags
        flags.discard("young")
        if used and "exec" in flags and is_file(flags):
            active.append(pfn)
            continue
        flags.remove("active")
        flags.add("workingset")
        inactive.append(pfn)
    move_folios_to_lru(reclaimer, active)
    reclaimer.counts["pgdeactivate"] += move_folios_to_lru(reclaimer, inactive)


def shrink_folio_list(reclaimer, sc, isolated, cpu):
    """Look at all pages; return the number of those freed, and the others.

    Source: shrink_folio_list().
    """
    kept, freed, isolated = [], [], list(isolated)
    while isolated:
        pfn = isolated.pop(0)
        fate = look_at_page(reclaimer, sc, pfn, isolated)
        flags = reclaimer.flags[pfn]
        if fate == FREE:
            unlink_place(reclaimer, pfn, workingset_eviction(reclaimer, flags))
            freed.insert(0, pfn)
            continue
        if fate == ACTIVATE:
            if vm_swap_full(reclaimer):
                free_swap(reclaimer, pfn)
            flags.add("active")
            reclaimer.counts["pgactivate"] += nr_pages(flags)
        kept.append(pfn)
    free_unref_page_list(reclaimer, freed, cpu)
    return len(freed), kept


def free_unref_page_list(reclaimer, pfns, cpu):
    """Source: free_unref_page_list()."""
    for pfn in pfns:
        reclaimer.freed.append(pfn)
        free_pages(reclaimer.compactor.twin, pfn, cpu, 0)


def shrink_inactive_list(reclaimer, sc, lru, wanted, cpu):
    """Reclaim pages; return their number.  Source: shrink_inactive_list()."""
    counts, who, file = reclaimer.counts, "kswapd" if sc.kswapd else "direct", lru >= INACTIVE_FILE
    name = kind(set() if file else {"swapbacked"})
    scanned, isolated = isolate_lru_folios(reclaimer, sc, lru, wanted)
    taken = sum(nr_pages(reclaimer.flags[pfn]) for pfn in isolated)
    counts[f"pgscan_{who}"] += 0 if sc.cgroup else scanned
    counts[f"pgscan_{name}"] += scanned
    if not taken:
        return 0
    before = sc.nr.copy()
    reclaimed, kept = shrink_folio_list(reclaimer, sc, isolated, cpu)
    move_folios_to_lru(reclaimer, kept)
    counts[f"pgsteal_{who}"] += 0 if sc.cgroup else reclaimed
    counts[f"pgsteal_{name}"] += reclaimed
    lru_note_cost(reclaimer, file, sc.nr["pageout"] - before["pageout"])
    if sc.nr["unqueued_dirty"] - before["unqueued_dirty"] == taken:
        reclaimer.node.flusher_wanted = 1
    sc.nr["taken"] += taken
    sc.nr["file_taken"] += taken if file else 0
    return reclaimed


def shrink_list(reclaimer, sc, lru, wanted, cpu):
    """Source: shrink_list()."""
    if lru not in (ACTIVE_ANON, ACTIVE_FILE):
        return shrink_inactive_list(reclaimer, sc, lru, wanted, cpu)
    if ("file" if lru == ACTIVE_FILE else "anon") in sc.may_deactivate:
        shrink_active_list(reclaimer, sc, lru, wanted)
    else:
        sc.skipped_deactivate = True
    return 0
