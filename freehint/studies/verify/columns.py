"""Columns that are made of a run, beside the entries of its summary, each with its unit.

Resident memory and free blocks are looked at in the same 101 moments of a run.
"""

import numpy as np
import pandas as pd

from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.programs import Program
from freehint.mm.memory import PAGEBLOCK_ORDER
from freehint.policies import BASELINE, find_policies
from freehint.units import NS_PER_MS, NS_PER_S, PAGES_PER_MIB

GIB_PAGES = 1024 * PAGES_PER_MIB
KB_BYTES = 1024  # QEMU's "kbytes"
SERIES_NEAR_GIB = 0.25
IN_PCP = -1  # the order under which Run.history counts pages on pcp lists


def moments(run) -> pd.DataFrame:
    """Resident and free memory over a run of a guest whose host discards.

    Returns
    -------
    DataFrame
        time_s; rss_GiB; free_GiB (on the free lists); huge_GiB (of that, whole 2 MiB frames).
    """
    history = run.history[run.history["order"] != IN_PCP]
    free = history.groupby("time_s")["free_pages"].sum()
    large = history[history["order"] >= PAGEBLOCK_ORDER].groupby("time_s")["free_pages"].sum()
    rss = run.resident.set_index("time_s")["resident_pages"]
    table = pd.DataFrame({"rss_GiB": rss, "free_GiB": free, "huge_GiB": large}).dropna()
    return (table / GIB_PAGES).reset_index(names="time_s")


def identity(run, order: int = PAGEBLOCK_ORDER) -> pd.Series:
    """Resident memory and what is free in blocks that can be reported, GiB, in every moment.

    With reporting of order 9 it is constant in the published series: what is not resident is free
    in whole huge frames.

    Parameters
    ----------
    run : Run
    order : int
        The order from which on blocks are reported: 9 or 0.
    """
    table = moments(run)
    return table["rss_GiB"] + table["huge_GiB" if order >= PAGEBLOCK_ORDER else "free_GiB"]


def _jobs_until_s(run) -> float:
    """When the guest's work ended: of a guest under pressure its last job, before it drops."""
    jobs = run.jobs
    work = jobs[~jobs["step"].isin(("drop_caches",)) & ~jobs["step"].str.startswith("sleep")]
    return float(work["end_ns"].max()) / NS_PER_S


def _footprint(run) -> float:
    table, end_s = moments(run), _jobs_until_s(run)
    inside = table[table["time_s"] <= end_s]
    return float(np.trapezoid(inside["rss_GiB"], inside["time_s"]) / 60)


def _at(run, time_s: float) -> float:
    table = moments(run)
    return float(np.interp(time_s, table["time_s"], table["rss_GiB"]))


def _identity(order: int, statistic):
    return lambda run: float(statistic(identity(run, order)))


def _share(run) -> float:
    """Moments (%) in which the identity is as near to its first value as in the series."""
    found = identity(run)
    return float(100 * (abs(found - found.iloc[0]) <= SERIES_NEAR_GIB).mean())


def _pages_per_s(run) -> float:
    """Pages that a program wrote in a second of the run, with the time that faults cost it."""
    duration_ns = run.provenance["parameters"]["duration_ns"]
    return float(run.summary["writes"]) * NS_PER_S / duration_ns


def _ns_per_page(run) -> float:
    return NS_PER_S / _pages_per_s(run)


def _mean_gib(run) -> float:
    table = moments(run)
    return float(np.trapezoid(table["rss_GiB"], table["time_s"]) / table["time_s"].iloc[-1])


def _footprint_per_work(run) -> float:
    """GiB s for a million pages of work: of two runs, their ratio is that of the same work."""
    return _mean_gib(run) / _pages_per_s(run) * 1e6


def _reported_s(run) -> float:
    """When 99 % of what was reported by the end had been."""
    taken = run.reports[run.reports["taken"]]
    done = taken["nr_pages"].cumsum()
    return float(taken["time_ns"][done >= 0.99 * done.iloc[-1]].iloc[0]) / NS_PER_S


def _inflate_s(run) -> float:
    course = run.balloon
    most = course["pages"].idxmax()
    return float(course["time_s"][most] - course["time_s"].iloc[0])


def _deflate_s(run) -> float:
    """From the order to give pages back to the last of them."""
    course = run.balloon
    after = course.loc[course["pages"].idxmax() :]
    ordered = after[after["target_pages"] < after["pages"].iloc[0]]
    return float(ordered["time_s"].iloc[-1] - ordered["time_s"].iloc[0])


# What a column needs of its scenario, in words.
MIGRATION, DISCARD, JOBS = "a migration", "host.discard = true", "a workload with jobs"
BALLOON, PROGRAM, REPORTS = "control.at with balloon", "a Program", "a policy"
NEEDS = {
    MIGRATION: lambda scenario: scenario.migration is not None,
    DISCARD: lambda scenario: scenario.host.discard,
    JOBS: lambda scenario: scenario.host.discard and isinstance(scenario.workload, UnderPressure),
    BALLOON: lambda scenario: scenario.control.names("balloon"),
    PROGRAM: lambda scenario: isinstance(scenario.workload, Program),
    REPORTS: lambda scenario: find_policies(scenario.policy) != find_policies(BASELINE),
}
# Name -> (unit, what it needs, function of a Run).
DERIVED = {
    "total_ms": ("ms", MIGRATION, lambda run: float(run.summary["total_ns"]) / NS_PER_MS),
    "downtime_ms": ("ms", MIGRATION, lambda run: float(run.summary["downtime_ns"]) / NS_PER_MS),
    "sent_kB": ("kB", MIGRATION, lambda run: float(run.summary["sent_bytes"]) / KB_BYTES),
    "sent_MB": ("MB", MIGRATION, lambda run: float(run.summary["sent_bytes"]) / 1e6),
    "work_s": ("s", JOBS, _jobs_until_s),
    "footprint_GiB_min": ("GiB min", JOBS, _footprint),
    "end_of_work_GiB": ("GiB", JOBS, lambda run: _at(run, _jobs_until_s(run))),
    "mean_GiB": ("GiB", DISCARD, _mean_gib),
    "peak_GiB": ("GiB", DISCARD, lambda run: float(moments(run)["rss_GiB"].max())),
    "left_GiB": ("GiB", DISCARD, lambda run: float(moments(run)["rss_GiB"].iloc[-1])),
    "resident_MiB": ("MiB", DISCARD, lambda run: float(moments(run)["rss_GiB"].iloc[-1]) * 1024),
    "identity_o9_min_GiB": ("GiB", DISCARD, _identity(9, np.min)),
    "identity_o9_median_GiB": ("GiB", DISCARD, _identity(9, np.median)),
    "identity_o9_max_GiB": ("GiB", DISCARD, _identity(9, np.max)),
    "identity_o9_end_GiB": ("GiB", DISCARD, lambda run: float(identity(run).iloc[-1])),
    "identity_o9_share": ("%", DISCARD, _share),
    "identity_o0_min_GiB": ("GiB", DISCARD, _identity(0, np.min)),
    "identity_o0_median_GiB": ("GiB", DISCARD, _identity(0, np.median)),
    "identity_o0_max_GiB": ("GiB", DISCARD, _identity(0, np.max)),
    "footprint_per_work": ("GiB s", DISCARD, _footprint_per_work),
    "pages_per_s": ("pages/s", PROGRAM, _pages_per_s),
    "ns_per_page": ("ns", PROGRAM, _ns_per_page),
    "reported_s": ("s", REPORTS, _reported_s),
    "inflate_s": ("s", BALLOON, _inflate_s),
    "deflate_s": ("s", BALLOON, _deflate_s),
}
UNITS_BY_END = {"_ns": "ns", "_bytes": "B", "_pages": "pages", "_MiB": "MiB", "_GiB": "GiB"}


def unit_by_name(name: str) -> str:
    """The unit that the end of an entry's name tells; "1" for a number or a share."""
    return next((unit for end, unit in UNITS_BY_END.items() if name.endswith(end)), "1")


def value_of(run, column: str) -> float:
    """A derived column, or an entry of the summary."""
    if column in DERIVED:
        return DERIVED[column][2](run)
    return float(run.summary[column])
