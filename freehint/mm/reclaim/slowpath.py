"""The allocation that may wait: wake kswapd, reclaim, compact, retry, and in the end give up.

Direct compaction is not here yet: it counts as skipped.

Source: __alloc_pages(), __alloc_pages_slowpath(), __alloc_pages_direct_reclaim(),
should_reclaim_retry() and __alloc_pages_may_oom() of mm/page_alloc.c; try_to_free_pages() of
mm/vmscan.c, Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.buddy import end_callbacks
from freehint.mm.highatomic import unreserve_highatomic_pageblock
from freehint.mm.memory import WMARK_HIGH, WMARK_LOW, WMARK_MIN, ZONE_MOVABLE
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.reclaim.kswapd import (
    allow_direct_reclaim,
    compact_gap,
    kswapd_step,
    wakeup_kswapd,
    zone_reclaimable_pages,
)
from freehint.mm.reclaim.lru import lru_pages
from freehint.mm.reclaim.scan import (
    can_reclaim_anon_pages,
    drop_page,
    free_reclaimed,
    shrink_node,
    snapshot_refaults,
)
from freehint.mm.reclaim.state import (
    ALLOCSTALL_DMA,
    BY_TASK,
    DEF_PRIORITY,
    DROP_PAGECACHE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    MAX_RECLAIM_RETRIES,
    NO_BOOST,
    PAGEVEC_SIZE,
    PGSCAN_DIRECT_THROTTLE,
    SWAP_CLUSTER_MAX,
    WORK_THROTTLED,
    WORK_UNDER_LOCK,
)
from freehint.mm.zone import (
    LOCKED,
    NO_PAGE,
    attempt_rules,
    first_attempt,
    get_page_from_freelist,
    highest_zone_of,
    zone_watermark_ok,
)

PAGE_ALLOC_COSTLY_ORDER = 3


@kernel(cold=True)
def take_page(memory, cpu, order, migratetype, mark, flags, locked):
    """Try all zones at one watermark.  It is compiled once for all its callers here."""
    return get_page_from_freelist(memory, cpu, order, migratetype, mark, flags, locked)


@kernel(cold=True)
def alloc(memory, reclaim, cpu, order, migratetype, locked):
    """Allocate a block for a request that may reclaim (GFP_KERNEL, GFP_HIGHUSER_MOVABLE).

    Orders above 3 are given up after one round, as huge pages are (__GFP_NORETRY).

    Parameters
    ----------
    locked : int
        One bit for each zone whose lock a stroke holds.

    Returns
    -------
    (node, zone, under_lock)
        As :func:`freehint.mm.zone.alloc_pages`.  ``node`` is NO_PAGE if the request has failed;
        if ``reclaim.node[0].oom`` is then set, a process must die, and the request is to be tried
        again.  It is LOCKED, with nothing done, if a zone's lock is needed and held; and
        NEEDS_CALLBACK if a policy is to be called before the request takes another type's block
        or reclaims, and is then to be tried again.
    """
    boosts = all_boosts(memory)
    under_lock = 0
    for attempt in range(first_attempt(memory), 2):
        mark, flags = attempt_rules(memory, attempt, 0)
        node, zone, taken = take_page(memory, cpu, order, migratetype, mark, flags, locked)
        under_lock += taken
        if node != NO_PAGE:
            return end_alloc(memory, reclaim, boosts, node, zone, under_lock)
    if locked:
        return LOCKED, memory.zones.shape[0] - 1, under_lock
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
    end_callbacks(memory, node)
    if all_boosts(memory) > boosts:
        after_boost(memory, reclaim, zone)
    return node, zone, under_lock


@kernel(cold=True)
def after_boost(memory, reclaim, zone):
    """Let kswapd reclaim in a zone that was boosted; by a wrong rule nothing comes of the boost.

    Source: ZONE_BOOSTED_WATERMARK in rmqueue().
    """
    if reclaim.node[0].ablations & NO_BOOST:
        memory.zones[zone].watermark_boost = 0
    else:
        wakeup_kswapd(memory, reclaim, 0, memory.zones[zone].index, False)


@kernel(cold=True)
def alloc_slowpath(memory, reclaim, cpu, order, migratetype):
    """The slow path, from the wake-up of kswapd on.  Source: __alloc_pages_slowpath()."""
    highest = highest_zone_of(migratetype)
    under_lock = loops = 0
    wakeup_kswapd(memory, reclaim, order, highest, True)
    while True:
        node, zone, taken = take_page(memory, cpu, order, migratetype, WMARK_MIN, 0, 0)
        under_lock += taken
        if node != NO_PAGE:
            return node, zone, under_lock
        wakeup_kswapd(memory, reclaim, order, highest, True)
        progress = try_to_free_pages(memory, reclaim, cpu, order, highest)
        if progress:
            node, zone, taken = alloc_after_reclaim(memory, reclaim, cpu, order, migratetype)
            under_lock += taken
            if node != NO_PAGE:
                return node, zone, under_lock
        if order > PAGE_ALLOC_COSTLY_ORDER:
            return NO_PAGE, -1, under_lock
        loops = 0 if progress else loops + 1
        if not should_reclaim_retry(memory, reclaim, order, migratetype, loops):
            return last_try(memory, reclaim, cpu, order, migratetype)


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
def should_reclaim_retry(memory, reclaim, order, migratetype, loops):
    """Might another round of reclaim make the request possible?  Source: should_reclaim_retry()."""
    if loops > MAX_RECLAIM_RETRIES:
        return unreserve_highatomic_pageblock(memory, migratetype, True)
    highest = highest_zone_of(migratetype)
    for zone in range(memory.zones.shape[0]):
        hoped = zone_reclaimable_pages(memory, reclaim, zone)
        if zone_watermark_ok(memory, zone, order, WMARK_MIN, -hoped, highest, 0):
            return True
    return False


@kernel(cold=True)
def last_try(memory, reclaim, cpu, order, migratetype):
    """One more look at the high watermark, then the OOM killer.

    Source: __alloc_pages_may_oom(), out_of_memory().
    """
    node, zone, taken = take_page(memory, cpu, order, migratetype, WMARK_HIGH, 0, 0)
    if node == NO_PAGE:
        reclaim.node[0].oom = 1
    return node, zone, taken


@kernel(cold=True)
def throttle_direct_reclaim(memory, reclaim, cpu):
    """While free pages are below half of the reserves, kswapd works and the task waits.

    Source: throttle_direct_reclaim().
    """
    if allow_direct_reclaim(memory, reclaim):
        return
    reclaim.count[PGSCAN_DIRECT_THROTTLE] += 1
    reclaim.work[WORK_THROTTLED] += 1
    while not allow_direct_reclaim(memory, reclaim) and kswapd_step(memory, reclaim, cpu):
        pass


@kernel(cold=True)
def try_to_free_pages(memory, reclaim, cpu, order, highest_zoneidx):
    """Reclaim at least 32 pages for a task; return the pages of the last attempt.

    Source: try_to_free_pages(), do_try_to_free_pages(), shrink_zones().
    """
    throttle_direct_reclaim(memory, reclaim, cpu)
    begin_direct_reclaim(reclaim, order, highest_zoneidx, SWAP_CLUSTER_MAX)
    return reclaim_with_force(memory, reclaim, cpu)


@kernel(cold=True)
def reclaim_with_force(memory, reclaim, cpu):
    """Raise the priorities; if that frees nothing, do so again and shrink active lists by force.

    Source: do_try_to_free_pages().
    """
    sc = reclaim.control[BY_TASK]
    while True:
        if not sc.proactive:
            reclaim.count[ALLOCSTALL_DMA + sc.reclaim_idx] += 1
        raise_priorities(memory, reclaim, cpu)
        snapshot_refaults(reclaim)
        if sc.nr_reclaimed > 0 or not sc.skipped_deactivate:
            return sc.nr_reclaimed
        sc.priority = DEF_PRIORITY
        sc.force_deactivate = 1
        sc.skipped_deactivate = 0


@kernel(inline=True)
def begin_direct_reclaim(reclaim, order, highest_zoneidx, pages):
    """Fill in the task's scan_control."""
    sc = reclaim.control[BY_TASK]
    sc.order = order
    sc.priority = DEF_PRIORITY
    sc.reclaim_idx = highest_zoneidx
    sc.nr_to_reclaim = pages
    sc.nr_reclaimed = sc.nr_scanned = sc.proactive = sc.compaction_ready = 0
    sc.may_writepage = sc.may_swap = 1
    sc.force_deactivate = sc.skipped_deactivate = sc.deactivate_anon = sc.deactivate_file = 0


@kernel(cold=True)
def raise_priorities(memory, reclaim, cpu):
    """Pass after pass over a larger part of the lists, until enough is reclaimed.

    Source: do_try_to_free_pages(), shrink_zones(), consider_reclaim_throttle().
    """
    sc = reclaim.control[BY_TASK]
    while sc.priority >= 0:
        sc.nr_scanned = 0
        shrink_zones(memory, reclaim, cpu)
        if sc.nr_reclaimed >= sc.nr_to_reclaim:
            break
        if sc.priority == 1 and sc.nr_reclaimed == 0:
            reclaim.work[WORK_THROTTLED] += 1
        sc.priority -= 1


@kernel(cold=True)
def shrink_zones(memory, reclaim, cpu):
    """Passes over the node: for an order above 0 as long as each of them reclaims something.

    Source: shrink_node(), should_continue_reclaim().
    """
    sc = reclaim.control[BY_TASK]
    while True:
        before = sc.nr_reclaimed
        shrink_node(memory, reclaim, BY_TASK, cpu)
        large = sc.order > PAGE_ALLOC_COSTLY_ORDER or sc.priority < DEF_PRIORITY - 2
        if sc.order == 0 or not large or sc.nr_reclaimed == before:
            return
        if compaction_could_run(memory, sc.order, sc.reclaim_idx):
            return
        inactive = lru_pages(reclaim, INACTIVE_FILE)
        if can_reclaim_anon_pages(reclaim):
            inactive += lru_pages(reclaim, INACTIVE_ANON)
        if inactive <= compact_gap(sc.order):
            return


@kernel(cold=True)
def compaction_could_run(memory, order, highest_zoneidx):
    """Has a zone a block of the order, or enough free pages to make one?

    Source: compaction_suitable() of mm/compaction.c, without the fragmentation index.
    """
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index > highest_zoneidx:
            continue
        if zone_watermark_ok(memory, zone, order, WMARK_MIN, 0, highest_zoneidx, 0):
            return True
        gap = compact_gap(order)
        mark = WMARK_LOW if order > PAGE_ALLOC_COSTLY_ORDER else WMARK_MIN
        if zone_watermark_ok(memory, zone, 0, mark, gap, highest_zoneidx, 0):
            return True
    return False


# Operators' interfaces


@kernel(cold=True)
def memory_reclaim(memory, reclaim, cpu, nr_pages):
    """Reclaim ``nr_pages`` pages from the guest as one cgroup; return the pages reclaimed.

    Source: memory_reclaim() of mm/memcontrol.c, try_to_free_mem_cgroup_pages().
    """
    got, retries = 0, MAX_RECLAIM_RETRIES
    sc = reclaim.control[BY_TASK]
    while got < nr_pages:
        pages = max(nr_pages - got, SWAP_CLUSTER_MAX)
        begin_direct_reclaim(reclaim, 0, ZONE_MOVABLE, pages)
        sc.proactive = 1
        reclaim_with_force(memory, reclaim, cpu)
        if sc.nr_reclaimed == 0:
            if retries == 0:
                break
            retries -= 1
        got += sc.nr_reclaimed
    sc.proactive = 0
    return got


@kernel(cold=True)
def drop_caches(memory, reclaim, cpu, limit):
    """Drop clean pages of files that nobody has mapped, in the files' order.

    Call it again while it returns ``limit`` pages; a call that drops fewer has come to the end.
    Source: drop_pagecache_sb(), invalidate_mapping_pages().

    Returns
    -------
    int
        Pages dropped.
    """
    state = reclaim.node[0]
    if state.drop_at == 0:
        reclaim.count[DROP_PAGECACHE] += 1
    dropped = batch = 0
    while state.drop_at < reclaim.place.shape[0] and dropped < limit:
        node = int(reclaim.place[state.drop_at]) - 1
        state.drop_at += 1
        if node >= 0 and drop_page(memory, reclaim, node):
            dropped += 1
            batch += 1
            if batch == PAGEVEC_SIZE:
                free_reclaimed(memory, reclaim, cpu)
                batch = 0
    free_reclaimed(memory, reclaim, cpu)
    if dropped < limit:
        state.drop_at = 0
    return dropped
