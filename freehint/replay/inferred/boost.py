"""What kswapd does to the pcp lists: it limits them while it balances, and it ends boosts.

Rows of balance_pgdat() tell when.  Without them the end of a boost is inferred from the drains
that follow it.

A steal boosts the watermarks of its zone until kswapd has run.  Where pcp.high tunes itself, a
zone below its high watermark, boost included, has ZONE_BELOW_HIGH, and then its pcp lists drain
early.  If the first drain that the trace does not have is gone once the boost ends at an earlier
row where nothing but the boost kept the flag, then kswapd ended it before that row.

Source: balance_pgdat() in mm/vmscan.c; nr_pcp_high(), free_unref_page_commit() and
get_page_from_freelist() in mm/page_alloc.c of 6.12.
"""

import numpy as np

from freehint.formats.traces.balance import deciding_rows
from freehint.formats.traces.rows import (
    BALANCE,
    BOOSTS_STAY,
    C_DOUBTS,
    C_FIRST_DRAIN_MISS,
    ENDS_BALANCE,
    ENDS_BOOST,
    FAITHFUL,
)
from freehint.jit import kernel
from freehint.mm.highatomic import unusable_highatomic
from freehint.mm.memory import (
    MOVABLE,
    WMARK_HIGH,
    WMARK_LOW,
    ZONE_BELOW_HIGH,
    ZONE_MOVABLE,
    ZONE_NORMAL,
    ZONE_RECLAIM_ACTIVE,
)
from freehint.mm.pcp_limits import zone_flag
from freehint.mm.profile import HIGH_AUTO_TUNED
from freehint.mm.zone import above_high, zone_watermark_ok

NR_DOUBTS = 16  # the newest rows at which a boost decided
BOOST_ENDS = 64  # most that are inferred in one replay
BALANCE_STEPS = 256  # most wrong drains that ends of balancing explain in one replay


@kernel(cold=True)
def end_boosts(memory):
    """End the boost of every zone, as kswapd does when it has balanced the node."""
    for zone in range(memory.zones.shape[0]):
        memory.zones[zone].watermark_boost = 0


@kernel(cold=True)
def balance_row(memory, run, zones, ablation):
    """Set ZONE_RECLAIM_ACTIVE of the lowest ``zones``, or, if that is 0, end what kswapd began.

    Boosts that were there when it began are over then; what came since stays.
    Source: balance_pgdat(), set_reclaim_active(), clear_reclaim_active().
    """
    for zone in range(memory.zones.shape[0]):
        boost = memory.zones[zone].watermark_boost
        if zone < zones:
            memory.zones[zone]["flags"] |= ZONE_RECLAIM_ACTIVE
            run.boosts[zone] = boost
        elif zones == 0 and zone_flag(memory, zone, ZONE_RECLAIM_ACTIVE):
            memory.zones[zone]["flags"] &= ~ZONE_RECLAIM_ACTIVE
            if ablation != BOOSTS_STAY:
                memory.zones[zone].watermark_boost = max(boost - run.boosts[zone], 0)


@kernel(inline=True)
def end_as_inferred(memory, run, rows, row):
    """End all boosts, or kswapd's balancing, if that was inferred to be over before this row."""
    change = rows.change[row]
    if change == ENDS_BOOST:
        end_boosts(memory)
    elif change == ENDS_BALANCE:
        balance_row(memory, run, 0, FAITHFUL)


@kernel(cold=True)
def note_doubt(run, row):
    """Remember a row at which a boost decided, unless a drain was wrong already."""
    if run.counts[C_FIRST_DRAIN_MISS] < 0:
        run.doubts[run.counts[C_DOUBTS] % run.doubts.shape[0]] = row
        run.counts[C_DOUBTS] += 1


@kernel(inline=True)
def doubt_after_drain(memory, run, row, zone):
    """Note the row of a drain if nothing but the boost keeps the zone's ZONE_BELOW_HIGH."""
    record = memory.zones[zone]
    if record.watermark_boost > 0 and zone_flag(memory, zone, ZONE_BELOW_HIGH):
        free = record.nr_free_pages - unusable_highatomic(memory, zone)
        if free > record.watermark[WMARK_HIGH] + record.lowmem_reserve[ZONE_MOVABLE]:
            note_doubt(run, row)


@kernel(inline=True)
def look_at_zone(memory, run, row, zone, order, highest):
    """Look at a zone's high watermark, and note the row if the boost decides.

    The look may set ZONE_BELOW_HIGH.
    """
    boost = memory.zones[zone].watermark_boost
    was_below = boost > 0 and zone_flag(memory, zone, ZONE_BELOW_HIGH)
    if not above_high(memory, zone, order, highest, 0) and boost > 0 and not was_below:
        memory.zones[zone].watermark_boost = 0
        if zone_watermark_ok(memory, zone, order, WMARK_HIGH, 0, highest, 0):
            note_doubt(run, row)
        memory.zones[zone].watermark_boost = boost


@kernel(inline=True)
def look_at_zones(memory, run, row, zone, order, migratetype):
    """Check the high watermarks of all zones that an allocation came to.

    Those are the zones down to the one that served it, or down to the lowest, 0, if none did: it
    fails, or reclaims before it looks again.  All are looked at too if the zone that served it was
    below its low watermark, for then it served the slow path, after every zone was refused.
    The zones above were checked and passed over; each check may set ZONE_BELOW_HIGH.  The
    zonelist is taken to begin at the highest zone, since rows do not show __GFP_DMA32.  There is
    no such check where pcp.high does not tune itself, nor in the bulk allocator.
    Source: get_page_from_freelist(), alloc_pages_bulk_noprof() of 6.12.
    """
    if memory.profile.pcp_high != HIGH_AUTO_TUNED:
        return
    highest = ZONE_MOVABLE if migratetype == MOVABLE else ZONE_NORMAL
    for looked_at in range(memory.zones.shape[0] - 1, zone - 1, -1):
        look_at_zone(memory, run, row, looked_at, order, highest)
    if zone == 0 or not zone_flag(memory, zone, ZONE_BELOW_HIGH):
        return
    if not zone_watermark_ok(memory, zone, order, WMARK_LOW, 0, highest, 0):
        for looked_at in range(zone - 1, -1, -1):
            look_at_zone(memory, run, row, looked_at, order, highest)


def infer_boost_ends(columns, first, again):
    """End boosts where that explains the first wrong drain, and replay anew each time.

    None is inferred if rows tell when kswapd balances.

    Parameters
    ----------
    columns : Rows
        Rows at which boosts are over get the mark ENDS_BOOST.
    first : tuple
        What ``again`` returned before any mark: a tuple whose second entry is a Scratch.
    again : callable
        Replays all rows.

    Returns
    -------
    (tuple, int)
        The last replay that explains more drains than the one before, and the number of marks.
    """
    ends, most = 0, 0 if (columns.kind == BALANCE).any() else BOOST_ENDS
    while ends < most:
        run = first[1]
        missed, doubts = run.counts[C_FIRST_DRAIN_MISS], run.counts[C_DOUBTS]
        rows = [run.doubts[n % NR_DOUBTS] for n in range(doubts)][-NR_DOUBTS:]
        for row in reversed(rows if missed >= 0 else []):
            columns.change[row] = ENDS_BOOST
            other = again()
            if not 0 <= other[1].counts[C_FIRST_DRAIN_MISS] <= missed:
                first, ends = other, ends + 1
                break
            columns.change[row] = -1
        else:
            break
    return first, ends


def infer_balance_ends(columns, first, again):
    """End kswapd's balancing later where that explains the first wrong drain.

    Each end that :func:`freehint.formats.traces.balance.infer_balances` marked stands as early as
    kswapd's rows allow.  ``columns``, ``first`` and ``again`` are as for
    :func:`infer_boost_ends`.

    Returns
    -------
    (tuple, int)
        The last replay that explains more drains than the one before, and the number of ends
        that moved.
    """
    ends = np.flatnonzero(columns.change == ENDS_BALANCE)
    decides, begins = deciding_rows(columns), np.flatnonzero(columns.kind == BALANCE)
    moved = set()
    for _ in range(BALANCE_STEPS if len(ends) else 0):
        missed = first[1].counts[C_FIRST_DRAIN_MISS]
        at = np.searchsorted(ends, missed, "right") - 1
        later = decides[np.searchsorted(decides, missed) :][:1]
        if missed < 0 or at < 0 or not len(later) or later[0] <= ends[at]:
            break
        if np.searchsorted(begins, ends[at]) != np.searchsorted(begins, later[0]):
            break  # it woke again in between
        columns.change[[ends[at], later[0]]] = -1, ENDS_BALANCE
        other = again()
        if 0 <= other[1].counts[C_FIRST_DRAIN_MISS] <= missed:
            columns.change[[ends[at], later[0]]] = ENDS_BALANCE, -1
            break
        first, ends[at] = other, later[0]
        moved.add(int(at))
    return first, len(moved)
