"""Bitmaps of a migration beside numpy."""

from benchmarks.bitmaps import count, scan, sync
from benchmarks.rows import timing_rows


def bitmaps(library, quick: bool):
    """Counting, syncing and scanning the bitmaps of a guest of 1 TiB (quick: 64 GiB)."""
    nr_pages = 1 << (24 if quick else 28)
    size = "64 GiB" if quick else "1 TiB"
    for name, work in {"count": count, "sync": sync, "scan": scan}.items():
        timings = work(nr_pages, 9 if quick else 15)
        yield from timing_rows(f"bitmap, {size}, {name}", timings, "ms/pass")
