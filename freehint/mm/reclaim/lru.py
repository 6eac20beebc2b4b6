"""The LRU lists: pages come, are used, change lists and go; the working set of evicted pages.

New pages stand first, reclaim takes from the end.  Unlike the kernel's, the lists know a page at
once: there are no per-CPU folio batches in front of them (15 pages each).

Source: mm/swap.c, mm/workingset.c, include/linux/mm_inline.h, mm/migrate.c of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.memory import LRU, PAGEBLOCK_NR_PAGES
from freehint.mm.reclaim.counts import PGACTIVATE, PGDEACTIVATE, PSWPIN
from freehint.mm.reclaim.lists import (
    add_faulted,
    add_to_lru,
    clear_bits,
    del_from_lru,
    has,
    is_file,
    nr_pages_of,
    set_bits,
)
from freehint.mm.reclaim.lru_gen.generations import folio_inc_refs, lru_gen_enabled
from freehint.mm.reclaim.state import (
    PG_ACTIVE,
    PG_DIRTY,
    PG_EXEC,
    PG_HUGE,
    PG_MAPPED,
    PG_ON_LRU,
    PG_RECLAIM,
    PG_REFERENCED,
    PG_SWAPBACKED,
    PG_SWAPCACHE,
    PG_WRITEBACK,
    PTE_YOUNG,
)
from freehint.mm.reclaim.workingset import workingset_refault
from freehint.mm.reclaim.writeback import (
    clear_dirty,
    free_swap,
    free_swap_slot,
    leave_writeback,
    set_page_dirty,
    vm_swap_full,
)

# What touch() met: no page, a page that was not mapped (a minor fault), a mapped page.
NOT_RESIDENT, MINOR_FAULT, MAPPED = -1, 0, 1


@kernel(inline=True)
def back_place(memory, reclaim, node, place):
    """Let a page back a place, a huge page 512 places, and note that it is movable (PageLRU)."""
    for i in range(nr_pages_of(reclaim, node)):
        reclaim.slot[node + i] = place + 1 + i
        reclaim.place[place + i] = node + 1 + i
        memory.frame[node + i] = LRU


@kernel(cold=True)
def add_file_page(memory, reclaim, node, place, dirty):
    """Let a freshly allocated page become the page of a file's place.

    A page that is read again soon after its eviction is active at once; one that is about to be
    written is not looked at.  Source: filemap_add_folio().
    """
    shadow = int(reclaim.place[place])
    reclaim.page[node] = 0
    if shadow < 0 and not dirty:
        workingset_refault(reclaim, node, shadow)
    back_place(memory, reclaim, node, place)
    add_to_lru(memory, reclaim, node)
    if dirty:
        set_page_dirty(reclaim, node)


@kernel(cold=True)
def add_anon_page(memory, reclaim, node, place):
    """Let a freshly allocated page become the page of an anonymous place, mapped and used.

    If the place was in swap, the page was read from there and keeps its slot until it is written
    or swap is more than half full.  The page is new otherwise, and dirty.
    Source: do_anonymous_page(), do_swap_page(), should_try_to_free_swap().
    """
    shadow = int(reclaim.place[place])
    reclaim.page[node] = PG_SWAPBACKED
    if shadow < 0:
        reclaim.count[PSWPIN] += 1
        set_bits(reclaim, node, PG_SWAPCACHE)
        workingset_refault(reclaim, node, shadow)
    back_place(memory, reclaim, node, place)
    add_faulted(memory, reclaim, node)
    set_bits(reclaim, node, PG_MAPPED | PTE_YOUNG)
    if shadow == 0:
        set_bits(reclaim, node, PG_DIRTY)
    elif vm_swap_full(reclaim):
        free_swap(reclaim, node)


@kernel(cold=True)
def add_huge_page(memory, reclaim, node, place):
    """Let an order-9 block become one folio of 512 anonymous places.

    Source: __do_huge_pmd_anonymous_page().
    """
    reclaim.page[node] = PG_SWAPBACKED | PG_HUGE | PG_DIRTY | PG_MAPPED | PTE_YOUNG
    for i in range(1, PAGEBLOCK_NR_PAGES):
        reclaim.page[node + i] = 0
    back_place(memory, reclaim, node, place)
    add_faulted(memory, reclaim, node)


@kernel(cold=True)
def split_huge_page(memory, reclaim, node):
    """Split a folio of 512 pages that is on no list; each page takes the head's bits.

    Source: __split_huge_page(), without the list: the caller puts the pages somewhere.
    """
    clear_bits(reclaim, node, PG_HUGE)
    for i in range(1, PAGEBLOCK_NR_PAGES):
        reclaim.page[node + i] = reclaim.page[node]


@kernel(cold=True)
def touch(memory, reclaim, place, write):
    """Access a place through a page table.

    Returns
    -------
    int
        MAPPED; MINOR_FAULT if the page had to be mapped; NOT_RESIDENT if there is none, and then
        nothing has happened.
    """
    node = int(reclaim.place[place]) - 1
    if node < 0:
        return NOT_RESIDENT
    head = folio_head(reclaim, node)
    mapped = reclaim.page[head] & PG_MAPPED
    set_bits(reclaim, head, PG_MAPPED | PTE_YOUNG)
    # should_try_to_free_swap(), for a fault on a page in the swap cache
    unwanted = write or (not mapped and vm_swap_full(reclaim))
    if unwanted and reclaim.page[head] & PG_WRITEBACK == 0:
        free_swap(reclaim, head)
    if write:
        if is_file(reclaim, head):
            set_page_dirty(reclaim, head)
        else:
            set_bits(reclaim, head, PG_DIRTY)
    return MAPPED if mapped else MINOR_FAULT


@kernel(inline=True)
def folio_head(reclaim, node):
    """The first page of the folio that a page belongs to.  Source: page_folio()."""
    head = node & ~(PAGEBLOCK_NR_PAGES - 1)
    return head if reclaim.page[head] & PG_HUGE else node


@kernel(cold=True)
def unmap_page(memory, reclaim, node):
    """A process unmaps a page that stays in the cache.  Source: zap_pte_range()."""
    young = reclaim.page[node] & PTE_YOUNG
    clear_bits(reclaim, node, PG_MAPPED | PTE_YOUNG | PG_EXEC)
    if young and is_file(reclaim, node):
        mark_page_accessed(memory, reclaim, node)


@kernel(cold=True)
def forget_page(memory, reclaim, node):
    """Take a page off the LRU and out of its place, swap slot included; the caller frees it.

    A page under writeback leaves the ring, as if the caller had waited for it.
    Source: delete_from_page_cache(), page_remove_rmap(), free_swap_and_cache().
    """
    if has(reclaim, node, PG_ON_LRU):
        del_from_lru(memory, reclaim, node)
    if has(reclaim, node, PG_WRITEBACK):
        leave_writeback(memory, reclaim, node)
    clear_dirty(reclaim, node)
    free_swap(reclaim, node)
    unlink_place(reclaim, node, 0)


@kernel(cold=True)
def forget_place(memory, reclaim, place):
    """End a place: its page, its shadow and its swap slot.

    Returns
    -------
    int
        The page that backed it, for the caller to free; -1 if there was none.
    """
    node = int(reclaim.place[place]) - 1
    if node >= 0:
        forget_page(memory, reclaim, node)
        return node
    reclaim.place[place] = 0
    free_swap_slot(reclaim, place)
    return -1


@kernel(inline=True)
def unlink_place(reclaim, node, shadow):
    """Separate a page from its place, which keeps the shadow; clear all of the page's bits."""
    for i in range(nr_pages_of(reclaim, node)):
        place = int(reclaim.slot[node + i]) - 1
        reclaim.slot[node + i] = 0
        if place >= 0:
            reclaim.place[place] = shadow
    reclaim.page[node] = 0


@kernel(cold=True)
def move_page(memory, reclaim, source, target):
    """Compaction has moved a page: place and bits follow it, and it stands first on its list.

    Source: folio_migrate_mapping(), folio_migrate_flags(), putback_lru_page().
    """
    if has(reclaim, source, PG_ON_LRU):
        del_from_lru(memory, reclaim, source)
    place = int(reclaim.slot[source]) - 1
    reclaim.page[target] = reclaim.page[source]
    reclaim.page[source] = 0
    reclaim.slot[source] = 0
    if place >= 0:
        back_place(memory, reclaim, target, place)
        add_to_lru(memory, reclaim, target)


@kernel(cold=True)
def activate_page(memory, reclaim, node):
    """Put an inactive page first on the active list.  Source: folio_activate_fn()."""
    del_from_lru(memory, reclaim, node)
    set_bits(reclaim, node, PG_ACTIVE)
    add_to_lru(memory, reclaim, node)
    reclaim.count[PGACTIVATE] += nr_pages_of(reclaim, node)


@kernel(cold=True)
def mark_page_accessed(memory, reclaim, node):
    """A page was read by read(2): inactive -> referenced -> active.

    Source: folio_mark_accessed(), workingset_activation().
    """
    if lru_gen_enabled(reclaim):
        folio_inc_refs(reclaim, node)
    elif not has(reclaim, node, PG_REFERENCED):
        set_bits(reclaim, node, PG_REFERENCED)
    elif not has(reclaim, node, PG_ACTIVE):
        activate_page(memory, reclaim, node)
        clear_bits(reclaim, node, PG_REFERENCED)
        reclaim.node[0].nonresident_age += nr_pages_of(reclaim, node)


@kernel(cold=True)
def deactivate_page(memory, reclaim, node):
    """Put an active page first on the inactive list.  Source: lru_deactivate_fn()."""
    active = lru_gen_enabled(reclaim) or has(reclaim, node, PG_ACTIVE)
    if active and has(reclaim, node, PG_ON_LRU):
        del_from_lru(memory, reclaim, node)
        clear_bits(reclaim, node, PG_ACTIVE | PG_REFERENCED)
        add_to_lru(memory, reclaim, node)
        reclaim.count[PGDEACTIVATE] += nr_pages_of(reclaim, node)


@kernel(cold=True)
def deactivate_file(memory, reclaim, node):
    """A dirty page that is not wanted goes as soon as the disk has it, unless it is mapped.

    Source: deactivate_file_folio(), lru_deactivate_file_fn().
    """
    if has(reclaim, node, PG_MAPPED):
        return
    reclaim.count[PGDEACTIVATE] += 1 if has(reclaim, node, PG_ACTIVE) else 0
    del_from_lru(memory, reclaim, node)
    clear_bits(reclaim, node, PG_ACTIVE | PG_REFERENCED)
    set_bits(reclaim, node, PG_RECLAIM)
    add_to_lru(memory, reclaim, node)
