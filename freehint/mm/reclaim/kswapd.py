"""kswapd: who wakes it, what it does step by step, and when it sleeps.

One call of kswapd_step() does one round of scanning (at most 32 pages of each list) or one
decision.  After 100 ms of a nap without a wake-up the engine calls end_nap().

Source: wakeup_kswapd(), kswapd(), balance_pgdat() and others of mm/vmscan.c, Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.compact.skip import reset_isolation_suitable
from freehint.mm.memory import PAGEBLOCK_ORDER, WMARK_HIGH, ZONE_RECLAIM_ACTIVE
from freehint.mm.reclaim.counts import (
    KSWAPD_HIGH_WMARK_HIT_QUICKLY,
    KSWAPD_LOW_WMARK_HIT_QUICKLY,
    PAGEOUTRUN,
)
from freehint.mm.reclaim.scan import compact_gap, snapshot_refaults
from freehint.mm.reclaim.shrink import (
    age_node,
    begin_pass_over_node,
    end_pass_over_node,
    next_round,
    should_continue_reclaim,
)
from freehint.mm.reclaim.state import (
    BY_KSWAPD,
    DEF_PRIORITY,
    KSWAPD_ASLEEP,
    KSWAPD_BALANCES,
    KSWAPD_NAPS,
    KSWAPD_SHRINKS,
    KSWAPD_TRIES_TO_SLEEP,
    MAX_NR_ZONES,
    MAX_RECLAIM_RETRIES,
    NO_KSWAPD_FLAG,
    SWAP_CLUSTER_MAX,
)
from freehint.mm.zone import zone_watermark_ok

NAP_NS = 100_000_000  # HZ / 10


@kernel(inline=True)
def pgdat_balanced(memory, order, highest_zoneidx):
    """Is any zone that a request may use above its high watermark?  Source: pgdat_balanced()."""
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= highest_zoneidx:
            if zone_watermark_ok(memory, zone, order, WMARK_HIGH, 0, highest_zoneidx, 0):
                return True
    return False


@kernel(inline=True)
def pgdat_watermark_boosted(memory, highest_zoneidx):
    """Is any such zone's watermark boosted?  Source: pgdat_watermark_boosted()."""
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= highest_zoneidx and memory.zones[zone].watermark_boost:
            return True
    return False


@kernel(inline=True)
def wakeup_kcompactd(reclaim, order, highest_zoneidx):
    """Ask kcompactd for blocks of an order; order 0 asks for nothing.

    Source: wakeup_kcompactd() of mm/compaction.c.
    """
    state = reclaim.node[0]
    if order > 0:
        lower = min(state.kcompactd_zoneidx, highest_zoneidx)
        state.kcompactd_zoneidx = highest_zoneidx if state.kcompactd_order < 0 else lower
        state.kcompactd_order = max(state.kcompactd_order, order)


@kernel(cold=True)
def wakeup_kswapd(memory, reclaim, order, highest_zoneidx, may_reclaim):
    """Ask kswapd for room, and wake it if it sleeps and there is something to do.

    ``may_reclaim``: the request can reclaim by itself (__GFP_DIRECT_RECLAIM).
    Source: wakeup_kswapd().
    """
    state = reclaim.node[0]
    asked = state.kswapd_highest_zoneidx
    higher = asked == MAX_NR_ZONES or asked < highest_zoneidx
    state.kswapd_highest_zoneidx = highest_zoneidx if higher else asked
    state.kswapd_order = max(state.kswapd_order, order)
    if state.kswapd_awake:
        return
    hopeless = state.kswapd_failures >= MAX_RECLAIM_RETRIES
    balanced = pgdat_balanced(memory, order, highest_zoneidx)
    if hopeless or (balanced and not pgdat_watermark_boosted(memory, highest_zoneidx)):
        if not may_reclaim:
            wakeup_kcompactd(reclaim, order, highest_zoneidx)
        return
    wake(reclaim)


@kernel(inline=True)
def requested_zoneidx(reclaim):
    """Highest zone asked for since, or as before.  Source: kswapd_highest_zoneidx()."""
    state = reclaim.node[0]
    asked = state.kswapd_highest_zoneidx
    return state.zoneidx if asked == MAX_NR_ZONES else asked


@kernel(cold=True)
def wake(reclaim):
    """End kswapd's sleep or nap.  Source: kswapd_try_to_sleep() after schedule()."""
    state = reclaim.node[0]
    if state.kswapd_at == KSWAPD_NAPS:
        state.kswapd_highest_zoneidx = requested_zoneidx(reclaim)
        state.kswapd_order = max(state.kswapd_order, state.reclaim_order)
        reclaim.count[KSWAPD_LOW_WMARK_HIT_QUICKLY] += 1
    state.kswapd_awake = 1


@kernel(cold=True)
def end_nap(memory, reclaim):
    """100 ms have passed and nobody woke kswapd: it sleeps, or balances once more.

    Source: kswapd_try_to_sleep().
    """
    state = reclaim.node[0]
    if state.kswapd_at != KSWAPD_NAPS or state.kswapd_awake:
        return
    if prepare_kswapd_sleep(memory, reclaim):
        state.kswapd_at = KSWAPD_ASLEEP
        state.kswapd_sleeps += 1
    else:
        reclaim.count[KSWAPD_HIGH_WMARK_HIT_QUICKLY] += 1
        state.kswapd_awake = 1


@kernel(cold=True)
def prepare_kswapd_sleep(memory, reclaim):
    """May kswapd sleep?  Source: prepare_kswapd_sleep(), clear_pgdat_congested()."""
    state = reclaim.node[0]
    if state.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    if not pgdat_balanced(memory, state.reclaim_order, state.zoneidx):
        return False
    state.congested = state.dirty_pages_at_tail = state.writeback_pages_at_tail = 0
    return True


@kernel(inline=True)
def set_reclaim_active(memory, reclaim, active):
    """Set or clear ZONE_RECLAIM_ACTIVE of the zones that kswapd balances.

    Source: update_reclaim_active().
    """
    state = reclaim.node[0]
    if state.ablations & NO_KSWAPD_FLAG:
        return
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= state.zoneidx:
            if active:
                memory.zones[zone]["flags"] |= ZONE_RECLAIM_ACTIVE
            else:
                memory.zones[zone]["flags"] &= ~ZONE_RECLAIM_ACTIVE


@kernel(cold=True)
def try_to_sleep(memory, reclaim):
    """Begin a nap if the zones are balanced.  Source: kswapd_try_to_sleep()."""
    state = reclaim.node[0]
    if prepare_kswapd_sleep(memory, reclaim):
        reset_isolation_suitable(memory, reclaim, reclaim.compaction)
        wakeup_kcompactd(reclaim, state.alloc_order, state.zoneidx)
        state.kswapd_at = KSWAPD_NAPS
        state.kswapd_awake = 0
    else:
        reclaim.count[KSWAPD_HIGH_WMARK_HIT_QUICKLY] += 1
        begin_balance(memory, reclaim)


@kernel(cold=True)
def begin_balance(memory, reclaim):
    """Read what was asked for, and begin to balance.  Source: kswapd(), balance_pgdat()."""
    state, sc = reclaim.node[0], reclaim.control[BY_KSWAPD]
    state.alloc_order = state.kswapd_order
    state.zoneidx = requested_zoneidx(reclaim)
    state.kswapd_order = 0
    state.kswapd_highest_zoneidx = MAX_NR_ZONES
    reclaim.count[PAGEOUTRUN] += 1
    state.boosted = 0
    for zone in range(memory.zones.shape[0]):
        below = memory.zones[zone].index <= state.zoneidx
        reclaim.boosts[zone] = memory.zones[zone].watermark_boost if below else 0
        state.boosted += reclaim.boosts[zone]
    state.boost_left = state.boosted
    sc.order, sc.priority = state.alloc_order, DEF_PRIORITY
    sc.nr_reclaimed = sc.nr_scanned = sc.proactive = 0
    sc.force_deactivate = sc.skipped_deactivate = sc.deactivate_anon = sc.deactivate_file = 0
    set_reclaim_active(memory, reclaim, True)
    state.kswapd_at = KSWAPD_BALANCES


@kernel(cold=True)
def begin_pass(memory, reclaim):
    """The top of balance_pgdat()'s loop: begin a pass over the lists, or end balancing.

    Source: balance_pgdat(), kswapd_shrink_node().
    """
    state, sc = reclaim.node[0], reclaim.control[BY_KSWAPD]
    balanced = pgdat_balanced(memory, sc.order, state.zoneidx)
    if not balanced and state.boost_left > 0:
        state.boost_left = 0
        sc.priority = DEF_PRIORITY
    if state.boost_left == 0 and balanced:
        end_balance(memory, reclaim)
        return
    sc.reclaim_idx = state.zoneidx
    sc.may_swap = 0 if state.boost_left else 1
    sc.may_writepage = 1 if state.boost_left == 0 or sc.priority < DEF_PRIORITY - 2 else 0
    state.reclaimed_before = sc.nr_reclaimed
    age_node(memory, reclaim, BY_KSWAPD)
    sc.nr_scanned = sc.nr_to_reclaim = 0
    for zone in range(memory.zones.shape[0]):
        record = memory.zones[zone]
        if record.index <= sc.reclaim_idx:
            high = record.watermark[WMARK_HIGH] + record.watermark_boost
            sc.nr_to_reclaim += max(high, SWAP_CLUSTER_MAX)
    begin_pass_over_node(memory, reclaim, BY_KSWAPD)
    state.kswapd_at = KSWAPD_SHRINKS


@kernel(cold=True)
def end_pass(memory, reclaim):
    """After a pass: one more for a large order; raise a priority that was too lazy; or give up.

    Source: balance_pgdat(), kswapd_shrink_node().
    """
    state, sc = reclaim.node[0], reclaim.control[BY_KSWAPD]
    end_pass_over_node(memory, reclaim, BY_KSWAPD)
    if should_continue_reclaim(memory, reclaim, BY_KSWAPD, sc.lru_reclaimed):
        begin_pass_over_node(memory, reclaim, BY_KSWAPD)
        return
    if sc.order > 0 and sc.nr_reclaimed >= compact_gap(sc.order):
        sc.order = 0
    lazy = sc.nr_scanned < sc.nr_to_reclaim
    if state.boost_left > 0 and sc.priority == DEF_PRIORITY - 2:
        lazy = False
    reclaimed = sc.nr_reclaimed - state.reclaimed_before
    state.boost_left -= min(state.boost_left, reclaimed)
    fruitless = state.boost_left > 0 and reclaimed == 0
    if not fruitless and (lazy or reclaimed == 0):
        sc.priority -= 1
    if fruitless or sc.priority < 1:
        if sc.nr_reclaimed == 0:
            state.kswapd_failures += 1
        end_balance(memory, reclaim)
    else:
        state.kswapd_at = KSWAPD_BALANCES


@kernel(cold=True)
def end_balance(memory, reclaim):
    """Give back the boosts that were there at the beginning.  Source: balance_pgdat(), kswapd()."""
    state, sc = reclaim.node[0], reclaim.control[BY_KSWAPD]
    set_reclaim_active(memory, reclaim, False)
    if state.boosted:
        for zone in range(memory.zones.shape[0]):
            boost = memory.zones[zone].watermark_boost
            memory.zones[zone].watermark_boost = boost - min(boost, reclaim.boosts[zone])
        wakeup_kcompactd(reclaim, PAGEBLOCK_ORDER, state.zoneidx)
    snapshot_refaults(reclaim)
    state.reclaim_order = sc.order
    state.kswapd_at = KSWAPD_TRIES_TO_SLEEP
    if state.reclaim_order >= state.alloc_order:
        # The kernel reads what was asked for before it tries to sleep.
        state.alloc_order = state.reclaim_order = state.kswapd_order
        state.zoneidx = requested_zoneidx(reclaim)


@kernel(cold=True)
def kswapd_step(memory, reclaim, cpu):
    """Let kswapd do one round of scanning, or one decision.

    Returns
    -------
    bool
        True while it has more to do; False if it naps or sleeps.
    """
    state = reclaim.node[0]
    if not state.kswapd_awake:
        return False
    at = state.kswapd_at
    if at == KSWAPD_ASLEEP or at == KSWAPD_NAPS:
        begin_balance(memory, reclaim)
    elif at == KSWAPD_TRIES_TO_SLEEP:
        try_to_sleep(memory, reclaim)
    elif at == KSWAPD_BALANCES:
        begin_pass(memory, reclaim)
    elif not next_round(memory, reclaim, BY_KSWAPD, cpu):
        end_pass(memory, reclaim)
    return state.kswapd_awake != 0
