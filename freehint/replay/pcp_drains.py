"""Drains of pcp lists at pcp level that go in chunks, with other tasks at work between them.

From 7.3 on a drain frees a batch and lets go of the locks before the next one; the decay of
pcp.high always did.  In a preemptible kernel others push and take pages between.  The model decides
how much is to be drained, and the rows of free_pcppages_bulk() tell only *when* a chunk is.
"""

import numpy as np

from freehint.formats.traces.rows import (
    C_DRAIN_MISSES,
    C_DRAINS,
    C_FIRST_DRAIN_MISS,
)
from freehint.jit import kernel
from freehint.mm.pcp import (
    decay_pcp_high,
    drain_pages_zone,
    free_pcppages_bulk,
    pages_of_drained_zone,
)
from freehint.mm.pcp_limits import (
    end_shortage,
    largest_batch,
    lower_high,
)

# Columns of Scratch.due; a drain is that of a free, of a decay, or of all pages.
DUE_COLUMNS = DUE_WHY, DUE_TASK, DUE_ZONE, DUE_PINDEX, DUE_PAGES = range(5)
AFTER_FREE, DECAYS, EVERYTHING = range(3)
DUE_DRAINS = 64  # most drains of a CPU that others may have interrupted


def no_drains_due(nr_cpus: int, told: bool) -> np.ndarray:
    """The drains due before the first row: with room for some if rows tell of their chunks."""
    return np.zeros((nr_cpus, 1 + DUE_DRAINS if told else 0, len(DUE_COLUMNS)), np.int64)


def pages_due(due: np.ndarray) -> int:
    """Pages that drains had to free, but for which no chunk came."""
    if not due.shape[1]:
        return 0
    mine = [cpu[1 : 1 + cpu[0, 0]] for cpu in due]
    return sum(int(d[d[:, DUE_WHY] != EVERYTHING, DUE_PAGES].sum()) for d in mine)


@kernel(inline=True)
def note_drained(run, cpu, pages):
    """Count pages that the model drained; the trace's rows about them come later."""
    run.counts[C_DRAINS] += pages
    run.drain_due[cpu] += pages


@kernel(inline=True)
def settle_drains(run, cpu, row):
    """Count the pages by which a CPU's drains differ, before its next allocation or free."""
    if run.drain_due[cpu] != 0:
        run.counts[C_DRAIN_MISSES] += abs(run.drain_due[cpu])
        run.drain_due[cpu] = 0
        if run.counts[C_FIRST_DRAIN_MISS] < 0:
            run.counts[C_FIRST_DRAIN_MISS] = row


@kernel(cold=True)
def drain_row(memory, run, rows, row):
    """Drain a CPU's lists of a zone if that explains a drain's number of pages and no free does.

    The row of a drain that a free makes comes after the free.
    """
    zone, cpu = rows.value[row], rows.cpu[row]
    whole = pages_of_drained_zone(memory, zone, cpu)
    if run.drain_due[cpu] == 0 and whole > 0 and rows.node[row] == whole:
        note_drained(run, cpu, drain_pages_zone(memory, zone, cpu))


@kernel(inline=True)
def tells_chunks(memory, run):
    """Do drains go in chunks, and do rows tell when?"""
    return memory.profile.drain_in_chunks and run.due.shape[1] > 0


@kernel
def begin_drain(run, why, zone, cpu, task, pages, pindex):
    """Remember a drain until the rows of its chunks; the oldest gives way if there are too many."""
    due = run.due[cpu]
    if due[0, 0] + 1 == due.shape[0]:
        run.counts[C_DRAIN_MISSES] += due[1, DUE_PAGES]
        end_drain(due, 1)
    due[0, 0] += 1
    at = due[0, 0]
    due[at, DUE_WHY] = why
    due[at, DUE_TASK] = task
    due[at, DUE_ZONE] = zone
    due[at, DUE_PINDEX] = pindex
    due[at, DUE_PAGES] = pages


@kernel
def end_drain(due, at):
    """Forget one drain of a CPU."""
    for i in range(at, due[0, 0]):
        for column in range(due.shape[1]):
            due[i, column] = due[i + 1, column]
    due[0, 0] -= 1


@kernel(inline=True)
def due_drain(due, task, pindex):
    """The youngest drain of a task that begins with a list, or 0: an interrupt's comes first."""
    for at in range(due[0, 0], 0, -1):
        if due[at, DUE_TASK] == task and due[at, DUE_PINDEX] == pindex:
            return at
    return 0


@kernel
def chunk_row(memory, run, rows, row):
    """Drain the next chunk of the drain that this row belongs to, and return its pages.

    Source: free_frozen_page_commit(), decay_pcp_high() and drain_pages_zone() of 7.3.
    """
    cpu = rows.cpu[row]
    due = run.due[cpu]
    at = due_drain(due, rows.task[row], rows.order[row])
    if at == 0:
        return 0  # The trace's rows about its pages have no counterpart, which is counted.
    zone, why, left = due[at, DUE_ZONE], due[at, DUE_WHY], due[at, DUE_PAGES]
    if why == EVERYTHING:
        left = memory.pcp[zone, cpu].count
    most = largest_batch(memory, zone, cpu) if why == EVERYTHING else memory.pcp[zone, cpu].batch
    chunk = min(left, max(most, 1))
    drained = free_pcppages_bulk(memory, zone, cpu, chunk, due[at, DUE_PINDEX])
    due[at, DUE_PAGES] = left - chunk
    empty = why == AFTER_FREE and memory.pcp[zone, cpu].count == 0
    if left == chunk or empty:
        end_drain(due, at)
        if why == AFTER_FREE:
            end_shortage(memory, zone)
    return drained


@kernel(cold=True)
def decay_row(memory, run, rows, row):
    """Replay a decay of pcp.high, and return the pages drained so far."""
    zone, cpu = rows.value[row], rows.cpu[row]
    if not tells_chunks(memory, run):
        return decay_pcp_high(memory, zone, cpu)
    pages = lower_high(memory, zone, cpu)
    if pages > 0:
        begin_drain(run, DECAYS, zone, cpu, rows.task[row], pages, 0)
    return 0


@kernel(cold=True)
def drain_zone_row(memory, run, rows, row):
    """Replay a drain of all pages of a CPU in a zone, and return the pages drained so far.

    The CPU need not be the one that drains: an isolation of pages drains them all.
    """
    zone, cpu = rows.value[row], rows.node[row]
    if not tells_chunks(memory, run):
        return drain_pages_zone(memory, zone, cpu)
    if memory.pcp[zone, cpu].count > 0:
        begin_drain(run, EVERYTHING, zone, cpu, rows.task[row], 0, 0)
    return 0
