"""Another commit and this one in turn: how many times as fast is this one?

``python -m benchmarks.in_turn FOLDER [--row ROW ..] [--rounds 7]``: FOLDER holds a checkout of the
other commit (``git worktree add FOLDER COMMIT``).  Each round runs each row in a fresh process of
either commit, who is first rotating, with the same interpreter.  Each commit has a kernel cache of
its own, filled by a first round that does not count; *cold* begins with an empty one.

A ratio is the CPU time of the other commit divided by this one's; median and quartiles are over
the rounds.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.startup import FIRST_RESULT, HERE, run

LOOP = """
from benchmarks.events import speed
speed("64MiB", "none", 1)
print(1 / speed("{size}", "none", 4).loop)
"""
MIGRATION = """
from time import process_time
import freehint as fh
from benchmarks.migrations import scenario
fh.simulate(scenario("64MiB", "{policy}"))
begin = process_time()
fh.simulate(scenario("{size}", "{policy}"))
print(process_time() - begin)
"""
COLD = "first result, cold"
# What a row prints is its time; a row that prints nothing takes the CPU time of its process.
ROWS = {
    "event loop, 1 GiB": LOOP.format(size="1GiB"),
    "event loop, 16 GiB": LOOP.format(size="16GiB"),
    "migration, 64 GiB, none": MIGRATION.format(size="64GiB", policy="none"),
    "migration, 64 GiB, balloon_alloc": MIGRATION.format(size="64GiB", policy="balloon_alloc"),
    "first result, warm": FIRST_RESULT,
    COLD: FIRST_RESULT,
}


def cpu_s(code: str, checkout: Path, cache: str) -> float:
    """What a row takes in a process of its own, with the sources of a checkout."""
    start = run(code, cache, checkout)
    return float(start.said) if start.said else start.cpu_s


def ratios(name: str, checkouts: list[Path], caches: list[str], rounds: int) -> np.ndarray:
    """The other commit's time / this one's of each round."""
    code, found = ROWS[name], []
    for turn in range(rounds + (name != COLD)):
        times = [0.0, 0.0]
        for which in (0, 1) if turn % 2 else (1, 0):
            with tempfile.TemporaryDirectory() as empty:
                cache = empty if name == COLD else caches[which]
                times[which] = cpu_s(code, checkouts[which], cache)
        found.append(times[0] / times[1])
    return np.array(found[-rounds:])


def main(arguments=None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_turn", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkout of the other commit")
    parser.add_argument("--row", action="append", choices=ROWS, help="all, unless given")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args(arguments)
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds}: must be at least 1")
    if not (args.folder / "freehint" / "__init__.py").exists():
        parser.error(f"folder {str(args.folder)!r}: no checkout of freehint is there")
    with tempfile.TemporaryDirectory() as other, tempfile.TemporaryDirectory() as own:
        for name in args.row or ROWS:
            found = ratios(name, [args.folder.resolve(), HERE], [other, own], args.rounds)
            low, middle, high = np.percentile(found, (25, 50, 75))
            line = f"{name:34} {middle:.2f} ({low:.2f}..{high:.2f}), n = {args.rounds}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
