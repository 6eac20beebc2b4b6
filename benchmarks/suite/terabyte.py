"""A guest of 1 TiB: see :mod:`benchmarks.terabyte`."""

from benchmarks.rows import FREEHINT, RATIO, Row
from benchmarks.terabyte import STRUCT_PAGES_GIB, terabyte

LEAST_PEAK = 2.6  # times less than struct pages alone: a little above 6 GiB


def largest_guest(library, quick: bool):
    """Made, written, loaded, walked and migrated, each in a process of its own; not when quick."""
    if quick:
        return
    for step in terabyte():
        what = f"guest of 1 TiB, {step.name}"
        yield Row(what, "whole", step.seconds, "s")
        yield Row(what, "CPU", step.cpu_s, "s CPU")
        yield Row(what, "peak", step.peak_GiB, "GiB")
        ratio = STRUCT_PAGES_GIB / step.peak_GiB
        yield Row(f"{what}, peak", f"C struct page / {FREEHINT}", ratio, RATIO, bar=LEAST_PEAK)
        if "bytes_per_frame" in step.found:
            yield Row(what, "memory", step.found["bytes_per_frame"], "bytes/frame")
