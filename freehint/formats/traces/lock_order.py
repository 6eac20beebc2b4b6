"""Put the rows of a preemptible kernel back into the order in which pages moved.

The kernel writes mm_page_alloc after it has let go of the locks.  A task that has its page may
lose the CPU before it writes the row, so rows of other pages come first, even with one CPU.  The
probes ``pcp_push``, ``pcp_pop`` and ``bulk_pop`` fire under the pcp lock, and the rows of the buddy
lists under the zone lock.  So

- a page of a pcp list is taken at its pop, and an mm_page_alloc row moves there;
- a pop after a refill moves to the refill's last row: an interrupt that comes before the pop
  cannot touch the pcp list, but it frees to the buddy lists;
- the entry of free_pcppages_bulk() moves to the first page that it frees.

In any kernel an interrupt may come as soon as a refill lets go of the zone lock, and its softirq
frees pages before the row of the allocation is written.  Where the column ``irq`` tells in which
context each row was written, such an mm_page_alloc row goes back to its refill.  And where a
softirq found the pcp lock taken by a free whose drain has its rows only behind the softirq's, the
row of that free goes there.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.formats.traces.events import is_event
from freehint.formats.traces.table import IRQ_COLUMN, MOST_IRQ
from freehint.jit import kernel

# What a row is to the order of the locks.
OTHER, ALLOC, POP, PUSH, BUDDY, REFILL, DRAIN, DRAINED, DIRECT = range(9)
EVENTS = {
    "mm_page_alloc": ALLOC,
    "pcp_pop": POP,
    "bulk_pop": POP,
    "pcp_push": PUSH,
    "mm_page_alloc_zone_locked": BUDDY,
    "mm_page_alloc_extfrag": BUDDY,
    "drain": DRAIN,
    "mm_page_pcpu_drain": DRAINED,
}
# Rows after which an allocation that took blocks before has its mm_page_alloc row behind it.
GOES_ON = ("mm_page_free", "mm_page_free_batched", "mm_page_pcpu_drain", "bulk_alloc_ret")


class LockOrder(NamedTuple):
    """The order of a trace's rows.

    rows : int64[n]    the rows, by their places, in lock order
    place : int64[n]   in that order, the row at which each of them happened
    moved : int        mm_page_alloc rows that other rows stood before, and frees that they came
                       behind
    """

    rows: np.ndarray
    place: np.ndarray
    moved: int


@kernel(allocates=True)
def find_places(kind, cpu, pfn, place, taken_at):
    """Write to ``place`` the row after which each row happened, or the row itself.

    ``taken_at`` is scratch, int64[highest pfn + 1] of -1: the place at which a page was taken.
    """
    refilled = np.full(256, -1, np.int64)  # each CPU's last row of a refill without a pop
    drain = np.full(256, -1, np.int64)  # its entry of free_pcppages_bulk() that freed no page yet
    for row in range(kind.shape[0]):
        what, here = kind[row], cpu[row]
        place[row] = row
        if what == POP:
            if refilled[here] >= 0:
                place[row] = refilled[here]
            refilled[here] = -1
        elif what == PUSH:
            refilled[here] = -1
        elif what == REFILL:
            refilled[here] = row
        elif what == DRAIN:
            drain[here] = row
        elif what == DRAINED and drain[here] >= 0:
            place[drain[here]] = max(row - 1, drain[here])
            drain[here] = -1
        page = pfn[row]
        if page > 0:
            if what == POP or what == BUDDY or what == REFILL:
                taken_at[page] = place[row]
            elif what == ALLOC and taken_at[page] >= 0:
                place[row] = taken_at[page]
                taken_at[page] = -1


def _kinds(trace: pd.DataFrame, kinds: dict) -> np.ndarray:
    """What each row is to the order of the locks, int8[n]."""
    kind = np.array([kinds.get(name, OTHER) for name in trace["event"].cat.categories], np.int8)
    return kind[trace["event"].cat.codes.to_numpy()]


def lock_order(trace: pd.DataFrame) -> LockOrder:
    """The lock order of a trace (a table of TRACE_COLUMNS)."""
    kind = _kinds(trace, EVENTS)
    locked = is_event(trace, "mm_page_alloc_zone_locked")
    refills = (kind == BUDDY) & (~locked | (trace["a"].to_numpy() == 1))
    kind[refills] = REFILL
    pfn, own = trace["pfn"].to_numpy(), np.arange(len(trace))
    place, taken_at = np.empty(len(trace), np.int64), np.full(int(pfn.max(initial=0)) + 1, -1)
    find_places(kind, trace["cpu"].to_numpy(), pfn, place, taken_at)
    rows = np.argsort(2 * place + (place != own), kind="stable")
    return LockOrder(rows, place[rows], _overtaken(kind, own, place))


@kernel(allocates=True)
def find_overtaken(kind, cpu, depth, pid, pfn, place):
    """Write to ``place`` the row after which each row happened, or the row itself.

    An mm_page_alloc row moves to the last row of its refill if rows of a deeper context (``depth``)
    on its CPU, or of another CPU, stand between the two.  It is known by the first page of the
    refill, which it names, and by its process; the context must not have gone on to free pages
    before.

    Returns
    -------
    int
        The number of rows moved.
    """
    first = np.full((256, MOST_IRQ + 1), -1, np.int64)  # pages: refills without an mm_page_alloc
    last = np.zeros((256, MOST_IRQ + 1), np.int64)  # their last rows
    overtaken = np.zeros((256, MOST_IRQ + 1), np.bool_)
    cpus = int(cpu.max()) + 1 if cpu.shape[0] else 0
    moved = 0
    for row in range(kind.shape[0]):
        what, here, level = kind[row], cpu[row], depth[row]
        place[row] = row
        if what == OTHER:
            continue
        overtaken[here, :level] = True
        for other in range(cpus):
            if other != here:
                overtaken[other, :] = True
        if what == REFILL:
            if first[here, level] < 0:
                first[here, level] = pfn[row]
            last[here, level] = row
            overtaken[here, level] = False
            continue
        begun = last[here, level]
        if what == ALLOC and overtaken[here, level] and first[here, level] == pfn[row]:
            if pid[begun] == pid[row]:
                place[row] = begun
                moved += 1
        first[here, level] = -1
    return moved


@kernel(allocates=True)
def find_late_drains(kind, cpu, depth, place):
    """Write to ``place`` the first row of a drain that others came before, for the row it is of.

    The row is that of a free or of drain_zone, the last one on its CPU before the drain.  Between
    the two stand rows of other CPUs, which held the zone lock, or of a deeper context, in which
    each free was direct because the pcp lock was taken.

    Returns
    -------
    int
        The number of rows moved.
    """
    pushed = np.full((256, MOST_IRQ + 1), -1, np.int64)  # the last row, if it is a free
    held = np.zeros((256, MOST_IRQ + 1), np.int64)  # direct frees behind it, in deeper contexts
    frees = np.zeros((256, MOST_IRQ + 1), np.int64)  # all frees behind it, in deeper contexts
    others = np.zeros((256, MOST_IRQ + 1), np.bool_)  # rows of other CPUs stand behind it
    cpus = int(cpu.max()) + 1 if cpu.shape[0] else 0
    moved = 0
    for row in range(kind.shape[0]):
        what, here, level = kind[row], cpu[row], depth[row]
        if what == OTHER:
            continue
        for above in range(level):
            if what == PUSH:
                frees[here, above] += 1
            elif what == DIRECT:
                held[here, above] += 1
            else:
                pushed[here, above] = -1
        before = pushed[here, level]
        if what == DRAINED and before >= 0 and held[here, level] == frees[here, level]:
            if (held[here, level] > 0 or others[here, level]) and place[before] == before:
                place[before] = row
                moved += 1
        pushed[here, level] = row if what == PUSH else -1
        held[here, level] = frees[here, level] = 0
        others[here, level] = False
        for other in range(cpus):
            if other != here:
                others[other, :] = True
    return moved


def softirq_order(trace: pd.DataFrame) -> LockOrder:
    """The order of a trace (TRACE_COLUMNS and ``irq``) in which pages left the buddy lists."""
    kinds = dict.fromkeys((*GOES_ON, "free_direct"), DRAINED) | {"mm_page_alloc": ALLOC}
    kinds |= dict.fromkeys(("mm_page_alloc_zone_locked", "mm_page_alloc_extfrag"), REFILL)
    cpu, depth, pid, pfn = (trace[name].to_numpy() for name in ("cpu", IRQ_COLUMN, "pid", "pfn"))
    own, place = np.arange(len(trace)), np.empty(len(trace), np.int64)
    moved = find_overtaken(_kinds(trace, kinds), cpu, depth, pid, pfn, place)
    kinds |= dict.fromkeys(("mm_page_free", "mm_page_free_batched", "drain_zone"), PUSH)
    kinds |= {"free_direct": DIRECT, "bulk_alloc_ret": BUDDY}
    moved += find_late_drains(_kinds(trace, kinds), cpu, depth, place)
    rows = np.argsort(2 * place + np.sign(own - place), kind="stable")
    return LockOrder(rows, place[rows], int(moved))


def _overtaken(kind, own, place) -> int:
    """The number of mm_page_alloc rows between which and their pops other rows stand."""
    before = np.concatenate([[0], np.cumsum((kind != POP) & (kind != OTHER))])
    late = np.flatnonzero((kind == ALLOC) & (place != own))
    return int((before[late] - before[place[late] + 1] > 0).sum())
