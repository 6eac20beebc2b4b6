"""Limits of the per-CPU lists: pcp.high and pcp.batch, and how they adapt."""

from freehint.jit import kernel
from freehint.jit.apart import FLAG, NUMBER
from freehint.mm.highatomic import unusable_highatomic
from freehint.mm.memory import (
    WMARK_HIGH,
    ZONE_BELOW_HIGH,
    ZONE_MOVABLE,
    ZONE_RECLAIM_ACTIVE,
)
from freehint.mm.profile import FREE_A_BATCH, FREE_RUN_LENGTH, HIGH_AUTO_TUNED

# pcp->flags: the previous free was of order 1..3; a large data cache lets runs of those grow.
PCPF_PREV_FREE_HIGH_ORDER, PCPF_FREE_HIGH_BATCH = 1, 2
# Not 0: where high is one batch, a drain of 0 pages still takes the lock and looks at the zone.
NO_DRAIN = -1


@kernel(inline=True)
def zone_flag(memory, zone, flag):
    """Is a bit of zone->flags set?"""
    # By key: a numpy record has an attribute ``flags`` of its own.
    return memory.zones[zone]["flags"] & flag != 0


@kernel(inline=True)
def clamp_high(memory, zone, cpu):
    """Clamp pcp.high to its limits, which may have changed, and return it."""
    pcp = memory.pcp[zone, cpu]
    memory.pcp[zone, cpu].high = min(max(pcp.high, pcp.high_min), pcp.high_max)
    return memory.pcp[zone, cpu].high


@kernel(cold=True, late=NUMBER)
def tuned_batch(memory, zone, cpu, order):
    """Pages of one refill where pcp.high tunes itself.  Each refill raises pcp.high.

    At order 0 each refill in a row asks for twice as many pages, but not for more than may stay
    on the lists.  Source: nr_pcp_alloc() of 6.12.
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
    """Blocks that one refill asks for.  Source: __rmqueue_pcplist(); nr_pcp_alloc() of 6.12."""
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        batch = tuned_batch(memory, zone, cpu, order)
    else:
        batch = memory.pcp[zone, cpu].batch
    return max(batch >> order, 2) if batch > 1 else batch


@kernel(inline=True)
def end_run_of_frees(memory, zone, cpu):
    """Halve the counter of frees in a row.  Each allocation does so before it looks for a page."""
    if memory.profile.pcp_free == FREE_RUN_LENGTH:
        memory.pcp[zone, cpu].free_count >>= 1
    else:
        memory.pcp[zone, cpu].free_factor >>= 1


@kernel(inline=True)
def largest_batch(memory, zone, cpu):
    """The most pages that are refilled or drained under one hold of the zone lock."""
    return memory.pcp[zone, cpu].batch << memory.profile.batch_scale_max


@kernel(inline=True)
def nr_pcp_free(memory, zone, cpu, high, free_high):
    """Pages that one drain gives back.

    The number doubles with each drain in a run of frees.  Before 5.14 it is always a batch; 6.12
    counts the pages freed in the run and drains as many.
    Source: nr_pcp_free(); free_unref_page_commit() of v4.15 and v5.10.
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
    """Is this free of order 1..3 and in a run of frees, so that it drains everything?

    Source: free_unref_page_commit().
    """
    return memory.pcp[zone, cpu].free_factor > 0 and 0 < order <= memory.profile.pcp_max_order


@kernel(inline=True)
def nr_pcp_high(memory, zone, cpu, free_high):
    """Pages that may stay on the lists: pcp.high, or 0 if ``free_high`` asks to drain all.

    From 5.14 on it is at most four batches while kswapd balances the zone.
    Source: nr_pcp_high().
    """
    high = memory.pcp[zone, cpu].high
    if free_high:
        return 0
    if memory.profile.reclaim_limits_pcp and zone_flag(memory, zone, ZONE_RECLAIM_ACTIVE):
        return min(memory.pcp[zone, cpu].batch << 2, high)
    return high


@kernel
def tuned_high(memory, zone, cpu, count, free_count, free_high, keep):
    """Pages that may stay on the lists where pcp.high tunes itself.

    pcp.high shrinks while the zone is short of memory, and in a run of frees of orders 1..3
    (``free_high``), which drains all pages.  It grows to hold a run of frees that reaches it.
    The new value is stored only if ``keep`` is set.
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
    """Is this free one of a run of frees of orders 1..3?

    The previous free must have been of such an order too.  ``count`` is the number of pages on
    the lists, this block included.
    Source: free_unref_page_commit() of 6.12; free_frozen_page_commit() of 7.3.
    """
    pcp = memory.pcp[zone, cpu]
    flags = memory.pcp[zone, cpu]["flags"]
    longest = pcp.batch
    if memory.profile.free_high_adds_high_min:
        longest += pcp.high_min // 2
    return (
        0 < order <= memory.profile.pcp_max_order
        and pcp.free_count >= longest
        and flags & PCPF_PREV_FREE_HIGH_ORDER != 0
        and (flags & PCPF_FREE_HIGH_BATCH == 0 or count >= pcp.batch)
    )


@kernel(inline=True)
def longer_run(memory, zone, cpu, order):
    """pcp.free_count after one more free, in pages.  It grows up to the largest batch."""
    pcp = memory.pcp[zone, cpu]
    more = 1 << order if pcp.free_count < largest_batch(memory, zone, cpu) else 0
    return pcp.free_count + more


@kernel(inline=True)
def count_free(memory, zone, cpu, order):
    """Count a free that was just pushed, and return whether it is one of a run of orders 1..3.

    Source: free_unref_page_commit() of 6.12.
    """
    memory.pcp[zone, cpu].alloc_factor >>= 1
    free_high = frees_high_run(memory, zone, cpu, order, memory.pcp[zone, cpu].count)
    flags = memory.pcp[zone, cpu]["flags"] & ~PCPF_PREV_FREE_HIGH_ORDER
    if 0 < order <= memory.profile.pcp_max_order:
        flags |= PCPF_PREV_FREE_HIGH_ORDER
    memory.pcp[zone, cpu]["flags"] = flags
    memory.pcp[zone, cpu].free_count = longer_run(memory, zone, cpu, order)
    return free_high


@kernel(cold=True, late=NUMBER)
def tuned_drain_size(memory, zone, cpu, order):
    """Pages to drain after a free, or NO_DRAIN, where pcp.high tunes itself.

    Source: free_unref_page_commit() of 6.12.
    """
    free_high = count_free(memory, zone, cpu, order)
    count, run = memory.pcp[zone, cpu].count, memory.pcp[zone, cpu].free_count
    high = tuned_high(memory, zone, cpu, count, run, free_high, True)
    if count < high:
        return NO_DRAIN
    return nr_pcp_free(memory, zone, cpu, high, free_high)


@kernel(cold=True, late=FLAG)
def tuned_free_would_drain(memory, zone, cpu, order, count):
    """Would it, where pcp.high tunes itself?"""
    free_high = frees_high_run(memory, zone, cpu, order, count)
    run = longer_run(memory, zone, cpu, order)
    return count >= tuned_high(memory, zone, cpu, count, run, free_high, False)


@kernel(inline=True)
def free_would_drain(memory, zone, cpu, order):
    """Would a free of this order have to take the zone lock?"""
    count = memory.pcp[zone, cpu].count + (1 << order)
    if memory.profile.pcp_high == HIGH_AUTO_TUNED:
        return tuned_free_would_drain(memory, zone, cpu, order, count)
    free_high = frees_high_order(memory, zone, cpu, order)
    return count >= nr_pcp_high(memory, zone, cpu, free_high)


@kernel(inline=True)
def pcp_drain_size(memory, zone, cpu, order):
    """Pages to drain after a free of this order, or NO_DRAIN while fewer than ``high`` are there.

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
def end_shortage(memory, zone):
    """Clear ZONE_BELOW_HIGH if a drain brought the zone above its high watermark again.

    Source: free_unref_page_commit() of 6.12.
    """
    if zone_flag(memory, zone, ZONE_BELOW_HIGH):
        record = memory.zones[zone]
        mark = record.watermark[WMARK_HIGH] + record.watermark_boost
        free = record.nr_free_pages - unusable_highatomic(memory, zone)
        if free > mark + record.lowmem_reserve[ZONE_MOVABLE]:
            memory.zones[zone]["flags"] &= ~ZONE_BELOW_HIGH


@kernel(inline=True)
def lower_high(memory, zone, cpu):
    """Lower pcp.high by an eighth and return the number of pages above it, or 0 before 6.7."""
    if memory.profile.pcp_high != HIGH_AUTO_TUNED:
        return 0
    pcp = memory.pcp[zone, cpu]
    if pcp.high > pcp.high_min:
        lower = max(pcp.count - largest_batch(memory, zone, cpu), pcp.high - (pcp.high >> 3))
        memory.pcp[zone, cpu].high = max(lower, pcp.high_min)
    return max(memory.pcp[zone, cpu].count - memory.pcp[zone, cpu].high, 0)
