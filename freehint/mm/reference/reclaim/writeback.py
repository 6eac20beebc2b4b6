"""Dirty pages, pages on their way to the disk, and swap slots.

Source: mm/page-writeback.c, mm/filemap.c, mm/swapfile.c, mm/swap_state.c of Linux 6.1.
"""

from freehint.mm.reference.reclaim.lists import add_folio, del_folio, is_file, nr_pages

REQUEST_PAGES, PLUG_REQUESTS, PLUG_FLUSH_PAGES = 254, 32, 32


def account_dirtied(reclaimer, flags):
    """A file's page is written.  Source: folio_account_dirtied()."""
    if "dirty" not in flags:
        flags.add("dirty")
        reclaimer.counts["nr_dirtied"] += 1


def start_writeback(reclaimer, pfn):
    """Hand a page to the disk.  Source: folio_clear_dirty_for_io(), folio_start_writeback()."""
    flags = reclaimer.flags[pfn]
    flags.discard("dirty")
    flags.add("writeback")
    reclaimer.disk.append(pfn)


def plug_page(reclaimer, kswapd, pfn):
    """Write a page of the swap cache: neighbours there are one request.

    Source: swap_writepage(), blk_attempt_plug_merge(), blk_add_rq_to_plug().
    """
    flags, plug = reclaimer.flags[pfn], reclaimer.plugs[kswapd]
    flags.discard("dirty")
    flags.add("writeback")
    slot = reclaimer.swap[reclaimer.compactor.place[pfn]]
    last = plug[-1] if plug else []
    if not last or last[-1][1] + 1 != slot or len(last) == REQUEST_PAGES:
        if len(plug) == PLUG_REQUESTS or len(last) >= PLUG_FLUSH_PAGES:
            flush_plug(reclaimer, kswapd)
        plug.append([])
    plug[-1].append((pfn, slot))


def flush_plug(reclaimer, kswapd):
    """Hand all requests to the disk.  Source: blk_finish_plug()."""
    plug = reclaimer.plugs[kswapd]
    reclaimer.disk += [pfn for request in plug for pfn, _ in request if pfn is not None]
    plug.clear()


def leave_disk(reclaimer, pfn):
    """A page goes before it is written."""
    if pfn in reclaimer.disk:
        reclaimer.disk.remove(pfn)
    for plug in reclaimer.plugs.values():
        for request in plug:
            request[:] = [(None if one == pfn else one, slot) for one, slot in request]


def end_writeback(reclaimer, pfn):
    """The disk has the page.  Source: folio_end_writeback(), folio_rotate_reclaimable()."""
    flags = reclaimer.flags[pfn]
    flags.remove("writeback")
    reclaimer.counts["nr_written"] += 1
    if "reclaim" not in flags:
        return
    flags.remove("reclaim")
    if "lru" in flags and "dirty" not in flags:
        del_folio(reclaimer, pfn)
        flags.discard("active")
        add_folio(reclaimer, pfn, tail=True)
        reclaimer.counts["pgrotated"] += nr_pages(flags)


def vm_swap_full(reclaimer):
    """Is more than half of the swap in use?  Source: vm_swap_full()."""
    return reclaimer.slots.count(None) * 2 < len(reclaimer.slots)


def add_to_swap(reclaimer, pfn):
    """Give a page the next free slot; False if there is none.  Source: add_to_swap()."""
    slots, first = reclaimer.slots, reclaimer.swap_next
    search = [*range(first, len(slots)), *range(first)]
    free = next((slot for slot in search if slots[slot] is None), None)
    if free is None:
        return False
    place = reclaimer.compactor.place[pfn]
    slots[free], reclaimer.swap[place] = place, free
    reclaimer.swap_next = (free + 1) % len(slots)
    reclaimer.flags[pfn] |= {"swapcache", "dirty"}
    return True


def free_slot(reclaimer, place):
    """Source: swap_free()."""
    if place in reclaimer.swap:
        reclaimer.slots[reclaimer.swap.pop(place)] = None


def free_swap(reclaimer, pfn):
    """The slot of a page in memory is not needed, unless it is being written to.

    Source: folio_free_swap().
    """
    flags = reclaimer.flags[pfn]
    if "swapcache" not in flags or "writeback" in flags:
        return
    flags.remove("swapcache")
    flags.add("dirty")
    free_slot(reclaimer, reclaimer.compactor.place[pfn])


def nr_dirty(reclaimer):
    """Dirty pages of files.  The kernel keeps this count (NR_FILE_DIRTY)."""
    return sum("dirty" in flags and is_file(flags) for flags in reclaimer.flags.values())
