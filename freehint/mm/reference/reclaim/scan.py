"""How much of which list is scanned in one pass over the node.

Source: mm/vmscan.c of Linux 6.1.
"""

from math import isqrt

from freehint.mm.reference.compact.zone import compaction_suitable, watermark_ok
from freehint.mm.reference.lists import WMARK_HIGH, WMARK_MIN, nr_free_pages
from freehint.mm.reference.reclaim.lists import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    DEF_PRIORITY,
    EVICTABLE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    SWAP_CLUSTER_MAX,
    lru_size,
    zones_of,
    zones_up_to,
)
from freehint.mm.reference.reclaim.pages import shrink_active_list, shrink_list
from freehint.mm.reference.reclaim.writeback import flush_plug

PAGE_ALLOC_COSTLY_ORDER = 3
PAGES_PER_GIB = 1 << 18


def inactive_is_low(reclaimer, inactive_lru):
    """Source: inactive_is_low()."""
    inactive, active = lru_size(reclaimer, inactive_lru), lru_size(reclaimer, inactive_lru + 1)
    gib = (inactive + active) // PAGES_PER_GIB
    return inactive * (isqrt(10 * gib) if gib else 1) < active


def can_reclaim_anon_pages(reclaimer):
    """Source: can_reclaim_anon_pages()."""
    return None in reclaimer.slots


def prepare_scan_count(reclaimer, sc):
    """Which active lists are shrunk, and is there plenty or too little cache?

    Source: prepare_scan_count().
    """
    node, counts = reclaimer.node, reclaimer.counts
    for kind, lru, refaults in (
        ("anon", INACTIVE_ANON, node.refaults_anon),
        ("file", INACTIVE_FILE, node.refaults_file),
    ):
        thrashes = counts[f"workingset_activate_{kind}"] != refaults
        if sc.force_deactivate or thrashes or inactive_is_low(reclaimer, lru):
            sc.may_deactivate.add(kind)
        else:
            sc.may_deactivate.discard(kind)
    inactive_file = lru_size(reclaimer, INACTIVE_FILE)
    plenty = inactive_file >> sc.priority > 0
    sc.cache_trim_mode = plenty and "file" not in sc.may_deactivate
    if sc.cgroup:
        return
    zones = zones_of(reclaimer)
    high = sum(zone.watermark[WMARK_HIGH] + zone.watermark_boost for zone in zones)
    cache = inactive_file + lru_size(reclaimer, ACTIVE_FILE)
    scarce = cache + sum(map(nr_free_pages, zones)) <= high
    anon = lru_size(reclaimer, INACTIVE_ANON) >> sc.priority
    sc.file_is_tiny = scarce and "anon" not in sc.may_deactivate and anon > 0


def get_scan_count(reclaimer, sc):
    """Pages to scan on each list.  Source: get_scan_count()."""
    node, swappiness = reclaimer.node, reclaimer.node.swappiness
    total = node.anon_cost + node.file_cost
    anon_cost, file_cost = total + node.anon_cost, total + node.file_cost
    total = anon_cost + file_cost
    anon = swappiness * (total + 1) // (anon_cost + 1)
    file = (200 - swappiness) * (total + 1) // (file_cost + 1)
    shares = {"anon": (anon, anon + file), "file": (file, anon + file)}
    if not sc.may_swap or not can_reclaim_anon_pages(reclaimer) or (sc.cgroup and not swappiness):
        shares = {"anon": (0, 1), "file": (1, 1)}
    elif sc.priority == 0 and swappiness:
        shares = {"anon": (1, 1), "file": (1, 1)}
    elif sc.file_is_tiny:
        shares = {"anon": (1, 1), "file": (0, 1)}
    elif sc.cache_trim_mode:
        shares = {"anon": (0, 1), "file": (1, 1)}
    zones = zones_up_to(reclaimer, sc.reclaim_idx)
    scan = []
    for lru in EVICTABLE:
        part, of = shares["file" if lru >= INACTIVE_FILE else "anon"]
        scan.append((lru_size(reclaimer, lru, zones) >> sc.priority) * part // of)
    return scan


def keep_proportion(left, targets):
    """Stop the kind with less left to scan; scan as large a part of the other.

    Source: shrink_lruvec().
    """
    anon, file = (INACTIVE_ANON, ACTIVE_ANON), (INACTIVE_FILE, ACTIVE_FILE)
    less, more = (anon, file) if sum(left[2:]) > sum(left[:2]) else (file, anon)
    unscanned = sum(left[lru] for lru in less) * 100 // (sum(targets[lru] for lru in less) + 1)
    for lru in less:
        left[lru] = 0
    for lru in more:
        scanned = targets[lru] - left[lru]
        left[lru] = max(targets[lru] * (100 - unscanned) // 100 - scanned, 0)


def shrink_lruvec(reclaimer, sc, cpu):
    """Scan the lists in turn, 32 pages at a time; yield before each round.

    Source: shrink_lruvec().
    """
    left = get_scan_count(reclaimer, sc)
    targets, reclaimed = list(left), 0
    proportional = not sc.cgroup and not sc.kswapd and sc.priority == DEF_PRIORITY
    yield
    while left[INACTIVE_ANON] or left[ACTIVE_FILE] or left[INACTIVE_FILE]:
        for lru in EVICTABLE:
            batch = min(left[lru], SWAP_CLUSTER_MAX)
            if batch:
                left[lru] -= batch
                reclaimed += shrink_list(reclaimer, sc, lru, batch, cpu)
        if reclaimed >= sc.nr_to_reclaim and not proportional:
            if not any(left[:2]) or not any(left[2:]):
                break
            keep_proportion(left, targets)
        if left[INACTIVE_ANON] or left[ACTIVE_FILE] or left[INACTIVE_FILE]:
            yield
    flush_plug(reclaimer, sc.kswapd)
    sc.nr_reclaimed += reclaimed
    age_anon(reclaimer, sc)


def age_anon(reclaimer, sc):
    """Source: can_age_anon_pages(), shrink_lruvec(); kswapd_age_node()."""
    if reclaimer.slots and inactive_is_low(reclaimer, INACTIVE_ANON):
        shrink_active_list(reclaimer, sc, ACTIVE_ANON, SWAP_CLUSTER_MAX)


def should_continue_reclaim(reclaimer, sc, reclaimed):
    """Is another pass needed, so that compaction for the order can begin?

    Source: in_reclaim_compaction(), should_continue_reclaim().
    """
    large = sc.order > PAGE_ALLOC_COSTLY_ORDER or sc.priority < DEF_PRIORITY - 2
    if not sc.order or not large or not reclaimed:
        return False
    twin = reclaimer.compactor.twin
    for zone in zones_up_to(reclaimer, sc.reclaim_idx):
        if watermark_ok(twin, zone, sc.order, WMARK_MIN, 0, sc.reclaim_idx):
            return False
        if compaction_suitable(twin, zone, sc.order, sc.reclaim_idx):
            return False
    inactive = lru_size(reclaimer, INACTIVE_FILE)
    if can_reclaim_anon_pages(reclaimer):
        inactive += lru_size(reclaimer, INACTIVE_ANON)
    return inactive > 2 << sc.order


def shrink_node(reclaimer, sc, cpu):
    """Pass over the node's lists, and yield between rounds.  Source: shrink_node()."""
    node, useful = reclaimer.node, False
    while True:
        sc.nr.clear()
        before = sc.nr_reclaimed
        prepare_scan_count(reclaimer, sc)
        yield from shrink_lruvec(reclaimer, sc, cpu)
        useful |= sc.nr_reclaimed > before
        if sc.kswapd:
            note_what_kswapd_met(node, sc.nr)
        if not should_continue_reclaim(reclaimer, sc, sc.nr_reclaimed - before):
            break
    if useful:
        node.kswapd_failures = 0


def note_what_kswapd_met(node, nr):
    """Source: shrink_node()."""
    if nr["writeback"] and nr["writeback"] == nr["taken"]:
        node.writeback_pages_at_tail = 1
    if nr["unqueued_dirty"] == nr["file_taken"]:
        node.dirty_pages_at_tail = 1
    if nr["dirty"] and nr["dirty"] == nr["congested"]:
        node.congested = 1


def snapshot_refaults(reclaimer):
    """Source: snapshot_refaults()."""
    reclaimer.node.refaults_anon = reclaimer.counts["workingset_activate_anon"]
    reclaimer.node.refaults_file = reclaimer.counts["workingset_activate_file"]
