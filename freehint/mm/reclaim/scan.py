"""How much of which list is scanned, and what becomes of the pages: one batch at a time.

``who`` is the row of Reclaim.control: kswapd, or the task in direct reclaim.  Slab caches are not
modelled: shrink_slab() only frees what policies hold for the host.

Source: mm/vmscan.c of Linux 6.1 (classic LRU).
"""

from freehint.jit import kernel
from freehint.mm.memory import WMARK_HIGH
from freehint.mm.reclaim.counts import (
    SLABS_SCANNED,
    WORK_THROTTLED,
    WORKINGSET_ACTIVATE_ANON,
    WORKINGSET_ACTIVATE_FILE,
)
from freehint.mm.reclaim.lists import lru_pages
from freehint.mm.reclaim.pages import shrink_active_list, shrink_list
from freehint.mm.reclaim.shrinker import shrink_slab
from freehint.mm.reclaim.state import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    BY_KSWAPD,
    CACHE_NEVER_RECLAIMED,
    DEF_PRIORITY,
    INACTIVE_ANON,
    INACTIVE_FILE,
    SWAP_CLUSTER_MAX,
    SWAP_IGNORED,
)
from freehint.mm.reclaim.writeback import flush_plug, swap_pages_free

SCAN_EQUAL, SCAN_FRACT, SCAN_ANON, SCAN_FILE = range(4)
MAX_NR_SWAPPINESS = 200


@kernel(inline=True)
def lruvec_lru_size(memory, reclaim, lru, zone_idx):
    """Pages of a list in zones up to ``zone_idx``.  Source: lruvec_lru_size()."""
    size = 0
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= zone_idx:
            size += reclaim.zone_lru[zone, lru]
    return size


@kernel(inline=True)
def counted_pages(reclaim, lru):
    """Pages of a list by its counter.  Source: lruvec_page_state()."""
    return reclaim.seen[lru] if reclaim.node[0].stat_lag else lru_pages(reclaim, lru)


@kernel(inline=True)
def flush_stats(reclaim):
    """Bring the lists' counters up to date if enough has changed.

    Source: mem_cgroup_flush_stats(), memcg_rstat_updated().
    """
    if reclaim.node[0].stat_changes > reclaim.node[0].stat_lag:
        reclaim.node[0].stat_changes = 0
        for lru in range(4):
            reclaim.seen[lru] = lru_pages(reclaim, lru)


@kernel(inline=True)
def inactive_is_low(reclaim, inactive_lru):
    """Has the inactive list too few pages for the active one?

    The counters that it compares may lag behind: short lists look as they were before.  So in
    linux-6.1/rc_oom2, where kswapd leaves a last page on the list.
    Source: inactive_is_low(), lruvec_page_state().
    """
    inactive = counted_pages(reclaim, inactive_lru)
    active = counted_pages(reclaim, inactive_lru + 1)
    square = 10 * ((inactive + active) >> 18)  # GiB
    ratio = 1
    while (ratio + 1) * (ratio + 1) <= square:
        ratio += 1
    return inactive * ratio < active


@kernel(inline=True)
def can_reclaim_anon_pages(reclaim):
    """Is there room in swap?  Source: can_reclaim_anon_pages()."""
    return swap_pages_free(reclaim) > 0


@kernel(inline=True)
def can_age_anon_pages(reclaim):
    """Is there any swap?  Source: can_age_anon_pages()."""
    state = reclaim.node[0]
    return state.swap_total > 0 and state.ablations & SWAP_IGNORED == 0


@kernel(cold=True)
def prepare_scan_count(memory, reclaim, who):
    """Decide whether active lists are shrunk, and whether one kind of page is let alone.

    Source: prepare_scan_count().
    """
    state, sc = reclaim.node[0], reclaim.control[who]
    anon, file = reclaim.count[WORKINGSET_ACTIVATE_ANON], reclaim.count[WORKINGSET_ACTIVATE_FILE]
    flush_stats(reclaim)
    if sc.force_deactivate:
        sc.deactivate_anon = sc.deactivate_file = 1
    else:
        anon_low = inactive_is_low(reclaim, INACTIVE_ANON)
        file_low = inactive_is_low(reclaim, INACTIVE_FILE)
        sc.deactivate_anon = 1 if anon_low or anon != state.refaults_anon else 0
        sc.deactivate_file = 1 if file_low or file != state.refaults_file else 0
    plenty = lru_pages(reclaim, INACTIVE_FILE) >> sc.priority
    sc.cache_trim_mode = 1 if plenty and not sc.deactivate_file else 0
    cache = lru_pages(reclaim, INACTIVE_FILE) + lru_pages(reclaim, ACTIVE_FILE)
    high = 0
    for zone in range(memory.zones.shape[0]):
        record = memory.zones[zone]
        cache += record.nr_free_pages
        high += record.watermark[WMARK_HIGH] + record.watermark_boost
    some = lru_pages(reclaim, INACTIVE_ANON) >> sc.priority
    tiny = cache <= high and not sc.deactivate_anon and some and not sc.proactive
    sc.file_is_tiny = 1 if tiny else 0


@kernel(inline=True)
def scan_balance(reclaim, who):
    """Which kind of page is to be scanned, by which rule.  Source: get_scan_count()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    if not sc.may_swap or not can_reclaim_anon_pages(reclaim):
        return SCAN_FILE
    if sc.priority == 0 and state.swappiness:
        return SCAN_EQUAL
    if sc.file_is_tiny:
        return SCAN_ANON
    if sc.cache_trim_mode:
        return SCAN_FILE
    return SCAN_FRACT


@kernel(cold=True)
def get_scan_count(memory, reclaim, who):
    """Set the pages to scan on each list: Reclaim.nr[who].  Source: get_scan_count()."""
    state, sc = reclaim.node[0], reclaim.control[who]
    balance = scan_balance(reclaim, who)
    total = state.anon_cost + state.file_cost
    anon_cost, file_cost = total + state.anon_cost, total + state.file_cost
    total = anon_cost + file_cost
    anon = state.swappiness * (total + 1) // (anon_cost + 1)
    file = (MAX_NR_SWAPPINESS - state.swappiness) * (total + 1) // (file_cost + 1)
    for lru in range(4):
        scan = lruvec_lru_size(memory, reclaim, lru, sc.reclaim_idx) >> sc.priority
        of_file = lru >= INACTIVE_FILE
        if balance == SCAN_FRACT:
            scan = scan * (file if of_file else anon) // (anon + file)
        elif balance != SCAN_EQUAL and (balance == SCAN_FILE) != of_file:
            scan = 0
        if of_file and state.ablations & CACHE_NEVER_RECLAIMED:
            scan = 0
        reclaim.nr[who, lru] = reclaim.targets[who, lru] = scan


@kernel(cold=True)
def begin_shrink_node(memory, reclaim, who):
    """Begin a pass over the node's lists.  Source: shrink_node(), shrink_lruvec()."""
    sc = reclaim.control[who]
    sc.dirty = sc.unqueued_dirty = sc.nr_congested = sc.writeback = sc.immediate = 0
    sc.taken = sc.file_taken = sc.lru_reclaimed = 0
    prepare_scan_count(memory, reclaim, who)
    get_scan_count(memory, reclaim, who)
    direct = who != BY_KSWAPD and not sc.proactive
    sc.proportional = 1 if direct and sc.priority == DEF_PRIORITY else 0


@kernel(inline=True)
def lists_left(reclaim, who):
    """Is there a list that the pass has still to scan?  Source: shrink_lruvec()."""
    nr = reclaim.nr
    return nr[who, INACTIVE_ANON] + nr[who, ACTIVE_FILE] + nr[who, INACTIVE_FILE] > 0


@kernel(inline=True)
def rescale(reclaim, who, lru, percentage):
    """Scan as large a part of a list as of the other kind's.  Source: shrink_lruvec()."""
    scanned = reclaim.targets[who, lru] - reclaim.nr[who, lru]
    left = reclaim.targets[who, lru] * (100 - percentage) // 100
    reclaim.nr[who, lru] = left - min(left, scanned)


@kernel(cold=True)
def keep_proportion(reclaim, who):
    """Enough is reclaimed: stop the smaller kind of page, and give the other its share.

    Source: shrink_lruvec().

    Returns
    -------
    bool
        False if the pass is over.
    """
    nr, targets = reclaim.nr, reclaim.targets
    anon = nr[who, INACTIVE_ANON] + nr[who, ACTIVE_ANON]
    file = nr[who, INACTIVE_FILE] + nr[who, ACTIVE_FILE]
    if anon == 0 or file == 0:
        return False
    small, left = (INACTIVE_ANON, anon) if file > anon else (INACTIVE_FILE, file)
    percentage = left * 100 // (targets[who, small] + targets[who, small + 1] + 1)
    nr[who, small] = nr[who, small + 1] = 0
    other = INACTIVE_FILE - small
    rescale(reclaim, who, other, percentage)
    rescale(reclaim, who, other + 1, percentage)
    return True


@kernel(cold=True)
def shrink_round(memory, reclaim, who, cpu):
    """Scan at most 32 pages of each list; True while the pass has more to do.

    Source: shrink_lruvec(), one round.
    """
    if not lists_left(reclaim, who):
        return False
    sc = reclaim.control[who]
    for lru in range(4):
        wanted = min(reclaim.nr[who, lru], SWAP_CLUSTER_MAX)
        if wanted > 0:
            reclaim.nr[who, lru] -= wanted
            sc.lru_reclaimed += shrink_list(memory, reclaim, who, cpu, wanted, lru)
    if sc.lru_reclaimed < sc.nr_to_reclaim or sc.proportional:
        return lists_left(reclaim, who)
    return keep_proportion(reclaim, who) and lists_left(reclaim, who)


@kernel(inline=True)
def age_anon(memory, reclaim, who):
    """Deactivate a batch of anonymous pages if few are inactive.  Source: kswapd_age_node()."""
    if can_age_anon_pages(reclaim) and inactive_is_low(reclaim, INACTIVE_ANON):
        shrink_active_list(memory, reclaim, who, SWAP_CLUSTER_MAX, ACTIVE_ANON)


@kernel(inline=True)
def ask_shrinkers(memory, reclaim, priority):
    """Ask the policies that hold pages for the host, and count what they looked at."""
    reclaim.count[SLABS_SCANNED] += shrink_slab(memory, reclaim.shrinkers, priority)[1]


@kernel(cold=True)
def end_shrink_node(memory, reclaim, who):
    """End a pass: age anonymous pages, ask shrinkers, look at what was dirty.

    Source: shrink_lruvec(), shrink_node_memcgs(), shrink_node().
    """
    state, sc = reclaim.node[0], reclaim.control[who]
    flush_plug(reclaim, who)
    sc.nr_reclaimed += sc.lru_reclaimed
    age_anon(memory, reclaim, who)
    ask_shrinkers(memory, reclaim, sc.priority)
    if who == BY_KSWAPD:
        if sc.writeback and sc.writeback == sc.taken:
            state.writeback_pages_at_tail = 1
        if sc.unqueued_dirty == sc.file_taken:
            state.dirty_pages_at_tail = 1
        if sc.immediate:
            reclaim.work[WORK_THROTTLED] += 1
        if sc.dirty and sc.dirty == sc.nr_congested:
            state.congested = 1
    elif state.congested and not sc.proactive:
        reclaim.work[WORK_THROTTLED] += 1
    if sc.lru_reclaimed > 0:
        state.kswapd_failures = 0


@kernel(inline=True)
def snapshot_refaults(reclaim):
    """Remember how many pages were activated at refaults.  Source: snapshot_refaults()."""
    state = reclaim.node[0]
    state.refaults_anon = reclaim.count[WORKINGSET_ACTIVATE_ANON]
    state.refaults_file = reclaim.count[WORKINGSET_ACTIVATE_FILE]


@kernel(inline=True)
def compact_gap(order):
    """Free pages that compaction for an order needs.  Source: compact_gap()."""
    return 2 << order
