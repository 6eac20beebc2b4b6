"""Allocations from a pcp list that a softirq overtook, inferred from what is wrong without them.

The kernel writes mm_page_alloc after it has let go of the pcp lock.  A block device's interrupt in
between runs its softirq, which frees pages first.  An allocation that refilled its list is put back
by its rows (``formats/traces/lock_order.py``); of one that did not refill, nothing tells when it
took its page.  But it can only have been overtaken by the softirq that stands right before its row.
If the first thing that the model gets wrong (a page or a drain) comes later once the allocation is
put before that softirq, it was overtaken.  The same holds of the row at which kswapd has balanced:
it clears ZONE_RECLAIM_ACTIVE a little earlier.

Source: rmqueue_pcplist(), __alloc_pages() in mm/page_alloc.c; balance_pgdat() in mm/vmscan.c;
__irq_exit_rcu() in kernel/softirq.c.
"""

import numpy as np

from freehint.formats.traces.rows import (
    ALLOC,
    BALANCE,
    C_FIRST_DRAIN_MISS,
    C_FIRST_MISS,
    FREE,
    FREE_BATCHED,
    FREE_DIRECT,
    IGNORED,
)

TRIES = 8  # allocations that the first thing wrong may be due to, the nearest first
REPLAYS = 128  # most replays that are made in all


def first_wrong(run) -> int:
    """The first row at which a page or a drain is wrong, or -1."""
    wrong = [int(run.counts[at]) for at in (C_FIRST_MISS, C_FIRST_DRAIN_MISS)]
    return min((row for row in wrong if row >= 0), default=-1)


def overtakable(columns, depth) -> tuple[np.ndarray, np.ndarray]:
    """The rows that may have come late: right behind a deeper context in which pages were freed.

    Parameters
    ----------
    columns : Rows
    depth : uint8[n]
        The context of each row; see IRQ_COLUMN.

    Returns
    -------
    rows, before : int64[m]
        Their rows, and for each the first row of the deeper context before it.
    """
    frees = np.isin(columns.kind, (FREE, FREE_BATCHED, FREE_DIRECT))
    late = (columns.kind == ALLOC) | ((columns.kind == BALANCE) & (columns.value == 0))
    begins, rows = [], []
    for cpu in np.unique(columns.cpu):
        mine = np.flatnonzero((columns.cpu == cpu) & (columns.kind != IGNORED))
        level = depth[mine].astype(int)
        for at in np.flatnonzero(late[mine][1:] & (level[:-1] > level[1:])) + 1:
            begin = at
            while begin > 0 and level[begin - 1] > level[at]:
                begin -= 1
            if frees[mine[begin:at]].any():
                begins.append(mine[begin])
                rows.append(mine[at])
    order = np.argsort(rows, kind="stable")
    return np.array(rows, np.int64)[order], np.array(begins, np.int64)[order]


def put_before(columns, begin, row) -> None:
    """Move a row before ``begin``, an earlier row."""
    for column in columns:
        column[begin : row + 1] = np.roll(column[begin : row + 1], 1)


def put_back(columns, begin, row) -> None:
    """Undo :func:`put_before`."""
    for column in columns:
        column[begin : row + 1] = np.roll(column[begin : row + 1], -1)


def infer_overtaken(columns, depth, first, again):
    """Put allocations before the softirq that overtook them where that explains what is wrong.

    Parameters
    ----------
    columns : Rows
        Its rows are moved.
    depth : uint8[n]
        The context of each row.
    first : tuple
        What ``again`` returned before: a tuple whose second entry is a Scratch.
    again : callable
        Replays all rows.

    Returns
    -------
    found : tuple
        The last replay that explains more than the one before.
    order : int64[n]
        The rows in their new order, by their old places.
    moved : int
        The number of those put back.
    """
    order, depth = np.arange(len(columns.kind)), depth.copy()
    all_columns = (*columns, depth, order)
    moved = replays = 0
    while replays < REPLAYS and (wrong := first_wrong(first[1])) >= 0:
        rows, begins = overtakable(columns, depth)
        after = np.searchsorted(begins, wrong, "right")
        near = range(after - 1, max(after - 1 - TRIES, -1), -1)
        for n in near:
            put_before(all_columns, begins[n], rows[n])
            other, replays = again(), replays + 1
            now = first_wrong(other[1])
            if now < 0 or now > max(wrong, rows[n]):
                first, moved = other, moved + 1
                break
            put_back(all_columns, begins[n], rows[n])
        else:
            break
    return first, order, moved
