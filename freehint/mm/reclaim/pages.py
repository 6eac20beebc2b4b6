"""Pages are taken off the end of a list, looked at, and put back or freed: one batch at a time.

Source: mm/vmscan.c of Linux 6.1: isolate_lru_folios(), shrink_active_list(),
shrink_inactive_list(), shrink_folio_list().
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_del, list_empty, list_prev, list_splice
from freehint.mm.memory import page_zone
from freehint.mm.reclaim.counts import (
    PGACTIVATE,
    PGDEACTIVATE,
    PGREFILL,
    PGSCAN_ANON,
    PGSCAN_KSWAPD,
    PGSKIP_DMA,
    PGSTEAL_ANON,
    PGSTEAL_KSWAPD,
    WORK_BATCHES,
    WORK_DEACTIVATED,
    WORK_RECLAIMED,
    WORK_SCANNED,
    WORK_SKIPPED,
    WORK_UNDER_LOCK,
)
from freehint.mm.reclaim.fate import ACTIVATE, RECLAIM, look_at_page, note_dirty
from freehint.mm.reclaim.lists import (
    add_to_lru,
    clear_bits,
    count_on_list,
    del_from_lru,
    has,
    is_file,
    list_head,
    nr_pages_of,
    set_bits,
)
from freehint.mm.reclaim.lru import deactivate_file, unlink_place
from freehint.mm.reclaim.lru_gen.generations import keep_off_oldest, lru_gen_enabled
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    FREED,
    INACTIVE_FILE,
    ISOLATED,
    PG_ACTIVE,
    PG_DIRTY,
    PG_EXEC,
    PG_HELD,
    PG_MAPPED,
    PG_ON_LRU,
    PG_SWAPCACHE,
    PG_WORKINGSET,
    PG_WRITEBACK,
    PTE_YOUNG,
    SKIPPED,
)
from freehint.mm.reclaim.workingset import lru_note_cost, workingset_eviction
from freehint.mm.reclaim.writeback import free_swap, vm_swap_full
from freehint.mm.zone import free_pages


@kernel(cold=True)
def isolate_lru_pages(memory, reclaim, who, wanted, lru):
    """Take pages from a list's end to the ISOLATED list; return pages scanned and pages taken.

    Pages of zones above reclaim_idx go to the list's head, and count as scanned.
    Source: isolate_lru_folios().
    """
    links, source = reclaim.links, list_head(memory, lru)
    skipped, isolated = list_head(memory, SKIPPED), list_head(memory, ISOLATED)
    scan = total = 0
    while scan < wanted and not list_empty(links, source):
        node = list_prev(links, source)
        pages = nr_pages_of(reclaim, node)
        total += pages
        zone = page_zone(memory, node)
        list_del(links, node)
        if memory.zones[zone].index > reclaim.control[who].reclaim_idx:
            reclaim.count[PGSKIP_DMA + memory.zones[zone].index] += pages
            list_add(links, node, skipped)
            continue
        scan += pages
        clear_bits(reclaim, node, PG_ON_LRU)
        count_on_list(memory, reclaim, node, lru, -1)
        list_add(links, node, isolated)
    list_splice(links, skipped, source)
    reclaim.work[WORK_SCANNED] += scan
    reclaim.work[WORK_SKIPPED] += total - scan
    return total, scan


@kernel(inline=True)
def next_isolated(memory, reclaim):
    """Take the oldest isolated page; -1 if there is none."""
    head = list_head(memory, ISOLATED)
    node = list_prev(reclaim.links, head)
    if node == head:
        return -1
    list_del(reclaim.links, node)
    return node


@kernel(inline=True)
def putback_page(memory, reclaim, node):
    """Put an isolated page first on its list; return by how much pages in swap or file age.

    Source: move_folios_to_lru().
    """
    add_to_lru(memory, reclaim, node)
    return nr_pages_of(reclaim, node) if has(reclaim, node, PG_ACTIVE) else 0


@kernel(cold=True)
def shrink_active_list(memory, reclaim, who, wanted, lru):
    """Deactivate pages from the end of an active list, but for used pages of programs' code.

    Source: shrink_active_list().
    """
    scanned, _ = isolate_lru_pages(memory, reclaim, who, wanted, lru)
    reclaim.count[PGREFILL] += scanned
    node = next_isolated(memory, reclaim)
    while node >= 0:
        young = has(reclaim, node, PTE_YOUNG)
        clear_bits(reclaim, node, PTE_YOUNG)
        if not (young and has(reclaim, node, PG_EXEC) and is_file(reclaim, node)):
            pages = nr_pages_of(reclaim, node)
            clear_bits(reclaim, node, PG_ACTIVE)
            set_bits(reclaim, node, PG_WORKINGSET)
            reclaim.count[PGDEACTIVATE] += pages
            reclaim.work[WORK_DEACTIVATED] += pages
        reclaim.node[0].nonresident_age += putback_page(memory, reclaim, node)
        node = next_isolated(memory, reclaim)


@kernel(inline=True)
def keep_page(memory, reclaim, node, fate):
    """Put a page that is not reclaimed back on a list, as :func:`putback_page`.

    Source: shrink_folio_list().
    """
    if fate == ACTIVATE:
        if has(reclaim, node, PG_SWAPCACHE) and vm_swap_full(reclaim):
            if not has(reclaim, node, PG_WRITEBACK):
                free_swap(reclaim, node)
        set_bits(reclaim, node, PG_ACTIVE)
        reclaim.count[PGACTIVATE] += nr_pages_of(reclaim, node)
    if lru_gen_enabled(reclaim):
        keep_off_oldest(reclaim, node)
    return putback_page(memory, reclaim, node)


@kernel(cold=True)
def free_reclaimed(memory, reclaim, cpu):
    """Free the pages that were reclaimed, the newest first; return their number.

    Source: free_unref_page_list().
    """
    head, links = list_head(memory, FREED), reclaim.links
    pages = 0
    while not list_empty(links, head):
        node = list_prev(links, head)
        list_del(links, node)
        reclaim.work[WORK_UNDER_LOCK] += free_folio(memory, reclaim, node, cpu)
        pages += 1
    return pages


@kernel(cold=True)
def free_folio(memory, reclaim, node, cpu):
    """Free a page that backs no place any more; return the blocks put back under the zone lock."""
    state = reclaim.node[0]
    if state.nr_freed < reclaim.freed.shape[0]:
        reclaim.freed[state.nr_freed] = node
        state.nr_freed += 1
    _, _, under_lock = free_pages(memory, node, cpu, 0, 0)
    return under_lock


@kernel(inline=True)
def evict_page(memory, reclaim, node):
    """Separate a clean page from its place, which keeps a shadow.  Source: __remove_mapping()."""
    unlink_place(reclaim, node, workingset_eviction(reclaim, node))
    # FREED is emptied from its end: the last page evicted is the first that is freed.
    list_add_last(memory, reclaim, node)


@kernel(inline=True)
def list_add_last(memory, reclaim, node):
    """Put a page last on the list of pages to be freed."""
    list_add(reclaim.links, node, list_prev(reclaim.links, list_head(memory, FREED)))


@kernel(cold=True)
def shrink_page_list(memory, reclaim, who, cpu):
    """Look at all isolated pages; return pages reclaimed and pages handed to the disk.

    Source: shrink_folio_list().
    """
    handed = dirty = looked = aged = 0
    node = next_isolated(memory, reclaim)
    while node >= 0:
        looked += nr_pages_of(reclaim, node)
        dirty += nr_pages_of(reclaim, node) if note_dirty(reclaim, who, node) else 0
        fate, written = look_at_page(memory, reclaim, who, node)
        handed += written
        if fate == RECLAIM:
            evict_page(memory, reclaim, node)
        else:
            aged += keep_page(memory, reclaim, node, fate)
        node = next_isolated(memory, reclaim)
    # The kernel puts pages back when the whole batch is evicted.
    reclaim.node[0].nonresident_age += aged
    if looked > 0 and dirty == looked:
        reclaim.node[0].flusher_wanted = 1
    return free_reclaimed(memory, reclaim, cpu), handed


@kernel(cold=True)
def shrink_inactive_list(memory, reclaim, who, cpu, wanted, lru):
    """Reclaim pages from the end of an inactive list; return their number.

    Source: shrink_inactive_list().
    """
    sc, file = reclaim.control[who], 1 if lru >= INACTIVE_FILE else 0
    scanned, taken = isolate_lru_pages(memory, reclaim, who, wanted, lru)
    reclaim.work[WORK_BATCHES] += 1
    if not sc.proactive:
        reclaim.count[PGSCAN_KSWAPD + who] += scanned
    reclaim.count[PGSCAN_ANON + file] += scanned
    if taken == 0:
        return 0
    reclaimed, handed = shrink_page_list(memory, reclaim, who, cpu)
    if not sc.proactive:
        reclaim.count[PGSTEAL_KSWAPD + who] += reclaimed
    reclaim.count[PGSTEAL_ANON + file] += reclaimed
    reclaim.work[WORK_RECLAIMED] += reclaimed
    lru_note_cost(reclaim, file, handed)
    sc.taken += taken
    sc.file_taken += taken if file else 0
    return reclaimed


@kernel(cold=True)
def shrink_list(memory, reclaim, who, cpu, wanted, lru):
    """Shrink one list by a batch; return the pages reclaimed.  Source: shrink_list()."""
    if lru != ACTIVE_ANON and lru != ACTIVE_FILE:
        return shrink_inactive_list(memory, reclaim, who, cpu, wanted, lru)
    sc = reclaim.control[who]
    if sc.deactivate_file if lru == ACTIVE_FILE else sc.deactivate_anon:
        shrink_active_list(memory, reclaim, who, wanted, lru)
    else:
        sc.skipped_deactivate = 1
    return 0


@kernel(cold=True)
def drop_page(memory, reclaim, node):
    """Take a file's page out of the cache, to be freed; return False if it is in use.

    Source: mapping_evict_folio(), mapping_try_invalidate().
    """
    if has(reclaim, node, PG_DIRTY | PG_WRITEBACK | PG_MAPPED | PG_HELD):
        deactivate_file(memory, reclaim, node)
        return False
    del_from_lru(memory, reclaim, node)
    unlink_place(reclaim, node, 0)
    list_add_last(memory, reclaim, node)
    return True
