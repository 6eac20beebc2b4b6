"""Per-CPU page lists: the cache in front of the buddy lists that no free-list walker sees.

Orders 0..3 and 9 live here.  An allocation takes the head and refills ``batch`` pages under
the zone lock when the list is empty; a free pushes the head and drains from the tail when
``count`` reaches ``high``.  With one CPU ``high`` is the low watermark: up to 54 MiB of a 1 GiB
guest (recorded).

Before 5.13 only order 0 lives here, and a drain gives back one batch, in turns over the types.
In 6.12 ``high`` tunes itself between the low watermark and an eighth of the zone, and refills
grow with every one that no free interrupts: 118 MiB of 1 GiB sit here (recorded).

Source: mm/page_alloc.c of Linux 6.1, where no other is named.
"""

from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.fallback import RMQUEUE_NORMAL, rmqueue
from freehint.mm.highatomic import unusable_highatomic
from freehint.mm.list import list_add, list_add_tail, list_del, list_empty, list_next, list_prev
from freehint.mm.memory import (
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PCP,
    PCP_THP,
    TYPE_SHIFT,
    WMARK_HIGH,
    ZONE_BELOW_HIGH,
    ZONE_MOVABLE,
    ZONE_RECLAIM_ACTIVE,
    frame_order,
    frame_type,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import DRAIN_ROUND_ROBIN, FREE_A_BATCH, FREE_RUN_LENGTH, HIGH_AUTO_TUNED

# pcp->flags: the free before was of an order 1..3; a large data cache lets such runs grow.
PCPF_PREV_FREE_HIGH_ORDER, PCPF_FREE_HIGH_BATCH = 1, 2
# Not 0: where high is one batch the lock is taken to drain nothing, and the zone looked at.
NO_DRAIN = -1


@kernel(inline=True)
def pcp_allowed_order(memory, order):
    """Do blocks of this order pass through pcp lists?  Source: pcp_allowed_order()."""
    profile = memory.profile
    return order <= profile.pcp_max_order or (profile.pcp_thp and order == PAGEBLOCK_ORDER)


@kernel(inline=True)
def order_to_pindex(migratetype, order):
    """Index of the pcp list for an order and type.  Source: the same name (6.1.192)."""
    if order == PAGEBLOCK_ORDER:
        return PCP_THP + (1 if migratetype == MOVABLE else 0)
    return MIGRATE_PCPTYPES * order + migratetype


@kernel(inline=True)
def pindex_to_order(pindex):
    """Order of the blocks on a pcp list.  Source: the same name."""
    return PAGEBLOCK_ORDER if pindex >= PCP_THP else pindex // MIGRATE_PCPTYPES


@kernel(inline=True)
def zone_flag(memory, zone, flag):
    """Is a bit of zone->flags set?"""
    # By key: a record of numpy has a ``flags`` of its own.
    return memory.zones[zone]["flags"] & flag != 0


@kernel(inline=True)
def clamp_high(memory, zone, cpu):
    """Bring pcp.high between its limits, which may have moved; what it is now."""
    pcp = memory.pcp[zone, cpu]
    memory.pcp[zone, cpu].high = min(max(pcp.high, pcp.high_min), pcp.high_max)
    return memory.pcp[zone, cpu].high


@kernel
def tuned_batch(memory, zone, cpu, order):
    """Pages of one refill where pcp.high tunes itself: it grows by what it asks for.

    Of order 0 twice as many at each refill in a row, but no more than may stay.
    Source: nr_pcp_alloc() of 6.12.
    """
    pcp = memory.pcp[zone, cpu]
    base = pcp.batch
    high = clamp_high(memory, zone, cpu)
    if high < base:
        return 1
    batch = base if order > 0 else base << pcp.alloc_factor
    if pcp.high_min != pcp.high_max and not zone_flag(memory, zone, ZONE_BELOW_HIGH):
        high = min(high + batch, pcp.high_max)
        memory.pcp[zone, cpu].high = high
    if order == 0:
        most = max(high - pcp.count - base, base)
        if batch <= most and pcp.alloc_factor < memory.profile.batch_scale_max:
            memory.pcp[zone, cpu].alloc_factor += 1
        batch = min(batch, most)
    return batch


@kernel(inline=True)
def nr_pcp_alloc(memory, zone, cpu, order):
    """Blocks that one refill asks for.  Source: __rmqueue_pcplist(); the same name in 6.12."""
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        batch = tuned_batch(memory, zone, cpu, order)
    else:
        batch = memory.pcp[zone, cpu].batch
    return max(batch >> order, 2) if batch > 1 else batch


@kernel
def rmqueue_bulk(memory, zone, cpu, order, migratetype, alloc_flags):
    """Refill a pcp list at its tail; blocks got.  Needs the zone lock.  Source: the same name."""
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    wanted = nr_pcp_alloc(memory, zone, cpu, order)
    mode = RMQUEUE_NORMAL
    for got in range(wanted):
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
    """Would this allocation have to refill first?"""
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    return list_empty(memory.links, head)


@kernel(inline=True)
def pcp_head_page(memory, zone, cpu, order, migratetype, alloc_flags):
    """Take the head of a pcp list, refilled if it was empty; -1 if nothing came.

    Source: __rmqueue_pcplist().
    """
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    if list_empty(memory.links, head):
        rmqueue_bulk(memory, zone, cpu, order, migratetype, alloc_flags)
        if list_empty(memory.links, head):
            return -1
    node = list_next(memory.links, head)
    list_del(memory.links, node)
    memory.frame[node] = 0
    memory.pcp[zone, cpu].count -= 1 << order
    return node


@kernel(inline=True)
def end_run_of_frees(memory, zone, cpu):
    """An allocation calls off the run of frees, before the page is looked up."""
    if memory.profile.pcp_free == FREE_RUN_LENGTH:
        memory.pcp[zone, cpu].free_count >>= 1
    else:
        memory.pcp[zone, cpu].free_factor >>= 1


@kernel(inline=True)
def rmqueue_pcplist(memory, zone, cpu, order, migratetype, alloc_flags):
    """Allocate from a pcp list; -1 if nothing came.  Source: rmqueue_pcplist()."""
    end_run_of_frees(memory, zone, cpu)
    return pcp_head_page(memory, zone, cpu, order, migratetype, alloc_flags)


@kernel(inline=True)
def next_list_in_turn(memory, zone, cpu, pindex, quota, left):
    """The next list that has pages, and how many to take from it: (pindex, quota).

    The quota grows with each empty list on the way; the only list left gives all.
    Source: free_pcppages_bulk() of v4.15 and v5.10.
    """
    empty = True
    while empty:
        quota += 1
        pindex = pindex + 1 if pindex + 1 < MIGRATE_PCPTYPES else 0
        empty = list_empty(memory.links, pcp_list_head(memory, zone, cpu, pindex))
    return pindex, left if quota == MIGRATE_PCPTYPES else quota


@kernel(inline=True)
def drained_type(memory, node, zone):
    """Type under which a pcp page goes back: the one from its free, or from the refill.

    Read again only while a pageblock of the zone is isolated, perhaps this one; with freelist
    hygiene always.  Source: free_pcppages_bulk(), has_isolate_pageblock().
    """
    if memory.profile.freelist_hygiene or memory.zones[zone].nr_isolate_pageblock > 0:
        return get_pageblock_migratetype(memory, node)
    return frame_type(memory.frame[node])


@kernel
def free_pcppages_bulk(memory, zone, cpu, count, pindex):
    """Drain about ``count`` pages to the buddy lists, tails first.

    Whole lists, from ``pindex`` on; before 5.17 the three lists in turns, MOVABLE first.
    Needs the zone lock.  Returns the pages freed.  Source: the same name.
    """
    in_turns = memory.profile.pcp_drain == DRAIN_ROUND_ROBIN
    count = min(count, memory.pcp[zone, cpu].count)
    freed = 0
    quota = 0 if in_turns else count
    pindex = 0 if in_turns else pindex
    while freed < count:
        if in_turns:
            pindex, quota = next_list_in_turn(memory, zone, cpu, pindex, quota, count - freed)
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
def largest_batch(memory, zone, cpu):
    """Pages that one hold of the zone lock refills or drains at most."""
    return memory.pcp[zone, cpu].batch << memory.profile.batch_scale_max


@kernel(cold=True)
def drain_pages_zone(memory, zone, cpu):
    """Empty a CPU's pcp lists of a zone, a chunk per hold of the lock; pages freed.

    All at once before the chunks.  Source: the same name (6.1.192; v4.15, v5.10).
    """
    pages = memory.pcp[zone, cpu].count
    chunk = pages
    if memory.profile.pcp_drain != DRAIN_ROUND_ROBIN:
        chunk = max(largest_batch(memory, zone, cpu), 1)
    while memory.pcp[zone, cpu].count > 0:
        free_pcppages_bulk(memory, zone, cpu, chunk, 0)
    return pages


@kernel(inline=True)
def nr_pcp_free(memory, zone, cpu, high, free_high):
    """Pages that one drain gives back: doubled in a run of frees; always a batch before 5.14.

    6.12 counts the run, and gives back as many.
    Source: the same name; free_unref_page_commit() of v4.15 and v5.10.
    """
    rule = memory.profile.pcp_free
    if free_high:
        count = memory.pcp[zone, cpu].count
        return min(count, largest_batch(memory, zone, cpu)) if rule == FREE_RUN_LENGTH else count
    batch = memory.pcp[zone, cpu].batch
    if rule == FREE_A_BATCH:
        return batch
    if high < batch:
        return 1
    most = high - batch
    if rule == FREE_RUN_LENGTH:
        return min(max(memory.pcp[zone, cpu].free_count, batch), most)
    factor = memory.pcp[zone, cpu].free_factor
    grown = batch << factor
    if grown < most and factor < memory.profile.batch_scale_max:
        memory.pcp[zone, cpu].free_factor = factor + 1
    return min(max(grown, batch), most)


@kernel(inline=True)
def frees_high_order(memory, zone, cpu, order):
    """In a run of frees an order 1..3 drains everything.  Source: free_unref_page_commit()."""
    return memory.pcp[zone, cpu].free_factor > 0 and 0 < order <= memory.profile.pcp_max_order


@kernel(inline=True)
def nr_pcp_high(memory, zone, cpu, free_high):
    """Pages that may stay on the lists: at most four batches while kswapd balances the zone.

    Source: the same name.  Kernels before 5.14 know pcp.high alone.
    """
    high = memory.pcp[zone, cpu].high
    if free_high:
        return 0
    if memory.profile.reclaim_limits_pcp and zone_flag(memory, zone, ZONE_RECLAIM_ACTIVE):
        return min(memory.pcp[zone, cpu].batch << 2, high)
    return high


@kernel
def tuned_high(memory, zone, cpu, count, free_count, free_high, keep):
    """Pages that may stay on lists that tune themselves; pcp.high moves if ``keep``.

    It shrinks while the zone is short of memory, and in a run of frees of orders 1..3; it grows
    to hold a run that is drained.  ``free_high``: such a run, drain whatever stands there.
    Source: nr_pcp_high() of 6.12.
    """
    pcp = memory.pcp[zone, cpu]
    high = high_now = min(max(pcp.high, pcp.high_min), pcp.high_max)
    run = max(free_count, pcp.batch)
    if high == 0:
        limit = 0
    elif free_high:
        limit = 0
        high = max(high_now - largest_batch(memory, zone, cpu), pcp.high_min)
    elif zone_flag(memory, zone, ZONE_RECLAIM_ACTIVE):
        high = max(high_now - run, pcp.high_min)
        limit = min(pcp.batch << 2, high)
    elif pcp.high_min == pcp.high_max:
        limit = high
    elif zone_flag(memory, zone, ZONE_BELOW_HIGH):
        high = max(high_now - run, pcp.high_min)
        limit = max(count, pcp.high_min)
    else:
        limit = high_now
        if count >= high_now:
            high = max(high_now, min(free_count + pcp.batch, pcp.high_max))
    if keep:
        memory.pcp[zone, cpu].high = high
    return limit


@kernel(inline=True)
def frees_high_run(memory, zone, cpu, order, count):
    """Is this one of a run of frees of orders 1..3?  ``count``: pages with it.

    The previous free must have been of such an order too.
    Source: free_unref_page_commit() of 6.12.
    """
    pcp = memory.pcp[zone, cpu]
    flags = memory.pcp[zone, cpu]["flags"]
    return (
        0 < order <= memory.profile.pcp_max_order
        and pcp.free_count >= pcp.batch
        and flags & PCPF_PREV_FREE_HIGH_ORDER != 0
        and (flags & PCPF_FREE_HIGH_BATCH == 0 or count >= pcp.batch)
    )


@kernel(inline=True)
def longer_run(memory, zone, cpu, order):
    """pcp.free_count after one more free: pages, growing up to the largest batch."""
    pcp = memory.pcp[zone, cpu]
    more = 1 << order if pcp.free_count < largest_batch(memory, zone, cpu) else 0
    return pcp.free_count + more


@kernel(inline=True)
def tuned_drain_size(memory, zone, cpu, order):
    """Pages to drain after a free, where pcp.high tunes itself.

    Source: free_unref_page_commit() of 6.12.
    """
    count = memory.pcp[zone, cpu].count
    memory.pcp[zone, cpu].alloc_factor >>= 1
    free_high = frees_high_run(memory, zone, cpu, order, count)
    flags = memory.pcp[zone, cpu]["flags"] & ~PCPF_PREV_FREE_HIGH_ORDER
    if 0 < order <= memory.profile.pcp_max_order:
        flags |= PCPF_PREV_FREE_HIGH_ORDER
    memory.pcp[zone, cpu]["flags"] = flags
    run = longer_run(memory, zone, cpu, order)
    memory.pcp[zone, cpu].free_count = run
    high = tuned_high(memory, zone, cpu, count, run, free_high, True)
    if count < high:
        return NO_DRAIN
    return nr_pcp_free(memory, zone, cpu, high, free_high)


@kernel(inline=True)
def free_would_drain(memory, zone, cpu, order):
    """Would a free of this order have to take the zone lock?"""
    count = memory.pcp[zone, cpu].count + (1 << order)
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        free_high = frees_high_run(memory, zone, cpu, order, count)
        run = longer_run(memory, zone, cpu, order)
        return count >= tuned_high(memory, zone, cpu, count, run, free_high, False)
    free_high = frees_high_order(memory, zone, cpu, order)
    return count >= nr_pcp_high(memory, zone, cpu, free_high)


@kernel(inline=True)
def pcp_drain_size(memory, zone, cpu, order):
    """Pages to drain after a free of this order: NO_DRAIN while the lists are short of ``high``.

    Source: free_unref_page_commit().
    """
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        return tuned_drain_size(memory, zone, cpu, order)
    free_high = frees_high_order(memory, zone, cpu, order)
    high = nr_pcp_high(memory, zone, cpu, free_high)
    if memory.pcp[zone, cpu].count < high:
        return NO_DRAIN
    return nr_pcp_free(memory, zone, cpu, high, free_high)


@kernel(inline=True)
def add_to_pcp_list(memory, node, zone, cpu, order, migratetype):
    """Push a freed block on its pcp list; the list's pindex.

    HIGHATOMIC pages stand on the MOVABLE list and keep their type.
    Source: free_unref_page_commit().
    """
    list_type = migratetype if migratetype < MIGRATE_PCPTYPES else MOVABLE
    pindex = order_to_pindex(list_type, order)
    memory.frame[node] = PCP | order | (migratetype << TYPE_SHIFT)
    list_add(memory.links, node, pcp_list_head(memory, zone, cpu, pindex))
    memory.pcp[zone, cpu].count += 1 << order
    return pindex


@kernel(inline=True)
def end_shortage(memory, zone):
    """After a drain: is the zone above its high watermark again?

    Source: free_unref_page_commit() of 6.12.
    """
    if zone_flag(memory, zone, ZONE_BELOW_HIGH):
        record = memory.zones[zone]
        mark = record.watermark[WMARK_HIGH] + record.watermark_boost
        free = record.nr_free_pages - unusable_highatomic(memory, zone)
        if free > mark + record.lowmem_reserve[ZONE_MOVABLE]:
            memory.zones[zone]["flags"] &= ~ZONE_BELOW_HIGH


@kernel
def free_unref_page(memory, node, cpu, order, migratetype):
    """Free a block through the pcp lists; pages drained.  Source: free_unref_page()."""
    zone = page_zone(memory, node)
    pindex = add_to_pcp_list(memory, node, zone, cpu, order, migratetype)
    drain = pcp_drain_size(memory, zone, cpu, order)
    freed = 0
    if drain != NO_DRAIN:
        freed = free_pcppages_bulk(memory, zone, cpu, drain, pindex)
        end_shortage(memory, zone)
    return freed


@kernel(cold=True)
def decay_pcp_high(memory, zone, cpu):
    """Once a second: pcp.high falls by an eighth, and what stands above it is drained.

    Not below high_min, and not by more than the largest batch below what stands there.
    Returns the pages drained.  Nothing before 6.7.  Source: the same name in mm/page_alloc.c,
    called by refresh_cpu_vm_stats() of mm/vmstat.c.
    """
    if memory.profile.pcp_high != HIGH_AUTO_TUNED:
        return 0
    pcp = memory.pcp[zone, cpu]
    if pcp.high > pcp.high_min:
        lower = max(pcp.count - largest_batch(memory, zone, cpu), pcp.high - (pcp.high >> 3))
        memory.pcp[zone, cpu].high = max(lower, pcp.high_min)
    left = memory.pcp[zone, cpu].count - memory.pcp[zone, cpu].high
    drained = 0
    while left > 0:
        drained += free_pcppages_bulk(memory, zone, cpu, min(left, pcp.batch), 0)
        left -= pcp.batch
    return drained
