"""Scenario -> Run: honest counts, exact repetition, refusals that say why."""

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

import freehint as fh
from freehint.figures import balance
from freehint.runs.progress import progress_bar
from freehint.runs.summary import percentiles

SMALL = {"memory": "256MiB", "duration_ns": 60_000_000, "walk_at_ns": 5_000_000}
WALKING = [name for name in fh.POLICIES if name != "none"]
# Others leave small blocks out, or what watermarks keep.
WHOLE = [name for name in WALKING if fh.POLICIES[name].smallest_order == 0]


def small(**values):
    if values.get("policy") == "page_reporting":  # in 60 ms, not 2 s, its first pass is over
        values["policy"] = fh.PageReporting(delay_ns=5_000_000)
    return fh.Scenario(**{**SMALL, **values})


@pytest.mark.parametrize("policy", list(fh.POLICIES))
def test_memory_is_whole_after_a_run(policy):
    run = fh.simulate(small(policy=policy))
    fh.check_memory(run.memory)
    assert run.summary["allocations"] > 1000


@pytest.mark.parametrize("policy", WALKING)
def test_summary_agrees_with_the_tables(policy):
    run = fh.simulate(small(policy=policy).with_values({"ring.size": 16}))
    rows, summary = run.reports, run.summary
    retried = summary.get("retried_pages", 0)  # Each time is a row, but no more memory.
    assert summary["offered_pages"] + retried == rows["nr_pages"].sum()
    assert summary["hinted_pages"] == rows.loc[rows["taken"], "nr_pages"].sum()
    assert summary["lost_pages"] + retried == rows.loc[~rows["taken"], "nr_pages"].sum()
    assert summary["duplicate_pages"] == rows.loc[rows["duplicate"], "nr_pages"].sum()
    assert summary["hinted_pages"] + summary["lost_pages"] == summary["offered_pages"]
    assert summary["strokes"] == len(run.locks)
    assert summary["lock_held_max_ns"] == run.locks["held_ns"].max()
    assert sum(balance(summary).values()) * 256 == pytest.approx(summary["offered_pages"])
    assert 0 <= summary["coverage"] <= 1 and 0 <= summary["survival"] <= 1


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([30, 10, 20], 3, (20, 30, 30)),
        ([30, 10, 20], 4, (10, 30, 30)),  # one did not wait
        ([30, 10, 20], 400, (0, 0, 30)),
        (range(1, 201), 200, (100, 198, 200)),
        ([], 5, (0, 0, 0)),
    ],
)
def test_a_percentile_is_an_entry_that_so_many_do_not_exceed(values, count, expected):
    assert tuple(percentiles(values, count, "wait").values()) == expected


def test_none_never_walks():
    run = fh.simulate(small(policy="none"))
    assert (len(run.reports), len(run.locks), run.summary["strokes"]) == (0, 0, 0)
    assert np.isnan(run.summary["coverage"])


def idle(**values):
    """A guest that does next to nothing: exactly the free memory is offered."""
    quiet = fh.Workload(nr_cpus=1, interval_ns=10**9)
    return small(workload=quiet, **values).with_values({"host.gap_ns": 0, "ring.size": 4096})


@pytest.mark.parametrize("policy", WHOLE)
def test_an_idle_guest_is_hinted_whole_and_keeps_its_hints(policy):
    memory = fh.make_memory("256MiB", fragmentation=0.3)
    run = fh.simulate(idle(policy=policy, memory=memory))
    free = int(memory.zones["nr_free_pages"].sum())
    hinted = run.summary["hinted_pages"]
    # One operation of the one CPU comes first: it takes one refill's pages.
    assert free - 63 <= hinted <= free
    assert (run.summary["coverage"], run.summary["survival"]) == (1.0, 1.0)
    assert (run.summary["duplicate_pages"], run.summary["lost_pages"]) == (0, 0)


@pytest.mark.parametrize("policy", ["v33", "page_reporting"])
def test_an_idle_guest_is_hinted_whole_from_the_smallest_order_on(policy):
    memory = fh.make_memory("256MiB", fragmentation=0.3)
    scenario = idle(policy=policy, memory=memory)
    if policy == "page_reporting":  # DMA is below its gate, and a sixteenth a pass takes its time
        scenario = scenario.with_values({"duration_ns": 300_000_000})
    run = fh.simulate(scenario)
    zones = slice(1, None) if policy == "page_reporting" else slice(None)
    blocks = memory.nr_free[zones].sum(axis=(0, 2)) << np.arange(11)
    assert run.summary["hinted_pages"] == blocks[scenario.policy.smallest_order :].sum() > 0
    assert (run.summary["duplicate_pages"], run.summary["lost_pages"]) == (0, 0)


def test_the_balloon_leaves_an_idle_guest_its_min_watermark_and_holds_the_rest():
    memory = fh.make_memory("256MiB", fragmentation=0.3)
    run = fh.simulate(idle(policy="balloon_alloc", memory=memory))
    left = run.memory.zones["nr_free_pages"] - run.memory.zones["watermark"][:, 0]
    held = int(memory.zones["nr_free_pages"].sum() - run.memory.zones["nr_free_pages"].sum())
    assert (left > 0).all()
    assert held - 63 <= run.summary["hinted_pages"] <= held
    assert run.summary["hinted_pages"] % 1024 == 0 < run.summary["hinted_pages"]


def test_restart_without_rotation_offers_the_same_blocks_for_ever():
    policy = fh.Walker("again", resume="restart", lock="per_batch", capacity=8)
    run = fh.simulate(idle(policy=policy))
    rows = run.reports[run.reports["zone"] == "DMA32"]
    assert rows["pfn"].nunique() == 8 and len(rows) > 1000
    assert run.summary["walk_ns"] == -1
    assert not rows["duplicate"].iloc[:8].any() and rows["duplicate"].iloc[8:].all()


def test_a_full_ring_loses_hints_when_the_host_is_away_for_ever():
    values = {"ring.size": 8, "host.gap_every_ns": 1, "host.gap_ns": 10**12, "host.gaps": "fixed"}
    run = fh.simulate(small(policy="v24").with_values(values))
    assert run.reports["taken"].sum() == 8
    assert run.summary["lost_pages"] > 0 and run.summary["walk_ns"] > 0


def test_waiting_for_a_host_that_is_away_blocks_the_guest():
    # The host leaves for ever soon after the walk has come to DMA32.
    away = {"ring.size": 8, "host.gap_every_ns": 5_200_000, "host.gap_ns": 10**12}
    memory = fh.make_memory("256MiB", fragmentation=1.0)
    scenario = small(memory=memory).with_values({**away, "host.gaps": "fixed"})
    held = fh.simulate(scenario.with_values({"policy": "hold_the_lock"}))
    free_going = fh.simulate(scenario.with_values({"policy": "none"}))
    assert held.summary["walk_ns"] == -1
    assert held.summary["allocations"] < free_going.summary["allocations"] / 2


def test_whole_walk_holds_the_lock_until_the_host_has_used_everything():
    run = fh.simulate(idle(policy="hold_the_lock"))
    stroke = run.locks.iloc[-1]
    rows = run.reports[run.reports["stroke"] == stroke["stroke"]]
    service = fh.HostConfig().service_ns
    assert stroke["held_ns"] >= len(rows) * service


def test_who_waits_for_a_stroke_is_served_in_the_order_of_asking():
    run = fh.simulate(fh.Scenario(policy="hold_the_lock"))
    long = run.waits[run.waits["wait_ns"] > 100_000].copy()
    assert len(long) >= 2
    long["got_ns"] = long["since_ns"] + long["wait_ns"]
    release = pd.cut(long["got_ns"], [*run.locks["since_ns"], 10**12])
    # A zone's lock has a queue of its own.
    for _, queue in long.groupby([release, "zone"], observed=True):
        assert queue.sort_values("since_ns")["got_ns"].is_monotonic_increasing


def test_host_feedback_marks_what_the_host_used_and_skips_it():
    policy = fh.Walker("told", resume="host_feedback", capacity=8, pause_ns=100_000)
    run = fh.simulate(idle(policy=policy))
    # The host is always there and the pause is longer than its service: nothing is sent twice.
    assert run.summary["duplicate_pages"] == 0
    assert run.summary["coverage"] == 1.0


def digest(run):
    tables = (run.summary.to_frame(), run.reports, run.locks, run.waits)
    return [pd.util.hash_pandas_object(t.astype(str), index=True).sum() for t in tables]


def test_same_seed_same_numbers_and_another_seed_others():
    scenario = small(policy="rotate_on_exit")
    first, again = fh.simulate(scenario), fh.simulate(scenario)
    other = fh.simulate(scenario.with_values({"seed": 2}))
    assert digest(first) == digest(again)
    assert digest(first) != digest(other)


TWICE = """
import freehint as fh
from concurrent.futures import ThreadPoolExecutor
scenario = fh.Scenario(memory="256MiB", duration_ns=60_000_000, policy="rotate_on_exit")
with ThreadPoolExecutor(threads) as pool:
    for i, run in enumerate(pool.map(fh.simulate, [scenario] * threads)):
        run.save(f"{folder}/{i}")
"""


def test_bit_identical_tables_in_two_processes_and_on_two_threads(tmp_path):
    exec(TWICE, {"folder": tmp_path / "1", "threads": 1})
    other = f"folder, threads = {str(tmp_path / '2')!r}, 2\n{TWICE}"
    subprocess.run([sys.executable, "-c", other], check=True, timeout=300)
    runs = [fh.Run.load(tmp_path / p) for p in ("1/0", "2/0", "2/1")]
    for name in ("reports", "locks", "waits"):
        for run in runs[1:]:
            pd.testing.assert_frame_equal(getattr(runs[0], name), getattr(run, name))
    assert runs[0].summary.to_dict() == runs[1].summary.to_dict() == runs[2].summary.to_dict()


def test_save_and_load_give_the_run_back(tmp_path):
    run = fh.simulate(small())
    run.save(tmp_path / "run")
    back = fh.Run.load(tmp_path / "run")
    pd.testing.assert_frame_equal(run.reports, back.reports)
    pd.testing.assert_frame_equal(run.waits, back.waits)
    assert back.summary.to_dict() == run.summary.to_dict()
    assert back.provenance == json.loads(json.dumps(run.provenance))


def test_save_never_overwrites(tmp_path):
    run = fh.simulate(small())
    run.save(tmp_path / "run")
    with pytest.raises(fh.InputError, match="exists already"):
        run.save(tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_load_names_what_is_broken(tmp_path):
    run = fh.simulate(small())
    folder = run.save(tmp_path / "run")
    (folder / "locks.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(fh.InputError, match=r"locks\.parquet: this is not whole parquet"):
        fh.Run.load(folder)
    (folder / "locks.parquet").unlink()
    with pytest.raises(fh.InputError, match=r"locks\.parquet: there is no such file"):
        fh.Run.load(folder)


def test_provenance_names_every_input_with_its_sha256():
    run = fh.simulate(fh.Scenario(duration_ns=1_000_000))
    inputs = {i["file"]: i["sha256"] for i in run.provenance["inputs"]}
    manifest = (fh.data("README.md").parent / "MANIFEST.sha256").read_text()
    assert len(inputs) == 4
    for name, digest_ in inputs.items():
        assert f"{digest_}  linux-6.1/snapshots/{name}" in manifest
    assert run.provenance["parameters"]["seed"] == 1


def test_a_run_leaves_the_scenarios_memory_as_it_was():
    memory = fh.make_memory("256MiB")
    before = fh.free_lists(memory)
    fh.simulate(small(memory=memory))
    pd.testing.assert_frame_equal(before, fh.free_lists(memory))


def test_what_one_actor_draws_does_not_depend_on_the_policy():
    """Common random numbers: the guest wishes the same whatever the policy does to it."""
    runs = [fh.simulate(idle(policy=p)) for p in ("none", "v24")]
    assert runs[0].summary["allocations"] == runs[1].summary["allocations"]


def test_a_policy_of_ones_own_runs_without_registration():
    @fh.kernel
    def fill(memory, state, zone, report, capacity):
        return 0, 1

    @fh.kernel
    def drain(memory, state, zone, report, n, outcome):
        return 0

    run = fh.simulate(small(policy=fh.Policy("mine", fill, drain)))
    assert run.summary["strokes"] == 2 and run.summary["offered_pages"] == 0


REFUSED = [
    ({"policy": "v42"}, "policy must be one of none, v24, .*got 'v42'"),
    ({"ring.size": 0}, r"ring.size must be a power of two in 1\.\.32768, got 0"),
    ({"ring.size": 65536}, r"ring.size must be a power of two in 1\.\.32768, got 65536"),
    ({"ring.size": 96}, "ring.size must be a power of two in .*, got 96"),
    ({"ring.sise": 8}, "there is no parameter 'ring.sise'; there are ring.size"),
    ({"policy.rotate": "sometimes"}, "policy.rotate must be one of never.*got 'sometimes'"),
    ({"policy.resume": "scan_for_first"}, "cannot go with policy.rotate 'never'"),
    ({"policy.min_order": 11}, r"policy.min_order must be a whole number in 0\.\.10, got 11"),
    ({"host.gaps": "weekly"}, "host.gaps must be one of exponential.*got 'weekly'"),
    ({"workload.nr_cpus": 25}, r"workload.nr_cpus must be .*24, got 25"),
    ({"kernel": "2.6"}, r"kernel must be one of 4\.15, .*7\.3, or None, got '2\.6'"),
    ({"workload.live_share": 1.5}, r"workload.live_share must be a number in 0\.\.1, got 1.5"),
    ({"workload.order_weights": ()}, "workload.order_weights must be 1 to 11 numbers"),
    ({"costs.walk_block_ns": -1}, "costs.walk_block_ns must be a whole number in 0.*, got -1"),
    ({"seed": "one"}, "seed must be a whole number in 0.*, got 'one'"),
    ({"duration_ns": 0}, "duration_ns must be a whole number"),
    ({"seed.x": 1}, "'seed' has no parameter 'x'"),
    ({"colour": 1}, "there is no parameter 'colour'"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_bad_values_are_refused_before_anything_runs(values, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.Scenario(memory="256MiB").with_values(values)


@pytest.mark.parametrize(
    ("memory", "sentence"),
    [
        ("12 potatoes", "12 potatoes.meta.json: there is no such file"),
        ("1MiB", "size must be at least 64MiB, got '1MiB'"),
        ("xGiB", "size must be a number with KiB, MiB, GiB or TiB, got 'xGiB'"),
    ],
)
def test_memory_that_cannot_be_used_is_refused(memory, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.simulate(fh.Scenario(memory=memory))


@pytest.mark.parametrize("kernel", ["4.15", "5.10", "6.1", "6.12"])
def test_a_recorded_guest_runs_under_every_kernels_rules(kernel):
    run = fh.simulate(fh.Scenario(kernel=kernel, policy="rotate_on_exit", duration_ns=100_000_000))
    fh.check_memory(run.memory)
    assert run.memory.profile is fh.PROFILES[kernel]
    assert run.provenance["parameters"]["kernel"] == kernel
    assert run.summary["failed_allocations"] == 0 and run.summary["coverage"] > 0.9


def test_history_tells_of_free_memory_and_ends_with_the_memory():
    run = fh.simulate(small(policy="none"))
    history = run.history
    assert history["time_s"].nunique() == 101 and history["time_s"].iloc[-1] == 0.06
    last = history[history["time_s"] == 0.06]
    assert last.loc[last["order"] == -1, "free_pages"].item() == run.memory.pcp["count"].sum()
    on_lists = last.loc[last["order"] >= 0, "free_pages"].sum()
    assert on_lists == run.memory.zones.nr_free_pages.sum()


def test_fewer_cpus_than_the_guest_has_are_refused():
    memory = fh.make_memory("64MiB", nr_cpus=2)
    scenario = fh.Scenario(memory=memory, workload=fh.Workload(nr_cpus=1))
    with pytest.raises(fh.InputError, match=r"workload.nr_cpus: the guest has 2 CPUs"):
        fh.simulate(scenario)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (fh.Walker, "Walker has no parameter 'rotaet'; it has name, fill, drain"),
        (fh.Control, "Control has no parameter 'rotaet'; it has every_ns"),
        (fh.MigrationConfig, "MigrationConfig has no parameter 'rotaet'; it has start_at_ns"),
        (fh.Program, "Program has no parameter 'rotaet'; it has state, fill_MiB"),
        (fh.Workload, "Workload has no parameter 'rotaet'; it has nr_cpus"),
        (fh.Scenario, "Scenario has no parameter 'rotaet'; it has memory, kernel, policy"),
    ],
)
def test_a_misspelt_keyword_is_one_sentence(kind, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        kind(rotaet=1)


def test_parts_come_with_their_fields_and_stay_when_they_are_there():
    scenario = fh.Scenario().with_values({"workload.state": "freed", "migration.chunk_shift": 9})
    assert scenario.workload == fh.Program(state="freed")
    assert scenario.migration == fh.MigrationConfig(chunk_shift=9)
    again = scenario.with_values({"workload.fill_MiB": 7, "migration.start_at_ns": 0})
    assert (again.workload.state, again.migration.chunk_shift) == ("freed", 9)
    with pytest.raises(fh.InputError, match=r"no parameter 'workload\.fill_MiB' of a Workload"):
        scenario.with_values({"workload": fh.Workload(), "workload.fill_MiB": 7})


def moved():
    """A 256 MiB guest that left 32 MiB behind is sent at 50 MB/s."""
    return small(policy="none", duration_ns=3_000_000_000).with_values(
        {"workload.state": "freed", "workload.fill_MiB": 32, "migration.bandwidth_Bps": 50_000_000}
    )


def test_progress_tells_of_time_and_of_the_migrations_rounds():
    told, scenario = [], moved()
    run = fh.simulate(scenario, told.append)
    assert sum(one.step_ns for one in told) == told[-1].time_ns == scenario.duration_ns
    assert told[-1].migration == "completed"
    assert (told[-1].rounds, told[-1].sent_bytes) == (len(run.rounds), run.summary["sent_bytes"])
    active = [one for one in told if one.migration == "active"]
    assert active and all(a.sent_bytes <= b.sent_bytes for a, b in pairwise(active))
    assert 0 < active[0].left_bytes < 256 << 20
    assert re.match(r"round 1, \d+ MB sent, \d+ MB left", active[0].headline)


def test_the_bar_shows_the_rounds(capsys, monkeypatch):
    monkeypatch.setattr("tqdm.auto.tqdm", partial(tqdm, mininterval=0, ascii=True))
    scenario = moved()
    with progress_bar("none", scenario.duration_ns) as show:
        time.sleep(1.1)  # shorter runs show nothing
        fh.simulate(scenario, show)
    shown = capsys.readouterr().err
    assert "round 1, " in shown and "MB left" in shown and "completed, " in shown


PLAIN = """
import freehint as fh

short = fh.Scenario(memory="64MiB", duration_ns=2_000_000, walk_at_ns=500_000)
moved = {"migration.start_at_ns": 300_000, "migration.bandwidth_Bps": 10**10}
for policy in fh.POLICIES:
    print(fh.simulate(short.with_values({"policy": policy})).summary.to_json())
print(fh.simulate(short.with_values({"policy": "balloon_alloc"} | moved)).summary.to_json())
"""


def test_kernels_run_as_plain_python_with_the_same_result(capsys):
    """NUMBA_DISABLE_JIT=1: a debugger steps through the code that was measured."""
    exec(PLAIN, {})
    compiled = capsys.readouterr().out
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert plain.returncode == 0, plain.stderr
    assert compiled == plain.stdout and len(compiled.splitlines()) == len(fh.POLICIES) + 1
