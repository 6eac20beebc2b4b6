"""``make growth``: time and memory of tasks against the size of their object.

It writes out/growth.csv, growth.json and a figure for each kind of size.  Every task has a process
of its own, with warm kernels.  ``seconds`` is its CPU time, the median of up to TIMES times.
``MiB`` is the most memory that it took, its object included, beyond the memory of the process
before; less than LEAST_MIB cannot be told from the process's own and is left out.  ``--store``
keeps the last result for the notebook and docs/limits.md.
"""

import argparse
import json
import multiprocessing
import sys
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from benchmarks.growing import TASKS, Task, number_of
from benchmarks.machine import describe
from benchmarks.memory import forget_peak, memory_MiB
from benchmarks.shipped import ship_growth, write_file
from freehint.config import InputError
from freehint.figures import export
from freehint.figures.speed import cost_growth
from freehint.units import parse_size

CANNOT_RUN = 2
LONG_S = 2.0  # a task that takes longer is done once
TIMES = 5
LEAST_MIB = 1.0


def taken(number: int, size) -> tuple[float, float, float]:
    """One task: (size, seconds, MiB).  In a process of its own."""
    task = TASKS[number]
    task.prepare(task.sizes[0])()  # kernels are read from the cache
    before = memory_MiB("VmRSS")
    forget_peak()
    work = task.prepare(size)
    seconds, found = [], None
    while len(seconds) < TIMES and sum(seconds) < LONG_S:
        begin = process_time()
        found = work()
        seconds.append(process_time() - begin)
        if len(seconds) == 1:
            mib = memory_MiB("VmHWM") - before
    counted = found if isinstance(found, int) else number_of(size)
    return counted, float(np.median(seconds)), mib if mib >= LEAST_MIB else np.nan


def row(number: int, task: Task, size) -> dict:
    """A row of the table."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        counted, seconds, mib = pool.apply(taken, (number, size))
    label = size if isinstance(size, str) else f"{counted:,.0f}"
    return {"along": task.along, "task": task.task, "size": counted, "size_label": label,
            "seconds": seconds, "MiB": mib}  # fmt: skip


def wanted(largest: str) -> list[tuple]:
    """(number, task, size) of everything with guests up to a size."""
    most = parse_size(largest)
    return [
        (number, task, size)
        for number, task in enumerate(TASKS)
        for size in task.sizes
        if not isinstance(size, str) or parse_size(size) <= most
    ]


def write(table: pd.DataFrame, machine: dict, folder: Path) -> None:
    """The table, the machine, and a figure for each kind of size."""
    write_file(folder / "growth.csv", table.to_csv(index=False))
    write_file(folder / "growth.json", json.dumps(machine, indent=1) + "\n")
    for along, rows in table.groupby("along", sort=False):
        name = along.split(" (")[0].replace(" ", "_")
        for kind in ("svg", "png"):
            export(cost_growth(rows), folder / f"growth_{name}.{kind}")


def store(folder: Path) -> int:
    """Keep the last result."""
    try:
        table = pd.read_csv(folder / "growth.csv")
        machine = json.loads((folder / "growth.json").read_text())
    except OSError:
        raise InputError(f"{folder}/growth.csv is not there: run make growth first") from None
    print("written:", *ship_growth(table, machine))
    return 0


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--largest", default="1TiB", help="guests up to this size (1TiB)")
    parser.add_argument("--store", action="store_true", help="keep the last make growth's result")
    parser.add_argument("-o", "--out", default="out", help="folder of the table")
    args = parser.parse_args(arguments)
    try:
        if args.store:
            return store(Path(args.out))
        machine = describe()
        jobs = wanted(args.largest)
    except InputError as error:
        print(f"growth: {error}", file=sys.stderr)
        return CANNOT_RUN
    table = pd.DataFrame([row(*job) for job in tqdm(jobs, desc="growth", leave=False)])
    print(table.to_string(index=False))
    write(table, machine, Path(args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
