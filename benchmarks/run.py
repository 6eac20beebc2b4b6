"""``make bench``: measure, print one table, write out/bench.csv and out/bench.json.

Exit 0 if every required bar holds, 1 if one is missed, 2 if the benchmark cannot run.
Ratios are C time / freehint time, so above 1 freehint is the faster; each is the median over
alternating slices of one run.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm.auto import tqdm

from benchmarks.allocator import FREEHINT, STRUCT_PAGE, operations, shuffled_walk
from benchmarks.baseline import compile_baseline
from benchmarks.events import speed
from benchmarks.machine import describe
from benchmarks.peers_events import FREEHINT as LOOP
from benchmarks.peers_events import HEAPQ, SIMPY, speeds
from benchmarks.startup import starts
from benchmarks.traces import measure_traces
from freehint.config import InputError
from freehint.data import data
from freehint.formats.boot import make_memory
from freehint.replay import replay

GIB_PAGES = 1 << 18
MISSED, CANNOT_RUN = 1, 2

MIN_OPERATIONS_RATIO = 1.2
MIN_WALK_RATIO = 1.0
MIN_EVENTS = 20.0
MIN_TIMES_AS_FAST = {HEAPQ: 30.0, SIMPY: 50.0}
MAX_BYTES = 12.0
MAX_WARM_S = 2.0
MIN_BUDDY_ROWS = 5.0
MIN_PCP_ROWS = 3.0
MAX_TRACE_RATIO = 2.0


class Row(NamedTuple):
    """One figure.  ``bar`` is what it must hold, e.g. ``">= 1.2"``, or empty."""

    what: str
    side: str
    value: float
    unit: str
    p25: float | None = None
    p75: float | None = None
    slices: int | None = None
    bar: str = ""

    @property
    def missed(self) -> bool:
        """Is there a bar, and does the figure miss it?"""
        if not self.bar:
            return False
        comparison, limit = self.bar.split()
        return not (
            self.value >= float(limit) if comparison == ">=" else self.value <= float(limit)
        )


def timing_rows(what: str, timings, unit: str, bar: float | None = None) -> list[Row]:
    """Rows of one paired measurement: a time for each side, a ratio for each of the others."""
    rows = [Row(what, t.side, t.unit_ns, unit, slices=t.slices) for t in timings]
    for t in timings[1:]:
        must = f">= {bar}" if bar and t.side == STRUCT_PAGE else ""
        spread = (t.ratio_p25, t.ratio_p75, t.slices)
        rows.append(Row(what, f"{t.side} / {FREEHINT}", t.ratio, "ratio", *spread, must))
    return rows


def bench_operations(library, quick: bool):
    """Allocator operations."""
    for gib in (16, 1):
        phases = operations(library, gib * GIB_PAGES, 6 if quick else 16)
        for phase, timings in phases.items():
            bar = MIN_OPERATIONS_RATIO if (gib, phase) == (16, "steady") else None
            yield from timing_rows(f"allocator, {gib} GiB, {phase}", timings, "ns/operation", bar)


def bench_walks(library, quick: bool):
    """Walks over one shuffled list."""
    for order, blocks, slices in ((0, 1 << 21, 4 if quick else 12), (10, 1 << 12, 400)):
        ways = shuffled_walk(library, 16 * GIB_PAGES, order, blocks, slices)
        for way, timings in ways.items():
            what = f"walk, 16 GiB, {blocks} blocks of order {order}, {way}"
            yield from timing_rows(
                what, timings, "ns/block", MIN_WALK_RATIO if order == 0 else None
            )


def bench_events(library, quick: bool):
    """The engine's loop."""
    for size in ("1GiB", "16GiB"):
        for policy in ("none", "restartable_cursor"):
            what = f"engine, {size}, policy {policy}"
            s = speed(size, policy, 4 if quick else 12)
            bar = f">= {MIN_EVENTS}" if (size, policy) == ("1GiB", "none") else ""
            yield Row(what, "loop", s.loop, "M events/s", s.p25, s.p75, s.slices, bar)
            yield Row(what, "loop and Python", s.whole, "M events/s", slices=s.slices)


def bench_peers(library, quick: bool):
    """The engine's loop against loops in Python that call the same handlers."""
    for s in speeds("1GiB", 4 if quick else 12):
        what = "event loop, 1 GiB, same handlers"
        yield Row(what, s.side, s.events, "M events/s", slices=s.slices)
        if s.side != LOOP:
            spread = (s.ratio_p25, s.ratio_p75, s.slices, f">= {MIN_TIMES_AS_FAST[s.side]}")
            yield Row(what, f"{LOOP} / {s.side}", s.ratio, "ratio", *spread)


def bench_sizes(library, quick: bool):
    """Bytes a frame."""
    for size in ("1GiB", "16GiB", "256GiB"):
        memory = make_memory(size)
        nr_bytes = sum(array.nbytes for array in memory if hasattr(array, "nbytes"))
        value = nr_bytes / memory.nr_pages
        yield Row(f"memory, {size}", FREEHINT, value, "bytes/frame", bar=f"<= {MAX_BYTES}")


def bench_starts(library, quick: bool):
    """Time to the first result."""
    for name, start in starts(3 if quick else 5).items():
        bar = f"<= {MAX_WARM_S}" if name == "warm" else ""
        yield Row("first result", f"{name}, wall", start.wall_s, "s", bar=bar)
        yield Row("first result", f"{name}, CPU", start.cpu_s, "s")


def bench_replay(library, quick: bool):
    """Warm replay of the largest recording at hand, rows a second in the compiled loop."""
    folder = Path("../shared/ground-truth/linux-6.1/traces")
    stem = folder / "press_pub" if folder.is_dir() else data("linux-6.1/traces") / "frag"
    for level, least in (("buddy", MIN_BUDDY_ROWS), ("pcp", MIN_PCP_ROWS)):
        replay(stem, level, "probes")
        speeds = sorted(
            found.rows / found.seconds / 1e6
            for found in (replay(stem, level, "probes") for _ in range(3 if quick else 7))
        )
        value = speeds[len(speeds) // 2]
        spread = (speeds[0], speeds[-1], len(speeds))
        yield Row(f"replay, {stem.name}", level, value, "M rows/s", *spread, f">= {least}")


def bench_traces(library, quick: bool):
    """A text trace read, against polars and the regular expression alone."""
    readings = measure_traces(lines=1_000_000, rounds=3 if quick else 7)
    for reading in readings:
        yield Row("text trace, 1 M lines", reading.side, reading.seconds, "s")
        yield Row("text trace, 1 M lines", f"{reading.side}, peak", reading.peak_MiB, "MiB")
    last = readings[-1]
    spread = (last.ratio_p25, last.ratio_p75, None, f"<= {MAX_TRACE_RATIO}")
    yield Row("text trace, 1 M lines", "read_trace / regex alone", last.ratio, "ratio", *spread)


PARTS = (
    bench_operations,
    bench_walks,
    bench_events,
    bench_peers,
    bench_sizes,
    bench_starts,
    bench_replay,
    bench_traces,
)


def text(rows: list[Row]) -> str:
    """The table as text."""
    lines = []
    for row in rows:
        spread = f"{row.p25:.2f}..{row.p75:.2f}" if row.p25 is not None else ""
        verdict = f"{row.bar} {'MISSED' if row.missed else 'ok'}" if row.bar else ""
        slices = f"n={row.slices}" if row.slices else ""
        lines.append(
            f"{row.what:48} {row.side:24} {row.value:9.2f} {row.unit:13} {spread:>13} {slices:>6}"
            f"  {verdict}".rstrip()
        )
    return "\n".join(lines)


def write(rows: list[Row], machine: dict, folder: Path) -> None:
    """Write bench.csv and bench.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    records = [row._asdict() | {"missed": row.missed} for row in rows]
    contents = {
        "bench.csv": table.to_csv(index=False),
        "bench.json": json.dumps({"machine": machine, "rows": records}, indent=1) + "\n",
    }
    for name, content in contents.items():
        unfinished = folder / f".{name}.unfinished"
        unfinished.write_text(content)
        unfinished.replace(folder / name)


def main(arguments=None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer slices: noisier figures")
    parser.add_argument("-o", "--out", default="out", help="folder of bench.csv and bench.json")
    args = parser.parse_args(arguments)
    try:
        machine, library = describe(), compile_baseline()
    except InputError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return CANNOT_RUN
    rows = []
    for part in tqdm(PARTS, desc="bench", leave=False):
        rows += part(library, args.quick)
    for name, value in machine.items():
        print(f"{name:22}{value}")
    print(text(rows))
    write(rows, machine, Path(args.out))
    print(f"written: {args.out}/bench.csv, {args.out}/bench.json")
    missed = [row for row in rows if row.missed]
    for row in missed:
        sentence = f"{row.what}, {row.side}: {row.value:.2f} {row.unit}, must be {row.bar}"
        print(f"benchmarks: bar missed: {sentence}", file=sys.stderr)
    return MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
