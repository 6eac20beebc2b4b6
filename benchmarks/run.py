"""``make bench``: measure, print one table, write out/bench.{csv,json,md,svg,png}, and compare.

Exit 0 if every bar holds and no ratio fell, 1 if a ratio lies below its bar by more than its noise,
or below what this processor had when its table was stored (benchmarks/stored.py), 2 if the
benchmark cannot run.  Only ratios are judged: another side's time / freehint's, so above 1
freehint is the faster; each is of alternating slices of several processes (benchmarks/rows.py).
"""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tqdm.auto import tqdm

from benchmarks import stored
from benchmarks.baseline import build_baseline, load_baseline
from benchmarks.machine import describe
from benchmarks.rows import Part, Row, least_mark, merged, part_of
from benchmarks.shipped import ship_bench
from benchmarks.suite import IN_PROCESSES, PARTS
from benchmarks.table import machine_lines, read, text, write
from freehint.config import InputError, one_of
from freehint.studies.limits import dependent_load_ns

MISSED, CANNOT_RUN = 1, 2
PROCESSES = 3
CACHED = 8 << 20  # bytes
WHAT_TO_DO = """\
benchmarks: run it again when the machine is idle: python -m benchmarks.run --only PART
benchmarks: if it falls again, find the change: git bisect run make bench-quick
benchmarks: if the change is meant: make bench && python -m benchmarks.run --store"""


def parts_of(names: list[str], quick: bool, built: Path) -> list[list[Part]]:
    """What one process measures of some parts of the benchmark, a list each."""
    library = load_baseline(built)
    bar = tqdm(names, desc=f"bench, {multiprocessing.current_process().name}", leave=False)
    return [[part_of(found) for found in PARTS[name](library, quick)] for name in bar]


def measured(names, quick: bool) -> tuple[list[list[list[Part]]], list[float]]:
    """Per part of the benchmark what each process measured: one for most, ``PROCESSES`` in turn.

    In turn, each with all of its parts: so a row's processes lie minutes apart, and what a
    neighbour does for half a minute is not in all of them.  And the time of a dependent load in
    8 MiB, between the processes.
    """
    several = [name for name in names if name in IN_PROCESSES]
    once = [name for name in names if name not in IN_PROCESSES]
    found, loads = {name: [] for name in names}, [dependent_load_ns(CACHED)]
    with tempfile.TemporaryDirectory() as folder:
        built = build_baseline(Path(folder))
        for _ in range(PROCESSES if several else 0):
            # A fresh one, not a fork: a fork's code and memory lie where its parent's do.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context) as process:
                parts = process.submit(parts_of, several, quick, built).result()
            loads.append(dependent_load_ns(CACHED))
            for name, part in zip(several, parts):
                found[name].append(part)
        for name, part in zip(once, parts_of(once, quick, built)):
            found[name].append(part)
    return [found[name] for name in names], loads


def told_bars(rows: list[Row]) -> int:
    """Name every bar that is missed by more than the noise; how many."""
    missed = [row for row in rows if row.missed]
    for row in missed:
        noise = f", upper quartile {row.p75:.2f}" if row.p75 is not None else ""
        sentence = f"{row.what}, {row.side}: {row.value:.2f}{noise}, must be at least {row.bar}"
        print(f"benchmarks: bar missed: {sentence}", file=sys.stderr)
    return len(missed)


def told_shared(rows: list[Row]) -> None:
    """Say how many ratios were measured on a shared core, and so are not judged."""
    shared = [row for row in rows if row.shared]
    if shared:
        sentence = "ratios are told, not judged: something else ran on this core's other thread"
        print(f"benchmarks: {len(shared)} {sentence}", file=sys.stderr)


def told_changes(rows: list[Row], machine: dict) -> int:
    """Compare with the stored results and name every change; how many count as regressions."""
    tables, now = stored.load_all(), stored.ratios(rows)
    own = stored.of_machine(tables, machine)
    if own is None:
        for found in stored.outside(tables, now):
            print(f"benchmarks: {found}", file=sys.stderr)
        print(f"this processor has no stored table; {len(tables)} others: told, not judged")
        return 0
    found = stored.changes(own["ratios"], now)
    both = len(own["ratios"].keys() & now.keys())
    fell = [change for change in found if change.fell]
    print(f"compared with this processor's stored table: {both} ratios, {len(fell)} fell")
    for change in found:
        print(f"benchmarks: {change}", file=sys.stderr)
    if not stored.same_cache(own["machine"], machine):
        print("told, not judged: neighbours may have left another part of the cache than then")
        return 0
    return len(fell)


def bench(only, quick: bool, folder: Path) -> int:
    """Measure, print, write and compare; the exit status."""
    machine, names = describe(), only or PARTS
    command = "make bench-quick" if quick else "make bench"
    if only:
        command += f", but only {', '.join(only)}"
    found, loads = measured(names, quick)
    machine[stored.CACHE_MARK] = [min(loads), max(loads)]
    machine["core_mark_ns"] = min(map(least_mark, found))
    alone = min(machine["core_mark_ns"], stored.core_mark_ns(machine))
    rows = [row for processes in found for row in merged(processes, alone)]
    print(*machine_lines(machine), text(rows), sep="\n")
    print("written:", *write(rows, machine, command, folder))
    told_shared(rows)
    bad = told_bars(rows) + told_changes(rows, machine)
    if bad:
        print(WHAT_TO_DO, file=sys.stderr)
    return MISSED if bad else 0


def store(folder: Path) -> int:
    """Keep what the last ``make bench`` found, for comparison, the docs and the notebook."""
    told = read(folder / "bench.json")
    print("written:", stored.store(*told), *ship_bench(*told))
    return 0


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller guests, fewer slices")
    parser.add_argument("--only", action="append", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--store", action="store_true", help="keep the last make bench's result")
    parser.add_argument("-o", "--out", default="out", help="folder of the table")
    args = parser.parse_args(arguments)
    folder = Path(args.out)
    try:
        for name in args.only or ():
            one_of("--only", name, tuple(PARTS))
        return store(folder) if args.store else bench(args.only, args.quick, folder)
    except InputError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
