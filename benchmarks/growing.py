"""Tasks whose cost grows with the size of their object.

A task is prepared outside the clock, and done inside of it.  Each function here returns the work
to be timed: a callable, which may return another size than the nominal one (rounds, say).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import freehint as fh
from benchmarks.migrations import scenario as moving
from benchmarks.onezone import OneZone
from freehint.mm.memory import MOVABLE, PAGEBLOCK_NR_PAGES
from freehint.policies.policy import Stroke
from freehint.policies.walk import fill
from freehint.policies.walk_state import HIGH_FIRST, NEVER_ROTATE, PER_LIST, RESTART, new_walk_state
from freehint.units import NS_PER_MS, NS_PER_S, parse_size

GUESTS = ("256MiB", "1GiB", "4GiB", "16GiB", "64GiB", "256GiB", "1TiB")
BLOCK_PAGES = 1 << 22  # 16 GiB


class Task(NamedTuple):
    """``prepare(size)`` -> the work; ``along``: what the sizes count."""

    along: str
    task: str
    sizes: tuple
    prepare: Callable


def make(size: str):
    """Make a guest as after boot."""
    return lambda: fh.make_memory(size)


def walk(size: str):
    """The walker's strokes over all lists of a guest as after boot."""
    memory = fh.make_memory(size)
    blocks = int(memory.nr_free.sum())
    rows = np.zeros((blocks + 1, 3), np.int64)

    def work():
        walked = 0
        for zone in range(len(memory.zones)):
            state = new_walk_state(NEVER_ROTATE, RESTART, PER_LIST, HIGH_FIRST, 0, 0, False)
            status = Stroke.MORE
            while status == Stroke.MORE:
                rows[:, 2] = 0
                n, status = fill(memory, state, zone, rows, blocks)
                walked += n
        assert walked == blocks, f"{walked} of {blocks} blocks walked"

    return work


def migrate(size: str):
    """Four CPUs take half of what is free while the guest moves over 10 Gbit/s."""
    one = moving(size, "none")
    return lambda: fh.simulate(one)


def shuffled(blocks: int) -> OneZone:
    """A guest of 16 GiB with so many free blocks of order 0, in random order on one list."""
    side = OneZone(np.full(BLOCK_PAGES // PAGEBLOCK_NR_PAGES, MOVABLE))
    nodes = np.arange(0, BLOCK_PAGES, BLOCK_PAGES // blocks)
    side.set_list(0, MOVABLE, np.random.default_rng(2).permutation(nodes))
    return side


def walk_blocks(blocks: int):
    """The walker's stroke over one shuffled list."""
    side, rows = shuffled(blocks), np.zeros((blocks + 1, 3), np.int64)
    return lambda: side.fill(0, MOVABLE, rows)


def table_of_blocks(blocks: int):
    """The list as a table."""
    memory = shuffled(blocks).memory
    return lambda: fh.free_lists(memory)


def simulate_cpus(nr_cpus: int):
    """A second of a guest of 1 GiB whose CPUs do an operation every 20 us each."""
    workload = fh.Workload(nr_cpus=nr_cpus, interval_ns=20_000)
    one = fh.Scenario(memory="1GiB", policy="none", workload=workload, duration_ns=NS_PER_S)
    return lambda: fh.simulate(one)


def rounds(seconds: int):
    """A migration that never ends: the guest may not be stopped at all; its number of rounds."""
    one = fh.Scenario(
        memory="256MiB",
        policy="none",
        workload=fh.Workload(interval_ns=20_000),
        migration=fh.MigrationConfig(
            start_at_ns=100 * NS_PER_MS, downtime_limit_ms=0, bandwidth_Bps=1 << 28
        ),
        duration_ns=seconds * NS_PER_S,
    )
    return lambda: len(fh.simulate(one).rounds)


def sweep(runs: int):
    """A serial sweep over the seeds of a guest of 64 MiB."""
    one = fh.Scenario(memory="64MiB", policy="v24", duration_ns=2 * NS_PER_MS)
    return lambda: fh.sweep(one, {}, seeds=range(runs))


BLOCKS = tuple(1 << n for n in range(10, 22, 2))
TASKS = (
    Task("guest size", "make", GUESTS, make),
    Task("guest size", "walk", GUESTS, walk),
    Task("guest size", "migrate", GUESTS, migrate),
    Task("free blocks", "walk", BLOCKS, walk_blocks),
    Task("free blocks", "as a table", BLOCKS, table_of_blocks),
    Task("guest CPUs", "simulate 1 s", (1, 2, 4, 8, 16, 24), simulate_cpus),
    Task("migration rounds", "migrate", (1, 2, 4, 8, 16, 32), rounds),
    Task("runs of a sweep", "sweep", (10, 30, 100, 300, 1000), sweep),
)


def number_of(size) -> float:
    """A guest's size in GiB; other sizes are numbers."""
    return parse_size(size) / (1 << 30) if isinstance(size, str) else float(size)
