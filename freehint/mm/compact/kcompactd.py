"""kcompactd under pressure: woken by kswapd for an order, or by the fragmentation score.

:func:`wakeup_kcompactd` says what is wanted, and each :func:`kcompactd_step` does a part of it, one
cluster of pages at most, as long as it returns True.

Source: mm/compaction.c of Linux 6.1.
"""

from freehint.jit import kernel
from freehint.mm.compact.direct import set_request
from freehint.mm.compact.finish import compaction_suitable
from freehint.mm.compact.proactive import fragmentation_score_node
from freehint.mm.compact.skip import (
    compaction_defer_reset,
    compaction_deferred,
    defer_compaction,
)
from freehint.mm.compact.state import (
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SUCCESS,
    KCOMPACTD,
    MIGRATE_SYNC_LIGHT,
    VIA_COMPACT_MEMORY,
)
from freehint.mm.compact.zone import begin_zone, step_zone
from freehint.mm.memory import UNMOVABLE, WMARK_MIN
from freehint.mm.pcp import drain_pages_zone
from freehint.mm.reclaim.counts import COMPACT_DAEMON_WAKE, WORK_UNDER_LOCK
from freehint.mm.zone import zone_watermark_ok

PROACTIVE_LOW_AT_LEAST = 5  # fragmentation_score_wmark()


@kernel(inline=True)
def needs_compaction(memory, zone, order, highest_zoneidx):
    """Would a request of this order fail in the zone, and would compaction help?

    Source: kcompactd_node_suitable(), kcompactd_do_work().
    """
    if zone_watermark_ok(memory, zone, order, WMARK_MIN, 0, highest_zoneidx, 0):
        return False
    return compaction_suitable(memory, zone, order, highest_zoneidx)


@kernel
def wakeup_kcompactd(memory, compaction, order, highest_zoneidx):
    """Ask for blocks of an order, of zones up to a kernel index; kswapd does so before it sleeps.

    Source: wakeup_kcompactd(), kcompactd_node_suitable().
    """
    daemon = compaction.daemon[0]
    if order <= 0:
        return
    daemon.kcompactd_max_order = max(daemon.kcompactd_max_order, order)
    if daemon.kcompactd_highest_zoneidx > highest_zoneidx:
        daemon.kcompactd_highest_zoneidx = highest_zoneidx
    if daemon.awake:
        return
    highest = daemon.kcompactd_highest_zoneidx
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index > highest:
            break
        if needs_compaction(memory, zone, daemon.kcompactd_max_order, highest):
            daemon.awake = 1
            daemon.proactive = daemon.zone = daemon.running = 0
            break


@kernel
def answer_kswapd(memory, reclaim, compaction):
    """Wake kcompactd if kswapd has asked for it since this was last called."""
    node = reclaim.node[0]
    if node.kcompactd_order >= 0:
        wakeup_kcompactd(memory, compaction, node.kcompactd_order, node.kcompactd_zoneidx)
        node.kcompactd_order = -1


@kernel(inline=True)
def proactive_low(reclaim):
    """The score at which proactive compaction ends.  Source: fragmentation_score_wmark()."""
    return max(100 - reclaim.node[0].compaction_proactiveness, PROACTIVE_LOW_AT_LEAST)


@kernel
def wake_proactively(memory, reclaim, compaction):
    """Begin a proactive compaction if the node's score asks for it; kcompactd looks twice a second.

    Source: should_proactive_compact_node().
    """
    daemon, node = compaction.daemon[0], reclaim.node[0]
    if daemon.awake or node.kswapd_awake or node.compaction_proactiveness == 0:
        return False
    if not memory.profile.proactive_compaction:
        return False
    score = fragmentation_score_node(memory)
    if score <= min(proactive_low(reclaim) + 10, 100):
        return False
    daemon.awake = daemon.proactive = 1
    daemon.zone = daemon.running = 0
    daemon.score = score
    return True


@kernel
def kcompactd_timeout(memory, reclaim, compaction):
    """The sleep of 500 ms is over; begin what is to be done, and return whether it is proactive.

    An order that was asked for while it could not be had, so that nobody was woken, is tried now;
    the score is then only looked at after the next sleep.
    Source: kcompactd(), kcompactd_work_requested().
    """
    daemon = compaction.daemon[0]
    if daemon.awake or daemon.kcompactd_max_order == 0:
        return wake_proactively(memory, reclaim, compaction)
    daemon.awake = 1
    daemon.proactive = daemon.zone = daemon.running = 0
    return False


@kernel
def begin_next_zone(memory, reclaim, compaction, cpu):
    """Begin with the zone whose turn it is, if it needs compaction; return whether it has begun.

    Source: the loops over zones in kcompactd_do_work() and proactive_compact_node().
    """
    daemon, cc = compaction.daemon[0], compaction.control[KCOMPACTD]
    zone = daemon.zone
    if daemon.proactive:
        set_request(cc, cpu, VIA_COMPACT_MEMORY, UNMOVABLE, 0)
        cc.whole_zone = cc.ignore_skip_hint = cc.proactive_compaction = 1
        cc.proactive_low = proactive_low(reclaim)
    else:
        order, index = cc.order, memory.zones[zone].index
        if compaction_deferred(compaction, zone, order):
            return False
        if not needs_compaction(memory, zone, order, index):
            return False
    cc.mode = MIGRATE_SYNC_LIGHT
    result = begin_zone(memory, reclaim, compaction, KCOMPACTD, zone)
    if result != COMPACT_CONTINUE:
        zone_done(memory, reclaim, compaction, result)
        return False
    return True


@kernel
def zone_done(memory, reclaim, compaction, result):
    """Draw the conclusions from a zone's compaction.  Source: kcompactd_do_work()."""
    daemon, order = compaction.daemon[0], compaction.control[KCOMPACTD].order
    if daemon.proactive:
        return
    if result == COMPACT_SUCCESS:
        compaction_defer_reset(compaction, daemon.zone, order, False)
    elif result == COMPACT_PARTIAL_SKIPPED or result == COMPACT_COMPLETE:
        for cpu in range(memory.nr_cpus):
            drained = drain_pages_zone(memory, daemon.zone, cpu)
            reclaim.work[WORK_UNDER_LOCK] += drained
        defer_compaction(compaction, daemon.zone, order)


@kernel
def kcompactd_sleeps(memory, compaction):
    """All zones have had their turn; go on at once if kswapd has asked for more meanwhile.

    Source: the ends of kcompactd_do_work() and of the loop in kcompactd().
    """
    daemon, cc = compaction.daemon[0], compaction.control[KCOMPACTD]
    if daemon.proactive:
        daemon.progress = 1 if fragmentation_score_node(memory) < daemon.score else 0
    else:
        if daemon.kcompactd_max_order <= cc.order:
            daemon.kcompactd_max_order = 0
        if daemon.kcompactd_highest_zoneidx >= cc.highest_zoneidx:
            top = memory.zones.shape[0] - 1
            daemon.kcompactd_highest_zoneidx = memory.zones[top].index
    daemon.awake = 1 if daemon.kcompactd_max_order > 0 else 0
    daemon.proactive = daemon.zone = daemon.running = 0


@kernel
def kcompactd_step(memory, reclaim, compaction, cpu):
    """Do one part of kcompactd's work, 32 pages or the rest of a pageblock at most.

    Returns
    -------
    bool
        Is there more to do?
    """
    daemon, cc = compaction.daemon[0], compaction.control[KCOMPACTD]
    if daemon.awake == 0:
        return False
    if daemon.running:
        result = step_zone(memory, reclaim, compaction, KCOMPACTD)
        if result == COMPACT_CONTINUE:
            return True
        zone_done(memory, reclaim, compaction, result)
        daemon.running = 0
        daemon.zone += 1
    elif daemon.zone == 0 and daemon.proactive == 0:
        set_request(
            cc, cpu, daemon.kcompactd_max_order, UNMOVABLE, daemon.kcompactd_highest_zoneidx
        )
        reclaim.count[COMPACT_DAEMON_WAKE] += 1
    while daemon.zone < memory.zones.shape[0]:
        past = memory.zones[daemon.zone].index > cc.highest_zoneidx
        if past and daemon.proactive == 0:
            break
        if begin_next_zone(memory, reclaim, compaction, cpu):
            daemon.running = 1
            return True
        daemon.zone += 1
    kcompactd_sleeps(memory, compaction)
    return daemon.awake != 0
