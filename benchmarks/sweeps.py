"""``python -m benchmarks.sweeps [RUNS]``: how fast is a sweep, and does it outlive kills?

The runs are 2 ms each of a freshly booted 256 MiB guest: serially, with a process for each CPU, and
on a Dask cluster of this machine with as many workers, through tcp://.  Each way sweeps all runs
three times, in turn; a speed-up is the median of the turns' ratios of wall time, the processes'
start included (the cluster runs before).  All must give the same file, byte by byte.  In every turn
as many independent programs as there are CPUs share the runs, too: what they take, their start
left out, is all that the machine could give at that time.

Then a sweep with processes is killed by SIGKILL when it has a third of its runs; the same call goes
on with the cluster, and a worker of the cluster is killed on the way.  It must make the same file.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from time import perf_counter

import distributed
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import freehint as fh

GUEST = fh.Scenario(memory="256MiB", duration_ns=2_000_000, walk_at_ns=200_000)
GRID = {"policy": ["v24", "rotate_on_exit"], "ring.size": [16, 64, 256, 1024]}
INDEPENDENT = "independent programs"
COMBINATIONS = len(GRID["policy"]) * len(GRID["ring.size"])
TURNS = 3
MISSED = 1


def sha256(file: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


ALONE = """
import sys, time
import freehint as fh
from benchmarks.sweeps import GRID, GUEST
fh.sweep(GUEST, GRID, range(1))
print("ready", flush=True)
first, last, step = map(int, sys.stdin.readline().split())
begin = time.perf_counter()
fh.sweep(GUEST, GRID, range(first, last, step), None, sys.argv[1])
print(time.perf_counter() - begin)
"""


def independent(seeds: range, programs: int, folder: Path) -> float:
    """Seconds of the slowest of some programs that share the seeds and begin together."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    outs = [str(folder / f"alone-{n}.parquet") for n in range(programs)]
    children = [subprocess.Popen([sys.executable, "-c", ALONE, out], **pipes) for out in outs]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for n, child in enumerate(children):
        child.stdin.write(f"{seeds.start + n} {seeds.stop} {programs}\n")
        child.stdin.flush()
    seconds = max(float(child.communicate()[0]) for child in children)
    for out in outs:
        Path(out).unlink()
    return seconds


def one_turn(turn: int, seeds: range, schedulers: dict, folder: Path) -> dict:
    """Every scheduler, who is first rotating: seconds of each, and the hashes of their files."""
    names = [*schedulers, INDEPENDENT]
    row = {}
    for place in range(len(names)):
        name = names[(turn + place) % len(names)]
        if name == INDEPENDENT:
            row[name] = independent(seeds, len(os.sched_getaffinity(0)), folder)
            continue
        out = folder / f"{name}-{turn}.parquet"
        begin = perf_counter()
        fh.sweep(GUEST, GRID, seeds, schedulers[name], out)
        row[name] = perf_counter() - begin
    return row | {"hashes": {sha256(folder / f"{name}-{turn}.parquet") for name in schedulers}}


def speeds(rows: list[dict], names: list, runs: int) -> pd.DataFrame:
    """Runs a second and speed-up over the first of ``names``: medians, and the turns' range.

    ``of independent`` is the speed beside that of the last of ``names``, the independent programs.
    """
    seconds = np.array([[row[name] for name in names] for row in rows])
    ratios = seconds[:, :1] / seconds
    low, middle, high = np.percentile(ratios, (0, 50, 100), axis=0)
    rate = runs / np.median(seconds, axis=0)
    share = np.median(seconds[:, -1:] / seconds, axis=0)
    columns = {"who": names, "runs/s": rate, "speed-up": middle, "least": low, "most": high}
    columns["of independent"] = share
    return pd.DataFrame(columns)


def rows_held(parts: Path) -> int:
    """Rows of a sweep that goes on; a part that is gone meanwhile counts nothing."""
    files = parts.glob("part-*.parquet") if parts.is_dir() else ()
    return sum(pq.read_metadata(file).num_rows for file in files)


def long_sweep(nr_seeds: int, out: str) -> None:
    """All runs in one sweep with processes."""
    fh.sweep(GUEST, GRID, range(nr_seeds), "processes", out)


LONG = "import sys, benchmarks.sweeps as s; s.long_sweep(int(sys.argv[1]), sys.argv[2])"


def killed_sweep(nr_seeds: int, out: Path) -> int:
    """Begin the long sweep, and kill it when a third of the runs is written; rows written."""
    parts = out.with_name(f"{out.name}.parts")
    child = subprocess.Popen([sys.executable, "-c", LONG, str(nr_seeds), str(out)])
    while child.poll() is None and rows_held(parts) < nr_seeds * COMBINATIONS // 3:
        time.sleep(0.1)
    child.kill()
    child.wait()
    return rows_held(parts)


def resumed_sweep(nr_seeds: int, address: str, out: Path) -> tuple[int, bool]:
    """The same call with the cluster; runs that were not run again, and was a worker killed?"""
    with distributed.Client(address, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    counts, killed = [], []

    def count(done):
        counts.append(done)
        if sum(counts) > 2 * nr_seeds * COMBINATIONS // 3 and not killed:
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    fh.sweep(GUEST, GRID, range(nr_seeds), address, out, count)
    return counts[0], bool(killed)


def main(arguments=None) -> int:
    """Print the table and what became of the kills; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    seeds = -(-parser.parse_args(arguments).runs // COMBINATIONS)
    runs, cpus = seeds * COMBINATIONS, len(os.sched_getaffinity(0))
    for policy in GRID["policy"]:
        fh.simulate(GUEST.with_values({"policy": policy}))  # kernels compile before the clock runs
    options = {"n_workers": cpus, "threads_per_worker": 1, "dashboard_address": ":0"}
    with tempfile.TemporaryDirectory() as name, distributed.LocalCluster(**options) as cluster:
        folder = Path(name)
        address = cluster.scheduler_address
        schedulers = {"serial": None, f"{cpus} processes": "processes", f"Dask, {cpus}": address}
        rows = [
            one_turn(turn, range(turn * seeds, (turn + 1) * seeds), schedulers, folder)
            for turn in range(TURNS)
        ]
        print(f"{cpus} CPUs, {TURNS} turns of {runs:,} runs", flush=True)
        print(
            speeds(rows, [*schedulers, INDEPENDENT], runs).round(2).to_string(index=False),
            flush=True,
        )
        same = all(len(row["hashes"]) == 1 for row in rows)
        print(f"the files are {'the same, byte by byte' if same else 'DIFFERENT'}", flush=True)
        whole = folder / "whole.parquet"
        written = killed_sweep(seeds, whole)
        kept, killed = resumed_sweep(seeds, address, whole)
        equal = {sha256(whole)} == rows[0]["hashes"]
    print(
        f"killed with {written:,} rows written; resumed on the cluster, {kept:,} not run again;"
        f" a worker {'was killed' if killed else 'was NOT killed'};"
        f" the file is {'the same, byte by byte' if equal else 'DIFFERENT'}"
    )
    return 0 if same and equal and killed and 0 < written <= kept else MISSED


if __name__ == "__main__":
    sys.exit(main())
