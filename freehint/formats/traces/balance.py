"""When kswapd balances the zones: told by probes of balance_pgdat(), or by its wakes and its rows.

mm_vmscan_kswapd_wake stands right before balance_pgdat(), and after that function kswapd neither
frees nor allocates until it wakes again.  So where the probes are missing, it has balanced after
its last row before its next wake.  What it does without a row makes the end later; see
``replay/inferred/boost.py``.

Source: kswapd(), balance_pgdat() in mm/vmscan.c.
"""

import numpy as np

from freehint.config import InputError
from freehint.formats.traces import rows
from freehint.formats.traces.events import is_event
from freehint.formats.traces.recording import Recording
from freehint.mm.memory import ZONE_NAMES, ZONE_RECLAIM_ACTIVE, Memory


def fill_balanced(recording: Recording, columns, path) -> None:
    """Fill in the number of zones that kswapd begins to balance; its return rows have 0.

    The row of its beginning names the highest zone index.  Source: balance_pgdat().
    """
    begins = is_event(recording.trace, "kswapd_balance")
    index = recording.t0.zones["index"]
    for at in np.flatnonzero((columns.kind == rows.BALANCE) & begins):
        highest = int(recording.trace["a"].iloc[at])
        if not 0 <= highest < len(ZONE_NAMES):
            row, most = recording.trace["seq"].iloc[at], len(ZONE_NAMES) - 1
            raise InputError(
                f"{path}: row {row} (kswapd_balance): a {highest} is no zone index, 0..{most}"
            )
        columns.value[at] = np.searchsorted(index, highest, "right")


def deciding_rows(columns) -> np.ndarray:
    """The rows at which what kswapd does may decide: allocations, and pushes onto pcp lists."""
    kind = columns.kind
    pushes = np.isin(kind, (rows.ALLOC, rows.FREE_BATCHED, rows.PCP_PUSH))
    return np.flatnonzero(pushes | (kind == rows.FREE) & (columns.fate == rows.TO_PCP))


def infer_balances(memory: Memory, columns) -> None:
    """Let kswapd balance all zones from each of its wakes to its last row before the next one.

    No row names the highest zone.  The first row after the end that may show it is marked
    ENDS_BALANCE.  Frees must have their fates by then.
    """
    wakes = np.flatnonzero(columns.kind == rows.WAKE)
    if not len(wakes) or (columns.kind == rows.BALANCE).any():
        return
    columns.kind[wakes] = rows.BALANCE
    columns.value[wakes] = len(memory.zones)
    if (memory.zones["flags"] & ZONE_RECLAIM_ACTIVE).any():  # T0 is in the midst of it
        wakes = np.concatenate([[0], wakes])
    mine = (columns.task == columns.task[wakes[-1]]) & (columns.kind != rows.IGNORED)
    acts, decides = np.flatnonzero(mine), deciding_rows(columns)
    for begins, next_wake in zip(wakes, [*wakes[1:], len(mine)], strict=True):
        last = acts[np.searchsorted(acts, next_wake) - 1]
        after = decides[np.searchsorted(decides, max(last, begins), "right") :][:1]
        columns.change[after[after < next_wake]] = rows.ENDS_BALANCE
