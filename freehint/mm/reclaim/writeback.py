"""Dirty pages, the ring of pages that the disk is writing, and swap slots.

Source: mm/page-writeback.c, mm/filemap.c, mm/swapfile.c, mm/swap_state.c of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.reclaim.counts import NR_DIRTIED, NR_WRITTEN, PGROTATED
from freehint.mm.reclaim.lists import (
    add_to_lru_tail,
    clear_bits,
    del_from_lru,
    has,
    is_file,
    nr_pages_of,
    set_bits,
)
from freehint.mm.reclaim.state import (
    PG_ACTIVE,
    PG_DIRTY,
    PG_ON_LRU,
    PG_RECLAIM,
    PG_SWAPCACHE,
    PG_WRITEBACK,
    SWAP_IGNORED,
)


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
def swap_pages_free(reclaim):
    """Swap slots that are free.  Source: get_nr_swap_pages()."""
    return 0 if reclaim.node[0].ablations & SWAP_IGNORED else reclaim.node[0].swap_free


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
