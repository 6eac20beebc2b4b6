"""Per-CPU lists of free blocks of orders 0 to 3 and 9, which are filled and drained in batches.

4.15 and 5.10 keep only order 0.  6.12 tunes by itself how much to keep.
Source: mm/page_alloc.c, Linux 6.1.192, 6.12 and 7.3.
"""

from freehint.mm.reference.buddy import free_one_page
from freehint.mm.reference.fallback import RMQUEUE_NORMAL, rmqueue
from freehint.mm.reference.highatomic import ALLOC_HIGHATOMIC
from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_ORDER,
    PCPTYPES,
    WMARK_HIGH,
    ZONE_BELOW_HIGH,
    ZONE_RECLAIM_ACTIVE,
    get_pageblock_migratetype,
    has_isolate_pageblock,
    nr_free_highatomic,
    nr_free_pages,
)

PAGE_ALLOC_COSTLY_ORDER = 3
NR_PCP_LISTS = 14  # three types in four orders, then two for huge pages
NR_LOWORDER_PCP_LISTS = 12
CONFIG_PCP_BATCH_SCALE_MAX = 5
PCPF_PREV_FREE_HIGH_ORDER, PCPF_FREE_HIGH_BATCH = 1, 2
ZONE_MOVABLE = 3  # index into lowmem_reserve


def pcp_allowed_order(twin, order):
    """Do pcp lists keep blocks of this order?

    Source: pcp_allowed_order(), with transparent huge pages configured; rmqueue() of 4.15.
    """
    if twin.release < 513:
        return order == 0
    return order <= PAGE_ALLOC_COSTLY_ORDER or order == PAGEBLOCK_ORDER


def order_to_pindex(migratetype, order):
    """Index of a pcp list.  Of the two lists for huge pages the second is the movable one."""
    if order == PAGEBLOCK_ORDER:
        return NR_LOWORDER_PCP_LISTS + int(migratetype == MOVABLE)
    return len(PCPTYPES) * order + migratetype


def pindex_to_order(pindex):
    """Order of the blocks on a pcp list."""
    return pindex // len(PCPTYPES) if pindex < NR_LOWORDER_PCP_LISTS else PAGEBLOCK_ORDER


def count(pcp):
    """pcp->count: the pages on all lists.  The kernel keeps this count."""
    return sum(len(pfns) << pindex_to_order(pindex) for pindex, pfns in enumerate(pcp.lists))


def clamped_high(pcp):
    """pcp->high, clamped to its limits, which may have changed."""
    return min(max(pcp.high, pcp.high_min), pcp.high_max)


def most_at_once(pcp):
    """The most pages that go to or from the buddy lists under one hold of the zone's lock."""
    return pcp.batch << CONFIG_PCP_BATCH_SCALE_MAX


def nr_pcp_alloc(twin, zone, pcp, order):
    """Blocks that one refill asks for.  In 6.12 each refill also raises pcp->high.

    Source: __rmqueue_pcplist(); nr_pcp_alloc() of 6.12.
    """
    batch = pcp.batch
    if twin.release >= 612:
        pcp.high = clamped_high(pcp)
        if pcp.high < batch:
            return 1
        batch <<= pcp.alloc_factor if order == 0 else 0
        if pcp.high_min < pcp.high_max and not zone.flags & ZONE_BELOW_HIGH:
            pcp.high = min(pcp.high + batch, pcp.high_max)
        if order == 0:
            room = max(pcp.high - count(pcp) - pcp.batch, pcp.batch)
            pcp.alloc_factor += batch <= room and pcp.alloc_factor < CONFIG_PCP_BATCH_SCALE_MAX
            batch = min(batch, room)
    return max(batch >> order, 2) if batch > 1 else batch


def rmqueue_bulk(twin, zone, cpu, order, migratetype, alloc_flags):
    """Append a batch of blocks to a pcp list, and return the number of blocks.

    Source: rmqueue_bulk(), called by __rmqueue_pcplist().
    """
    pcp = zone.pcp[cpu]
    pfns = pcp.lists[order_to_pindex(migratetype, order)]
    wanted = nr_pcp_alloc(twin, zone, pcp, order)
    mode = RMQUEUE_NORMAL
    for got in range(wanted):
        pfn, mode = rmqueue(twin, zone, order, migratetype, alloc_flags, mode)
        if pfn is None:
            return got
        twin.pcp_migratetype[pfn] = migratetype
        pfns.append(pfn)
    return wanted


def rmqueue_pcplist(twin, zone, cpu, order, migratetype, alloc_flags):
    """Allocate from a pcp list, which ends a run of frees.  Source: rmqueue_pcplist()."""
    zone.pcp[cpu].free_factor //= 2
    zone.pcp[cpu].free_count //= 2
    return pcp_head(twin, zone, cpu, order, migratetype, alloc_flags)


def pcp_head(twin, zone, cpu, order, migratetype, alloc_flags):
    """Take the head of a pcp list, after a refill if the list is empty.

    Returns its pfn, or None if the refill found no block, and in 7.3 if a high-order atomic request
    finds the list empty.  Source: __rmqueue_pcplist().
    """
    pcp = zone.pcp[cpu]
    pfns = pcp.lists[order_to_pindex(migratetype, order)]
    if twin.release >= 703 and alloc_flags & ALLOC_HIGHATOMIC and not pfns:
        return None
    if not pfns and not rmqueue_bulk(twin, zone, cpu, order, migratetype, alloc_flags):
        return None
    pfn = pfns.pop(0)
    del twin.pcp_migratetype[pfn]
    return pfn


def free_last_page(twin, zone, pfns, order, reread):
    """Move the tail of a pcp list to the buddy lists, and return its number of pages.

    Source: the inner loop of free_pcppages_bulk().
    """
    pfn = pfns.pop()
    migratetype = twin.pcp_migratetype.pop(pfn)
    if reread:  # its pageblock may have changed since; in 6.1 only isolated ones matter
        migratetype = get_pageblock_migratetype(twin, pfn)
    free_one_page(twin, zone, pfn, order, migratetype)
    return 1 << order


def free_pcppages_in_turn(twin, zone, pcp, left):
    """Drain the three lists in turns, as 4.15 and 5.10 do, from MOVABLE on.

    Each empty list that is skipped raises the number of pages taken from the next one.
    Source: free_pcppages_bulk() of 4.15.
    """
    reread = has_isolate_pageblock(twin, zone)
    migratetype = batch_free = 0
    while left:
        while True:
            batch_free += 1
            migratetype = (migratetype + 1) % len(PCPTYPES)
            if pcp.lists[migratetype]:
                break
        if batch_free == len(PCPTYPES):
            batch_free = left
        while True:
            left -= free_last_page(twin, zone, pcp.lists[migratetype], 0, reread)
            if left == 0:
                break
            batch_free -= 1
            if batch_free == 0 or not pcp.lists[migratetype]:
                break


def free_pcppages_bulk(twin, zone, cpu, nr_pages, pindex):
    """Give at least ``nr_pages`` back, tails first, list after list from ``pindex`` on.

    Source: free_pcppages_bulk().
    """
    pcp = zone.pcp[cpu]
    left = min(nr_pages, count(pcp))
    if twin.release < 517:
        free_pcppages_in_turn(twin, zone, pcp, left)
        return
    reread = twin.release >= 610 or has_isolate_pageblock(twin, zone)
    for i in range(NR_PCP_LISTS):
        current = (pindex + i) % NR_PCP_LISTS
        pfns, order = pcp.lists[current], pindex_to_order(current)
        while left > 0 and pfns:
            left -= free_last_page(twin, zone, pfns, order, reread)


def drain_pages_zone(twin, zone, cpu):
    """Empty all lists of a CPU.  Source: drain_pages_zone(), which takes chunks since 6.1.192."""
    pcp = zone.pcp[cpu]
    while count(pcp):
        chunk = most_at_once(pcp) if twin.release >= 601 else count(pcp)
        free_pcppages_bulk(twin, zone, cpu, chunk, 0)


def nr_pcp_high(twin, zone, pcp):
    """Pages that may stay on the lists: from 5.14 on at most four batches while kswapd balances.

    Source: nr_pcp_high().
    """
    if zone.flags & ZONE_RECLAIM_ACTIVE and twin.release > 513:
        return min(4 * pcp.batch, pcp.high)
    return pcp.high


def nr_pcp_free(twin, pcp, high):
    """Pages to drain.  They double with each drain in a row, but at least a batch is left.

    4.15 and 5.10 always drain a batch; 6.12 drains as many pages as were freed in a row.
    Source: nr_pcp_free(); free_unref_page_commit() of 4.15 and 5.10.
    """
    if twin.release < 514:
        return pcp.batch
    if high < pcp.batch:
        return 1
    most = high - pcp.batch
    if twin.release >= 612:
        return min(max(pcp.free_count, pcp.batch), most)
    doubled = pcp.batch << pcp.free_factor
    if doubled < most and pcp.free_factor < CONFIG_PCP_BATCH_SCALE_MAX:
        pcp.free_factor += 1
    return min(doubled, most)


def is_high_order(order):
    """Is this one of the orders 1..3, which are drained sooner?  (Huge pages have own lists.)"""
    return 1 <= order <= PAGE_ALLOC_COSTLY_ORDER


def drain_size(twin, zone, pcp, order):
    """Pages to drain after a free, or None for no drain.  Source: free_unref_page_commit()."""
    if pcp.free_factor and is_high_order(order):
        return count(pcp)
    high = nr_pcp_high(twin, zone, pcp)
    return nr_pcp_free(twin, pcp, high) if count(pcp) >= high else None


def note_free(twin, pcp, order):
    """Count a free, and return whether it is in a run of high orders, which is drained.

    In 7.3 the run must be longer by half of high_min.
    Source: free_unref_page_commit() of 6.12; free_frozen_page_commit() of 7.3.
    """
    pcp.alloc_factor //= 2
    least = pcp.batch + (pcp.high_min // 2 if twin.release >= 703 else 0)
    run = is_high_order(order) and pcp.free_count >= least
    run = run and pcp.flags & PCPF_PREV_FREE_HIGH_ORDER
    if pcp.flags & PCPF_FREE_HIGH_BATCH:
        run = run and count(pcp) >= pcp.batch
    pcp.flags &= ~PCPF_PREV_FREE_HIGH_ORDER
    pcp.flags |= PCPF_PREV_FREE_HIGH_ORDER * is_high_order(order)
    if pcp.free_count < most_at_once(pcp):
        pcp.free_count += 1 << order
    return bool(run)


def tuned_high(zone, pcp):
    """Pages that may stay on the lists in 6.12, after pcp->high has been tuned.

    It falls while the zone is short of memory, and rises to hold a run of frees.
    Source: nr_pcp_high() of 6.12.
    """
    high = pcp.high = clamped_high(pcp)
    lower = max(high - max(pcp.free_count, pcp.batch), pcp.high_min)
    if high == 0:
        return 0
    if zone.flags & ZONE_RECLAIM_ACTIVE:
        pcp.high = lower
        return min(4 * pcp.batch, lower)
    if pcp.high_min == pcp.high_max:
        return high
    if zone.flags & ZONE_BELOW_HIGH:
        pcp.high = lower
        return max(count(pcp), pcp.high_min)
    if count(pcp) >= high:
        pcp.high = max(high, min(pcp.free_count + pcp.batch, pcp.high_max))
    return high


def tuned_drain_size(twin, zone, pcp, order):
    """Pages to drain after a free in 6.12, or None for no drain.

    A run of high orders is drained as far as one hold of the lock allows.
    Source: free_unref_page_commit(), nr_pcp_high(), nr_pcp_free() of 6.12.
    """
    if not note_free(twin, pcp, order):
        high = tuned_high(zone, pcp)
        return nr_pcp_free(twin, pcp, high) if count(pcp) >= high else None
    pcp.high = clamped_high(pcp)
    pcp.high = max(pcp.high - most_at_once(pcp), pcp.high_min) if pcp.high else 0
    return min(count(pcp), most_at_once(pcp))


def above_high(zone):
    """Does the zone have more free pages than its high watermark and its lowmem reserve?

    Source: the zone_watermark_ok() call in free_unref_page_commit() of 6.12.
    """
    mark = zone.watermark[WMARK_HIGH] + zone.watermark_boost + zone.lowmem_reserve[ZONE_MOVABLE]
    return nr_free_pages(zone) - nr_free_highatomic(zone) > mark


def free_unref_page(twin, zone, pfn, cpu, order, migratetype):
    """Push a block on its pcp list, and drain if too much is there or a run of high orders comes.

    7.3 drains a batch at a time, from the same list on each time.
    Source: free_unref_page(), free_unref_page_commit(); free_frozen_page_commit() of 7.3.
    """
    pcp = zone.pcp[cpu]
    # There are lists for three types: HIGHATOMIC blocks stand among the movable, but keep theirs.
    pindex = order_to_pindex(migratetype if migratetype in PCPTYPES else MOVABLE, order)
    pcp.lists[pindex].insert(0, pfn)
    twin.pcp_migratetype[pfn] = migratetype
    size = tuned_drain_size if twin.release >= 612 else drain_size
    pages = size(twin, zone, pcp, order)
    if pages is None:
        return
    at_once = pcp.batch if twin.release >= 703 else pages
    while pages > 0 and count(pcp):
        free_pcppages_bulk(twin, zone, cpu, min(pages, at_once), pindex)
        pages -= at_once
    if zone.flags & ZONE_BELOW_HIGH and above_high(zone):
        zone.flags &= ~ZONE_BELOW_HIGH


def decay_pcp_high(twin, zone, cpu):
    """Lower pcp->high of 6.12 by an eighth, and drain the pages above it.

    It stays at or above high_min, and within the pages that one hold of the lock can drain.
    Source: decay_pcp_high(), which refresh_cpu_vm_stats() calls.
    """
    if twin.release < 607:
        return
    pcp = zone.pcp[cpu]
    if pcp.high > pcp.high_min:
        reach = count(pcp) - most_at_once(pcp)
        pcp.high = max(reach, pcp.high - pcp.high // 8, pcp.high_min)
    left = count(pcp) - pcp.high
    while left > 0:
        free_pcppages_bulk(twin, zone, cpu, min(left, pcp.batch), 0)
        left -= pcp.batch
