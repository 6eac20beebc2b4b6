"""Dirty pages, the ring of pages that the disk is writing, and swap slots.

Source: mm/page-writeback.c, mm/filemap.c, mm/swapfile.c, mm/swap_state.c,
block/blk-mq.c of Linux 6.1.
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

# A virtio disk takes requests of at most 254 pages.  A plug is flushed when it has 32 requests, or
# when a new one follows one of at least 128 KiB.
REQUEST_PAGES, PLUG_REQUESTS, PLUG_FLUSH_PAGES = 254, 32, 32
REQUEST_END = 1 << 30  # in Reclaim.plug: the page is the last of its request


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
    set_writeback(reclaim, node)
    hand_over(reclaim, node)


@kernel(inline=True)
def set_writeback(reclaim, node):
    """The page is on its way to the disk.  Source: folio_start_writeback()."""
    clear_dirty(reclaim, node)
    set_bits(reclaim, node, PG_WRITEBACK)
    reclaim.node[0].nr_writeback += 1


@kernel(inline=True)
def hand_over(reclaim, node):
    """Put a page last in the ring."""
    state = reclaim.node[0]
    at = (state.writeback_first + state.writeback_count) % reclaim.writeback.shape[0]
    reclaim.writeback[at] = node
    reclaim.request_ends[at] = 0
    state.writeback_count += 1


@kernel(inline=True)
def end_request(reclaim):
    """The page that is last in the ring is the last of its request."""
    state, size = reclaim.node[0], reclaim.writeback.shape[0]
    if state.writeback_count > 0:
        reclaim.request_ends[(state.writeback_first + state.writeback_count - 1) % size] = 1


@kernel(cold=True)
def plug_page(reclaim, who, node):
    """Write a page of the swap cache: it waits in the plug, with its neighbours in one request.

    The plug is flushed when it has many requests, or when a large one is complete.
    Source: swap_writepage(), blk_attempt_plug_merge(), blk_add_rq_to_plug().
    """
    sc, slot = reclaim.control[who], int(reclaim.swap[int(reclaim.slot[node]) - 1])
    set_writeback(reclaim, node)
    if sc.plug_run == 0 or slot != sc.plug_slot + 1 or sc.plug_run == REQUEST_PAGES:
        if sc.plug_requests >= PLUG_REQUESTS or sc.plug_run >= PLUG_FLUSH_PAGES:
            flush_plug(reclaim, who)
        elif sc.plugged > 0:
            reclaim.plug[who, sc.plugged - 1] |= REQUEST_END
        sc.plug_requests += 1
        sc.plug_run = 0
    sc.plug_run += 1
    sc.plug_slot = slot
    reclaim.plug[who, sc.plugged] = node
    sc.plugged += 1


@kernel(cold=True)
def flush_plug(reclaim, who):
    """Hand all that waits to the disk.  Source: blk_finish_plug()."""
    sc = reclaim.control[who]
    if sc.plugged == 0:
        return
    end_request(reclaim)
    for i in range(sc.plugged):
        entry = int(reclaim.plug[who, i])
        if entry >= 0:
            hand_over(reclaim, entry & ~REQUEST_END)
            if entry & REQUEST_END:
                end_request(reclaim)
    end_request(reclaim)
    sc.plugged = sc.plug_requests = sc.plug_run = 0


@kernel(cold=True)
def request_pages(reclaim, most):
    """Pages of the oldest request in the ring; pages of files are done ``most`` at a time."""
    state, size = reclaim.node[0], reclaim.writeback.shape[0]
    for i in range(state.writeback_count):
        at = (state.writeback_first + i) % size
        node = reclaim.writeback[at]
        if reclaim.request_ends[at]:
            return i + 1
        if i + 1 == most and (node < 0 or is_file(reclaim, node)):
            return most
    return state.writeback_count


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
    """End the writeback of a page that goes; its entry of the ring or of a plug becomes -1."""
    state, size = reclaim.node[0], reclaim.writeback.shape[0]
    for i in range(state.writeback_count):
        at = (state.writeback_first + i) % size
        if reclaim.writeback[at] == node:
            reclaim.writeback[at] = -1
            break
    for who in range(2):
        for i in range(reclaim.control[who].plugged):
            if reclaim.plug[who, i] & ~REQUEST_END == node:
                reclaim.plug[who, i] = -1
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
