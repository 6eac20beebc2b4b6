"""Replay of a recording, and reading a trace."""

import numpy as np

from benchmarks.rows import FREEHINT, RATIO, Row
from benchmarks.traces import measure_traces
from freehint.data import data
from freehint.replay.replay import replay

MIN_TRACE_RATIO = 0.8
REGEX, FASTER = "polars regex alone", "the reader's regex alone"


def replays(library, quick: bool):
    """Warm replay of the sample's largest recording, rows a second in the compiled loop."""
    stem = data("linux-6.1/traces") / "frag"
    for level in ("buddy", "pcp"):
        replay(stem, level, "probes")
        runs = [replay(stem, level, "probes") for _ in range(3 if quick else 7)]
        speeds = [found.rows / found.seconds / 1e6 for found in runs]
        middle, low, high = map(float, np.percentile(speeds, (50, 25, 75)))
        what = f"replay, {stem.name}"
        yield Row(what, level, middle, "M rows/s", low, high, len(runs))


def traces(library, quick: bool):
    """A text trace read, against polars with one of its two regular expressions alone."""
    lines, what = (
        (200_000, "text trace, 200 k lines") if quick else (1_000_000, "text trace, 1 M lines")
    )
    regex, faster, whole = measure_traces(lines=lines, rounds=3 if quick else 7)
    for name, reading in ((FREEHINT, whole), (REGEX, regex), (FASTER, faster)):
        yield Row(what, name, reading.seconds, "s")
        yield Row(f"{what}, peak", name, reading.peak_MiB, "MiB")
    bar = None if quick else MIN_TRACE_RATIO
    for name, side, least in ((REGEX, regex, bar), (FASTER, faster, None)):
        ratio, p25, p75 = side.to_reader
        yield Row(what, f"{name} / {FREEHINT}", ratio, RATIO, p25, p75, side.rounds, least)
