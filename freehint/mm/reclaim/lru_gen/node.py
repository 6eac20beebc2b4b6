"""A pass of the multi-generation LRU over the node: how much is scanned, and when it is enough.

Simplified: one memory cgroup, in the kernel's list of cgroups always the next.

Source: lru_gen_shrink_node() and what it calls, mm/vmscan.c of Linux 6.12.
"""

from freehint.jit import kernel
from freehint.mm.memory import WMARK_HIGH
from freehint.mm.reclaim.lists import lru_pages
from freehint.mm.reclaim.lru_gen.aging import (
    MIN_LRU_BATCH,
    should_run_aging,
    try_to_inc_max_seq,
)
from freehint.mm.reclaim.lru_gen.evict import evict_folios, swappiness_now
from freehint.mm.reclaim.scan import ask_shrinkers
from freehint.mm.reclaim.state import (
    BY_KSWAPD,
    DEF_PRIORITY,
    INACTIVE_ANON,
    INACTIVE_FILE,
)
from freehint.mm.reclaim.writeback import end_writeback, flush_plug, next_writeback, swap_pages_free
from freehint.mm.zone import zone_watermark_ok

# Pages that the disk has not written yet when the next batch is scanned.  6.12's rc_swap: tasks
# scan 281 pages for 65 that they reclaim, three batches more than the one that they get.
IN_FLIGHT = 3 * MIN_LRU_BATCH


@kernel(cold=True)
def get_nr_to_scan(memory, reclaim, who, swappiness):
    """Pages to scan in this pass; 0 or less if it is over, as there was aging to be done.

    Source: get_nr_to_scan().
    """
    priority = reclaim.control[who].priority
    aging, pages = should_run_aging(reclaim, swappiness > 0)
    if not aging or priority == DEF_PRIORITY:
        return pages >> priority
    try_to_inc_max_seq(memory, reclaim, swappiness > 0)
    return -1


@kernel(cold=True)
def should_abort_scan(memory, reclaim, who):
    """Is enough reclaimed, or does kswapd find every zone well above its high watermark?

    Source: should_abort_scan().
    """
    sc = reclaim.control[who]
    if sc.proactive:
        return False
    reclaimed = sc.lru_reclaimed + (0 if who == BY_KSWAPD else sc.nr_reclaimed)
    if reclaimed >= max(sc.nr_to_reclaim, 2 << sc.order):
        return True
    if who != BY_KSWAPD or sc.order:
        return False
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= sc.reclaim_idx:
            more = MIN_LRU_BATCH
            if not zone_watermark_ok(memory, zone, 0, WMARK_HIGH, more, sc.reclaim_idx, 0):
                return False
    return True


@kernel(inline=True)
def fls(number):
    """Bits of a number: the position of its highest, counted from 1.  Source: fls_long()."""
    bits = 0
    while number >> bits:
        bits += 1
    return bits


@kernel(cold=True)
def set_initial_priority(reclaim, who):
    """Begin with the priority at which a pass may well suffice.  Source: set_initial_priority()."""
    sc = reclaim.control[who]
    if sc.priority != DEF_PRIORITY or sc.nr_to_reclaim < MIN_LRU_BATCH or sc.proactive:
        return
    pages = lru_pages(reclaim, INACTIVE_FILE)
    if swap_pages_free(reclaim) > 0:
        pages += lru_pages(reclaim, INACTIVE_ANON)
    priority = fls(pages) - 1 - fls(sc.nr_to_reclaim - 1)
    sc.priority = min(max(priority, DEF_PRIORITY // 2), DEF_PRIORITY)


# One pass over a node


@kernel(cold=True)
def lru_gen_begin_pass(memory, reclaim, who):
    """Begin a pass; it scans nothing if pages must not be written (reclaim because of a boost).

    Source: shrink_node(), lru_gen_shrink_node().
    """
    sc = reclaim.control[who]
    sc.dirty = sc.unqueued_dirty = sc.nr_congested = sc.writeback = sc.immediate = 0
    sc.taken = sc.file_taken = sc.lru_reclaimed = 0
    sc.gen_scanned = 0 if sc.may_writepage else -1
    if sc.may_writepage:
        set_initial_priority(reclaim, who)


@kernel(cold=True)
def lru_gen_round(memory, reclaim, who, cpu):
    """One batch of a pass; True while the pass has more to do.  Source: try_to_shrink_lruvec()."""
    sc = reclaim.control[who]
    if sc.gen_scanned < 0:
        return False
    swappiness = swappiness_now(reclaim, who)
    wanted = get_nr_to_scan(memory, reclaim, who, swappiness)
    if wanted <= 0:
        return False
    scanned = evict_folios(memory, reclaim, who, cpu, swappiness)
    flush_plug(reclaim, who)
    sc.gen_scanned += scanned
    if who != BY_KSWAPD:
        let_disk_write(memory, reclaim)
    if scanned == 0 or sc.gen_scanned >= wanted:
        return False
    return not should_abort_scan(memory, reclaim, who)


@kernel(cold=True)
def let_disk_write(memory, reclaim):
    """The disk has meanwhile written all but the last pages that it was given.

    A pass of direct reclaim is one step of the engine, in which no write could end otherwise.
    """
    while reclaim.node[0].writeback_count > IN_FLIGHT:
        node = next_writeback(reclaim)
        if node >= 0:
            end_writeback(memory, reclaim, node)


@kernel(cold=True)
def lru_gen_end_pass(memory, reclaim, who):
    """End a pass: ask shrinkers, and flushers if all pages that were met are dirty.

    Source: try_to_shrink_lruvec(), shrink_one(), lru_gen_shrink_node().
    """
    sc = reclaim.control[who]
    sc.nr_reclaimed += sc.lru_reclaimed
    if sc.unqueued_dirty and sc.unqueued_dirty == sc.file_taken:
        reclaim.node[0].flusher_wanted = 1
    if sc.gen_scanned >= 0:
        ask_shrinkers(memory, reclaim, sc.priority)
    if sc.lru_reclaimed > 0:
        reclaim.node[0].kswapd_failures = 0
