"""Per-CPU lists of free blocks, orders 0 to 3 and 9: filled and drained in batches.

4.15 and 5.10 keep order 0 alone.  Source: mm/page_alloc.c, Linux 6.1.192.
"""

from freehint.mm.reference.buddy import free_one_page
from freehint.mm.reference.fallback import rmqueue
from freehint.mm.reference.lists import (
    MOVABLE,
    PAGEBLOCK_ORDER,
    PCPTYPES,
    get_pageblock_migratetype,
    has_isolate_pageblock,
)

PAGE_ALLOC_COSTLY_ORDER = 3
NR_PCP_LISTS = 14  # three types in four orders, then two for huge pages
NR_LOWORDER_PCP_LISTS = 12
CONFIG_PCP_BATCH_SCALE_MAX = 5


def pcp_allowed_order(twin, order):
    """Source: pcp_allowed_order(), with transparent huge pages configured; rmqueue() of 4.15."""
    if twin.release < 513:
        return order == 0
    return order <= PAGE_ALLOC_COSTLY_ORDER or order == PAGEBLOCK_ORDER


def order_to_pindex(migratetype, order):
    """Which of the lists; of the two for huge pages the second is the movable one."""
    if order == PAGEBLOCK_ORDER:
        return NR_LOWORDER_PCP_LISTS + int(migratetype == MOVABLE)
    return len(PCPTYPES) * order + migratetype


def pindex_to_order(pindex):
    """Order of the blocks on a pcp list."""
    return pindex // len(PCPTYPES) if pindex < NR_LOWORDER_PCP_LISTS else PAGEBLOCK_ORDER


def count(pcp):
    """pcp->count: pages on all lists.  Counted here, kept there."""
    return sum(len(pfns) << pindex_to_order(pindex) for pindex, pfns in enumerate(pcp.lists))


def rmqueue_bulk(twin, zone, cpu, order, migratetype, alloc_flags):
    """Append a batch of blocks to a pcp list; blocks got.

    Source: rmqueue_bulk(); the size of the batch is __rmqueue_pcplist()'s.
    """
    pcp = zone.pcp[cpu]
    pfns = pcp.lists[order_to_pindex(migratetype, order)]
    wanted = max(pcp.batch >> order, 2) if pcp.batch > 1 else pcp.batch
    for got in range(wanted):
        pfn = rmqueue(twin, zone, order, migratetype, alloc_flags)
        if pfn is None:
            return got
        twin.pcp_migratetype[pfn] = migratetype
        pfns.append(pfn)
    return wanted


def rmqueue_pcplist(twin, zone, cpu, order, migratetype, alloc_flags):
    """An allocation from a pcp list, which ends a run of frees.  Source: rmqueue_pcplist()."""
    zone.pcp[cpu].free_factor //= 2
    return pcp_head(twin, zone, cpu, order, migratetype, alloc_flags)


def pcp_head(twin, zone, cpu, order, migratetype, alloc_flags):
    """The head of a pcp list, refilled if empty; None if nothing came.

    Source: __rmqueue_pcplist().
    """
    pcp = zone.pcp[cpu]
    pfns = pcp.lists[order_to_pindex(migratetype, order)]
    if not pfns and not rmqueue_bulk(twin, zone, cpu, order, migratetype, alloc_flags):
        return None
    pfn = pfns.pop(0)
    del twin.pcp_migratetype[pfn]
    return pfn


def free_last_page(twin, zone, pfns, order, reread):
    """The tail of a pcp list goes to the buddy lists; the pages that it has.

    Source: the inner loop of free_pcppages_bulk().
    """
    pfn = pfns.pop()
    migratetype = twin.pcp_migratetype.pop(pfn)
    if reread:  # a pageblock was isolated, perhaps after this page was listed
        migratetype = get_pageblock_migratetype(twin, pfn)
    free_one_page(twin, zone, pfn, order, migratetype)
    return 1 << order


def free_pcppages_in_turn(twin, zone, pcp, left):
    """4.15 and 5.10: the three lists in turns, from MOVABLE on; empty ones raise the stake.

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
    reread = has_isolate_pageblock(twin, zone)
    for i in range(NR_PCP_LISTS):
        current = (pindex + i) % NR_PCP_LISTS
        pfns, order = pcp.lists[current], pindex_to_order(current)
        while left > 0 and pfns:
            left -= free_last_page(twin, zone, pfns, order, reread)


def drain_pages_zone(twin, zone, cpu):
    """Empty all lists of a CPU.  Source: drain_pages_zone(), chunks since 6.1.192."""
    pcp = zone.pcp[cpu]
    while count(pcp):
        chunk = pcp.batch << CONFIG_PCP_BATCH_SCALE_MAX if twin.release >= 601 else count(pcp)
        free_pcppages_bulk(twin, zone, cpu, chunk, 0)


def nr_pcp_high(twin, zone, pcp):
    """The limit, at most four batches while kswapd balances.  Source: nr_pcp_high(), 5.14 on."""
    return min(4 * pcp.batch, pcp.high) if zone.reclaim_active and twin.release > 513 else pcp.high


def nr_pcp_free(twin, pcp, high):
    """Pages to drain: doubled with each drain in a row, and at least a batch is left.

    Source: nr_pcp_free(); a batch in free_unref_page_commit() of 4.15 and 5.10.
    """
    if twin.release < 514:
        return pcp.batch
    if high < pcp.batch:
        return 1
    most = high - pcp.batch
    doubled = pcp.batch << pcp.free_factor
    if doubled < most and pcp.free_factor < CONFIG_PCP_BATCH_SCALE_MAX:
        pcp.free_factor += 1
    return min(doubled, most)


def free_unref_page(twin, zone, pfn, cpu, order, migratetype):
    """Push a block on its pcp list; drain when there is too much, or a run of high orders.

    Source: free_unref_page(), free_unref_page_commit().
    """
    pcp = zone.pcp[cpu]
    # The lists have three types: HIGHATOMIC blocks stand among the movable and keep their own.
    pindex = order_to_pindex(migratetype if migratetype in PCPTYPES else MOVABLE, order)
    pcp.lists[pindex].insert(0, pfn)
    twin.pcp_migratetype[pfn] = migratetype
    if pcp.free_factor and 1 <= order <= PAGE_ALLOC_COSTLY_ORDER:
        free_pcppages_bulk(twin, zone, cpu, count(pcp), pindex)
    elif count(pcp) >= nr_pcp_high(twin, zone, pcp):
        pages = nr_pcp_free(twin, pcp, nr_pcp_high(twin, zone, pcp))
        free_pcppages_bulk(twin, zone, cpu, pages, pindex)
