"""``make bench``: measure, print one table, write out/bench.{csv,json,md,svg,png}, and compare.

Exit 0 if every required bar holds and no ratio fell, 1 if a bar is missed or a ratio fell below
the stored one (benchmarks/stored.py), 2 if the benchmark cannot run.  Ratios are another side's
time / freehint's, so above 1 freehint is the faster; each is the median over alternating slices
of one run.
"""

import argparse
import sys
from pathlib import Path

from tqdm.auto import tqdm

from benchmarks import stored
from benchmarks.baseline import compile_baseline
from benchmarks.machine import describe
from benchmarks.rows import Row
from benchmarks.shipped import ship_bench
from benchmarks.suite import PARTS
from benchmarks.table import machine_lines, read, text, write
from freehint.config import InputError, one_of

MISSED, CANNOT_RUN = 1, 2


def measured(names, quick: bool) -> list[Row]:
    """The rows of some parts."""
    library = compile_baseline()
    rows = []
    for name in tqdm(names, desc="bench", leave=False):
        rows += PARTS[name](library, quick)
    return rows


def told_bars(rows: list[Row]) -> int:
    """Name every bar that is missed; how many."""
    missed = [row for row in rows if row.missed]
    for row in missed:
        sentence = f"{row.what}, {row.side}: {row.value:.2f} {row.unit}, must be {row.bar}"
        print(f"benchmarks: bar missed: {sentence}", file=sys.stderr)
    return len(missed)


def told_changes(rows: list[Row], machine: dict) -> int:
    """Compare with the stored result and name every change; how many count as regressions."""
    before = stored.load()
    now = stored.ratios(rows)
    found = stored.changes(before["ratios"], now)
    both = len(before["ratios"].keys() & now.keys())
    fell = [change for change in found if change.fell]
    print(f"compared with benchmarks/stored.json: {both} ratios, {len(fell)} fell")
    differs = stored.other_machine(before, machine)
    for change in found:
        print(f"benchmarks: {change}", file=sys.stderr)
    if fell and differs:
        print(f"another machine than the stored one ({differs}): told, not judged")
        return 0
    return len(fell)


def bench(only, quick: bool, folder: Path) -> int:
    """Measure, print, write and compare; the exit status."""
    machine, names = describe(), only or PARTS
    command = "make bench-quick" if quick else "make bench"
    if only:
        command += f", but only {', '.join(only)}"
    rows = measured(names, quick)
    print(*machine_lines(machine), text(rows), sep="\n")
    print("written:", *write(rows, machine, command, folder))
    bad = told_bars(rows) + told_changes(rows, machine)
    return MISSED if bad else 0


def store(folder: Path) -> int:
    """Keep what the last ``make bench`` found, for comparison, the docs and the notebook."""
    told = read(folder / "bench.json")
    stored.store(*told)
    print("written: benchmarks/stored.json", *ship_bench(*told))
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
