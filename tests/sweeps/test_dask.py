"""fh.sweep on a Dask cluster: the same file, byte by byte, whatever becomes of its workers."""

import builtins
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from test_sweep import GRID, LONG, SMALL, rows_of

import freehint as fh
from freehint.sweeps import dask, pools
from freehint.sweeps.design import Design
from own_policy import QUIET, WRONG

SEEDS = 6


@pytest.fixture(scope="module")
def distributed():
    """Imported by the one process that needs it."""
    import distributed

    return distributed


@pytest.fixture(scope="module")
def cluster(distributed):
    """Two workers, two threads each, that are begun anew when they die."""
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options, silence_logs=50) as made:
        yield made


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The bytes of a serial sweep."""
    out = tmp_path_factory.mktemp("serial") / "runs.parquet"
    fh.sweep(SMALL, GRID, range(SEEDS), out=out)
    return out.read_bytes()


def pids(distributed, cluster) -> list:
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_worker_dies_and_the_file_is_the_same(
    distributed, cluster, tmp_path, serial, monkeypatch
):
    monkeypatch.setattr(pools, "CHUNK_S", 0.2)
    victim, counts = pids(distributed, cluster)[0], []

    def kill_one(count):
        counts.append(count)
        if len(counts) == 2:
            os.kill(victim, signal.SIGKILL)

    out = tmp_path / "runs.parquet"
    fh.sweep(SMALL, GRID, range(SEEDS), cluster.scheduler_address, out, kill_one)
    assert out.read_bytes() == serial
    assert sum(counts) == len(GRID["policy"]) * 2 * SEEDS
    deadline = time.monotonic() + 30
    while len(now := pids(distributed, cluster)) < 2:
        assert time.monotonic() < deadline
    assert victim not in now


def test_the_client_is_killed_and_the_next_call_goes_on(cluster, tmp_path, serial):
    out, parts = tmp_path / "runs.parquet", tmp_path / "runs.parquet.parts"
    script = tmp_path / "long.py"
    tests = [str(Path(__file__).parents[n]) for n in (0, 1)]
    address = cluster.scheduler_address
    script.write_text(LONG.format(tests=tests, seeds=SEEDS, scheduler=address, out=str(out)))
    process = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    while rows_of(parts) < 2 * len(fh.POLICIES) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept, counts = rows_of(parts), []
    fh.sweep(SMALL, GRID, range(SEEDS), address, out, counts.append)
    assert 0 < kept == counts[0] < sum(counts) == len(GRID["policy"]) * 2 * SEEDS
    assert out.read_bytes() == serial


def test_a_run_that_fails_and_a_memory_of_ones_own(cluster):
    grid = {"policy": [QUIET, WRONG], "memory": [fh.make_memory("64MiB", fragmentation=0.5)]}
    table = fh.sweep(SMALL, grid, range(3), cluster.scheduler_address)
    pd.testing.assert_frame_equal(table, fh.sweep(SMALL, grid, range(3)))
    assert set(table["status"]) == {"done", "failed"}


def die_with_seed_3(space, job):
    if job[2] == 3 and multiprocessing.parent_process():
        os._exit(1)
    return {**space.row(*job), "status": "done", "error": ""}


def chunk_of_death(space, jobs, *_):
    return {job[0]: die_with_seed_3(space, job) for job in jobs}, 0.001 * len(jobs)


def test_a_run_that_kills_every_worker_is_recorded(cluster, monkeypatch):
    monkeypatch.setattr(dask, "run_chunk_there", chunk_of_death)
    monkeypatch.setattr(pools, "one_run", die_with_seed_3)
    cluster.scheduler.allowed_failures = 0
    table = fh.sweep(SMALL, {"policy": ["none"]}, range(6), cluster.scheduler_address)
    failed = table[table["status"] == "failed"]
    assert 3 in failed["seed"].tolist() and len(table) == 6
    assert failed["error"].str.match("KilledWorker: every worker that ran it died, 1 in all").all()


def test_a_worker_with_another_freehint_or_another_file_is_refused():
    space = Design(SMALL, {"policy": ["none"]}, [1]).space
    with pytest.raises(fh.InputError, match="a worker has a different freehint"):
        dask.run_chunk_there(space, [], "0" * 16)
    stem = "linux-6.1/traces/idle20.T0"
    space = Design(SMALL.with_values({"memory": stem}), {"policy": ["none"]}, [1]).space
    other = replace(space, inputs=(space.inputs[0]._replace(sha256="0" * 64), *space.inputs[1:]))
    with pytest.raises(fh.InputError, match=r"idle20\.T0\.meta\.json is not what it was when"):
        dask.run_chunk_there(other, [(0, (0,), 1)], dask.code_of_rows())


def test_nobody_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.2)
    out = tmp_path / "runs.parquet"
    with pytest.raises(fh.InputError, match=r"'tcp://127\.0\.0\.1:9': no Dask scheduler answers"):
        fh.sweep(SMALL, GRID, [1], "tcp://127.0.0.1:9", out)
    assert list(tmp_path.iterdir()) == []


def test_no_worker_is_one_sentence(distributed):
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        with pytest.raises(fh.InputError, match="the cluster has no worker"):
            fh.sweep(SMALL, GRID, [1], empty.scheduler_address)


def test_a_policy_of_a_notebook_is_refused():
    @fh.kernel
    def fill(memory, state, zone, report, capacity):
        return 0, 1

    mine = fh.Policy("mine", fill, QUIET.drain)
    with pytest.raises(fh.InputError, match=r"scheduler 'tcp://x:1' needs .* 'mine' has"):
        fh.sweep(SMALL, {"policy": [mine]}, [1], "tcp://x:1")


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("distributed", lambda: fh.sweep(SMALL, GRID, [1], "tcp://x:1")),
        ("scipy", lambda: fh.sobol({"ring.size": {"low": 1, "high": 8}}, 4)),
        ("SALib", lambda: fh.morris({"ring.size": [1, 2], "policy": ["v24", "none"]}, 4)),
        ("optuna", lambda: fh.optimise(SMALL, {"ring.size": [1, 2]}, "minimise waits")),
    ],
)
def test_what_the_extra_brings_is_named_where_it_misses(module, call, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(name, *rest, **named)

    monkeypatch.setattr("freehint.config.import_module", lambda name: without(name))
    sentence = rf"needs {module}, which is not installed; the extra 'sweep' .*'freehint\[sweep\]'"
    with pytest.raises(fh.InputError, match=sentence):
        call()


WITHOUT = """
import sys
from importlib import abc

class Without(abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "freehint":
            raise ModuleNotFoundError("No module named 'freehint'", name=name)

sys.meta_path.insert(0, Without())
import asyncio
from distributed import Worker

async def work():
    async with Worker(sys.argv[1], nthreads=1, dashboard_address=":0") as worker:
        await worker.finished()

asyncio.run(work())
"""


def test_a_worker_without_freehint_is_one_sentence_and_lives(distributed, tmp_path):
    (tmp_path / "worker.py").write_text(WITHOUT)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        address = empty.scheduler_address
        process = subprocess.Popen([sys.executable, str(tmp_path / "worker.py"), address])
        try:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=120)
            for _ in range(2):
                with pytest.raises(fh.InputError, match=r"cannot import .* No module .*'freehint'"):
                    fh.sweep(SMALL, GRID, [1], address)
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait()
