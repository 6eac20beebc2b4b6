"""The LRU lists: pages come, are used, change lists and go; the working set of evicted pages.

New pages stand first, reclaim takes from the end.  Unlike the kernel's, the lists know a page at
once: there are no per-CPU folio batches in front of them (15 pages each).

Source: mm/swap.c, mm/workingset.c, include/linux/mm_inline.h, mm/migrate.c of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.list import list_add, list_add_tail, list_del
from freehint.mm.memory import LRU, PAGEBLOCK_NR_PAGES, page_zone
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    NR_DIRTIED,
    NR_WRITTEN,
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
    PG_WORKINGSET,
    PG_WRITEBACK,
    PGACTIVATE,
    PGROTATED,
    PSWPIN,
    PTE_YOUNG,
    SHADOW_BITS,
    SWAP_IGNORED,
    UNEVICTABLE,
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_REFAULT_ANON,
    WORKINGSET_RESTORE_ANON,
)

SHADOW_MASK = (1 << SHADOW_BITS) - 1
# What touch() met: no page, a page that was not mapped (a minor fault), a mapped page.
NOT_RESIDENT, MINOR_FAULT, MAPPED = -1, 0, 1


@kernel(inline=True)
def list_head(memory, lru):
    """Node in Reclaim.links that heads a list."""
    return memory.nr_pages + lru


@kernel(inline=True)
def has(reclaim, node, bits):
    """Has the page any of these bits?"""
    return reclaim.page[node] & bits != 0


@kernel(inline=True)
def set_bits(reclaim, node, bits):
    """Set bits of a page."""
    reclaim.page[node] |= bits


@kernel(inline=True)
def clear_bits(reclaim, node, bits):
    """Clear bits of a page."""
    reclaim.page[node] &= 0xFFFFFFFF ^ bits


@kernel(inline=True)
def is_file(reclaim, node):
    """1 for a page of a file, 0 for an anonymous one.  Source: folio_is_file_lru()."""
    return 0 if reclaim.page[node] & PG_SWAPBACKED else 1


@kernel(inline=True)
def nr_pages_of(reclaim, node):
    """Pages of the folio.  Source: folio_nr_pages()."""
    return PAGEBLOCK_NR_PAGES if reclaim.page[node] & PG_HUGE else 1


@kernel(inline=True)
def lru_of(reclaim, node):
    """The list for a page with these bits.  Source: folio_lru_list()."""
    return 2 * is_file(reclaim, node) + (1 if reclaim.page[node] & PG_ACTIVE else 0)


@kernel(inline=True)
def lru_pages(reclaim, lru):
    """Pages on a list.  Source: lruvec_page_state(), NR_LRU_BASE."""
    pages = 0
    for zone in range(reclaim.zone_lru.shape[0]):
        pages += reclaim.zone_lru[zone, lru]
    return pages


@kernel(inline=True)
def count_on_list(memory, reclaim, node, lru, sign):
    """Add a page to the counter of its zone and list, or take it away."""
    zone = page_zone(memory, node)
    reclaim.zone_lru[zone, lru] += sign * nr_pages_of(reclaim, node)


@kernel(cold=True)
def add_to_lru(memory, reclaim, node):
    """Put a page first on its list.  Source: lruvec_add_folio()."""
    lru = lru_of(reclaim, node)
    set_bits(reclaim, node, PG_ON_LRU)
    list_add(reclaim.links, node, list_head(memory, lru))
    count_on_list(memory, reclaim, node, lru, 1)


@kernel(cold=True)
def add_to_lru_tail(memory, reclaim, node):
    """Put a page last on its list.  Source: lruvec_add_folio_tail()."""
    lru = lru_of(reclaim, node)
    set_bits(reclaim, node, PG_ON_LRU)
    list_add_tail(reclaim.links, node, list_head(memory, lru))
    count_on_list(memory, reclaim, node, lru, 1)


@kernel(cold=True)
def del_from_lru(memory, reclaim, node):
    """Take a page off its list.  Source: lruvec_del_folio()."""
    clear_bits(reclaim, node, PG_ON_LRU)
    list_del(reclaim.links, node)
    count_on_list(memory, reclaim, node, lru_of(reclaim, node), -1)


@kernel(inline=True)
def swap_pages_free(reclaim):
    """Swap slots that are free.  Source: get_nr_swap_pages()."""
    return 0 if reclaim.node[0].ablations & SWAP_IGNORED else reclaim.node[0].swap_free


# The working set


@kernel(inline=True)
def workingset_eviction(reclaim, node):
    """The shadow that an evicted page leaves.  Source: workingset_eviction(), pack_shadow()."""
    state = reclaim.node[0]
    age = state.nonresident_age & SHADOW_MASK
    state.nonresident_age += nr_pages_of(reclaim, node)
    return -1 - (2 * age + (1 if reclaim.page[node] & PG_WORKINGSET else 0))


@kernel(inline=True)
def workingset_size(reclaim, file):
    """Pages against which a refault distance is compared.  Source: workingset_refault()."""
    size = lru_pages(reclaim, ACTIVE_FILE)
    if not file:
        size += lru_pages(reclaim, INACTIVE_FILE)
    if swap_pages_free(reclaim) > 0:
        size += lru_pages(reclaim, ACTIVE_ANON)
        if file:
            size += lru_pages(reclaim, INACTIVE_ANON)
    return size


@kernel(cold=True)
def lru_note_cost(reclaim, file, pages):
    """Note I/O that a kind of pages has cost; older costs fade.  Source: lru_note_cost()."""
    state = reclaim.node[0]
    if file:
        state.file_cost += pages
    else:
        state.anon_cost += pages
    size = 0
    for lru in range(UNEVICTABLE):
        size += lru_pages(reclaim, lru)
    if state.file_cost + state.anon_cost > size // 4:
        state.file_cost //= 2
        state.anon_cost //= 2


@kernel(cold=True)
def workingset_refault(reclaim, node, shadow):
    """A page that was evicted is back: activate it if it was away for a short time only.

    Source: workingset_refault(), workingset_age_nonresident().
    """
    state, file, pages = reclaim.node[0], is_file(reclaim, node), nr_pages_of(reclaim, node)
    reclaim.count[WORKINGSET_REFAULT_ANON + file] += pages
    eviction = (-1 - shadow) >> 1
    distance = (state.nonresident_age - eviction) & SHADOW_MASK
    if distance > workingset_size(reclaim, file):
        return
    set_bits(reclaim, node, PG_ACTIVE)
    state.nonresident_age += pages
    reclaim.count[WORKINGSET_ACTIVATE_ANON + file] += pages
    if (-1 - shadow) & 1:
        set_bits(reclaim, node, PG_WORKINGSET)
        lru_note_cost(reclaim, file, pages)
        reclaim.count[WORKINGSET_RESTORE_ANON + file] += pages


# Pages come and go


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
    add_to_lru(memory, reclaim, node)
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
    add_to_lru(memory, reclaim, node)


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
    if write:
        if is_file(reclaim, head):
            set_page_dirty(reclaim, head)
        else:
            if reclaim.page[head] & PG_WRITEBACK == 0:
                free_swap(reclaim, head)
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


# Use


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
    if not has(reclaim, node, PG_REFERENCED):
        set_bits(reclaim, node, PG_REFERENCED)
    elif not has(reclaim, node, PG_ACTIVE):
        activate_page(memory, reclaim, node)
        clear_bits(reclaim, node, PG_REFERENCED)
        reclaim.node[0].nonresident_age += nr_pages_of(reclaim, node)


@kernel(cold=True)
def deactivate_page(memory, reclaim, node):
    """Put an active page first on the inactive list.  Source: lru_deactivate_fn()."""
    if has(reclaim, node, PG_ACTIVE) and has(reclaim, node, PG_ON_LRU):
        del_from_lru(memory, reclaim, node)
        clear_bits(reclaim, node, PG_ACTIVE | PG_REFERENCED)
        add_to_lru(memory, reclaim, node)


# Dirty pages, writeback, swap slots


@kernel(inline=True)
def set_page_dirty(reclaim, node):
    """A file's page is written.  Source: folio_account_dirtied()."""
    if not has(reclaim, node, PG_DIRTY):
        set_bits(reclaim, node, PG_DIRTY)
        reclaim.node[0].nr_dirty += 1
        reclaim.count[NR_DIRTIED] += 1


@kernel(inline=True)
def clear_dirty(reclaim, node):
    """The page's content is on its way to the disk, or not wanted.

    Source: folio_clear_dirty_for_io(), folio_account_cleaned().
    """
    if has(reclaim, node, PG_DIRTY):
        clear_bits(reclaim, node, PG_DIRTY)
        if is_file(reclaim, node):
            reclaim.node[0].nr_dirty -= 1


@kernel(cold=True)
def start_writeback(memory, reclaim, node):
    """Hand a dirty page to the disk: it enters the ring.

    Source: folio_start_writeback(), folio_clear_dirty_for_io().
    """
    state = reclaim.node[0]
    clear_dirty(reclaim, node)
    set_bits(reclaim, node, PG_WRITEBACK)
    state.nr_writeback += 1
    at = (state.writeback_first + state.writeback_count) % reclaim.writeback.shape[0]
    reclaim.writeback[at] = node
    state.writeback_count += 1


@kernel(cold=True)
def next_writeback(reclaim):
    """Take the oldest page off the ring; return it, or -1 if none is left.

    The caller waits for the disk and calls :func:`end_writeback`.
    """
    state = reclaim.node[0]
    node = -1
    while node < 0 and state.writeback_count > 0:
        node = int(reclaim.writeback[state.writeback_first])
        reclaim.writeback[state.writeback_first] = -1
        state.writeback_first = (state.writeback_first + 1) % reclaim.writeback.shape[0]
        state.writeback_count -= 1
    return node


@kernel(cold=True)
def end_writeback(memory, reclaim, node):
    """The disk has the page.  If reclaim waits for it, it becomes the last of its inactive list.

    Source: folio_end_writeback(), folio_rotate_reclaimable(), lru_move_tail_fn().
    """
    clear_bits(reclaim, node, PG_WRITEBACK)
    reclaim.node[0].nr_writeback -= 1
    reclaim.count[NR_WRITTEN] += 1
    if not has(reclaim, node, PG_RECLAIM):
        return
    clear_bits(reclaim, node, PG_RECLAIM)
    if has(reclaim, node, PG_ON_LRU) and not has(reclaim, node, PG_DIRTY):
        del_from_lru(memory, reclaim, node)
        clear_bits(reclaim, node, PG_ACTIVE)
        add_to_lru_tail(memory, reclaim, node)
        reclaim.count[PGROTATED] += nr_pages_of(reclaim, node)


@kernel(cold=True)
def leave_writeback(memory, reclaim, node):
    """End the writeback of a page that goes; its entry of the ring becomes -1."""
    state, size = reclaim.node[0], reclaim.writeback.shape[0]
    for i in range(state.writeback_count):
        at = (state.writeback_first + i) % size
        if reclaim.writeback[at] == node:
            reclaim.writeback[at] = -1
            break
    clear_bits(reclaim, node, PG_RECLAIM)
    end_writeback(memory, reclaim, node)


@kernel(inline=True)
def vm_swap_full(reclaim):
    """Is more than half of the swap in use?  Source: vm_swap_full()."""
    state = reclaim.node[0]
    return state.swap_free * 2 < state.swap_total


@kernel(cold=True)
def add_to_swap(reclaim, node):
    """Give an anonymous page a swap slot; the next free one after the last given.

    Source: add_to_swap(), scan_swap_map_slots() without clusters.

    Returns
    -------
    bool
        False if swap is full.
    """
    state, size = reclaim.node[0], reclaim.swap_map.shape[0]
    if swap_pages_free(reclaim) <= 0:
        return False
    at = state.swap_next
    while reclaim.swap_map[at] != 0:
        at = at + 1 if at + 1 < size else 0
    place = int(reclaim.slot[node]) - 1
    reclaim.swap_map[at] = place + 1
    reclaim.swap[place] = at + 1
    state.swap_next = at + 1 if at + 1 < size else 0
    state.swap_free -= 1
    set_bits(reclaim, node, PG_SWAPCACHE | PG_DIRTY)
    return True


@kernel(cold=True)
def free_swap_slot(reclaim, place):
    """Free the swap slot of a place, if it has one.  Source: swap_free()."""
    slot = int(reclaim.swap[place]) - 1
    if slot >= 0:
        reclaim.swap[place] = 0
        reclaim.swap_map[slot] = 0
        reclaim.node[0].swap_free += 1


@kernel(inline=True)
def free_swap(reclaim, node):
    """Free the swap slot of a page in memory, whose content is then nowhere else.

    Source: folio_free_swap().
    """
    if has(reclaim, node, PG_SWAPCACHE):
        clear_bits(reclaim, node, PG_SWAPCACHE)
        set_bits(reclaim, node, PG_DIRTY)
        free_swap_slot(reclaim, int(reclaim.slot[node]) - 1)
