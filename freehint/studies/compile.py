"""The compile benchmark: a guest that compiles is migrated under every policy.

It shows what hints save and what they cost.  The guest repeats the recording ``compile`` (gcc on
the sources of Lua, one CPU, 1 GiB).  The guest itself is not random, so a seed decides only when
the host is not scheduled.
"""

import pandas as pd

from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.policies import BASELINE, POLICIES
from freehint.runs.scenario import Scenario
from freehint.sweeps.status import all_done
from freehint.sweeps.sweep import sweep
from freehint.units import NS_PER_MS, NS_PER_S

TRACE = "linux-6.1/traces/compile"
GUEST_PAGES = 1 << 18
# Assumed: a guest that has been up for long has written every page once, so its free pages are not
# zero.  A guest that has just booted (0) has content only in pages that are in use.
FOOTPRINTS = {"long up": GUEST_PAGES, "just booted": 0}
SWITCH = {"on": -1, "off": 0}  # the time at which the switch goes off: never, or at the start
START_NS = 45 * NS_PER_S  # the busiest 5 s of the recording
KEY = ["bandwidth_MBps", "memory", "speed", "seed"]


def scenario(duration_ns: int = 200 * NS_PER_S) -> Scenario:
    """The benchmark's scenario without hints; the migration begins in the guest's busiest 5 s."""
    return Scenario(
        policy=BASELINE,
        workload=RecordedGuest(TRACE, repeat=0),
        migration=MigrationConfig(start_at_ns=START_NS),
        duration_ns=duration_ns,
    )


def compile_benchmark(
    bandwidths_MBps=(50,),
    seeds=(1,),
    speeds=(1,),
    duration_ns=200 * NS_PER_S,
    scheduler=None,
    out=None,
    progress=None,
) -> pd.DataFrame:
    """Migrate the compiling guest under every policy, with the switch on and off.

    Free page reporting needs a host that discards the reported pages (``Policy.host_discards``);
    it gets such a host here, all other policies get a host that does not discard.

    Parameters
    ----------
    bandwidths_MBps : sequence of int
        In 10^6 bytes/s.
    seeds : iterable of int
        They decide when the host is not scheduled.
    speeds : sequence of float
        Speeds of the guest; see :class:`freehint.RecordedGuest`.
    duration_ns : int
        The length of a run; the migration begins at 45 s.
    scheduler, out, progress
        As for :func:`freehint.sweep`; ``out`` comes without its suffix, as it names two files.

    Returns
    -------
    DataFrame
        One row per run: policy, switch, memory ("long up", "just booted"), bandwidth_MBps, speed,
        seed, migration_s, sent_MB, downtime_ms; alloc_wait_p99_us, alloc_wait_max_us,
        alloc_wait_sum_us and failed_allocations of the whole run; work_rows (done during the
        migration); faults and fault_ms of the whole run; slip_ms (during the migration),
        slip_after_ms (from its end to the end of the run), slowdown_ms (slip_after_ms less that of
        the legacy run), after_s (the time from the migration's end to the run's end), lost_writes.
    """
    grid = {
        "control.off_at_ns": list(SWITCH.values()),
        "workload.footprint_pages": list(FOOTPRINTS.values()),
        "workload.speed": list(speeds),
        "migration.bandwidth_Bps": [int(b * 1_000_000) for b in bandwidths_MBps],
    }
    base = scenario(duration_ns)
    reporting = on_a_host_that_discards(POLICIES)
    policies = [name for name in POLICIES if name not in reporting]
    runs = [
        sweep(one, {"policy": names, **grid}, seeds, scheduler, file, progress)
        for one, names, file in (
            (base, policies, out and f"{out}.parquet"),
            (
                base.with_values({"host": HostConfig(discard=True)}),
                reporting,
                out and f"{out}_reporting.parquet",
            ),
        )
    ]
    return told(pd.concat(runs, ignore_index=True), duration_ns)


def on_a_host_that_discards(policies) -> list:
    """The names, out of those given, of policies whose host discards the reported pages."""
    return [name for name in policies if POLICIES[name].host_discards]


def told(runs: pd.DataFrame, duration_ns: int) -> pd.DataFrame:
    """The benchmark's table from the sweeps' summaries.

    Raises
    ------
    RuntimeError
        A run failed, or its migration has not ended; the message names the first such run.
    """
    for run in all_done(runs).itertuples():
        if run.migration != "completed":
            why = f"its migration is {run.migration}"
            raise RuntimeError(f"policy {run.policy}, seed {run.seed}: {why}")
    table = pd.DataFrame(
        {
            "policy": runs["policy"],
            "switch": runs["control.off_at_ns"].map({v: k for k, v in SWITCH.items()}),
            "memory": runs["workload.footprint_pages"].map({v: k for k, v in FOOTPRINTS.items()}),
            "bandwidth_MBps": runs["migration.bandwidth_Bps"] / 1e6,
            "speed": runs["workload.speed"],
            "seed": runs["seed"],
            "migration_s": runs["total_ns"] / NS_PER_S,
            "sent_MB": runs["sent_bytes"] / 1e6,
            "downtime_ms": runs["downtime_ns"] / NS_PER_MS,
            **{
                f"alloc_wait_{name}_us": runs[f"alloc_wait_{name}_ns"] / 1e3
                for name in ("p99", "max", "sum")
            },
            "failed_allocations": runs["failed_allocations"],
            "work_rows": runs["migration_rows"],
            "faults": runs["faults"],
            "fault_ms": runs["fault_ns"] / NS_PER_MS,
            "slip_ms": runs["migration_slip_ns"] / NS_PER_MS,
            "slip_after_ms": runs["slip_after_ns"] / NS_PER_MS,
            "after_s": (duration_ns - START_NS - runs["total_ns"]) / NS_PER_S,
            "lost_writes": runs["lost_writes"],
        }
    )
    legacy = table[(table["policy"] == BASELINE.name) & (table["switch"] == "on")].set_index(KEY)
    before = legacy.loc[pd.MultiIndex.from_frame(table[KEY]), "slip_after_ms"].to_numpy()
    table.insert(table.columns.get_loc("after_s"), "slowdown_ms", table["slip_after_ms"] - before)
    return table


def by_policy(table: pd.DataFrame, **where) -> pd.DataFrame:
    """Means over the seeds: one row per policy, in the order of ``fh.POLICIES``.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`compile_benchmark`.
    where
        Values of its columns that select rows, such as ``memory="long up"``; the switch is "on"
        by default.
    """
    for name, value in {"switch": "on", **where}.items():
        table = table[table[name] == value]
    means = table.drop(columns=["switch", "memory", "seed"]).groupby("policy").mean()
    return means.loc[[name for name in POLICIES if name in means.index]]


def switched_off_differs(table: pd.DataFrame) -> pd.DataFrame:
    """Runs with the switch off that differ in any column from the legacy run: none should.

    Policies whose host discards are left out: on such a host every first touch faults, with
    reports or without.
    """
    discards = table["policy"].isin(on_a_host_that_discards(table["policy"].unique()))
    off = table[(table["switch"] == "off") & ~discards]
    legacy = off[off["policy"] == BASELINE.name].set_index(KEY).drop(columns="policy")
    same = legacy.loc[pd.MultiIndex.from_frame(off[KEY])].reset_index()
    here = off.reset_index(drop=True)[same.columns]
    return off[(here != same).any(axis=1).to_numpy()]


def answer(table: pd.DataFrame) -> str:
    """The result in a few sentences.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`compile_benchmark` with one bandwidth and one speed.
    """
    means = by_policy(table, memory="long up")
    legacy = means.loc[BASELINE.name]
    hints = means.drop(index=[BASELINE.name, *on_a_host_that_discards(means.index)])
    fresh = by_policy(table, memory="just booted")
    saved = fresh.loc[BASELINE.name, "sent_MB"] - fresh.drop(index=BASELINE.name)["sent_MB"]
    slow, longest = hints["slowdown_ms"], table["alloc_wait_max_us"].max()
    failed = int(table["failed_allocations"].sum())
    waited = f"No allocation waited longer than {longest:,.0f} µs for a zone lock"
    return (
        f"A guest that has been up for long migrates in {hints['migration_s'].min():.1f} to"
        f" {hints['migration_s'].max():.1f} s with hints and in {legacy['migration_s']:.1f} s"
        f" without, and sends {hints['sent_MB'].min():,.0f} to {hints['sent_MB'].max():,.0f} MB"
        f" instead of {legacy['sent_MB']:,.0f}. In the {hints['after_s'].mean():.0f} s that follow,"
        f" hints cost it {slow.min():.1f} to {slow.max():.1f} ms for first touches of pages that"
        f" were not sent. {waited if longest else 'No allocation waited for a zone lock'}, and"
        f" {failed or 'none'} failed. A guest that has just booted gains {saved.min():,.0f} to"
        f" {saved.max():,.0f} MB, because its free pages are zero."
    )
