"""Put the rows of a preemptible kernel back into the order in which pages moved.

The kernel writes mm_page_alloc after it has let go of the locks.  A task that has its page may
lose the CPU before it writes the row, so rows of other pages come first, even with one CPU.  The
probes ``pcp_push``, ``pcp_pop`` and ``bulk_pop`` fire under the pcp lock, and the rows of the buddy
lists under the zone lock.  So

- a page of a pcp list is taken at its pop, and an mm_page_alloc row moves there;
- a pop after a refill moves to the refill's last row: an interrupt that comes before the pop
  cannot touch the pcp list, but it frees to the buddy lists;
- the entry of free_pcppages_bulk() moves to the first page that it frees.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.jit import kernel

# What a row is to the order of the locks.
OTHER, ALLOC, POP, PUSH, BUDDY, REFILL, DRAIN, DRAINED = range(8)
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


class LockOrder(NamedTuple):
    """The order of a trace's rows.

    rows : int64[n]    the rows, by their places, in lock order
    place : int64[n]   in that order, the row at which each of them happened
    moved : int        mm_page_alloc rows that other rows stood before
    """

    rows: np.ndarray
    place: np.ndarray
    moved: int


@kernel
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


def lock_order(trace: pd.DataFrame) -> LockOrder:
    """The lock order of a trace (a table of TRACE_COLUMNS)."""
    names = trace["event"].cat.categories
    kind = np.array([EVENTS.get(name, OTHER) for name in names], np.int8)
    kind = kind[trace["event"].cat.codes.to_numpy()]
    locked = trace["event"].to_numpy() == "mm_page_alloc_zone_locked"
    refills = (kind == BUDDY) & (~locked | (trace["a"].to_numpy() == 1))
    kind[refills] = REFILL
    pfn, own = trace["pfn"].to_numpy(), np.arange(len(trace))
    place, taken_at = np.empty(len(trace), np.int64), np.full(int(pfn.max(initial=0)) + 1, -1)
    find_places(kind, trace["cpu"].to_numpy(), pfn, place, taken_at)
    rows = np.argsort(2 * place + (place != own), kind="stable")
    return LockOrder(rows, place[rows], _overtaken(kind, own, place))


def _overtaken(kind, own, place) -> int:
    """The number of mm_page_alloc rows between which and their pops other rows stand."""
    before = np.concatenate([[0], np.cumsum((kind != POP) & (kind != OTHER))])
    late = np.flatnonzero((kind == ALLOC) & (place != own))
    return int((before[late] - before[place[late] + 1] > 0).sum())
