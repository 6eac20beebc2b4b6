"""Other ways that were tried, beside the one that freehint takes: which paid, and which did not.

Each side does the same work and is held to the same answer.
"""

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from benchmarks.allocator import COMPACT, FREEHINT, replay, steady
from benchmarks.baseline import Baseline
from benchmarks.onezone import OneZone
from benchmarks.paired import Timing, measure
from benchmarks.stream import ALLOCATE, FREE, Stream, boot
from freehint.jit import kernel
from freehint.mm.bitmap import count_bits
from freehint.mm.list import list_move_tail
from freehint.studies.limits import key_steps, scan_keys


@kernel
def move_all(links, nodes, head):
    """Take nodes out of their ring and put each last: list_move_tail()."""
    for node in nodes:
        list_move_tail(links, node, head)


@kernel
def move_all_apart(after, before, nodes, head):
    """The same with next and prev in an array each."""
    for i in range(nodes.shape[0]):
        node = np.uint64(nodes[i])
        left, right = np.uint64(before[node]), np.uint64(after[node])
        after[left], before[right] = right, left
        last = np.uint64(before[np.uint64(head)])
        before[np.uint64(head)] = node
        after[node], before[node] = head, last
        after[last] = node


@kernel
def heap_keys(heap, steps):
    """The work of scan_keys on a binary heap: the smallest is at the top, and sinks again."""
    size = heap.shape[0]
    for step in steps:
        key, at = heap[0] + step, 0
        while 2 * at + 1 < size:
            child = 2 * at + 1
            if child + 1 < size and heap[child + 1] < heap[child]:
                child += 1
            if heap[child] >= key:
                break
            heap[at] = heap[child]
            at = child
        heap[at] = key
    return heap[0]


@intrinsic
def ctpop(_typing_context, _word):
    """LLVM's own count of bits."""

    def build(_context, builder, _signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), build


@kernel
def count_by_instruction(words):
    """count_bits with the instruction in place of shifts and masks."""
    total = 0
    for word in words:
        total += np.int64(ctpop(word))
    return total


def ring_of(nr_nodes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """next and prev of all nodes but the last, the head, in random order."""
    ring = np.append(np.random.default_rng(seed).permutation(nr_nodes - 1), nr_nodes - 1)
    after, before = np.empty((2, nr_nodes), np.int64)
    after[ring], before[ring] = np.roll(ring, -1), np.roll(ring, 1)
    return after, before


def links_apart(nr_nodes: int, slices: int, moves: int = 200_000) -> list[Timing]:
    """Random nodes moved to the tail: links side by side, in two arrays, and as int64."""
    after, before = ring_of(nr_nodes, 1)
    head = nr_nodes - 1
    wide = np.stack([after, before], axis=1).ravel()
    narrow, apart = wide.astype(np.int32), (after.astype(np.int32), before.astype(np.int32))
    sides = {
        FREEHINT: lambda nodes: move_all(narrow, nodes, head),
        "two arrays": lambda nodes: move_all_apart(*apart, nodes, head),
        "int64": lambda nodes: move_all(wide, nodes, head),
    }
    chance = np.random.default_rng(2)
    for work in sides.values():
        work(np.zeros(1, np.int64))  # compiles
    timings = measure(sides, (chance.integers(0, head, moves) for _ in range(slices)), moves)
    assert np.array_equal(narrow, wide) and np.array_equal(narrow[::2], apart[0])
    assert np.array_equal(narrow[1::2], apart[1])
    return timings


def keys(actors: int, slices: int, events: int = 200_000) -> list[Timing]:
    """The next event of so many actors: a scan of their keys, and a heap."""
    scanned, heap = (np.arange(actors, dtype=np.int64) for _ in range(2))
    sides = {
        FREEHINT: lambda steps: scan_keys(scanned, steps),
        "heap": lambda steps: heap_keys(heap, steps),
    }
    for work in sides.values():
        work(key_steps(actors, 1))  # compiles
    timings = measure(sides, [key_steps(actors, events)] * slices, events)
    assert sorted(scanned) == sorted(heap)
    return timings


def counted(nr_pages: int, slices: int) -> list[Timing]:
    """Bits counted by shifts and masks, and by LLVM's own count."""
    words = np.random.default_rng(1).integers(0, 1 << 63, nr_pages // 64, np.uint64)
    found = {name: [] for name in (FREEHINT, "instruction")}
    sides = {
        FREEHINT: lambda _: found[FREEHINT].append(count_bits(words)),
        "instruction": lambda _: found["instruction"].append(count_by_instruction(words)),
    }
    for work in sides.values():
        work(0)  # compiles
    timings = measure(sides, range(slices), nr_pages)
    assert found[FREEHINT] == found["instruction"]
    return timings


def branches(library, apart, slices: int) -> list[Timing]:
    """Steady operations on 1 GiB beside C, its branches as gcc lays them and kept apart."""
    nr_pages = 1 << 18
    stream = Stream(nr_pages, seed=1)
    sides = {
        FREEHINT: OneZone(stream.pageblock),
        COMPACT: Baseline(library, "compact", stream.pageblock),
        f"{COMPACT}, branches apart": Baseline(apart, "compact", stream.pageblock),
    }
    for side in sides.values():
        boot(side, stream.pageblock)
    for allocates, blocks in ((ALLOCATE, nr_pages // 2), (FREE, nr_pages // 4)):
        replay(sides, stream, allocates, 1, blocks)
    return steady(sides, stream, slices)
