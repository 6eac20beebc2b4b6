"""Reading a trace of a million lines: how much more than polars' regular expression alone?

The yardstick is the one regular expression that takes every form of these lines apart; the reader
keeps it for lines that are not usual.  A third side is its faster expression for the usual ones:
what the reader takes longer than that, it needs for everything else.  All sides read the same file
in turn, so a drift of the machine's speed hits all; peak memory is that of a process of its own.
``python -m benchmarks.traces`` prints the rows.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import NamedTuple

import numpy as np
import polars as pl

from benchmarks.memory import memory_MiB
from freehint.formats.traces.patterns import plain_pattern, usual_pattern
from freehint.formats.traces.read import read_trace

# What a line says after its event's name, with the share of lines, as in a guest under load.
KINDS = {
    "mm_page_alloc": (0.3, " order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_ZERO"),
    "mm_page_free": (0.2, " order=0"),
    "mm_page_free_batched": (0.2, " order=0"),
    "mm_page_alloc_zone_locked": (0.15, " order=0 migratetype=1 percpu_refill=1"),
    "mm_page_pcpu_drain": (0.149, " order=0 migratetype=1"),
    "mm_page_alloc_extfrag": (
        0.001,
        " alloc_order=0 fallback_order=10 pageblock_order=9 alloc_migratetype=0"
        " fallback_migratetype=1 fragmenting=0 change_ownership=1",
    ),
}


class Reading(NamedTuple):
    """One side: median seconds and CPU seconds, ratios to the first side, peak memory."""

    side: str
    seconds: float
    cpu_seconds: float
    ratio: float
    ratio_p25: float
    ratio_p75: float
    cpu_ratio: float
    peak_MiB: float
    before_MiB: float  # of the peak, what the interpreter and the imports take
    rounds: int
    to_reader: tuple[float, float, float]  # its seconds to read_trace's: median, quartiles


def write_trace(path: Path, lines: int, seed: int = 1) -> None:
    """ftrace text of ``lines`` events on 2 CPUs, of tasks whose comms have blanks and dashes."""
    generator = np.random.default_rng(seed)
    names = list(KINDS)
    kind = generator.choice(len(names), lines, p=[share for share, _ in KINDS.values()])
    tasks = np.array(["fhload-173 ", "kworker/0:2-45 ", "Web Content-2214 ", "ksoftirqd/1-21 "])
    time_us = 10_000_000 + np.cumsum(generator.integers(1, 40, lines))
    rows = pl.DataFrame(
        {
            "task": tasks[generator.integers(0, len(tasks), lines)],
            "cpu": generator.integers(0, 2, lines),
            "second": time_us // 1_000_000,
            "us": time_us % 1_000_000,
            "event": np.array(names)[kind],
            "page": [f"{word:08x}" for word in generator.integers(0, 1 << 32, lines).tolist()],
            "pfn": [f"{pfn:x}" for pfn in generator.integers(0, 1 << 20, lines).tolist()],
            "says": np.array([says for _, says in KINDS.values()])[kind],
        }
    )
    task = pl.col("task").str.pad_start(24)
    time = [pl.col("second").cast(str).str.pad_start(5), pl.col("us").cast(str).str.zfill(6)]
    page = pl.format("page=00000000{} pfn=0x{}", "page", "pfn")
    line = pl.format("{}[00{}] ..... {}.{}: {}: {}{}", task, "cpu", *time, "event", page, "says")
    header = "# tracer: nop\n#\n"
    path.write_text(header + "\n".join(rows.select(line).to_series()) + "\n")


def regex_alone(path: Path) -> int:
    """The expression for every form of a line, by polars, with nothing made of it."""
    return height(path, plain_pattern("ftrace"))


def height(path: Path, pattern: str) -> int:
    """Lines of the file, after polars has taken each of them apart."""
    lines = pl.scan_csv(
        path, has_header=False, separator="\x01", quote_char=None, schema={"text": pl.String}
    )
    groups = pl.col("text").str.extract_groups(pattern)
    return lines.select(groups).unnest("text").collect(engine="streaming").height


def usual_alone(path: Path) -> int:
    """The reader's faster expression over the same lines, with nothing made of it."""
    return height(path, usual_pattern("ftrace"))


def whole_reader(path: Path) -> int:
    """All of ``read_trace``."""
    return len(read_trace(path).table)


SIDES = {
    "polars' regular expression alone": regex_alone,
    "the one for usual lines alone": usual_alone,
    "read_trace": whole_reader,
}


def peak_MiB(side: str, path: Path) -> tuple[float, float]:
    """Peak memory of a process that runs one side once, and of it before that."""
    command = [sys.executable, "-m", "benchmarks.traces", side, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    return after, before


def measure_traces(lines: int = 1_000_000, rounds: int = 7) -> list[Reading]:
    """A row for each of SIDES: the first is the yardstick, and the last is the whole reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.txt"
        write_trace(path, lines)
        names = list(SIDES)
        peaks = {name: peak_MiB(name, path) for name in names}
        times = np.zeros((rounds, len(names), 2))
        for turn in range(-1, rounds):  # the first warms up
            for place in range(len(names)):
                at = (turn + place) % len(names)
                begin = perf_counter_ns(), process_time_ns()
                SIDES[names[at]](path)
                end = perf_counter_ns(), process_time_ns()
                if turn >= 0:
                    times[turn, at] = np.subtract(end, begin) / 1e9
    ratios, to_reader = times / times[:, :1], times[:, :, 0] / times[:, -1:, 0]
    return [
        Reading(
            name,
            *map(float, np.median(times[:, at], axis=0)),
            *map(float, np.percentile(ratios[:, at, 0], (50, 25, 75))),
            float(np.median(ratios[:, at, 1])),
            *peaks[name],
            rounds,
            tuple(map(float, np.percentile(to_reader[:, at], (50, 25, 75)))),
        )
        for at, name in enumerate(names)
    ]


def main() -> None:
    """Print the rows; or, as a child, run one side and print the memory before and after."""
    if len(sys.argv) == 3:
        before = memory_MiB("VmHWM")
        SIDES[sys.argv[1]](Path(sys.argv[2]))
        print(before, memory_MiB("VmHWM"))
        return
    for row in measure_traces():
        print(
            f"{row.side:34} {row.seconds:5.2f} s ({row.cpu_seconds:.2f} s CPU)"
            f"  x{row.ratio:.2f} ({row.ratio_p25:.2f}-{row.ratio_p75:.2f})"
            f", CPU x{row.cpu_ratio:.2f}"
            f"  peak {row.peak_MiB:.0f} MiB, {row.before_MiB:.0f} of them imports"
        )


if __name__ == "__main__":
    main()
