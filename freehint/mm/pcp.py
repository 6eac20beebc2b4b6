"""Per-CPU page lists: the cache in front of the buddy lists that no free-list walker sees.

The lists hold blocks of orders 0..3 and 9.  An allocation takes a list's head; if the list is
empty, it first refills it from the buddy lists.  A free pushes the block to the head, and drains
pages from the tails when ``count`` reaches ``high``.  With one CPU that is the low watermark: up
to 54 MiB of a 1 GiB guest are on these lists (recorded).

Before 5.13 the lists hold only order 0, and a drain gives back one batch, from each type in turn.
In 6.12 ``high`` tunes itself between the low watermark and an eighth of the zone, and refills
grow as long as no free comes between them: 118 MiB of 1 GiB are on these lists (recorded).
Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel, seldom
from freehint.jit.apart import NUMBER, PAIR
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.callback import wants_callback
from freehint.mm.fallback import RMQUEUE_NORMAL, rmqueue
from freehint.mm.highatomic import ALLOC_HIGHATOMIC
from freehint.mm.list import list_add, list_add_tail, list_del, list_empty, list_next, list_prev
from freehint.mm.memory import (
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PCP,
    PCP_THP,
    TYPE_SHIFT,
    frame_order,
    frame_type,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp_limits import (
    NO_DRAIN,
    end_run_of_frees,
    end_shortage,
    largest_batch,
    lower_high,
    nr_pcp_alloc,
    pcp_drain_size,
)
from freehint.mm.profile import DRAIN_ROUND_ROBIN


@kernel(inline=True)
def pcp_allowed_order(memory, order):
    """Do blocks of this order pass through pcp lists?  Source: pcp_allowed_order()."""
    profile = memory.profile
    return order <= profile.pcp_max_order or (profile.pcp_thp and order == PAGEBLOCK_ORDER)


@kernel(inline=True)
def order_to_pindex(migratetype, order):
    """Index of the pcp list for an order and type.  Source: order_to_pindex() (6.1.192)."""
    if order == PAGEBLOCK_ORDER:
        return PCP_THP + (1 if migratetype == MOVABLE else 0)
    return MIGRATE_PCPTYPES * order + migratetype


@kernel(inline=True)
def pindex_to_order(pindex):
    """Order of the blocks on a pcp list.  Source: pindex_to_order()."""
    return PAGEBLOCK_ORDER if pindex >= PCP_THP else pindex // MIGRATE_PCPTYPES


@kernel(cold=True)
def rmqueue_bulk(memory, zone, cpu, order, migratetype, alloc_flags):
    """Refill a pcp list at its tail and return the number of blocks added.

    It ends early if a policy is to be called.  The caller holds the zone lock.  Source: same name.
    """
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    wanted, mode = nr_pcp_alloc(memory, zone, cpu, order), RMQUEUE_NORMAL
    for got in range(wanted):
        node = -1
        if got == 0 or not wants_callback(memory, zone, order, migratetype):
            node, mode = rmqueue(memory, zone, order, migratetype, alloc_flags, mode)
        if node < 0:
            wanted = got
            break
        memory.frame[node] = PCP | order | (migratetype << TYPE_SHIFT)
        list_add_tail(memory.links, node, head)
    memory.pcp[zone, cpu].count += wanted << order
    return wanted


@kernel(inline=True)
def pcp_list_empty(memory, zone, cpu, order, migratetype):
    """Would an allocation have to refill the list first?"""
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    return list_empty(memory.links, head)


@kernel(inline=True)
def take_off_pcp_list(memory, node, zone, cpu, order):
    """Take one block off its pcp list."""
    list_del(memory.links, node)
    memory.frame[node] = 0
    memory.pcp[zone, cpu].count -= 1 << order


@kernel(inline=True)
def pcp_head_page(memory, zone, cpu, order, migratetype, alloc_flags):
    """Take the head of a pcp list, after a refill if the list is empty.

    A high-order atomic request of 7.3 refills no list.  Source: __rmqueue_pcplist().

    Returns
    -------
    int
        The block's node; -1 if the refill found none.
    """
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    if list_empty(memory.links, head):
        if memory.profile.highatomic_skips_pcp and alloc_flags & ALLOC_HIGHATOMIC:
            return -1
        rmqueue_bulk(memory, zone, cpu, order, migratetype, alloc_flags)
        if list_empty(memory.links, head):
            return -1
    node = list_next(memory.links, head)
    take_off_pcp_list(memory, node, zone, cpu, order)
    return node


@kernel(inline=True)
def rmqueue_pcplist(memory, zone, cpu, order, migratetype, alloc_flags):
    """Allocate from a pcp list; the node, or -1 if a refill found none.  Source: same name."""
    end_run_of_frees(memory, zone, cpu)
    return pcp_head_page(memory, zone, cpu, order, migratetype, alloc_flags)


@kernel(cold=True, late=PAIR)
def next_list_in_turn(memory, zone, cpu, pindex, quota, left):
    """Choose the list that a drain in turns takes pages from next.

    The quota grows with each empty list that is skipped; if only one list has pages, it gives
    all that are left.  Source: free_pcppages_bulk() of v4.15 and v5.10.

    Returns
    -------
    pindex, quota : int
        The next list that has pages, and the number of pages to take from it; 0 if all are empty.
    """
    for _ in range(MIGRATE_PCPTYPES):
        quota += 1
        pindex = pindex + 1 if pindex + 1 < MIGRATE_PCPTYPES else 0
        if not list_empty(memory.links, pcp_list_head(memory, zone, cpu, pindex)):
            return pindex, left if quota == MIGRATE_PCPTYPES else quota
    return pindex, 0


@kernel(inline=True)
def drained_type(memory, node, zone):
    """Migratetype under which a pcp page goes back to the buddy lists.

    It is the type noted when the page came to the list.  The pageblock's type is read instead
    while any pageblock of the zone is isolated, and always with freelist hygiene.
    Source: free_pcppages_bulk(), has_isolate_pageblock().
    """
    if memory.profile.freelist_hygiene or memory.zones[zone].nr_isolate_pageblock > 0:
        return get_pageblock_migratetype(memory, node)
    return frame_type(memory.frame[node])


@kernel
def free_pcppages_bulk(memory, zone, cpu, count, pindex):
    """Drain about ``count`` pages to the buddy lists, tails first.

    Whole lists are drained, from ``pindex`` on; before 5.17 the three lists take turns, MOVABLE
    first, and blocks that another kernel left on further lists stay there.  The caller holds the
    zone lock.  Source: free_pcppages_bulk().

    Returns
    -------
    int
        Pages freed.
    """
    in_turns = memory.profile.pcp_drain == DRAIN_ROUND_ROBIN
    count = min(count, memory.pcp[zone, cpu].count)
    freed = 0
    quota = 0 if in_turns else count
    pindex = 0 if in_turns else pindex
    while freed < count:
        if in_turns:
            pindex, quota = next_list_in_turn(memory, zone, cpu, pindex, quota, count - freed)
            if quota == 0:
                break
        head = pcp_list_head(memory, zone, cpu, pindex)
        while freed < count and quota > 0 and not list_empty(memory.links, head):
            node = list_prev(memory.links, head)
            order = frame_order(memory.frame[node])
            migratetype = drained_type(memory, node, zone)
            list_del(memory.links, node)
            freed += 1 << order
            quota -= 1
            free_one_page(memory, node, zone, order, migratetype, FPI_NONE)
        if not in_turns:
            pindex = 0 if pindex + 1 >= NR_PCP_LISTS else pindex + 1
    memory.pcp[zone, cpu].count -= freed
    return freed


@kernel(inline=True)
def pages_of_drained_zone(memory, zone, cpu):
    """Pages that :func:`drain_pages_zone` drains under its first hold of the zone lock.

    6.1.192 drains a chunk per hold, v4.15 and v5.10 drain all pages at once.
    """
    pages = memory.pcp[zone, cpu].count
    if memory.profile.pcp_drain == DRAIN_ROUND_ROBIN:
        return pages
    return min(pages, max(largest_batch(memory, zone, cpu), 1))


@kernel(cold=True)
def drain_pages_zone(memory, zone, cpu):
    """Empty a CPU's pcp lists of a zone and return the number of pages freed.

    Source: drain_pages_zone().
    """
    pages = memory.pcp[zone, cpu].count
    chunk = pages_of_drained_zone(memory, zone, cpu)
    freed = pages
    while freed > 0:
        freed = free_pcppages_bulk(memory, zone, cpu, chunk, 0)
    return pages - memory.pcp[zone, cpu].count


@kernel(inline=True)
def add_to_pcp_list(memory, node, zone, cpu, order, migratetype):
    """Push a freed block on its pcp list and return the list's pindex.

    HIGHATOMIC pages stand on the MOVABLE list and keep their type.
    Source: free_unref_page_commit().
    """
    pindex = order_to_pindex(migratetype if migratetype < MIGRATE_PCPTYPES else MOVABLE, order)
    memory.frame[node] = PCP | order | (migratetype << TYPE_SHIFT)
    list_add(memory.links, node, pcp_list_head(memory, zone, cpu, pindex))
    memory.pcp[zone, cpu].count += 1 << order
    return pindex


@kernel(inline=True)
def push_page(memory, node, zone, cpu, order, migratetype):
    """Push a freed block; return the pages to drain, or NO_DRAIN, and the first list's pindex."""
    pindex = add_to_pcp_list(memory, node, zone, cpu, order, migratetype)
    return pcp_drain_size(memory, zone, cpu, order), pindex


@kernel(cold=True, late=NUMBER)
def drain_in_chunks(memory, zone, cpu, pages, pindex):
    """Drain batch by batch, from ``pindex`` on each time; return the number of pages freed.

    A chunk frees whole blocks, so huge pages add up.  Source: free_frozen_page_commit() of 7.3.
    """
    chunk = max(memory.pcp[zone, cpu].batch, 1)
    freed = 0
    while pages > 0 and memory.pcp[zone, cpu].count > 0:
        freed += free_pcppages_bulk(memory, zone, cpu, min(pages, chunk), pindex)
        pages -= chunk
    return freed


@kernel(cold=True)
def drain_after_free(memory, zone, cpu, pages, pindex):
    """Drain after one free of many: apart, so that the others have the registers."""
    if memory.profile.drain_in_chunks:
        drained = drain_in_chunks(memory, zone, cpu, pages, pindex)
    else:
        drained = free_pcppages_bulk(memory, zone, cpu, pages, pindex)
    end_shortage(memory, zone)
    return drained


@kernel
def free_unref_page(memory, node, zone, cpu, order, migratetype):
    """Free a block through the pcp lists; return the pages drained.  Source: free_unref_page()."""
    pages, pindex = push_page(memory, node, zone, cpu, order, migratetype)
    if seldom(pages != NO_DRAIN):
        return drain_after_free(memory, zone, cpu, pages, pindex)
    return 0


@kernel(cold=True)
def decay_pcp_high(memory, zone, cpu):
    """Once a second, lower pcp.high by an eighth and return the number of pages drained above it.

    pcp.high stays at or above high_min and at most the largest batch below ``count``.  Kernels
    before 6.7 do nothing.  Source: decay_pcp_high() in mm/page_alloc.c, called by
    refresh_cpu_vm_stats() in mm/vmstat.c.
    """
    drained = 0
    left = lower_high(memory, zone, cpu)
    chunk = max(memory.pcp[zone, cpu].batch, 1)
    while left > 0:
        drained += free_pcppages_bulk(memory, zone, cpu, min(left, chunk), 0)
        left -= chunk
    return drained
