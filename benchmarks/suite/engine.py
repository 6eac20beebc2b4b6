"""The event loop, and whole migrations."""

import multiprocessing

from benchmarks.events import speed
from benchmarks.migrations import migrate
from benchmarks.peers_events import HEAPQ, SIMPY, speeds
from benchmarks.rows import FREEHINT, RATIO, Row, spaced

MIN_PEERS = {SIMPY: 50, HEAPQ: 30}


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
    what = "event loop, 1 GiB, same handlers"
    speeds("256MiB", 1)  # compiles
    for s in speeds("1GiB", 4 if quick else 12):
        yield Row(what, s.side, s.events, "M events/s", slices=s.slices)
        if s.side in MIN_PEERS:
            spread = (s.ratio_p25, s.ratio_p75, s.slices, MIN_PEERS[s.side])
            yield Row(what, f"{s.side} / {FREEHINT}", s.ratio, RATIO, *spread)


def migrations(library, quick: bool):
    """Whole live migrations, each in a process of its own, whose peak memory is its own."""
    for size in ("1GiB",) if quick else ("4GiB", "64GiB"):
        for policy in ("none", "balloon_alloc"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.apply(migrate, ("64MiB", policy))  # kernels are read from the cache
                found = pool.apply(migrate, (size, policy))
            what = f"migration, {spaced(size)}, policy {policy}"
            yield Row(what, "whole run", found["seconds"], "s")
            yield Row(what, "whole run", found["M events/s"], "M events/s")
            yield Row(what, "peak", found["peak MiB"], "MiB")
