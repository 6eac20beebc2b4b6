"""Direct reclaim: a task frees pages for its own request.

Source: mm/vmscan.c of Linux 6.1.
"""

from freehint.mm.reference.compact.zone import compaction_suitable, watermark_ok
from freehint.mm.reference.lists import WMARK_HIGH, WMARK_MIN, nr_free_pages
from freehint.mm.reference.reclaim.control import ScanControl
from freehint.mm.reference.reclaim.kswapd import wake
from freehint.mm.reference.reclaim.lists import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    DEF_PRIORITY,
    INACTIVE_ANON,
    INACTIVE_FILE,
    MAX_RECLAIM_RETRIES,
    SWAP_CLUSTER_MAX,
    lru_size,
    zones_of,
    zones_up_to,
)
from freehint.mm.reference.reclaim.scan import (
    PAGE_ALLOC_COSTLY_ORDER,
    can_reclaim_anon_pages,
    shrink_node,
    snapshot_refaults,
)
from freehint.mm.reference.reclaim.writeback import nr_dirty

ZONE_NORMAL = 2
ZONE_NAMES = ("dma", "dma32", "normal", "movable")


def zone_reclaimable_pages(reclaimer, zone):
    """Source: zone_reclaimable_pages() of 6.1.124."""
    lists = [INACTIVE_FILE, ACTIVE_FILE]
    if can_reclaim_anon_pages(reclaimer):
        lists += [INACTIVE_ANON, ACTIVE_ANON]
    return sum(lru_size(reclaimer, lru, [zone]) for lru in lists) or nr_free_pages(zone)


def allow_direct_reclaim(reclaimer):
    """Source: allow_direct_reclaim()."""
    node = reclaimer.node
    if node.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    zones = zones_up_to(reclaimer, ZONE_NORMAL)
    zones = [zone for zone in zones if zone_reclaimable_pages(reclaimer, zone)]
    reserve = sum(zone.watermark[WMARK_MIN] + zone.watermark_boost for zone in zones)
    if not reserve or sum(map(nr_free_pages, zones)) > reserve // 2:
        return True
    if not node.kswapd_awake:
        node.kswapd_highest_zoneidx = min(node.kswapd_highest_zoneidx, ZONE_NORMAL)
        wake(reclaimer)
    return False


def throttle_direct_reclaim(reclaimer):
    """Must the task wait for kswapd?  A wait counts once.  Source: throttle_direct_reclaim()."""
    request = reclaimer.request
    if allow_direct_reclaim(reclaimer):
        request.waits = 0
        return False
    reclaimer.counts["pgscan_direct_throttle"] += not request.waits
    request.waits = 1
    return True


def skip_throttle_noprogress(reclaimer):
    """Source: skip_throttle_noprogress()."""
    if reclaimer.node.kswapd_failures >= MAX_RECLAIM_RETRIES:
        return True
    pages = sum(zone_reclaimable_pages(reclaimer, zone) for zone in zones_of(reclaimer))
    pending = nr_dirty(reclaimer) + len(reclaimer.disk)
    return 2 * pending <= pages


def compaction_ready(reclaimer, sc, zone):
    """Source: compaction_ready()."""
    twin, highest = reclaimer.compactor.twin, sc.reclaim_idx
    if watermark_ok(twin, zone, sc.order, WMARK_MIN, 0, highest):
        return True
    if not compaction_suitable(twin, zone, sc.order, highest):
        return False
    return watermark_ok(twin, zone, 0, WMARK_HIGH, 2 << sc.order, highest)


def shrink_zones(reclaimer, sc, cpu):
    """Shrink the node at the first zone, the highest first, where compaction is not ready.

    Source: shrink_zones().
    """
    shrunk = False
    for zone in reversed(zones_up_to(reclaimer, sc.reclaim_idx)):
        costly = sc.order > PAGE_ALLOC_COSTLY_ORDER
        if costly and not sc.cgroup and compaction_ready(reclaimer, sc, zone):
            sc.compaction_ready = True
        elif not shrunk:
            shrunk = True
            for _ in shrink_node(reclaimer, sc, cpu):
                pass


def do_try_to_free_pages(reclaimer, sc, cpu):
    """Pass after pass over a larger part of the lists; did it help?

    Source: do_try_to_free_pages().
    """
    while True:
        reclaimer.counts[f"allocstall_{ZONE_NAMES[sc.reclaim_idx]}"] += not sc.cgroup
        for sc.priority in range(DEF_PRIORITY, -1, -1):
            sc.nr_scanned = 0
            shrink_zones(reclaimer, sc, cpu)
            if sc.nr_reclaimed >= sc.nr_to_reclaim or sc.compaction_ready:
                break
        snapshot_refaults(reclaimer)
        if sc.nr_reclaimed or sc.compaction_ready:
            return sc.nr_reclaimed or 1
        if not sc.skipped_deactivate:
            return 0
        sc.force_deactivate, sc.skipped_deactivate = True, False


def try_to_free_pages(reclaimer, cpu, order, highest_zoneidx):
    """Source: try_to_free_pages()."""
    sc = ScanControl(False, highest_zoneidx, SWAP_CLUSTER_MAX, order)
    return do_try_to_free_pages(reclaimer, sc, cpu)
