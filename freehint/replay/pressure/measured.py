"""The measured side: the course of a recording's free pages, its counts, steps, and ends by OOM.

The course is that of the buddy lists, replayed to any moment, so it is exact if the replay misses
nothing: NR_FREE_PAGES of each zone, without the pages on pcp lists.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError, whole
from freehint.formats.digest import Files
from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording, load_recording
from freehint.mm.memory import PAGEBLOCK_ORDER, Memory, zone_name
from freehint.replay.prediction import Advance
from freehint.replay.pressure.info import read_info, vmstat, vmstat_delta
from freehint.replay.pressure.steps import steps_of

FULL_SLEEPS = "kswapd_sleep"  # times that kswapd slept until the next wake, not for 100 ms at most
FAILURES = "page_allocation_failure"  # what the kernel's log warns of
# Rows of mm_page_alloc_extfrag that may boost the watermarks: they take less than a pageblock.
FALLBACKS = "extfrag"
MOST_POINTS = 1_000_000
_RECLAIMED = re.compile(r"nr_reclaimed=(\d{1,15})")


@dataclass(frozen=True)
class Measured:
    """A recording under pressure, from the begin of its first step to the end of its last.

    Attributes
    ----------
    stem : Path
    start : Memory
        The guest at T0.
    info : dict
        The content of NAME.info.json.gz.
    time_s : float64[G]
        An even grid, from 0 to the end of the last step.
    free : int64[G, Z]
        Free pages of each zone at these times.
    steps : DataFrame
        step, job, begin_s, end_s.
    counts : dict of str to int
        What grew from T0 to T1, by the names of /proc/vmstat, and FULL_SLEEPS, FAILURES and
        FALLBACKS.
    before : dict of str to int
        /proc/vmstat at T0.
    oom_s, oom_pages : tuple
        Times at which the OOM killer chose a process, and blocks allocated until then, which is the
        workload's own clock.
    kswapd : DataFrame
        begin_s, end_s and reclaimed: one row per call of balance_pgdat().
    misses : int
        Blocks that the replay predicted wrongly; the course is exact if it is 0.
    """

    stem: Path
    start: Memory
    info: dict
    time_s: np.ndarray
    free: np.ndarray
    steps: pd.DataFrame
    counts: dict
    before: dict
    oom_s: tuple
    oom_pages: tuple
    kswapd: pd.DataFrame
    misses: int

    @property
    def zones(self) -> list[str]:
        """The names of the zones."""
        return [zone_name(self.start, zone) for zone in range(len(self.start.zones))]

    @property
    def band(self) -> int:
        """The sum of (high - min) of all zones: the pages between which kswapd works."""
        least, _, high = self.start.zones["watermark"].sum(axis=0)
        return int(high - least)

    @property
    def reclaiming(self) -> np.ndarray:
        """bool[G]: kswapd has begun to balance and will do so again."""
        runs = self.kswapd
        if runs.empty:
            return np.zeros(len(self.time_s), bool)
        first, last = runs["begin_s"].iloc[0], runs["end_s"].iloc[-1]
        return (self.time_s >= first) & (self.time_s <= last)


def measure(stem, points=2000) -> Measured:
    """Read a recording, replay its free pages and count what its reclaim did.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0, NAME.T1, NAME.trace and NAME.info.json.gz.
    points : int
        Points of the grid.

    Returns
    -------
    Measured

    Raises
    ------
    InputError
        The recording cannot be used.
    """
    whole("points", points, 2, MOST_POINTS)
    files, path = Files(), Path(f"{stem}.info.json.gz")
    info = read_info(stem, files)
    counts, before = vmstat_delta(info, path), vmstat(info, "proc_T0", path)
    recording = load_recording(stem, files=files, in_lock_order=True)
    trace = recording.trace
    steps = steps_of(trace.sort_values("ts_us", kind="stable"), info, f"{stem}.trace.parquet")
    origin, end = int(steps["begin_us"].iloc[0]), int(steps["end_us"].iloc[-1])
    if end <= origin:
        raise InputError(f"{stem}.trace.parquet: the steps from T0 to T1 take no time")
    steps["begin_s"] = (steps.pop("begin_us") - origin) / 1e6
    steps["end_s"] = (steps.pop("end_us") - origin) / 1e6
    time_s = np.linspace(0, (end - origin) / 1e6, points)
    free, misses = _course(recording, origin + time_s * 1e6)
    event = trace["event"]
    us = (trace["ts_us"].to_numpy() - origin) / 1e6
    allocated = ((event == "mm_page_alloc").to_numpy() & (us >= 0)).cumsum()
    counts[FULL_SLEEPS] = int((event == "mm_vmscan_kswapd_sleep").sum())
    parts = trace["a"].to_numpy() < PAGEBLOCK_ORDER  # the column is fallback_order
    counts[FALLBACKS] = int(((event == "mm_page_alloc_extfrag") & parts).sum())
    counts[FAILURES] = str(info.get("dmesg", "")).count("page allocation failure")
    return Measured(
        stem=Path(stem),
        start=recording.t0,
        info=info,
        time_s=time_s,
        free=free,
        steps=steps,
        counts=counts,
        before=before,
        oom_s=tuple(us[event == "mark_victim"].tolist()),
        oom_pages=tuple(allocated[event == "mark_victim"].tolist()),
        kswapd=_kswapd_runs(trace, event, us, stem),
        misses=misses,
    )


def _course(recording: Recording, moments_us):
    """Free pages (int64[G, Z]) at these moments, and the number of blocks predicted wrongly."""
    advance = Advance(recording)
    # Rows that were put into the order of the lock may go back in time by a little.
    us = np.maximum.accumulate(recording.trace["ts_us"].to_numpy())
    free = np.zeros((len(moments_us), len(recording.t0.zones)), np.int64)
    for point, row in enumerate(np.searchsorted(us, moments_us, "right")):
        advance.to(int(row))
        free[point] = advance.memory.zones["nr_free_pages"]
    advance.to(len(us))
    return free, int(advance.run.counts[rows.C_MISSES])


def _kswapd_runs(trace: pd.DataFrame, event, time_s, stem) -> pd.DataFrame:
    """begin_s, end_s and reclaimed of each balance_pgdat(); the end of the last may be missing."""
    begins = np.flatnonzero(event == "kswapd_balance")
    ends = np.flatnonzero(event == "kswapd_balance_ret")
    if not len(begins):  # a recording without the probes
        begins, ends = np.flatnonzero(event == "mm_vmscan_kswapd_wake"), np.zeros(0, int)
    ends = ends[ends > begins[0]] if len(begins) else ends
    closes = np.searchsorted(ends, begins)
    until = np.append(ends, len(event) - 1)[np.minimum(closes, len(ends))]
    if not len(ends):
        until = begins
    shrinks = (event == "mm_vmscan_lru_shrink_inactive") & (trace["comm"] == "kswapd0").to_numpy()
    at = np.flatnonzero(shrinks)
    texts = trace["gfp"].astype(str).to_numpy()[at]
    pages = np.zeros(len(at) + 1, np.int64)
    for number, text in enumerate(texts, 1):
        if not (match := _RECLAIMED.search(text)):
            row = trace["seq"].iloc[at[number - 1]]
            raise InputError(f"{stem}.trace.parquet: row {row}: {text!r:.80} has no nr_reclaimed")
        pages[number] = int(match[1])
    total = pages.cumsum()
    reclaimed = total[np.searchsorted(at, until)] - total[np.searchsorted(at, begins)]
    return pd.DataFrame({"begin_s": time_s[begins], "end_s": time_s[until], "reclaimed": reclaimed})
