"""Where a player opens: at a moment at which something happens."""

import numpy as np

from freehint.runs.trajectory.trajectory import Trajectory


def opening_ns(trajectory: Trajectory) -> float:
    """The time at which a player opens, in ns.

    It is the middle of the first wait of a guest CPU for a lock that a policy held; else the first
    hint that was lost; else the first stroke's first hold of a lock; else the migration's first
    sync of the bitmap; else 0.

    Returns
    -------
    float
    """
    arrays = trajectory.arrays
    since, wait = arrays["waits.since_ns"], arrays["waits.wait_ns"]
    behind = _waited_behind(arrays)
    if behind.any():
        first = np.flatnonzero(behind)[np.argmin(since[behind])]
        return float(since[first] + wait[first] / 2)
    lost = arrays["reports.time_ns"][arrays["reports.taken"] == 0]
    held = arrays["locks.since_ns"][arrays["locks.blocks"] > 0]
    for times in (lost, held, arrays["rounds.time_ns"]):
        if len(times):
            return float(times.min())
    return 0.0


def _waited_behind(arrays: dict) -> np.ndarray:
    """For each wait, whether a policy held the zone's lock in the meantime."""
    begin = arrays["waits.since_ns"]
    end, behind = begin + arrays["waits.wait_ns"], np.zeros(len(begin), bool)
    for zone in np.unique(arrays["locks.zone"]):
        mine = arrays["locks.zone"] == zone
        order = np.argsort(arrays["locks.since_ns"][mine], kind="stable")
        since = arrays["locks.since_ns"][mine][order]
        until = np.maximum.accumulate(since + arrays["locks.held_ns"][mine][order])
        last = np.searchsorted(since, end) - 1  # the last hold that began before the wait's end
        held = (last >= 0) & (until[np.maximum(last, 0)] > begin)
        behind |= held & (arrays["waits.zone"] == zone)
    return behind
