"""fh.sweep: every run once, the same table in every way to run it, and nothing lost to kill -9."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.parquet as pq
import pytest

import freehint as fh
from freehint.cli import main
from freehint.sweeps import one_run, parts
from freehint.sweeps.pools import CHUNK_S, LAST_CHUNKS, Tempo
from own_policy import QUIET, WRONG

SMALL = fh.Scenario(memory="64MiB", duration_ns=20_000_000, walk_at_ns=1_000_000)
GRID = {"policy": list(fh.POLICIES), "ring.size": [8, 256]}


@pytest.fixture
def nothing_runs(monkeypatch):
    def run_engine(*args):
        raise AssertionError("a run was started")

    monkeypatch.setattr(one_run, "run_engine", run_engine)


def test_a_row_a_run_in_the_grids_order_with_the_summary_of_simulate():
    table = fh.sweep(SMALL, GRID, seeds=[3, 1])
    expected = [(p, r, s) for p in GRID["policy"] for r in GRID["ring.size"] for s in (3, 1)]
    assert list(table[["policy", "ring.size", "seed"]].itertuples(index=False)) == expected
    assert set(table["status"]) == {"done"}
    for _, row in table.iloc[::5].iterrows():
        values = {"policy": row["policy"], "ring.size": row["ring.size"], "seed": row["seed"]}
        summary = fh.simulate(SMALL.with_values(values)).summary
        pd.testing.assert_series_equal(
            row[summary.index].astype(object), summary, check_names=False
        )


def test_processes_give_the_same_file_byte_by_byte(tmp_path):
    memories = ["64MiB", fh.make_memory("64MiB", fragmentation=0.5)]
    grid = {**GRID, "policy": [*fh.POLICIES, WRONG, QUIET], "memory": memories}
    serial = fh.sweep(SMALL, grid, range(2), out=tmp_path / "serial.parquet")
    parallel = fh.sweep(SMALL, grid, range(2), "processes", tmp_path / "processes.parquet")
    pd.testing.assert_frame_equal(serial, parallel)
    first, second = ((tmp_path / f"{n}.parquet").read_bytes() for n in ("serial", "processes"))
    assert first == second
    assert set(parallel.loc[parallel["status"] == "failed", "policy"]) == {WRONG.name}


def test_the_file_is_the_table(tmp_path):
    table = fh.sweep(SMALL, GRID, [1], out=tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "runs.parquet"), table)


MISTAKES = [
    ({"ring.sise": [8]}, {}, "there is no parameter 'ring.sise'; there are ring.size"),
    ({"colour": [8]}, {}, "there is no parameter 'colour'"),
    ({"ring.size": [8, 0]}, {}, "ring.size must be a power of two .*got 0"),
    ({"policy": ["v24", "v42"]}, {}, "policy must be one of .*got 'v42'"),
    ({"policy.resume": ["cursor", "scan_for_first"]}, {}, "cannot go with policy.rotate 'never'"),
    ({"policy": "v24"}, {}, "policy must be a list of values, got 'v24'"),
    ({"policy": []}, {}, "policy must have at least one value"),
    ({"policy": [QUIET, fh.Policy("quiet")]}, {}, "policy must have values of different names"),
    ({"seed": [1]}, {}, "grid must leave seed to seeds"),
    ({"memory": ["64MiB", "no/such.T0"]}, {}, r"no/such\.T0\.meta\.json: there is no such file"),
    ({}, {"seeds": [-1]}, "seeds must be a whole number >= 0, got -1"),
    ({}, {"seeds": 5}, "seeds must be a list of values, got 5"),
    ({}, {"scheduler": "threads"}, "scheduler must be None, 'processes' or .* got 'threads'"),
    ({}, {"out": 3}, "out must be a path, got 3"),
    ({}, {"out": __file__}, r"test_sweep.py: is a file, and a folder is wanted"),
]


@pytest.mark.parametrize(("grid", "options", "sentence"), MISTAKES)
def test_mistakes_are_refused_before_anything_runs(grid, options, sentence, nothing_runs, tmp_path):
    with pytest.raises(fh.InputError, match=sentence):
        fh.sweep(SMALL, grid, **{"seeds": [1], "out": tmp_path / "runs.parquet", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_combination_that_contradicts_itself_is_listed_and_not_run():
    grid = {"policy.rotate": ["never", "on_exit"], "policy.resume": ["cursor", "scan_for_first"]}
    table = fh.sweep(SMALL, grid, [1, 2])
    assert table["status"].tolist() == ["done"] * 2 + ["refused"] * 2 + ["done"] * 4
    refused = table[table["status"] == "refused"]
    assert refused["error"].str.contains("cannot go with policy.rotate 'never'").all()
    assert refused["coverage"].isna().all()


def test_a_run_that_fails_is_recorded_and_the_rest_goes_on():
    table = fh.sweep(SMALL, {"policy": [WRONG, QUIET]}, [1, 2])
    assert table["status"].tolist() == ["failed", "failed", "done", "done"]
    assert table["error"].str.match(r"InputError: policy wrong: fill must return").sum() == 2
    assert table["strokes"].isna().tolist() == [True, True, False, False]


def test_a_policy_of_a_notebook_runs_serially_and_is_refused_by_processes(nothing_runs, request):
    @fh.kernel
    def fill(memory, state, zone, report, capacity):
        return 0, 1

    mine = fh.Policy("mine", fill, QUIET.drain)
    with pytest.raises(fh.InputError, match=r"'mine' has .*<locals>\.fill of .*scheduler=None"):
        fh.sweep(SMALL, {"policy": [mine]}, [1], "processes")
    request.getfixturevalue("monkeypatch").undo()
    assert fh.sweep(SMALL, {"policy": [mine]}, [1])["strokes"].tolist() == [2]


# kill -9.

LONG = """
import sys, freehint as fh
from freehint.sweeps import parts, pools
pools.CHUNK_S = parts.SHORTEST_S = 0.05
sys.path[:0] = {tests!r}
from test_sweep import SMALL, GRID
if __name__ == "__main__":
    fh.sweep(SMALL, GRID, range({seeds}), {scheduler!r}, {out!r})
"""


SEEDS = 10


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The table, and its file's bytes."""
    out = tmp_path_factory.mktemp("whole") / "runs.parquet"
    return fh.sweep(SMALL, GRID, range(SEEDS), out=out), out.read_bytes()


def rows_of(folder) -> int:
    """Rows in the parts of a sweep that goes on."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("part-*.parquet"))


def killed_sweep(out, folder, scheduler):
    """Start it in a process of its own, and kill that once some chunks are written."""
    tests = [str(Path(__file__).parents[n]) for n in (0, 1)]
    script = out.parent / "long.py"
    script.write_text(LONG.format(tests=tests, seeds=SEEDS, scheduler=scheduler, out=str(out)))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 240
    while rows_of(folder) < 2 * len(fh.POLICIES) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return process.pid


def members(group: int) -> list:
    """Processes of a process group that are not yet gone."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize(
    ("scheduler", "name", "folder"),
    [(None, "runs.parquet", "runs.parquet.parts"), ("processes", "runs", "runs")],
)
def test_kill_9_loses_no_row_and_the_next_call_goes_on(
    tmp_path, scheduler, name, folder, uninterrupted
):
    out = tmp_path / name
    group = killed_sweep(out, tmp_path / folder, scheduler)
    # Whoever was killed leaves no worker behind.
    deadline = time.monotonic() + 30
    while members(group):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kept = rows_of(tmp_path / folder)
    total = len(fh.POLICIES) * 2 * SEEDS
    assert 0 < kept < total
    counts = []
    resumed = fh.sweep(SMALL, GRID, range(SEEDS), None, out, counts.append)
    assert counts[0] == kept and sum(counts) == total
    table, file = uninterrupted
    pd.testing.assert_frame_equal(resumed, table)
    # Parts are gone, whole or begun, and the lock; the table is the same, byte by byte.
    assert set(os.listdir(tmp_path)) == {"long.py", name}
    whole = out if out.is_file() else out / "part-000000.parquet"
    assert whole.read_bytes() == file
    assert whole == out or os.listdir(out) == ["part-000000.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(out), table)


def stopped_sweep(out, runs: int, grid, seeds):
    """Stop it as Ctrl-C does, after so many runs."""
    done = []

    def stop(count):
        done.extend(range(count))
        if len(done) >= runs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fh.sweep(SMALL, grid, seeds, out=out, progress=stop)


def test_an_interrupted_sweep_keeps_every_run_with_its_own_columns(tmp_path):
    """Runs with other entries in their summaries, and a value that is not a number."""
    grid = {
        "migration": [None, fh.MigrationConfig()],
        "policy": ["none", WRONG, "v24"],
        "kernel": [None, "6.12"],
    }
    table = fh.sweep(SMALL, grid, [1], out=tmp_path / "whole.parquet")
    assert table["coverage"].isna().any() and table["sent_bytes"].isna().any()
    for runs in (1, 5, 11):
        out = tmp_path / f"{runs}.parquet"
        stopped_sweep(out, runs, grid, [1])
        assert rows_of(tmp_path / f"{runs}.parquet.parts") == runs and not out.exists()
        pd.testing.assert_frame_equal(fh.sweep(SMALL, grid, [1], out=out), table)
        assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_parts_are_seldom_when_a_sweep_is_long(tmp_path, monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(parts, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    table = parts.RunParts(tmp_path / "runs", {})
    written = []
    for number in range(1000):
        table.add({number: {"run": number}})
        written.append(len(table.waiting) == 0)
    # 10 s between rows and more: each is written at first, later what comes in half a minute.
    assert all(written[:40]) and 0.2 < sum(written[-300:]) / 300 < 0.6


def test_two_sweeps_do_not_write_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PATIENCE_S", 0)
    out = tmp_path / "runs.parquet"
    with parts.RunParts(out, {}).open():
        with pytest.raises(fh.InputError, match=r"runs\.parquet: another process runs this sweep"):
            fh.sweep(SMALL, GRID, [1], out=out)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_sweep_leaves_the_lock_of_the_one_that_runs(tmp_path, monkeypatch):
    """Else a third would lock a new file of that name, and write beside the first."""
    monkeypatch.setattr(parts, "PATIENCE_S", 0)
    out = tmp_path / "runs.parquet"
    with parts.RunParts(out, {}).open():
        for _ in range(2):
            with pytest.raises(fh.InputError, match="another process runs this sweep"):
                with parts.RunParts(out, {}).open():
                    pass


def test_a_lock_whose_file_was_removed_is_taken_again(tmp_path, monkeypatch):
    """Its holder removed it just before it was free: nobody else would meet that lock."""
    out, taken = tmp_path / "runs.parquet", []
    take_lock = parts.take_lock

    def take_what_is_removed(descriptor, *about):
        take_lock(descriptor, *about)
        if not taken:
            (tmp_path / "runs.parquet.parts" / parts.LOCK).unlink()
        taken.append(descriptor)

    monkeypatch.setattr(parts, "take_lock", take_what_is_removed)
    with parts.RunParts(out, {}).open():
        assert len(taken) == 2 and (tmp_path / "runs.parquet.parts" / parts.LOCK).exists()
    assert list(tmp_path.iterdir()) == []


def test_parts_of_another_sweep_are_refused(tmp_path):
    out = tmp_path / "runs"
    stopped_sweep(out, 1, GRID, [1])
    before = (out / "part-000001.parquet").read_bytes()
    with pytest.raises(fh.InputError, match=r"part-000001\.parquet: holds another .* other seeds"):
        fh.sweep(SMALL, GRID, [2], out=out)
    assert (out / "part-000001.parquet").read_bytes() == before


def test_a_finished_sweep_is_read_and_not_run_again(tmp_path, request):
    out = tmp_path / "runs.parquet"
    grid = {"policy": [WRONG, "v24"], "policy.capacity": [8]}
    table = fh.sweep(SMALL, grid, [1], out=out)
    written = out.stat().st_mtime_ns
    request.getfixturevalue("nothing_runs")
    pd.testing.assert_frame_equal(fh.sweep(SMALL, grid, [1], out=out), table)
    assert out.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"seeds": [1, 2]}, "seeds"),
        ({"design": {"policy": ["none"]}}, "grid"),
        ({"scenario": SMALL.with_values({"ring.size": 4})}, "parameters"),
    ],
)
def test_a_file_of_another_sweep_is_refused_by_name(tmp_path, changed, name, nothing_runs, request):
    out = tmp_path / "runs.parquet"
    call = {"scenario": SMALL, "design": {"policy": ["v24"]}, "seeds": [1], "out": out}
    request.getfixturevalue("monkeypatch").undo()
    fh.sweep(**call)
    before = out.read_bytes()
    with pytest.raises(fh.InputError, match=rf"runs\.parquet: holds another sweep.*other {name}:"):
        fh.sweep(**{**call, **changed})
    assert out.read_bytes() == before


def test_a_verb_of_ones_own_that_changed_makes_another_sweep(tmp_path):
    def policy(rows):
        @fh.kernel
        def fill(memory, state, zone, report, capacity):
            return rows, 1

        return fh.Policy("mine", fill, QUIET.drain)

    def policy_that_stops():
        @fh.kernel
        def fill(memory, state, zone, report, capacity):
            return 0, 2

        return fh.Policy("mine", fill, QUIET.drain)

    out = tmp_path / "runs.parquet"
    fh.sweep(SMALL, {"policy": [policy(0)]}, [1], out=out)
    with pytest.raises(fh.InputError, match="with other policies"):
        fh.sweep(SMALL, {"policy": [policy_that_stops()]}, [1], out=out)


def test_a_file_that_is_something_else_is_refused(tmp_path):
    run = fh.simulate(SMALL)
    run.save(tmp_path / "run")
    (tmp_path / "text.parquet").write_text("PAR1 no")
    for name, sentence in (
        ("run/summary.parquet", "is no table of a sweep"),
        ("text.parquet", "this is not whole parquet"),
    ):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(fh.InputError, match=sentence):
            fh.sweep(SMALL, GRID, [1], out=tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


# The command line.

TOML = """
seeds = [1, 2]
out = "{out}"

[scenario]
memory = "64MiB"
duration_ns = 20_000_000
walk_at_ns = 1_000_000
host.gap_ns = 0

[grid]
policy = ["v24", ["v24", "rotate_on_exit"]]
ring.size = [16, 256]
"""


def toml(folder, text) -> str:
    path = folder / "sweep.toml"
    path.write_text(text)
    return str(path)


def test_the_command_line_sweeps(tmp_path, capsys):
    out = tmp_path / "runs.parquet"
    assert main(["sweep", toml(tmp_path, TOML.format(out=out))]) == 0
    assert "done: 8 runs" in capsys.readouterr().out
    table = pd.read_parquet(out)
    assert set(table["policy"]) == {"v24", "v24 + rotate_on_exit"}
    assert set(table["ring.size"]) == {16, 256}


def test_a_sweep_with_a_failed_run_exits_1_and_says_why(tmp_path, monkeypatch, capsys):
    def run_engine(*arguments):
        raise ValueError("the disk is full")

    monkeypatch.setattr(one_run, "run_engine", run_engine)
    text = 'seeds = [1, 2]\n[scenario]\nmemory = "64MiB"\n[grid]\nring.size = [8]'
    assert main(["sweep", toml(tmp_path, text)]) == 1
    said = capsys.readouterr().out
    assert "failed: 2 runs\n  2 x ValueError: the disk is full" in said


def test_the_command_line_sweeps_where_the_file_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("freehint.sweeps.dask.CONNECT_S", 0.2)
    out = tmp_path / "runs.parquet"
    assert main(["sweep", toml(tmp_path, 'scheduler = "tcp://x:9"' + TOML.format(out=out))]) == 2
    assert "no Dask scheduler answers" in capsys.readouterr().err and not out.exists()


BAD_TOML = [
    ("[grid", "sweep.toml: this is not TOML"),
    ("grid = 3", r"sweep.toml: \[grid\] must be a table, got 3"),
    ("sedes = [1]", "there is no key 'sedes'; there are scenario, grid, design, seeds"),
    ("[grid]\nring.sise = [3]", "there is no parameter 'ring.sise'"),
    ("[grid]\nring.size = 3", "ring.size must be a list of values, got 3"),
    ("[scenario]\nring.size = 0", "ring.size must be a power of two in 1..32768, got 0"),
    ("seeds = [0.5]", "seeds must be a whole number >= 0, got 0.5"),
    ("scheduler = 'tcp:/x'", "scheduler must be None, 'processes' or 'tcp://HOST:PORT'"),
    ("[grid]\n[design]", r"\[grid\] and \[design\] cannot go together"),
    ("design = 3", r"sweep.toml: \[design\] must be a table, got 3"),
    ("[design]\nkind = 'sobol'\nn = 8", r"\[design\] must have ranges"),
    ("[design]\nkin = 'sobol'", r"\[design\]: there is no key 'kin'; there are kind, n, seed"),
    ("[design]\nkind = 'halton'\nn = 8\nranges = {}", "design.kind must be one of sobol"),
    (
        "[design]\nkind = 'sobol'\nn = 8\n[design.ranges]\nring.size = {low = 9, high = 8}",
        "ring.size: low must be below high 8, got 9",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_TOML)
def test_a_bad_file_is_one_sentence_and_exit_2(text, sentence, tmp_path, capsys):
    assert main(["sweep", toml(tmp_path, text)]) == 2
    out, err = capsys.readouterr()
    assert re.search(sentence, err) and len(err.strip().splitlines()) == 1 and out == ""


DESIGN_TOML = """
seeds = [1, 2]
out = "{out}"

[scenario]
memory = "64MiB"
duration_ns = 20_000_000
walk_at_ns = 1_000_000

[design]
kind = "sobol"
n = 4
seed = 3

[design.ranges]
"ring.size" = {{low = 8, high = 64, scale = "log2"}}
host.gap_ns = {{low = 0, high = 1_000}}
policy = ["v24", ["v24", "rotate_on_exit"]]
"""


def test_the_command_line_sweeps_a_design(tmp_path, capsys):
    out = tmp_path / "runs"
    path = toml(tmp_path, DESIGN_TOML.format(out=out))
    assert main(["sweep", path]) == 0
    assert "done: 8 runs" in capsys.readouterr().out
    ranges = {
        "ring.size": {"low": 8, "high": 64, "scale": "log2"},
        "host.gap_ns": {"low": 0, "high": 1_000},
        "policy": ["v24", ("v24", "rotate_on_exit")],
    }
    table = fh.sweep(SMALL, fh.sobol(ranges, 4, seed=3), [1, 2])
    pd.testing.assert_frame_equal(pd.read_parquet(out), table)
    written = (out / "part-000000.parquet").stat().st_mtime_ns
    assert main(["sweep", path]) == 0
    assert (out / "part-000000.parquet").stat().st_mtime_ns == written


def test_no_file_is_one_sentence_and_exit_2(tmp_path, capsys):
    assert main(["sweep", str(tmp_path / "no.toml")]) == 2
    assert "no.toml: there is no such file" in capsys.readouterr().err


def test_the_last_chunks_are_small_and_no_run_is_left_out():
    tempo, width, left, sizes = Tempo(), 2, 2_000, []
    assert tempo.chunk_of(left, width) == 1  # nobody knows yet how long a run takes
    tempo.note(1, CHUNK_S / 160)
    while left:
        sizes.append(tempo.chunk_of(left, width))
        left -= sizes[-1]
    assert sum(sizes) == 2_000 and left == 0
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 160
    assert max(sizes[-width:]) <= 160 // LAST_CHUNKS
