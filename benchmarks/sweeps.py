"""``python -m benchmarks.sweeps [RUNS]``: how fast is a sweep, by whom, and does it outlive kills?

Runs of a freshly booted 256 MiB guest of 2 ms each, serial, with a process for each CPU, and on a
Dask cluster of this machine with as many workers, through tcp://.  They take turns, a fifth of
the runs at a time; a speed-up is the median of the slices' ratios of wall time, the processes'
start included (the cluster is there before).  Every slice must give the same file, byte by byte.

Then all runs in one sweep with processes, which is killed by SIGKILL when it has a third of them;
the same call goes on with the cluster, one of whose workers is killed on the way.  The file must
hold every run once, and each row as the slices had it.
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
COMBINATIONS = len(GRID["policy"]) * len(GRID["ring.size"])
SLICES = 5
MISSED = 1


def one_slice(turn: int, seeds: range, schedulers: dict, folder: Path) -> dict:
    """Every scheduler in turn, who is first rotating: seconds and sha256 of each."""
    names = list(schedulers)
    row = {}
    for place in range(len(names)):
        name = names[(turn + place) % len(names)]
        out = folder / f"{name}-{turn}.parquet"
        begin = perf_counter()
        fh.sweep(GUEST, GRID, seeds, schedulers[name], out)
        row[name] = perf_counter() - begin
        row[f"{name} sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
    return row


def speeds(rows: list[dict], names: list, runs_a_slice: int) -> pd.DataFrame:
    """Runs a second and speed-up over the first of ``names``, medians and quartiles of slices."""
    seconds = np.array([[row[name] for name in names] for row in rows])
    ratios = seconds[:, :1] / seconds
    low, middle, high = np.percentile(ratios, (25, 50, 75), axis=0)
    rate = runs_a_slice / np.median(seconds, axis=0)
    columns = {"who": names, "runs/s": rate, "speed-up": middle, "p25": low, "p75": high}
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


def resumed_sweep(seeds: range, address: str, out: Path) -> tuple[pd.DataFrame, int, bool]:
    """The same call with the cluster; the table, rows that were not run again, killed a worker?"""
    with distributed.Client(address, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
    counts = []

    def count(done):
        counts.append(done)
        if sum(counts) > 2 * len(seeds) * COMBINATIONS // 3 and not killed:
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    killed = []
    table = fh.sweep(GUEST, GRID, seeds, address, out, count)
    return table, counts[0], bool(killed)


def same_rows(table: pd.DataFrame, folder: Path) -> bool:
    """Does one sweep's table hold what the slices' files hold?"""
    keys = [*GRID, "seed"]
    files = [pd.read_parquet(file) for file in sorted(folder.glob("serial-*.parquet"))]
    tables = [
        one.drop(columns="run").sort_values(keys, ignore_index=True)
        for one in (table, pd.concat(files, ignore_index=True))
    ]
    return tables[0].equals(tables[1])


def main(arguments=None) -> int:
    """Print the table and what became of the kills; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    runs = parser.parse_args(arguments).runs
    seeds = -(-runs // (SLICES * COMBINATIONS))
    cpus = len(os.sched_getaffinity(0))
    for policy in GRID["policy"]:
        fh.simulate(GUEST.with_values({"policy": policy}))  # kernels compile before the clock runs
    options = {"n_workers": cpus, "threads_per_worker": 1, "dashboard_address": ":0"}
    with tempfile.TemporaryDirectory() as name, distributed.LocalCluster(**options) as cluster:
        folder = Path(name)
        address = cluster.scheduler_address
        schedulers = {"serial": None, f"{cpus} processes": "processes", f"Dask, {cpus}": address}
        rows = [
            one_slice(turn, range(turn * seeds, (turn + 1) * seeds), schedulers, folder)
            for turn in range(SLICES)
        ]
        names = list(schedulers)
        print(f"{cpus} CPUs, {SLICES} slices of {seeds * COMBINATIONS} runs", flush=True)
        table = speeds(rows, names, seeds * COMBINATIONS)
        print(table.round(2).to_string(index=False), flush=True)
        same = all(len({row[f"{name} sha256"] for name in names}) == 1 for row in rows)
        print(f"the slices' files are {'the same, byte by byte' if same else 'DIFFERENT'}")
        whole = folder / "whole.parquet"
        written = killed_sweep(SLICES * seeds, whole)
        table, kept, killed = resumed_sweep(range(SLICES * seeds), address, whole)
        once = len(table) == table["run"].nunique() == SLICES * seeds * COMBINATIONS
        equal = same_rows(table, folder)
    print(
        f"killed with {written} rows written; resumed on the cluster, {kept} not run again;"
        f" a worker {'was killed' if killed else 'was NOT killed'};"
        f" {len(table)} runs, {'each once' if once else 'NOT each once'},"
        f" rows {'as in the slices' if equal else 'DIFFERENT'}"
    )
    good = same and once and equal and killed and 0 < written <= kept
    return 0 if good else MISSED


if __name__ == "__main__":
    sys.exit(main())
