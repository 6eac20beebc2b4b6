"""A recorded trace as the guest: rows in order, slip to the nanosecond, laps, refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.formats.traces.recording import load_recording
from freehint.replay.result import compare_lists, same_pcp
from freehint.units import NS_PER_S

SMP2 = Path(__file__).parents[3] / "shared/ground-truth/linux-6.12/traces/smp2"
TRACES = fh.data("linux-6.1/traces/compile").parent
COMPILE = "linux-6.1/traces/compile"
# In use while the migration runs: gcc's busiest 5 s begin after 10 s.
MIGRATION = fh.MigrationConfig(start_at_ns=10 * NS_PER_S, bandwidth_Bps=50_000_000)
LAP_NS = 75_476_219_000


def after_one_lap(name):
    guest = fh.RecordedGuest(f"linux-6.1/traces/{name}")
    return fh.simulate(
        fh.Scenario(policy="none", workload=guest, duration_ns=guest.loaded.lap_ns + 1)
    )


@pytest.mark.parametrize("name", ["frag", "idle20"])
def test_where_every_page_has_a_row_the_guest_ends_with_the_recorded_lists(name):
    run = after_one_lap(name)
    t1 = load_recording(TRACES / name).t1
    assert run.summary["as_recorded"] == run.summary["allocations"] > 0
    assert compare_lists(run.memory, t1)["equal"].all() and same_pcp(run.memory, t1)
    assert run.summary["slip_ns"] == run.summary["unknown_frees"] == 0


def test_pages_taken_without_a_row_are_where_compile_diverges():
    told, guest = fh.replay(TRACES / "compile", "pcp"), after_one_lap("compile").summary
    assert told.silent_pages == 4 and told.scored == guest["allocations"]
    assert 0.97 < guest["as_recorded"] / guest["allocations"] < 1
    assert guest["work_rows"] == guest["allocations"] + guest["frees"] == 56_492
    # The bulk allocations of fork come back, and nobody is known to hold them.
    fork = after_one_lap("fork").summary
    assert fork["unknown_frees"] == fork["work_rows"] - fork["allocations"] - fork["frees"] > 0


def compile_guest(policy, **values):
    scenario = fh.Scenario(
        policy=policy,
        workload=fh.RecordedGuest(COMPILE, footprint_pages=1 << 18),
        migration=MIGRATION,
        duration_ns=40 * NS_PER_S,
    )
    return fh.simulate(scenario.with_values(values))


@pytest.mark.parametrize("policy", ["none", "v24", "hold_the_lock"])
def test_slip_is_the_stop_the_faults_and_the_waits(policy):
    run = compile_guest(policy)
    summary = run.summary
    assert summary["migration"] == "completed" and summary["lost_writes"] == 0
    assert summary["downtime_ns"] > 0 and (policy == "none") == (summary["fault_ns"] == 0)
    parts = summary["downtime_ns"] + summary["fault_ns"] + run.waits["wait_ns"].sum()
    # Faults of kcompactd and waits for other kernel threads aside, of which there are none here.
    assert summary["slip_ns"] == parts
    assert summary["slip_ns"] == summary["migration_slip_ns"] + summary["slip_after_ns"]
    assert summary["migration_slip_ns"] >= summary["downtime_ns"] > summary["slip_after_ns"] >= 0
    assert 0 < summary["migration_rows"] < summary["work_rows"]
    assert run.work["slip_ns"].is_monotonic_increasing
    assert run.work["rows"].iloc[-1] == summary["work_rows"]


def test_same_seed_same_numbers_and_the_guest_draws_none():
    one, again, other = (compile_guest("v24", seed=seed) for seed in (1, 1, 2))
    assert one.summary.drop("coverage").equals(again.summary.drop("coverage"))
    assert one.work.equals(again.work)
    assert other.summary["hinted_pages"] > 0
    plain = [compile_guest("none", seed=seed).work for seed in (1, 2)]
    assert plain[0].equals(plain[1])


def test_the_next_lap_begins_with_what_the_lap_before_left_freed():
    guest = fh.RecordedGuest(COMPILE)
    scenario = fh.Scenario(policy="none", workload=guest, duration_ns=3 * LAP_NS)
    one, two = (fh.simulate(scenario.with_values({"workload.repeat": n})) for n in (1, 2))
    assert two.summary["work_rows"] == 2 * one.summary["work_rows"]
    assert two.summary["skipped_frees"] == len(guest.loaded.t0_pages) == 7
    free = [
        int(r.memory.zones.nr_free_pages.sum() + r.memory.pcp["count"].sum()) for r in (one, two)
    ]
    assert free[0] == free[1]
    assert two.summary["frees"] == 2 * one.summary["frees"] - 7 + 8_839
    assert two.summary["slip_ns"] == 0
    fast = fh.simulate(scenario.with_values({"workload.speed": 2, "workload.repeat": 0}))
    assert fast.summary["work_rows"] > 5 * one.summary["work_rows"]


def planted(folder, rows, nr_cpus=1):
    """A recording of idle20's T0 whose trace is these rows (ts_us, cpu, event, pfn, order)."""
    for path in TRACES.glob("idle20.T*"):
        shutil.copy(path, folder / path.name)
    blank = pd.read_parquet(TRACES / "idle20.trace.parquet").iloc[:2]
    lines = [(0, 0, "tracing_mark_write", -1, -1, "FH T0")]
    lines += [(*row, "GFP_KERNEL") for row in rows]
    lines += [(lines[-1][0] + 10, 0, "tracing_mark_write", -1, -1, "FH T1")]
    table = pd.DataFrame(lines, columns=["ts_us", "cpu", "event", "pfn", "order", "gfp"])
    table["seq"] = np.arange(len(table))
    table["migratetype"], table["comm"] = np.where(table["pfn"] < 0, -1, 1), "init"
    table[["pid", "a", "b", "c"]] = [1, -1, -1, -1]
    table["event"] = table["event"].astype("category")
    for name, dtype in blank.dtypes.items():
        if not isinstance(dtype, pd.CategoricalDtype):
            table[name] = table[name].astype(dtype)
    table[list(blank.columns)].to_parquet(folder / "idle20.trace.parquet")
    for name, entries in (("T0", 1), ("T1", len(lines))):
        path = folder / f"idle20.{name}.meta.json"
        meta = json.loads(path.read_text())
        meta["trace"] = [{**meta["trace"][0], "entries": entries}]
        for zone in meta["zones"]:
            zone["pcp"] += [{**zone["pcp"][0], "cpu": n, "count": 0} for n in range(1, nr_cpus)]
        path.write_text(json.dumps(meta))
    return folder / "idle20"


def free_pfns(count):
    """Any free pages will do: the model need not give the recorded blocks."""
    lists = fh.free_lists(fh.load_snapshot(TRACES / "idle20.T0"))
    return (lists.loc[lists["order"] == 10, "pfn"].iloc[0] + np.arange(count)).tolist()


def test_a_free_waits_for_its_allocation_on_another_cpu(tmp_path):
    one, two = free_pfns(2)
    rows = [
        (100, 1, "mm_page_alloc", one, 0),
        # CPU 0 comes first at the same time, so here it has to wait.
        (100, 0, "mm_page_free", one, 0),
        (200, 0, "mm_page_alloc", two, 0),
        (300, 1, "mm_page_free", two, 0),
    ]
    guest = fh.RecordedGuest(planted(tmp_path, rows, nr_cpus=2))
    run = fh.simulate(fh.Scenario(policy="none", workload=guest, duration_ns=1_000_000))
    assert run.summary["work_rows"] == 4 and run.summary["unknown_frees"] == 0
    slips = run.work.groupby("cpu")["slip_ns"].last().to_dict()
    # CPU 1's allocation refills its empty pcp list under the zone lock: 63 blocks and the lock.
    assert slips == {0: 63 * 100 + 100, 1: 0}


@pytest.mark.skipif(
    not Path(f"{SMP2}.trace.parquet").exists(), reason="smp2 is not among the sample data"
)
def test_two_recorded_cpus_run_their_own_rows():
    guest = fh.RecordedGuest(SMP2)
    trace = load_recording(SMP2).trace
    run = fh.simulate(
        fh.Scenario(policy="none", workload=guest, duration_ns=guest.loaded.lap_ns + 1)
    )
    rows = run.work.groupby("cpu")["rows"].last()
    allocations = trace[trace["event"] == "mm_page_alloc"].groupby("cpu", observed=True).size()
    assert len(rows) == 2 and (rows > allocations).all()
    assert run.summary["allocations"] == allocations.sum()
    assert rows.sum() == run.summary["work_rows"]
    # The two hardly ever need the same lock at the same time, and then for some microseconds.
    assert run.summary["slip_ns"] < 1_000_000


def test_frees_that_nobody_can_place_are_counted(tmp_path):
    one, two, *_ = free_pfns(4)
    rows = [
        (100, 0, "mm_page_free", two, 0),  # free at T0
        (150, 0, "mm_page_alloc", one, 0),
        (200, 0, "mm_page_free", one, 0),
        (300, 0, "mm_page_free", one, 0),  # again
    ]
    guest = fh.RecordedGuest(planted(tmp_path, rows))
    summary = fh.simulate(fh.Scenario(policy="none", workload=guest, duration_ns=1_000_000)).summary
    assert (summary["work_rows"], summary["frees"], summary["unknown_frees"]) == (4, 1, 2)


def test_a_block_may_be_freed_page_by_page(tmp_path):
    pages = free_pfns(4)
    rows = [(100, 0, "mm_page_alloc", pages[0], 2)]
    rows += [(200 + n, 0, "mm_page_free", pages[n], 0) for n in range(3)]
    guest = fh.RecordedGuest(planted(tmp_path, rows), repeat=2)
    run = fh.simulate(fh.Scenario(policy="none", workload=guest, duration_ns=1_000_000))
    assert run.summary["unknown_frees"] == 0 and run.summary["work_rows"] == 8
    # Three rows a lap, and between the laps the page that is left.
    assert run.summary["frees"] == 7


def test_what_cannot_be_meant_is_refused(tmp_path):
    with pytest.raises(fh.InputError, match=r"workload.trace: no sample data is called 'nothing'"):
        fh.RecordedGuest("nothing")
    with pytest.raises(
        fh.InputError, match=r"workload.speed must be a number above 0 and up to 1000000, got 0"
    ):
        fh.RecordedGuest(COMPILE, speed=0)
    with pytest.raises(fh.InputError, match=r"memory must be linux-6.1/traces/compile.T0.*snap4g"):
        fh.Scenario(memory="linux-6.1/snapshots/snap4g.T0", workload=fh.RecordedGuest(COMPILE))
    with pytest.raises(fh.InputError, match=r"memory must be .* got another, of 16384 frames"):
        fh.Scenario(memory=fh.make_memory("64MiB"), workload=fh.RecordedGuest(COMPILE))
    t0 = fh.load_snapshot(fh.data(f"{COMPILE}.T0"))
    assert fh.Scenario(memory=t0, workload=fh.RecordedGuest(COMPILE)).memory is t0
    with pytest.raises(fh.InputError, match="no time passes"):
        (tmp_path / "x").mkdir()
        fh.RecordedGuest(planted(tmp_path / "x", []).with_name("idle20"))


def test_a_memory_not_given_is_the_workloads_own():
    guest = fh.RecordedGuest(COMPILE)
    assert fh.Scenario(workload=guest).memory == f"{COMPILE}.T0"
    assert fh.Scenario().with_values({"workload": guest}).memory == f"{COMPILE}.T0"
    assert fh.Scenario().memory == "linux-6.1/snapshots/snap4g.T0"


def test_provenance_and_sweeps_know_the_trace():
    base = fh.Scenario(policy="none", workload=fh.RecordedGuest(COMPILE), duration_ns=NS_PER_S)
    files = [one["file"] for one in fh.simulate(base).provenance["inputs"]]
    assert files.count("compile.trace.parquet") == files.count("compile.T0.meta.json") == 1
    table = fh.sweep(base, {"workload.speed": [1, 4]}, seeds=[1])
    assert table["status"].tolist() == ["done", "done"]
    assert table["work_rows"].iloc[1] > table["work_rows"].iloc[0]
