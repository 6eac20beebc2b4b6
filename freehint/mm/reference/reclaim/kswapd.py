"""kswapd as it reads in the kernel: one function that sleeps, wakes, balances and sleeps again.

It yields at the end of each step, so that others run in between.
Source: mm/vmscan.c of Linux 6.1.
"""

from freehint.mm.reference.compact.data import reset_isolation_suitable
from freehint.mm.reference.compact.zone import watermark_ok
from freehint.mm.reference.lists import WMARK_HIGH, ZONE_RECLAIM_ACTIVE
from freehint.mm.reference.reclaim.control import ScanControl
from freehint.mm.reference.reclaim.lists import (
    DEF_PRIORITY,
    MAX_NR_ZONES,
    MAX_RECLAIM_RETRIES,
    SWAP_CLUSTER_MAX,
    zones_up_to,
)
from freehint.mm.reference.reclaim.scan import age_anon, shrink_node, snapshot_refaults

PAGEBLOCK_ORDER = 9


def pgdat_balanced(reclaimer, order, highest_zoneidx):
    """Source: pgdat_balanced()."""
    twin = reclaimer.compactor.twin
    return any(
        watermark_ok(twin, zone, order, WMARK_HIGH, 0, highest_zoneidx)
        for zone in zones_up_to(reclaimer, highest_zoneidx)
    )


def wakeup_kcompactd(reclaimer, order, highest_zoneidx):
    """Source: wakeup_kcompactd()."""
    node = reclaimer.node
    if not order:
        return
    first = node.kcompactd_order < 0
    before = highest_zoneidx if first else node.kcompactd_zoneidx
    node.kcompactd_zoneidx = min(before, highest_zoneidx)
    node.kcompactd_order = max(node.kcompactd_order, order)


def wakeup_kswapd(reclaimer, order, highest_zoneidx, may_reclaim):
    """Source: wakeup_kswapd()."""
    node = reclaimer.node
    if node.kswapd_highest_zoneidx == MAX_NR_ZONES:
        node.kswapd_highest_zoneidx = highest_zoneidx
    node.kswapd_highest_zoneidx = max(node.kswapd_highest_zoneidx, highest_zoneidx)
    node.kswapd_order = max(node.kswapd_order, order)
    if node.kswapd_awake:
        return
    boosted = any(zone.watermark_boost for zone in zones_up_to(reclaimer, highest_zoneidx))
    nothing = pgdat_balanced(reclaimer, order, highest_zoneidx) and not boosted
    if nothing or node.kswapd_failures >= MAX_RECLAIM_RETRIES:
        if not may_reclaim:
            wakeup_kcompactd(reclaimer, order, highest_zoneidx)
        return
    wake(reclaimer)


def wake(reclaimer):
    """wake_up_interruptible(): from a nap it wakes at once, to note that it did not last."""
    reclaimer.node.kswapd_awake = 1
    if reclaimer.napping:
        next(reclaimer.kswapd)


def end_nap(reclaimer):
    """The nap's time is over."""
    if reclaimer.napping and not reclaimer.node.kswapd_awake:
        next(reclaimer.kswapd)


def kswapd_step(reclaimer):
    """Run it until it yields; is it still awake?"""
    if reclaimer.node.kswapd_awake:
        next(reclaimer.kswapd)
    return bool(reclaimer.node.kswapd_awake)


def asked_zoneidx(node, before):
    """Source: kswapd_highest_zoneidx()."""
    asked = node.kswapd_highest_zoneidx
    return before if asked == MAX_NR_ZONES else asked


def prepare_kswapd_sleep(reclaimer, order, highest_zoneidx):
    """Source: prepare_kswapd_sleep(), clear_pgdat_congested()."""
    node = reclaimer.node
    if node.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    if not pgdat_balanced(reclaimer, order, highest_zoneidx):
        return False
    node.congested = node.dirty_pages_at_tail = node.writeback_pages_at_tail = 0
    return True


def kswapd_try_to_sleep(reclaimer, alloc_order, reclaim_order, highest_zoneidx):
    """Source: kswapd_try_to_sleep()."""
    node, counts, woken = reclaimer.node, reclaimer.counts, False
    if prepare_kswapd_sleep(reclaimer, reclaim_order, highest_zoneidx):
        for memory in reclaimer.compactor.zones:
            reset_isolation_suitable(reclaimer.compactor, memory)
        wakeup_kcompactd(reclaimer, alloc_order, highest_zoneidx)
        node.kswapd_awake, reclaimer.napping = 0, True
        yield
        reclaimer.napping, woken = False, bool(node.kswapd_awake)
        if woken:
            node.kswapd_highest_zoneidx = asked_zoneidx(node, highest_zoneidx)
            node.kswapd_order = max(node.kswapd_order, reclaim_order)
            counts["kswapd_low_wmark_hit_quickly"] += 1
            yield
            return
        if prepare_kswapd_sleep(reclaimer, reclaim_order, highest_zoneidx):
            node.kswapd_sleeps += 1
            yield
            return
        node.kswapd_awake = 1
        counts["kswapd_high_wmark_hit_quickly"] += 1
        yield
        return
    counts["kswapd_high_wmark_hit_quickly"] += 1


def kswapd(reclaimer, cpu):
    """The thread; at first it sleeps.  Source: kswapd()."""
    node, zoneidx = reclaimer.node, MAX_NR_ZONES - 1
    yield
    while True:
        alloc_order, zoneidx = node.kswapd_order, asked_zoneidx(node, zoneidx)
        node.kswapd_order, node.kswapd_highest_zoneidx = 0, MAX_NR_ZONES
        reclaim_order = yield from balance_pgdat(reclaimer, alloc_order, zoneidx, cpu)
        if reclaim_order >= alloc_order:
            alloc_order = reclaim_order = node.kswapd_order
            zoneidx = asked_zoneidx(node, zoneidx)
        yield
        yield from kswapd_try_to_sleep(reclaimer, alloc_order, reclaim_order, zoneidx)


def balance_pgdat(reclaimer, order, highest_zoneidx, cpu):
    """Reclaim until a zone is above its high watermark and boosts are worked off.

    Source: balance_pgdat().
    """
    node, zones = reclaimer.node, zones_up_to(reclaimer, highest_zoneidx)
    sc = ScanControl(True, highest_zoneidx, order=order)
    reclaimer.counts["pageoutrun"] += 1
    boosts = [zone.watermark_boost for zone in zones]
    boost = sum(boosts)
    for zone in zones:
        zone.flags |= ZONE_RECLAIM_ACTIVE
    while sc.priority >= 1:
        yield
        balanced = pgdat_balanced(reclaimer, sc.order, highest_zoneidx)
        if not balanced and boost:
            boost, sc.priority = 0, DEF_PRIORITY
        if balanced and not boost:
            break
        before, gentle = sc.nr_reclaimed, boost > 0 and sc.priority == DEF_PRIORITY - 2
        sc.may_swap = not boost
        sc.may_writepage = not boost or sc.priority < DEF_PRIORITY - 2
        age_anon(reclaimer, sc)
        sc.nr_scanned = 0
        enough = yield from kswapd_shrink_node(reclaimer, sc, zones, cpu)
        reclaimed = sc.nr_reclaimed - before
        boost = max(boost - reclaimed, 0)
        if boost and not reclaimed:
            give_up(node, sc)
            break
        if not reclaimed or not (enough or gentle):
            sc.priority -= 1
    else:
        give_up(node, sc)
    for zone in zones:
        zone.flags &= ~ZONE_RECLAIM_ACTIVE
    if any(boosts):
        for zone, first in zip(zones, boosts, strict=True):
            zone.watermark_boost = max(zone.watermark_boost - first, 0)
        wakeup_kcompactd(reclaimer, PAGEBLOCK_ORDER, highest_zoneidx)
    snapshot_refaults(reclaimer)
    return sc.order


def give_up(node, sc):
    """Balancing has ended without a balance.  Source: balance_pgdat()."""
    node.kswapd_failures += sc.nr_reclaimed == 0


def kswapd_shrink_node(reclaimer, sc, zones, cpu):
    """A pass; was enough scanned?  Source: kswapd_shrink_node()."""
    high = [zone.watermark[WMARK_HIGH] + zone.watermark_boost for zone in zones]
    sc.nr_to_reclaim = sum(max(pages, SWAP_CLUSTER_MAX) for pages in high)
    yield from shrink_node(reclaimer, sc, cpu)
    if sc.order and sc.nr_reclaimed >= 2 << sc.order:
        sc.order = 0
    return sc.nr_scanned >= sc.nr_to_reclaim
