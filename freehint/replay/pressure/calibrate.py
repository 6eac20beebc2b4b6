"""Times per page, fitted on one recording; nothing else of a prediction is fitted.

The time before a row belongs to the process that the row names.  A step's own time is that of its
process, without its direct reclaim, which the model prices by itself.  It includes short waits for
the disk: no row tells of them.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError, require, whole
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.world.records import Costs
from freehint.files import whole_file
from freehint.formats.info import read_info, vmstat_delta
from freehint.formats.traces.recording import load_recording
from freehint.inputs.reading import read_toml
from freehint.replay.pressure.steps import steps_of

# The constants, and the steps that they are fitted on.
RATES = {
    "read_ns": "read",
    "write_ns": "write, copy",
    "fill_ns": "fill",
    "exit_ns": "fill",
    "rm_ns": "rm",
    "oom_ns": "fill, if the OOM killer ended it",
    "scan_page_ns": "kswapd",
    "reclaim_page_ns": "kswapd",
    "swap_out_ns": "kswapd, if it swaps",
}
MOST_NS = 10**9
LEAST_PAGES = 1000  # a rate is not fitted on fewer
_PAGES = re.compile(r"nr_scanned=(\d{1,15}) nr_reclaimed=(\d{1,15})")
# Not the step's process, which is the busiest of the others between begin and end.
_THREADS = ("kswapd0", "kcompactd0")
_THREADS_BEGIN = ("kworker/", "ksoftirqd/", "jbd2/")


def calibrate(stem) -> dict[str, int]:
    """Fit the times per page of a recording.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0, NAME.T1, NAME.trace and NAME.info.json.gz.

    Returns
    -------
    dict
        Some of RATES, in ns: those of which the recording has steps with at least 1000 pages.

    Raises
    ------
    InputError
        The recording cannot be used, or none of its steps tells a time per page.
    """
    recording = load_recording(stem, in_lock_order=False)
    where = f"{stem}.trace.parquet"
    trace = recording.trace.sort_values("ts_us", kind="stable").reset_index(drop=True)
    trace["event"], trace["comm"] = trace["event"].astype(str), trace["comm"].astype(str)
    trace["own_us"] = trace["ts_us"].diff().fillna(0)
    info, path = read_info(stem), f"{stem}.info.json.gz"
    steps = steps_of(trace, info, where)
    spent = [_work(trace, step) for step in steps.itertuples()]
    found = _job_rates([work for work in spent if work])
    swapped = bool(vmstat_delta(info, path).get("pswpout"))
    found |= _swap_rates(trace, where, found) if swapped else _kswapd_rates(trace, where)
    if not found:
        raise InputError(f"{where}: no step has {LEAST_PAGES} pages, so no time per page is told")
    return {name: round(value) for name, value in found.items()}


def _work(trace: pd.DataFrame, step) -> dict:
    """What the process of a step did: its verb, own times in us, and pages; {} without rows."""
    inside = trace["ts_us"].between(step.begin_us, step.end_us)
    rows = trace[inside & ~trace["comm"].isin(_THREADS)]
    rows = rows[~rows["comm"].str.startswith(_THREADS_BEGIN)]
    pages = rows["event"].isin(("mm_page_alloc", "mm_page_free"))
    if not pages.any():
        return {}
    rows = rows[rows["pid"] == rows.loc[pages, "pid"].mode().iloc[0]]
    gfp, event = rows["gfp"].astype(str), rows["event"]
    begins, ends = (event == f"mm_vmscan_direct_reclaim_{what}" for what in ("begin", "end"))
    direct = (begins.cumsum() > ends.cumsum()) | ends  # the time before a row: begin .. end
    own = rows["own_us"].where(~direct, 0)
    user = (event == "mm_page_alloc") & gfp.str.contains("MOVABLE")
    written = user & gfp.str.contains("__GFP_WRITE")
    freed = event == "mm_page_free"
    last = rows.index[user][-1] if user.any() else rows.index[0] - 1
    exits = rows.index[freed & (rows.index > last)]
    work = {
        "verb": step.job.split()[0],
        "own_us": own[rows.index <= last].sum() if user.any() else own.sum(),
        "all_us": own.sum(),
        "pages": int(user.sum()),
        "written": int(written.sum()),
        "freed": int(freed.sum()),
        "given_back": len(exits),
        "exit_us": own[(rows.index >= exits[0]) & (rows.index <= exits[-1])].sum()
        if len(exits)
        else 0,
    }
    kills = rows.index[event == "mark_victim"]
    if len(kills):  # neither the report nor what the victim still allocates is work of the step
        until = rows.index[event == "mm_vmscan_direct_reclaim_end"]
        until = until[until < kills[0]][-1] if (until < kills[0]).any() else kills[0]
        work["own_us"] = own[rows.index <= until].sum()
        work["pages"] = int(user[rows.index <= until].sum())
        after = exits[exits > kills[0]]
        if len(after):
            work["oom_us"] = trace["ts_us"][after[0]] - trace["ts_us"][until]
    return work


def _job_rates(spent: list[dict]) -> dict[str, float]:
    """ns per page of each kind of work; a copy reads at the rate of the recording's reads."""

    def rate(us: str, pages: str, *verbs):
        some = [work for work in spent if work["verb"] in verbs]
        number = sum(work[pages] for work in some)
        return 1e3 * sum(work[us] for work in some) / number if number >= LEAST_PAGES else None

    found = {
        "read_ns": rate("own_us", "pages", "read"),
        "fill_ns": rate("own_us", "pages", "fill"),
        "exit_ns": rate("exit_us", "given_back", "fill"),
        "rm_ns": rate("all_us", "freed", "rm"),
    }
    writes = [work for work in spent if work["verb"] in ("write", "copy")]
    written = sum(work["written"] for work in writes)
    read = sum(work["pages"] - work["written"] for work in writes)
    if written >= LEAST_PAGES and (found["read_ns"] or not read):
        own_ns = 1e3 * sum(work["own_us"] for work in writes)
        found["write_ns"] = (own_ns - read * (found["read_ns"] or 0)) / written
    reports = [work["oom_us"] for work in spent if "oom_us" in work]
    if reports:
        found["oom_ns"] = 1e3 * float(np.mean(reports))
    return {name: value for name, value in found.items() if value}


def _kswapd_batches(trace: pd.DataFrame, where) -> tuple:
    """The rows of kswapd, which of them end a batch, and the pages that each scanned, reclaimed."""
    rows = trace[trace["comm"] == "kswapd0"]
    batch = rows["event"] == "mm_vmscan_lru_shrink_inactive"
    texts = rows.loc[batch, "gfp"].astype(str)
    pages = []
    for seq, text in zip(rows.loc[batch, "seq"], texts, strict=True):
        if not (match := _PAGES.search(text)):
            raise InputError(f"{where}: row {seq}: {text!r:.80} has no nr_scanned, nr_reclaimed")
        pages.append([int(match[1]), int(match[2])])
    return rows, batch, np.array(pages, float).reshape(-1, 2).T


def _swap_rates(trace: pd.DataFrame, where, found: dict) -> dict[str, float]:
    """What kswapd needs for a page that it gives to swap, beside scanning and reclaiming it.

    These two take the default time, by the recorded machine's slowness in fill.
    """
    rows, _, (scanned, reclaimed) = _kswapd_batches(trace, where)
    written = (rows["event"] == "mm_vmscan_write_folio").sum()
    if written < LEAST_PAGES or "fill_ns" not in found:
        return {}
    slowness = found["fill_ns"] / UnderPressure.fill_ns
    scan, reclaim = Costs.scan_page_ns * slowness, Costs.reclaim_page_ns * slowness
    spent = 1e3 * rows["own_us"].sum() - scan * scanned.sum() - reclaim * reclaimed.sum()
    return {
        "scan_page_ns": scan,
        "reclaim_page_ns": reclaim,
        "swap_out_ns": max(0.0, spent) / written,
    }


def _kswapd_rates(trace: pd.DataFrame, where) -> dict[str, float]:
    """ns per page that kswapd scans and reclaims: the fit of all its batches, neither below 0."""
    rows, batch, (scanned, reclaimed) = _kswapd_batches(trace, where)
    if reclaimed.sum() < LEAST_PAGES:
        return {}
    own_ns = 1e3 * rows["own_us"].to_numpy(float)
    ends = np.flatnonzero(batch.to_numpy())
    time_ns = np.add.reduceat(own_ns[: ends[-1] + 1], np.r_[0, ends[:-1] + 1])
    # Batches that reclaim little tell what scanning costs; without them it is part of the rest.
    idle = scanned - reclaimed
    scan = 0.0
    if idle.sum() >= LEAST_PAGES:
        mostly = idle > reclaimed
        scan = time_ns[mostly].sum() / scanned[mostly].sum()
    return {
        "scan_page_ns": scan,
        "reclaim_page_ns": max(0.0, own_ns.sum() - scan * scanned.sum()) / reclaimed.sum(),
    }


def write_rates(rates: dict[str, int], path, stem) -> None:
    """Write constants as TOML, with the recording that they were calibrated on."""
    lines = [f"# Calibrated on {Path(stem).name}; ns per page, oom_ns per kill."]
    lines += [f"{name} = {value}  # {RATES[name]}" for name, value in rates.items()]
    with whole_file(Path(path)) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n")


def read_rates(path) -> dict[str, int]:
    """Read constants that :func:`write_rates` wrote.

    Raises
    ------
    InputError
        The file is missing or broken, or a constant is unknown or out of bounds.
    """
    rates = read_toml(path)
    for name, value in rates.items():
        known = ", ".join(RATES)
        require(name in RATES, f"{path}: constants", f"be among {known}", name)
        whole(f"{path}: {name}", value, 0, MOST_NS)
    return rates
