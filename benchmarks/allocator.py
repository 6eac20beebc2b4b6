"""Allocator operations and list walks, freehint beside C, on the same stream and state."""

import numpy as np

from benchmarks.paired import Timing, measure
from benchmarks.sides import Baseline, Freehint, same_state
from benchmarks.stream import ALLOCATE, FREE, STEADY, draw_pageblocks, draw_words
from freehint.mm.memory import HIGHATOMIC, MAX_ORDER_NR_PAGES, MOVABLE, PAGEBLOCK_NR_PAGES

FREEHINT, STRUCT_PAGE, COMPACT = "freehint", "C struct page", "C compact"
SLICE = 1_000_000  # operations


def new_sides(library, nr_pages: int, pageblock: np.ndarray, capacity: int) -> dict:
    """All sides, with every page allocated."""
    return {
        FREEHINT: Freehint(nr_pages, pageblock, capacity),
        STRUCT_PAGE: Baseline(library, "page", nr_pages, pageblock, capacity),
        COMPACT: Baseline(library, "compact", nr_pages, pageblock, capacity),
    }


def boot(sides: dict, pageblock: np.ndarray) -> None:
    """Free everything at the list tails, in address order."""
    pairs = pageblock.reshape(-1, 2)
    whole = (pairs != HIGHATOMIC).all(axis=1)
    tens = np.flatnonzero(whole) * MAX_ORDER_NR_PAGES
    nines = np.flatnonzero(np.repeat(~whole, 2)) * PAGEBLOCK_NR_PAGES
    for side in sides.values():
        side.free(tens, 10)
        side.free(nines, 9)


def run_phase(sides: dict, generator, growth: int, slices: int, slice_words: int) -> list[Timing]:
    """One phase of the stream on all sides."""
    verbs = {name: lambda words, side=side: side.run(words, growth) for name, side in sides.items()}
    work = (draw_words(generator, slice_words) for _ in range(slices))
    return measure(verbs, work, slice_words)


def allocator(library, nr_pages: int, slices: int, seed: int = 1) -> dict[str, list[Timing]]:
    """Timings of the phases burst, drain and steady of one guest.

    The burst allocates about 90 % of the pages, the drain frees half of the blocks at random
    places, and the steady phase allocates and frees evenly on the memory so scattered.
    """
    generator = np.random.default_rng(seed)
    pageblock = draw_pageblocks(generator, nr_pages)
    sides = new_sides(library, nr_pages, pageblock, nr_pages)
    boot(sides, pageblock)
    same_state(sides)
    blocks = int(nr_pages * 0.9 / 1.6)  # 1.6 pages a block on average
    size = min(SLICE, blocks // 8)
    timings = {
        "burst": run_phase(sides, generator, ALLOCATE, blocks // size, size),
        "drain": run_phase(sides, generator, FREE, blocks // 2 // size, size),
    }
    same_state(sides)
    # The first steady slices still change the mixture of block sizes.
    run_phase(sides, generator, STEADY, 2, SLICE)
    timings["steady"] = run_phase(sides, generator, STEADY, slices, SLICE)
    same_state(sides)
    return timings


def shuffled_walk(library, nr_pages: int, order: int, blocks: int, slices: int) -> dict:
    """Timings of a walk over one free list whose blocks stand in random address order.

    ``checksum`` follows the links alone; ``rows`` is the walker's own stroke, which writes
    (node, order) of every block and steps over bookmarks, beside a C loop that writes the same.
    """
    generator = np.random.default_rng(2)
    pageblock = np.full(nr_pages // PAGEBLOCK_NR_PAGES, MOVABLE, np.uint8)
    sides = new_sides(library, nr_pages, pageblock, 1)
    step = nr_pages // blocks  # at least two blocks apart: none has a free buddy
    nodes = generator.permutation(np.arange(0, nr_pages, step, dtype=np.int64))
    for side in sides.values():
        side.set_list(order, MOVABLE, nodes)
    same_state(sides)
    part = max(1, blocks // 4)
    sums = {name: [] for name in sides}

    def walk(name):
        return lambda _: sums[name].append(sides[name].walk(order, MOVABLE, part))

    timings = {"checksum": measure({name: walk(name) for name in sides}, range(slices), part)}
    assert len({tuple(s) for s in sums.values()}) == 1, "the walks' checksums differ"
    rows = {name: np.zeros((blocks + 1, 3), np.int64) for name in sides}

    def stroke(name):
        # fill() counts up what it finds in column 2, which the engine clears before.
        rows[name][:, 2] = 0
        assert sides[name].fill(order, MOVABLE, rows[name]) == blocks

    strokes = {name: lambda _, name=name: stroke(name) for name in sides}
    timings["rows"] = measure(strokes, range(max(4, slices // 4)), blocks)
    for name in sides:
        assert np.array_equal(rows[name][:-1], rows[FREEHINT][:-1]), f"{name}: rows differ"
    return timings
