"""A guest of 1 TiB: see :mod:`benchmarks.terabyte`."""

from benchmarks.rows import Row
from benchmarks.terabyte import MOST_GIB, terabyte


def largest_guest(library, quick: bool):
    """Made, written, loaded, walked and migrated, each in a process of its own; not when quick."""
    if quick:
        return
    for step in terabyte():
        what = f"guest of 1 TiB, {step.name}"
        yield Row(what, "whole", step.seconds, "s")
        yield Row(what, "CPU", step.cpu_s, "s CPU")
        yield Row(what, "peak", step.peak_GiB, "GiB", bar=f"<= {MOST_GIB}")
        if "bytes_per_frame" in step.found:
            yield Row(what, "memory", step.found["bytes_per_frame"], "bytes/frame")
