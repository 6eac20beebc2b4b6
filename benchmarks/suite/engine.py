"""The event loop, and whole migrations."""

import multiprocessing

from benchmarks.events import speed
from benchmarks.migrations import migrate
from benchmarks.peers_events import HEAPQ, SIMPY, speeds
from benchmarks.rows import Row, spaced, timing_rows

# Other sides pay for a call from Python, freehint for its loads: so the ratios go with Python's
# speed and with what neighbours leave of the cache.  At 1 GiB heapq had 37 on Skylake, 31 on
# Zen 4, 27 when calls from Python had become cheaper, and 18 with the cache taken (SimPy 74, 66,
# and 37 last).  The bars are a third below the least: a loop that calls Python at each event falls
# below them; smaller changes are found beside the stored table.  A guest of 256 MiB has its lists
# in the L2 cache, so that neighbours matter less: 26 to 31 with the cache taken.
MIN_PEERS = {SIMPY: 25, HEAPQ: 12}


def events(library, quick: bool):
    """The engine's loop."""
    for size in ("1GiB",) if quick else ("1GiB", "16GiB"):
        for policy in ("none", "restartable_cursor"):
            what = f"engine, {spaced(size)}, policy {policy}"
            s = speed(size, policy, 4 if quick else 12)
            yield Row(what, "loop", s.loop, "M events/s", s.p25, s.p75, s.slices)
            yield Row(what, "loop and Python", s.whole, "M events/s", slices=s.slices)


def peers(library, quick: bool):
    """The engine's loop against loops in Python that call the same compiled handlers."""
    what = "event loop, 256 MiB, same handlers"
    speeds("64MiB", 1)  # compiles
    yield from timing_rows(what, speeds("256MiB", 3 if quick else 6), "ns/event", MIN_PEERS)


def migrations(library, quick: bool):
    """Whole live migrations, each in a process of its own, whose peak memory is its own."""
    for size in ("1GiB",) if quick else ("4GiB", "64GiB"):
        for policy in ("none", "balloon_alloc"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.apply(migrate, ("64MiB", policy))  # kernels are read from the cache
                found = pool.apply(migrate, (size, policy))
            what = f"migration, {spaced(size)}, policy {policy}"
            yield Row(what, "whole run", found["seconds"], "s")
            yield Row(what, "events", found["M events/s"], "M events/s")
            yield Row(what, "peak", found["peak MiB"], "MiB")
