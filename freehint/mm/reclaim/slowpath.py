"""The allocation that may wait: wake kswapd, reclaim, compact, retry, and in the end give up.

Source: __alloc_pages(), __alloc_pages_slowpath() of mm/page_alloc.c, vma_alloc_folio() of
mm/mempolicy.c, Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.callback import end_callbacks
from freehint.mm.compact.direct import direct_compact
from freehint.mm.compact.state import PRIO_ASYNC
from freehint.mm.highatomic import unreserve_highatomic_pageblock
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, WMARK_HIGH, WMARK_MIN
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.reclaim.counts import WORK_THROTTLED, WORK_UNDER_LOCK
from freehint.mm.reclaim.direct import (
    begin_direct_reclaim,
    direct_reclaim_step,
    reclaim_result,
    skip_throttle_noprogress,
    throttle_direct_reclaim,
    try_to_free_pages,
)
from freehint.mm.reclaim.kswapd import wakeup_kswapd
from freehint.mm.reclaim.retry import begin_retries, may_retry
from freehint.mm.reclaim.state import (
    BY_TASK,
    DIRECT_BEGINS,
    NO_BOOST,
    PAGE_ALLOC_COSTLY_ORDER,
    SWAP_CLUSTER_MAX,
)
from freehint.mm.zone import (
    LOCKED,
    NO_PAGE,
    attempt_rules,
    first_attempt,
    get_page_from_freelist,
    highest_zone_of,
)

WAITS = -4  # the task sleeps for THROTTLE_NS while kswapd and the disk work: call alloc() again
PREEMPTED = -5  # another task may have the CPU now: call alloc() again
THROTTLE_NS = 4_000_000  # reclaim_throttle(): one jiffy at 250 Hz


@kernel(cold=True)
def take_page(memory, cpu, order, migratetype, mark, flags, locked):
    """Try all zones at one watermark.  It is compiled once for all its callers here."""
    return get_page_from_freelist(memory, cpu, order, migratetype, mark, flags, locked)


@kernel(cold=True)
def alloc(memory, reclaim, cpu, order, migratetype, locked):
    """Allocate a block for a request that may reclaim (GFP_KERNEL, GFP_HIGHUSER_MOVABLE).

    Orders above 3 are huge pages (GFP_TRANSHUGE | __GFP_NORETRY): they do not wake kswapd, and are
    given up after one round.  They are requested twice, first from this node only.

    Parameters
    ----------
    locked : int
        One bit for each zone whose lock a stroke holds.

    Returns
    -------
    (node, zone, under_lock)
        As :func:`freehint.mm.zone.alloc_pages`.  ``node`` is NO_PAGE if the request has failed;
        if ``reclaim.node[0].oom`` is then set, a process must die, and the request is to be tried
        again.  It is LOCKED, with nothing done, if a zone's lock is needed and held.  After
        NEEDS_CALLBACK (a policy is to be called before the request takes another type's block or
        reclaims), WAITS (the task sleeps for THROTTLE_NS) and, if ``reclaim.node[0].step_by_step``
        is set, PREEMPTED (a round of direct reclaim is done) call it again with the same arguments;
        it goes on where it was.
    """
    boosts = all_boosts(memory)
    under_lock = 0
    if reclaim.node[0].reclaiming:
        node, zone, taken = alloc_slowpath(memory, reclaim, cpu, order, migratetype)
        return end_alloc(memory, reclaim, boosts, node, zone, taken)
    requests = 2 if order > PAGE_ALLOC_COSTLY_ORDER else 1
    for request in range(requests):
        for attempt in range(first_attempt(memory), 2):
            mark, flags = attempt_rules(memory, attempt, 0)
            node, zone, taken = take_page(memory, cpu, order, migratetype, mark, flags, locked)
            under_lock += taken
            if node != NO_PAGE:
                return end_alloc(memory, reclaim, boosts, node, zone, under_lock)
        if locked:
            return LOCKED, memory.zones.shape[0] - 1, under_lock
        if request < requests - 1:
            node, zone, taken = alloc_this_node(memory, reclaim, cpu, order, migratetype)
            under_lock += taken
            if node != NO_PAGE:
                return end_alloc(memory, reclaim, boosts, node, zone, under_lock)
    node, zone, taken = alloc_slowpath(memory, reclaim, cpu, order, migratetype)
    return end_alloc(memory, reclaim, boosts, node, zone, under_lock + taken)


@kernel(cold=True)
def alloc_no_reclaim(memory, reclaim, cpu, order, migratetype, locked):
    """Allocate a block for a request that wakes kswapd but does not reclaim (GFP_NOWAIT).

    Returns
    -------
    (node, zone, under_lock)
        As :func:`alloc`.
    """
    boosts = all_boosts(memory)
    under_lock = 0
    for attempt in range(first_attempt(memory), 3):
        mark, flags = attempt_rules(memory, attempt, 0)
        if attempt == 2:
            wakeup_kswapd(memory, reclaim, order, highest_zone_of(migratetype), False)
        node, zone, taken = take_page(memory, cpu, order, migratetype, mark, flags, locked)
        under_lock += taken
        if node != NO_PAGE:
            return end_alloc(memory, reclaim, boosts, node, zone, under_lock)
    return end_alloc(memory, reclaim, boosts, NO_PAGE, -1, under_lock)


@kernel(inline=True)
def all_boosts(memory):
    """Sum of the zones' boosts, in pages."""
    boosts = 0
    for zone in range(memory.zones.shape[0]):
        boosts += memory.zones[zone].watermark_boost
    return boosts


@kernel(inline=True)
def end_alloc(memory, reclaim, boosts, node, zone, under_lock):
    """Wake kswapd if the request has boosted its zone by a steal; return the three last."""
    if node != WAITS and node != PREEMPTED:
        end_callbacks(memory, node)
    if node > LOCKED:
        reclaim.node[0].retrying = reclaim.node[0].waits = 0
    if all_boosts(memory) > boosts:
        after_boost(memory, reclaim, zone)
    return node, zone, under_lock


@kernel(cold=True)
def after_boost(memory, reclaim, zone):
    """Let kswapd reclaim in a zone that was boosted, as far as vm.watermark_boost_factor allows.

    Larger factors than the default 15,000 are no larger boosts: mm/fallback.py limits them.
    Source: boost_watermark(), ZONE_BOOSTED_WATERMARK in rmqueue().
    """
    state, record = reclaim.node[0], memory.zones[zone]
    most = record.watermark[WMARK_HIGH] * state.watermark_boost_factor // 10000
    if most == 0 or state.ablations & NO_BOOST:
        record.watermark_boost = 0
        return
    record.watermark_boost = min(record.watermark_boost, max(most, PAGEBLOCK_NR_PAGES))
    wakeup_kswapd(memory, reclaim, 0, record.index, False)


@kernel(cold=True)
def alloc_slowpath(memory, reclaim, cpu, order, migratetype):
    """The slow path after the first looks at the lists.  Source: __alloc_pages_slowpath()."""
    state, highest = reclaim.node[0], highest_zone_of(migratetype)
    wakes = order <= PAGE_ALLOC_COSTLY_ORDER
    node, zone, under_lock = NO_PAGE, -1, 0
    if not state.reclaiming:
        if wakes:
            wakeup_kswapd(memory, reclaim, order, highest, True)
        node, zone, under_lock = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
        if node == NO_PAGE and not state.retrying:
            node, zone, hopeless = begin_retries(memory, reclaim, cpu, order, migratetype)
            if hopeless:
                return NO_PAGE, -1, under_lock
    while node == NO_PAGE:
        if not state.reclaiming:
            if wakes:
                wakeup_kswapd(memory, reclaim, order, highest, True)
            node, zone, taken = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
            under_lock += taken
            if node != NO_PAGE:
                break
            begin_direct_reclaim(reclaim, order, highest, SWAP_CLUSTER_MAX)
            state.reclaiming = 1
            if state.step_by_step:  # cond_resched() of __perform_reclaim(): kswapd runs first
                return PREEMPTED, -1, under_lock
        begins = reclaim.control[BY_TASK].at == DIRECT_BEGINS
        if begins and throttle_direct_reclaim(memory, reclaim):
            return WAITS, -1, under_lock
        while direct_reclaim_step(memory, reclaim, cpu):
            if state.step_by_step:
                return PREEMPTED, -1, under_lock
        state.reclaiming = 0
        node, zone, taken = reclaim_and_compact(memory, reclaim, cpu, order, migratetype)
        under_lock += taken
        if node != NO_PAGE:
            break
        if order > PAGE_ALLOC_COSTLY_ORDER:
            return NO_PAGE, -1, under_lock
        if not may_retry(memory, reclaim, order, migratetype):
            node, zone, taken = last_try(memory, reclaim, cpu, order, migratetype)
            return node, zone, under_lock + taken
        if not state.progress and not skip_throttle_noprogress(memory, reclaim):
            reclaim.work[WORK_THROTTLED] += 1
            return WAITS, -1, under_lock
    return node, zone, under_lock


@kernel(cold=True)
def alloc_this_node(memory, reclaim, cpu, order, migratetype):
    """A huge page's first request, for this node only: it compacts, but never reclaims.

    Source: __alloc_pages_slowpath() (__GFP_THISNODE with a costly order, in 6.1.192).
    """
    node, zone, under_lock = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
    if node == NO_PAGE:
        request = (WMARK_MIN, 0, PRIO_ASYNC)
        node, zone, _ = direct_compact(
            memory, reclaim, reclaim.compaction, cpu, order, migratetype, request
        )
    return node, zone, under_lock


@kernel(cold=True)
def reclaim_and_compact(memory, reclaim, cpu, order, migratetype):
    """After direct reclaim: an attempt, then direct compaction; as :func:`alloc`.

    Source: __alloc_pages_slowpath().
    """
    state = reclaim.node[0]
    progress = reclaim_result(reclaim)
    state.progress = 1 if progress else 0
    under_lock = 0
    if progress:
        node, zone, under_lock = alloc_after_reclaim(memory, reclaim, cpu, order, migratetype)
        if node != NO_PAGE:
            return node, zone, under_lock
    request = (WMARK_MIN, 0, state.compact_priority)
    node, zone, result = direct_compact(
        memory, reclaim, reclaim.compaction, cpu, order, migratetype, request
    )
    state.compact_result = result
    return node, zone, under_lock


@kernel(cold=True)
def alloc_noretry(memory, reclaim, cpu, order, migratetype, locked):
    """Allocate a block for a request that reclaims once and then gives up (__GFP_NORETRY).

    Returns
    -------
    (node, zone, under_lock)
        As :func:`alloc`, without OOM.
    """
    node, zone, under_lock = alloc_no_reclaim(memory, reclaim, cpu, order, migratetype, locked)
    if node != NO_PAGE or locked:
        return node if node != NO_PAGE else LOCKED, zone, under_lock
    if try_to_free_pages(memory, reclaim, cpu, order, highest_zone_of(migratetype)):
        node, zone, taken = alloc_after_reclaim(memory, reclaim, cpu, order, migratetype)
        under_lock += taken
    end_callbacks(memory, node)
    return node, zone, under_lock


@kernel(cold=True)
def alloc_after_reclaim(memory, reclaim, cpu, order, migratetype):
    """Take a block after reclaim, if need be after draining the pcp lists.

    Source: __alloc_pages_direct_reclaim().
    """
    node, zone, taken = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
    if node != NO_PAGE:
        return node, zone, taken
    unreserve_highatomic_pageblock(memory, migratetype, False)
    drain_all_pages(memory, reclaim)
    node, zone, more = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
    return node, zone, taken + more


@kernel(cold=True)
def drain_all_pages(memory, reclaim):
    """Empty all pcp lists.  Source: drain_all_pages()."""
    for cpu in range(memory.nr_cpus):
        for zone in range(memory.zones.shape[0]):
            reclaim.work[WORK_UNDER_LOCK] += drain_pages_zone(memory, zone, cpu)


@kernel(cold=True)
def last_try(memory, reclaim, cpu, order, migratetype):
    """One more look at the high watermark, then OOM.  Source: __alloc_pages_may_oom()."""
    node, zone, taken = take_page(memory, cpu, order, migratetype, WMARK_HIGH, 0, 0)
    if node == NO_PAGE:
        reclaim.node[0].oom = 1
    return node, zone, taken
