"""Tables of the savings of hints in a live migration, and of the guest's costs afterwards."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pandas as pd

from freehint.formats.tables import free_lists, pageblocks
from freehint.mm.memory import UNMOVABLE
from freehint.policies import BASELINE
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.sweeps.paired import interval
from freehint.sweeps.status import all_done
from freehint.units import MIB, NS_PER_S, format_ns, micro


def share_of_order(scenario: Scenario, order=10) -> float:
    """The share of all free memory (pcp lists included) that starts in blocks of an order."""
    run = simulate(scenario.with_values({"policy": BASELINE, "migration": None, "duration_ns": 1}))
    first = run.history[run.history["time_s"] == 0]
    return first.loc[first["order"] == order, "free_pages"].sum() / first["free_pages"].sum()


def savings(table: pd.DataFrame, knob: str, labels=None) -> pd.DataFrame:
    """The savings of each policy, compared with "none" at the same value of a knob and seed.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep` over "policy" and ``knob``.
    labels : sequence of str, optional
        Names for the knob's values, in the order of the table.

    Returns
    -------
    DataFrame
        policy, level (the knob's value as text); means over the seeds, saved_bytes (%; negative if
        hints cost bytes) and saved_s; the half widths of their 95 % intervals, bytes_half and
        s_half (nan for a single seed).

    Raises
    ------
    RuntimeError
        A run was not done; the message names it.
    """
    values = list(dict.fromkeys(all_done(table)[knob]))
    named = dict(zip(values, labels or map(str, values), strict=True))
    base = table[table["policy"] == BASELINE.name].set_index([knob, "seed"])
    rows = []
    for (policy, value), runs in table.groupby(["policy", knob], sort=False):
        if policy == BASELINE.name:
            continue
        before = base.loc[[(value, seed) for seed in runs["seed"]]].reset_index()
        runs = runs.reset_index(drop=True)
        share = interval(100 * (1 - runs["sent_bytes"] / before["sent_bytes"]).astype(float))
        time = interval((before["total_ns"] - runs["total_ns"]).astype(float) / NS_PER_S)
        rows.append((policy, named[value], share[0], time[0], share[1], time[1]))
    columns = ["policy", "level", "saved_bytes", "saved_s", "bytes_half", "s_half"]
    return pd.DataFrame(rows, columns=columns)


def readable_rounds(rounds: pd.DataFrame) -> pd.DataFrame:
    """The rounds of a migration for readers: one row for each sync, with units in the titles.

    Parameters
    ----------
    rounds : DataFrame
        ``Run.rounds``.
    """
    rows = pd.DataFrame({"sync": range(1, len(rounds) + 1)})
    rows["time"] = [micro(format_ns(ns)) for ns in rounds["time_ns"]]
    rows["sent (MB)"] = (rounds["sent_bytes"] / 1e6).map("{:,.1f}".format).to_numpy()
    for name in ("normal", "zero", "hinted", "dirty", "left"):
        rows[f"{name} (pages)"] = rounds[f"{name}_pages"].map("{:,}".format).to_numpy()
    return rows


def after_the_migration(scenario: Scenario, window_ns: int) -> pd.Series:
    """A guest's work and costs in ``window_ns`` of simulated time after its switch-over.

    The same scenario is run twice: up to the switch-over, and ``window_ns`` longer.  The same seed
    gives the same first part, so the difference belongs to the window.

    Returns
    -------
    Series
        policy, seed, sent_bytes, total_ns, survival, lost_writes.  In the window: faults,
        fault_ns, work (allocations, frees and writes), waited_ns (the time that allocations and
        frees waited for the zone lock).  At the end: unmovable (pageblocks), large_MiB (free
        memory in blocks of order >= 9).

    Raises
    ------
    ValueError
        The migration does not end within the scenario's duration.
    """
    total_ns = simulate(scenario).summary["total_ns"]
    if total_ns < 0:
        raise ValueError(f"the migration has not ended after {scenario.duration_ns} ns")
    end_ns = scenario.migration.start_at_ns + total_ns + 1
    first, whole = (
        simulate(replace(scenario, duration_ns=end)) for end in (end_ns, end_ns + window_ns)
    )

    def gained(*names):
        return int(sum(whole.summary[name] - first.summary[name] for name in names))

    large = free_lists(whole.memory).query("order >= 9")["order"].to_numpy(np.int64)
    kept = ("policy", "seed", "sent_bytes", "total_ns", "survival", "lost_writes")
    return pd.Series(
        {name: whole.summary[name] for name in kept}
        | {
            "faults": gained("faults"),
            "fault_ns": gained("fault_ns"),
            "work": gained("allocations", "frees", "writes"),
            "waited_ns": int(whole.waits["wait_ns"].sum() - first.waits["wait_ns"].sum()),
            "unmovable": int((pageblocks(whole.memory)["migratetype"] == UNMOVABLE).sum()),
            "large_MiB": float((1 << large).sum() * MIB),
        },
        dtype=object,
    )


def against_none(table: pd.DataFrame, column: str) -> pd.Series:
    """By how much (%) a run's value in a column exceeds that of "none" with the same seed."""
    none = table[table["policy"] == BASELINE.name].set_index("seed")[column]
    base = none.loc[table["seed"]].astype(float).to_numpy()
    return (table[column].astype(float) / base - 1) * 100


def recorded_resident(info: dict) -> pd.DataFrame:
    """QEMU's resident memory in a recording: time_s since the guest's program ended, resident_MiB.

    The program is taken to end when the resident memory is at its maximum.
    """
    table = pd.DataFrame(info["rss"], columns=["time_s", "resident_KiB"])
    top = table["time_s"][table["resident_KiB"].idxmax()]
    table["time_s"] -= top
    table["resident_MiB"] = table["resident_KiB"] / 1024
    return table[table["time_s"] >= 0].reset_index(drop=True)


def steps_down(time_s, resident_mib, least=8.0) -> pd.DataFrame:
    """Where resident memory (MiB) falls by at least ``least`` from one sample to the next.

    Returns
    -------
    DataFrame
        time_s, MiB.
    """
    fall = -np.diff(np.asarray(resident_mib, float))
    at = np.flatnonzero(fall >= least)
    return pd.DataFrame({"time_s": np.asarray(time_s, float)[at + 1], "MiB": fall[at]})


PARAMETERS = ["state", "hint", "cmdline", "bw_MBps"]


def bytes_by_hint(table: pd.DataFrame) -> pd.DataFrame:
    """Mean MB sent under each load with hints off and on, measured and predicted."""
    columns = {"measured_transferred_B": "measured", "predicted_transferred_B": "predicted"}
    means = table.groupby(["state", "hint"])[list(columns)].mean() / 1e6
    return means.rename(columns=columns).round().astype(int).unstack("hint")


def worst_and_alike(table: pd.DataFrame, folder) -> pd.DataFrame:
    """The migration with the worst prediction of bytes, then those with the same parameters.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.validate_migration` on ``folder``.
    folder : Path

    Returns
    -------
    DataFrame
        Columns of the recording, and of the prediction: predicted_B, predicted_ms, error.
    """
    measured = pd.read_csv(folder / "migrations.csv")
    worst = table["error_transferred_B"].idxmax()
    alike = measured[(measured[PARAMETERS] == measured.loc[worst, PARAMETERS]).all(axis=1)]
    rows = [worst, *alike.index.drop(worst)]
    columns = ["state", "hint", "bw_MBps", "rep", "mbps", "total_time_ms", "transferred_B"]
    return alike.loc[rows, columns].assign(
        predicted_B=table["predicted_transferred_B"],
        predicted_ms=table["predicted_total_time_ms"],
        error=table["error_transferred_B"],
    )


def recorded_guest_resident(info) -> pd.DataFrame:
    """QEMU's resident memory from a recording's ``info.json.gz``: see recorded_resident."""
    with gzip.open(info) as file:
        return recorded_resident(json.load(file))


def steps_after_free(rss: pd.DataFrame) -> pd.DataFrame:
    """Where resident memory falls after the program has freed it: time_s since then, MiB.

    Parameters
    ----------
    rss : DataFrame
        t_s, phase, host_rss_KiB.
    """
    freed = rss[rss["phase"].isin(["filled+freed", "after free"])]
    return steps_down(freed["t_s"] - freed["t_s"].iloc[0], freed["host_rss_KiB"] / 1024)


# The titles of the means in a table, and their numbers of digits.
MEANS = {
    "sent_MB": ("sent (MB)", 1),
    "took_ms": ("took (ms)", 1),
    "faults": ("faults", 0),
    "faults_ms": ("in faults (ms)", 1),
    "work_against_none": ("work (%)", 2),
    "survival_%": ("survival (%)", 1),
    "unmovable": ("UNMOVABLE", 1),
    "large_MiB": ("free, order >= 9 (MiB)", 1),
}


def afterwards(scenario, policies, window_ns: int, seeds=(1, 2, 3)) -> pd.DataFrame:
    """Run every policy with every seed, up to ``window_ns`` after its switch-over.

    Parameters
    ----------
    scenario : Scenario
        It must have a migration that ends.
    policies : sequence of str
        Names, among them "none".

    Returns
    -------
    DataFrame
        The columns of :func:`freehint.studies.migrations.after_the_migration`, and sent_MB,
        took_ms, faults_ms (CPU time in faults), in_faults (the same in % of the window),
        survival_%, work_against_none (how much more work, in %, than without hints).
    """
    each = [scenario.with_values({"policy": p, "seed": s}) for p in policies for s in seeds]
    table = pd.DataFrame([after_the_migration(one, window_ns) for one in each])
    table = table.infer_objects()
    return table.assign(
        sent_MB=table["sent_bytes"] / 1e6,
        took_ms=table["total_ns"] / 1e6,
        faults_ms=table["fault_ns"] / 1e6,
        in_faults=100 * table["fault_ns"] / window_ns,
        work_against_none=against_none(table, "work"),
        **{"survival_%": 100 * table["survival"].astype(float)},
    )


def means(table: pd.DataFrame) -> pd.DataFrame:
    """The means of each policy, as numbers, with the column names of ``table``."""
    return table.groupby("policy", sort=False)[[*MEANS, "in_faults"]].mean().astype(float)


def readable_means(table: pd.DataFrame) -> pd.DataFrame:
    """The means of each policy for readers: rounded, with units in the titles."""
    shown = {title: means(table)[name].round(digits) for name, (title, digits) in MEANS.items()}
    return pd.DataFrame(shown).astype({"faults": int})
