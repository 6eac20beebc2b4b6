"""Rows that no kernel would write: a replay comes back from any, with the lists undamaged."""

import os
import resource
import subprocess
import sys

import numpy as np

import freehint as fh
from freehint.formats.traces import rows
from freehint.formats.traces.columns import WITH_PAGE, settle
from freehint.mm.memory import (
    LRU,
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    NO_PAGEBLOCK,
    NR_PCP_LISTS,
    WITHOUT_CMA,
)
from freehint.replay.buddy_level import forget_pcp, replay_buddy
from freehint.replay.pcp_level import replay_pcp
from freehint.replay.replay import scratch
from memories import SPANS, busy_memory

KERNELS = ("4.15", "5.10", "6.1", "6.12", "7.3")
# A compiled loop cannot be interrupted, so replays have a process of their own, which tells where
# it is.  Its bound is CPU time, which a loop uses up and a wait for a busy machine does not.
CPU_SECONDS = 240  # most of it for kernels that are not kept yet
NR_ROWS = 3_000
ZONE_KINDS = (rows.DECAY, rows.DRAIN_ZONE, rows.DRAIN, rows.COMPACTION)


def any_rows(memory, chance):
    """Rows of every kind about few pages, such that they contradict the lists and one another."""
    kind = chance.integers(rows.IGNORED, rows.NR_KINDS, NR_ROWS).astype(np.int8)
    order = chance.choice((0, 0, 0, 1, 1, 2, 3, 5, 9, 10), NR_ROWS).astype(np.int8)
    size = np.where(np.isin(kind, WITH_PAGE), 1 << order.astype(np.int64), 1)
    at = chance.integers(memory.nr_pages, size=NR_ROWS) & -size
    low = memory.zones.start_pfn - memory.base_pfn
    zone = np.maximum(np.searchsorted(low, at, "right") - 1, 0)
    inside = (low[zone] <= at) & (at + size <= (low + memory.zones.spanned)[zone])
    for page in (at, at + size - 1):
        inside &= memory.pageblock[page >> 9] != NO_PAGEBLOCK
    node = np.where(inside, at, 0).astype(np.int32)
    kind[~inside] = rows.IGNORED
    types = chance.integers(0, MIGRATE_PCPTYPES, NR_ROWS)
    value = chance.integers(0, MAX_ORDER, NR_ROWS)
    value[kind == rows.ISOLATE_PAGE] = chance.choice((0, 1), NR_ROWS)[kind == rows.ISOLATE_PAGE]
    moves = kind == rows.MOVE_BLOCK
    here = np.isin(kind, ZONE_KINDS)
    types[moves] = chance.integers(0, WITHOUT_CMA, NR_ROWS)[moves]
    value[moves] = chance.integers(0, WITHOUT_CMA, NR_ROWS)[moves]
    value[here] %= len(memory.zones)
    value[kind == rows.BALANCE] %= len(memory.zones) + 1
    drawn = rows.Rows(
        kind=kind,
        cpu=chance.integers(0, memory.nr_cpus, NR_ROWS).astype(np.int16),
        node=node,
        order=order,
        migratetype=types.astype(np.int8),
        change=chance.integers(0, 2, NR_ROWS).astype(np.int8),
        value=value.astype(np.int32),
        fate=np.zeros(NR_ROWS, np.int8),
        task=chance.integers(0, 3, NR_ROWS).astype(np.int32),
    )
    drawn.order[kind == rows.DRAIN_CHUNK] %= NR_PCP_LISTS
    drawn.node[kind == rows.DRAIN_ZONE] %= memory.nr_cpus + 1
    rows.settle_orders(drawn, np.zeros(memory.nr_pages, np.int8))
    settle(memory, drawn, "probes", infer=True)
    return drawn


def replay_any(kernel: str, level: str, count: int) -> None:
    """Replay ``count`` draws, under rules of which the lists know nothing where they are older."""
    profile = fh.PROFILES[kernel]
    for seed in range(count):
        memory, _ = busy_memory([*SPANS][seed % len(SPANS)], seed, profile)
        chance = np.random.default_rng(seed)
        memory.frame[memory.frame == LRU] = 0  # a snapshot does not tell which pages are movable
        print(kernel, level, seed, flush=True)
        if level == "buddy":
            forget_pcp(memory)
            replay_buddy(memory, any_rows(memory, chance), scratch(memory), seed % 2 == 1, 0)
        else:
            run = scratch(memory, any_rows(memory, chance))
            for _ in range(2):
                some = any_rows(memory, chance)
                replay_pcp(memory, some, run, rows.FAITHFUL)
        fh.check_memory(memory)


def test_a_replay_of_any_rows_comes_back_and_damages_nothing():
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, "25"]
    found = subprocess.run(command, capture_output=True, text=True, env=env)
    assert found.returncode == 0, found.stdout[-100:] + found.stderr[-2000:]
    assert len(found.stdout.splitlines()) == 2 * 25 * len(KERNELS)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    for kernel in KERNELS:
        for level in ("buddy", "pcp"):
            replay_any(kernel, level, int(sys.argv[1]))
