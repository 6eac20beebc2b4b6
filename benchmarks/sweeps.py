"""``python -m benchmarks.sweeps RUNS``: how fast is a sweep, by whom, and is it the same table?

Runs of a freshly booted 256 MiB guest of 2 ms each, serial, with a process for each CPU, and on a
Dask cluster of this machine with as many workers, through tcp://.  Each figure is wall time of
``fh.sweep`` with ``out``, processes' start included; the cluster is there before.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import distributed
import pandas as pd

import freehint as fh

GUEST = fh.Scenario(memory="256MiB", duration_ns=2_000_000, walk_at_ns=200_000)
RING_SIZES = [16, 64, 256, 1024]
MISSED = 1


def measured(runs: int, scheduler, folder: Path) -> dict:
    """One sweep, its speed and a hash of its file."""
    grid = {"policy": ["v24", "rotate_on_exit"], "ring.size": RING_SIZES}
    seeds = range(-(-runs // (2 * len(RING_SIZES))))
    kind = "cluster" if scheduler and scheduler.startswith("tcp://") else scheduler or "serial"
    out = folder / f"{kind}.parquet"
    begin = perf_counter()
    table = fh.sweep(GUEST, grid, seeds, scheduler, out)
    seconds = perf_counter() - begin
    sha256 = hashlib.sha256(out.read_bytes()).hexdigest()
    rate = len(table) / seconds
    return {"who": kind, "runs": len(table), "s": seconds, "runs/s": rate, "sha256": sha256}


def main(arguments=None) -> int:
    """Print a row for each; exit 1 if the files differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    runs = parser.parse_args(arguments).runs
    cpus = len(os.sched_getaffinity(0))
    for policy in ("v24", "rotate_on_exit"):
        fh.simulate(GUEST.with_values({"policy": policy}))  # kernels compile before the clock runs
    options = {"n_workers": cpus, "threads_per_worker": 1, "dashboard_address": ":0"}
    with tempfile.TemporaryDirectory() as name, distributed.LocalCluster(**options) as cluster:
        rows = [
            measured(runs, scheduler, Path(name))
            for scheduler in (None, "processes", cluster.scheduler_address)
        ]
    table = pd.DataFrame(rows)
    table["speed-up"] = table["runs/s"] / table["runs/s"][0]
    same = table["sha256"].nunique() == 1
    print(f"{cpus} CPUs")
    print(table.drop(columns="sha256").round(2).to_string(index=False))
    print("the files are the same, byte by byte" if same else "the files DIFFER")
    return 0 if same else MISSED


if __name__ == "__main__":
    sys.exit(main())
