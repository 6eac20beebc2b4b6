"""Bitmaps of a migration beside numpy."""

from benchmarks.bitmaps import count, scan, sync
from benchmarks.rows import timing_rows

TEBIBYTE_PAGES = 1 << 28


def bitmaps(library, quick: bool):
    """Counting, syncing and scanning the bitmaps of a guest of 1 TiB."""
    for name, work in {"count": count, "sync": sync, "scan": scan}.items():
        timings = work(TEBIBYTE_PAGES, 9 if quick else 30)
        yield from timing_rows(f"bitmap, 1 TiB, {name}", timings, "ms/pass")
