"""Blocks that a direct compaction captures: they never come to a free list.

While a process compacts a zone for a block of some order, the first block of that order to which
its frees merge is its own.  Rows tell that it got one (``formats/traces/compaction.py``: its
compaction succeeded, and it then took no block from the lists) and the order; which block it is
and when it merges, the model predicts.  Up to 6.12: chunks of 7.3's drains capture nothing here.

Source: compact_zone_order() in mm/compaction.c; task_capc(), compaction_capture() in
mm/page_alloc.c.
"""

import numpy as np

from freehint.formats.traces.rows import (
    C_REFUSED,
    C_WAITING,
    CAPTURED,
    WAITS,
    note_first_miss,
    score,
)
from freehint.jit import kernel
from freehint.mm.compact.capture import drain_pcp, free_or_capture
from freehint.mm.compact.state import CONTROL_DTYPE
from freehint.mm.memory import page_zone
from freehint.mm.pcp import pages_of_drained_zone, push_page
from freehint.mm.pcp_limits import NO_DRAIN, end_shortage

WAITING = 16  # most processes that compact at the same time


def no_captures() -> tuple[np.ndarray, np.ndarray]:
    """``Scratch.control`` and ``Scratch.waits`` before the first row."""
    control = np.zeros(WAITING, CONTROL_DTYPE).view(np.recarray)
    control["captured"] = -1
    return control, np.zeros(WAITING, np.int32)


@kernel(inline=True)
def waiting(run, task):
    """The control of a process that waits for a block, or -1."""
    if run.counts[C_WAITING] > 0:
        for who in range(run.waits.shape[0]):
            if run.waits[who] == task and run.control[who].captures != 0:
                return who
    return -1


@kernel(cold=True)
def begin_waiting(run, rows, row):
    """From mm_compaction_begin on a process waits, if its compaction gets it a block."""
    if rows.fate[row] != WAITS:
        return
    for who in range(run.waits.shape[0]):
        cc = run.control[who]
        if cc.captures == 0 and cc.captured < 0:
            run.waits[who] = rows.task[row]
            cc.zone, cc.order = rows.value[row], rows.order[row]
            cc.migratetype = rows.migratetype[row]
            cc.captures = 1
            run.counts[C_WAITING] += 1
            return
    run.counts[C_REFUSED] += 1


@kernel(cold=True)
def end_waiting(run, task):
    """At mm_compaction_end a process waits no longer; it keeps the block that it got."""
    who = waiting(run, task)
    if who >= 0:
        run.control[who].captures = 0
        run.counts[C_WAITING] -= 1


@kernel(cold=True)
def captured_row(run, rows, row):
    """Compare an allocation with the block that its compaction captured in the model.

    Returns
    -------
    bool
        False if it captured none.
    """
    if rows.fate[row] != CAPTURED:
        return False
    for who in range(run.waits.shape[0]):
        cc = run.control[who]
        if run.waits[who] == rows.task[row] and cc.captures == 0 and cc.captured >= 0:
            node, cc.captured = cc.captured, -1
            if not score(run.counts, node, rows.node[row]):
                note_first_miss(run.counts, row, node)
            return True
    return False


@kernel(cold=True)
def free_waiting(memory, run, who, node, cpu, order, migratetype):
    """Free a block of a process that waits through the pcp lists; return the pages drained."""
    zone = page_zone(memory, node)
    drain, pindex = push_page(memory, node, zone, cpu, order, migratetype)
    if drain == NO_DRAIN:
        return 0
    freed = drain_pcp(memory, run, who, zone, cpu, drain, pindex)
    end_shortage(memory, zone)
    return freed


@kernel(cold=True)
def drain_waiting(memory, run, who, zone, cpu):
    """Drain all pages of a CPU in a zone, for a process that waits; return their number."""
    chunk = max(pages_of_drained_zone(memory, zone, cpu), 1)
    freed = 0
    while memory.pcp[zone, cpu].count > 0:
        freed += drain_pcp(memory, run, who, zone, cpu, chunk, 0)
    return freed


@kernel(inline=True)
def free_or_wait(memory, run, task, node, zone, order, migratetype):
    """Free a block to the buddy lists if its process waits, and return whether it does."""
    who = waiting(run, task)
    if who < 0:
        return False
    free_or_capture(memory, run, who, node, zone, order, migratetype)
    return True
