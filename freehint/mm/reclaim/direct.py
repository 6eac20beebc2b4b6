"""Direct reclaim: a task frees pages for its own request or an operator's, or waits for others.

Source: mm/vmscan.c of Linux 6.1: try_to_free_pages(), do_try_to_free_pages(), shrink_zones().
"""

from freehint.jit import kernel
from freehint.mm.compact.finish import compaction_suitable
from freehint.mm.memory import WMARK_HIGH, WMARK_MIN, ZONE_MOVABLE, ZONE_NORMAL
from freehint.mm.reclaim.counts import (
    ALLOCSTALL_DMA,
    DROP_PAGECACHE,
    PGSCAN_DIRECT_THROTTLE,
    WORK_THROTTLED,
)
from freehint.mm.reclaim.kswapd import wake
from freehint.mm.reclaim.lists import is_file
from freehint.mm.reclaim.lru import folio_head
from freehint.mm.reclaim.pages import drop_page, free_reclaimed
from freehint.mm.reclaim.scan import (
    can_reclaim_anon_pages,
    compact_gap,
    snapshot_refaults,
)
from freehint.mm.reclaim.shrink import (
    begin_pass_over_node,
    end_pass_over_node,
    next_round,
    should_continue_reclaim,
)
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    BY_TASK,
    DEF_PRIORITY,
    DIRECT_BEGINS,
    DIRECT_PASSES,
    DIRECT_SHRINKS,
    INACTIVE_ANON,
    INACTIVE_FILE,
    MAX_RECLAIM_RETRIES,
    PAGE_ALLOC_COSTLY_ORDER,
    PAGEVEC_SIZE,
    SWAP_CLUSTER_MAX,
)
from freehint.mm.zone import zone_watermark_ok

FULL_WALK_FROM = 612  # memcg_full_walk
QUARTERS_FROM = 612  # memory.reclaim asks for a quarter of the rest at a time


@kernel(inline=True)
def zone_reclaimable_pages(memory, reclaim, zone):
    """Pages of a zone that reclaim may hope for; if none, its free pages.

    Source: zone_reclaimable_pages() of 6.1.124 and later.
    """
    pages = reclaim.zone_lru[zone, INACTIVE_FILE] + reclaim.zone_lru[zone, ACTIVE_FILE]
    if can_reclaim_anon_pages(reclaim):
        pages += reclaim.zone_lru[zone, INACTIVE_ANON] + reclaim.zone_lru[zone, ACTIVE_ANON]
    return pages if pages > 0 else memory.zones[zone].nr_free_pages


@kernel(cold=True)
def allow_direct_reclaim(memory, reclaim):
    """May a task reclaim, or must it wait for kswapd?  Source: allow_direct_reclaim()."""
    state = reclaim.node[0]
    if state.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    free = reserve = 0
    for zone in range(memory.zones.shape[0]):
        record = memory.zones[zone]
        if record.index <= ZONE_NORMAL and zone_reclaimable_pages(memory, reclaim, zone) > 0:
            reserve += record.watermark[WMARK_MIN] + record.watermark_boost
            free += record.nr_free_pages
    enough = reserve == 0 or free > reserve // 2
    if not enough and not state.kswapd_awake:
        state.kswapd_highest_zoneidx = min(state.kswapd_highest_zoneidx, ZONE_NORMAL)
        wake(reclaim)
    return enough


@kernel(cold=True)
def throttle_direct_reclaim(memory, reclaim):
    """Must the task wait for kswapd, because free pages are below half of the reserves?

    Source: throttle_direct_reclaim().
    """
    state = reclaim.node[0]
    if allow_direct_reclaim(memory, reclaim):
        state.waits = 0
        return False
    if not state.waits:
        reclaim.count[PGSCAN_DIRECT_THROTTLE] += 1
    state.waits = 1
    reclaim.work[WORK_THROTTLED] += 1
    return True


@kernel(cold=True)
def skip_throttle_noprogress(memory, reclaim):
    """Is waiting useless: kswapd has given up, or less than half of the pages are to be written?

    Source: skip_throttle_noprogress(), reclaim_throttle().
    """
    state = reclaim.node[0]
    if state.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    reclaimable = 0
    for zone in range(memory.zones.shape[0]):
        reclaimable += zone_reclaimable_pages(memory, reclaim, zone)
    return 2 * (state.nr_dirty + state.nr_writeback) <= reclaimable


@kernel(cold=True)
def try_to_free_pages(memory, reclaim, cpu, order, highest_zoneidx):
    """Reclaim at least 32 pages for a task; return the pages of the last attempt.

    Source: try_to_free_pages(), do_try_to_free_pages(), shrink_zones().
    """
    begin_direct_reclaim(reclaim, order, highest_zoneidx, SWAP_CLUSTER_MAX)
    return reclaim_with_force(memory, reclaim, cpu)


@kernel(cold=True)
def reclaim_with_force(memory, reclaim, cpu):
    """Reclaim to the end; return the pages reclaimed, or whether compaction is ready.

    Source: do_try_to_free_pages().
    """
    while direct_reclaim_step(memory, reclaim, cpu):
        pass
    return reclaim_result(reclaim)


@kernel(inline=True)
def reclaim_result(reclaim):
    """Pages that the last direct reclaim got; 1 if it got none because compaction is ready."""
    sc = reclaim.control[BY_TASK]
    return sc.nr_reclaimed if sc.nr_reclaimed > 0 else sc.compaction_ready


@kernel(cold=True)
def direct_reclaim_step(memory, reclaim, cpu):
    """Let a task do one round of its direct reclaim, between two points where it may lose the CPU.

    Passes go over a larger and larger part of the lists, until enough is reclaimed; if all free
    nothing, they are made again, and active lists are shrunk by force.
    Source: do_try_to_free_pages(), shrink_zones(); cond_resched() of shrink_lruvec().

    Returns
    -------
    bool
        True while there is more to do.
    """
    sc = reclaim.control[BY_TASK]
    if sc.at == DIRECT_BEGINS:
        if not sc.proactive:
            reclaim.count[ALLOCSTALL_DMA + sc.reclaim_idx] += 1
        sc.at = DIRECT_PASSES
    if sc.at == DIRECT_PASSES:
        sc.nr_scanned = 0
        sc.zone = next_zone_to_shrink(memory, reclaim, memory.zones.shape[0] - 1)
        if sc.zone >= 0:
            sc.before = sc.nr_reclaimed
            begin_pass_over_node(memory, reclaim, BY_TASK)
            sc.at = DIRECT_SHRINKS
            return True
        return end_direct_pass(memory, reclaim)
    if next_round(memory, reclaim, BY_TASK, cpu):
        return True
    end_pass_over_node(memory, reclaim, BY_TASK)
    if should_continue_reclaim(memory, reclaim, BY_TASK, sc.nr_reclaimed - sc.before):
        sc.before = sc.nr_reclaimed
        begin_pass_over_node(memory, reclaim, BY_TASK)
        return True
    end_zones(memory, reclaim)
    return end_direct_pass(memory, reclaim)


@kernel(cold=True)
def end_direct_pass(memory, reclaim):
    """Raise the priority, or begin once more, or end; True while there is more to do.

    Source: do_try_to_free_pages().
    """
    sc = reclaim.control[BY_TASK]
    sc.at = DIRECT_PASSES
    if sc.nr_reclaimed < sc.nr_to_reclaim and not sc.compaction_ready:
        sc.priority -= 1
        if sc.priority >= 0:
            return True
    snapshot_refaults(reclaim)
    if sc.nr_reclaimed > 0 or sc.compaction_ready or not goes_round_again(memory, sc):
        return False
    sc.at = DIRECT_BEGINS
    sc.priority = DEF_PRIORITY
    if sc.full_walk or memory.profile.release < FULL_WALK_FROM:
        sc.force_deactivate = 1
        sc.skipped_deactivate = 0
    sc.full_walk = 1
    return True


@kernel(inline=True)
def goes_round_again(memory, sc):
    """A fruitless attempt is made once more: over all cgroups, then by force on active lists.

    Source: do_try_to_free_pages(); memcg_full_walk is there from 6.12 on.
    """
    if memory.profile.release >= FULL_WALK_FROM and not sc.full_walk:
        return True
    return sc.skipped_deactivate != 0


@kernel(inline=True)
def begin_direct_reclaim(reclaim, order, highest_zoneidx, pages):
    """Fill in the task's scan_control."""
    sc = reclaim.control[BY_TASK]
    sc.at = DIRECT_BEGINS
    sc.order = order
    sc.priority = DEF_PRIORITY
    sc.reclaim_idx = highest_zoneidx
    sc.nr_to_reclaim = pages
    sc.nr_reclaimed = sc.nr_scanned = sc.proactive = sc.compaction_ready = sc.full_walk = 0
    sc.may_writepage = sc.may_swap = 1
    sc.force_deactivate = sc.skipped_deactivate = sc.deactivate_anon = sc.deactivate_file = 0


@kernel(cold=True)
def compaction_ready(memory, order, zone, highest_zoneidx):
    """Has the zone enough free pages for a costly order, so that reclaim is not needed there?

    Source: compaction_ready().
    """
    if zone_watermark_ok(memory, zone, order, WMARK_MIN, 0, highest_zoneidx, 0):
        return True
    if not compaction_suitable(memory, zone, order, highest_zoneidx):
        return False
    gap = compact_gap(order)
    return zone_watermark_ok(memory, zone, 0, WMARK_HIGH, gap, highest_zoneidx, 0)


@kernel(cold=True)
def next_zone_to_shrink(memory, reclaim, zone):
    """From a zone downwards, the first where compaction for a costly order is not ready, or -1.

    Source: shrink_zones().
    """
    sc = reclaim.control[BY_TASK]
    while zone >= 0:
        if memory.zones[zone].index <= sc.reclaim_idx:
            costly = sc.order > PAGE_ALLOC_COSTLY_ORDER
            if not costly or not compaction_ready(memory, sc.order, zone, sc.reclaim_idx):
                break
            sc.compaction_ready = 1
        zone -= 1
    return zone


@kernel(cold=True)
def end_zones(memory, reclaim):
    """The node is shrunk once; look at the lower zones only for compaction.

    Source: shrink_zones().
    """
    zone = reclaim.control[BY_TASK].zone
    while zone >= 0:
        zone = next_zone_to_shrink(memory, reclaim, zone - 1)


@kernel(cold=True)
def memory_reclaim(memory, reclaim, cpu, nr_pages):
    """Reclaim ``nr_pages`` pages from the guest as one cgroup; return the pages reclaimed.

    6.1 may reclaim almost twice as many: what earlier passes got does not shorten the last one.
    Source: memory_reclaim() of mm/memcontrol.c, try_to_free_mem_cgroup_pages(), shrink_lruvec().
    """
    got, retries = 0, MAX_RECLAIM_RETRIES
    sc = reclaim.control[BY_TASK]
    parts = 4 if memory.profile.release >= QUARTERS_FROM else 1
    while got < nr_pages:
        pages = max((nr_pages - got) // parts, SWAP_CLUSTER_MAX)
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
    """Drop clean pages of files that nobody has mapped, and shadows, in the files' order.

    Pages that are dirty or on their way to the disk become inactive.

    Call it again while it returns ``limit`` pages; a call that drops fewer has come to the end.
    Source: drop_pagecache_sb(), invalidate_mapping_pages(), clear_shadow_entry().

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
        place = state.drop_at
        state.drop_at += 1
        if not in_a_cache(reclaim, place):
            continue
        batch += 1
        node = int(reclaim.place[place]) - 1
        if node < 0:
            reclaim.place[place] = 0
        elif drop_page(memory, reclaim, node):
            dropped += 1
        if batch == PAGEVEC_SIZE:
            free_reclaimed(memory, reclaim, cpu)
            batch = 0
    free_reclaimed(memory, reclaim, cpu)
    if dropped < limit:
        state.drop_at = 0
    return dropped


@kernel(inline=True)
def in_a_cache(reclaim, place):
    """Has a file's place a page, or the shadow of one?"""
    node = int(reclaim.place[place]) - 1
    if node >= 0:
        head = folio_head(reclaim, node)
        return is_file(reclaim, head) != 0
    return reclaim.place[place] < 0 and reclaim.swap[place] == 0
