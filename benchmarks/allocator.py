"""Allocator operations and list walks: freehint beside C, on the same stream and state."""

import numpy as np

from benchmarks.baseline import Baseline
from benchmarks.onezone import LISTS, OneZone, warm_up
from benchmarks.paired import Slices, Timing, joined, measure, slice_times, timings
from benchmarks.stream import ALLOCATE, FREE, STEADY, Stream, boot
from freehint.mm.memory import MOVABLE, PAGEBLOCK_NR_PAGES

FREEHINT, STRUCT_PAGE, COMPACT = "freehint", "C struct page", "C compact"
COMPACT_AHEAD = "C compact + prefetch"
# Long enough that the caches a slice finds full of the other sides' data hardly count.
SLICE = 2_000_000
SHORTEST = 100_000  # of the slices of a burst, where the guest is large enough
BURST = 1_000_000  # operations of all bursts together, at least
PAGES_A_BLOCK = 1.6  # mean of ORDER_TABLE
LARGE = 16  # GiB: from here on a guest's links and frames lie in no cache


def operation_bars(gib: int, phase: str) -> dict[str, float]:
    """Least ratio of each side's time to freehint's, by a guest's size and phase.

    A bar is what no machine was below, less a tenth: struct page 1.53 (steady at 1 GiB) and 1.57
    (burst at 256 GiB, Skylake), compact 0.93 (burst, shared core), 1.02 (steady at 1 GiB) and 1.4
    (steady and drain from 16 GiB on), compact + prefetch 0.84 (drain at 256 GiB).
    """
    asked = gib >= LARGE and phase != "burst"
    return {STRUCT_PAGE: 1.4, COMPACT: 1.2 if asked else 0.85, COMPACT_AHEAD: 0.75}


def walk_bars(order: int, way: str) -> dict[str, float]:
    """The same for a walk over a shuffled list, by ``shuffled_walk``'s ways.

    Order 0 waits for the same loads on every side, one after another: 1.04 to 1.4 of struct page
    were seen (the bar is a tenth less), 1.83 to 2.1 of compact from both ends.  How many loads of
    gathered links are under way at once is the processor's: 5.5 times struct page's speed on
    Skylake, 11 to 16 on Zen 4.
    """
    if order == 0:
        return {COMPACT: 1.5} if way == "whole" else {STRUCT_PAGE: 0.9}
    return {STRUCT_PAGE: 1.0 if way == "links" else 4.5}


def new_sides(library, pageblock: np.ndarray) -> dict:
    """The sides that walk; every page is allocated."""
    warm_up()
    return {
        FREEHINT: OneZone(pageblock),
        STRUCT_PAGE: Baseline(library, "page", pageblock),
        COMPACT: Baseline(library, "compact", pageblock),
    }


def replaying_sides(library, pageblock: np.ndarray) -> dict:
    """All sides; every page is allocated."""
    ahead = Baseline(library, "compact", pageblock, ahead=True)
    return new_sides(library, pageblock) | {COMPACT_AHEAD: ahead}


def same_state(sides: dict) -> None:
    """Fail unless all sides have the same lists, order included, and the same counters."""
    (_, first), *others = sides.items()
    lists, (nr_free, nr_free_pages) = first.lists(), first.counts()
    for name, other in others:
        for which, mine, theirs in zip(LISTS, lists, other.lists()):
            assert np.array_equal(mine, theirs), f"{name}: list {which} differs from freehint's"
        counts = other.counts()
        assert np.array_equal(nr_free, counts[0]), f"{name}: nr_free differs from freehint's"
        assert nr_free_pages == counts[1], f"{name}: nr_free_pages differs from freehint's"


def replay(sides: dict, stream: Stream, allocates: int, slices: int, size: int) -> Slices:
    """Replay one phase on all sides; its slices."""

    def verb(name):
        def run(operations):
            wrong = sides[name].replay(operations)
            assert wrong == 0, f"{name}: {wrong} allocations got another block than freehint's"

        return run

    work = (stream.draw(size, allocates) for _ in range(slices))
    return slice_times({name: verb(name) for name in sides}, work)


def operations(library, nr_pages: int, slices: int, seed: int = 1) -> dict[str, list[Timing]]:
    """Timings of the phases burst, drain and steady of one guest.

    The burst allocates nine tenths of the pages, the drain frees half of the blocks, drawn
    evenly, and the steady phase allocates and frees evenly in the memory so scattered.  A small
    guest's burst is short, so several such guests are booted, filled and drained.
    """
    blocks = int(0.9 * nr_pages / PAGES_A_BLOCK)
    pieces = int(np.clip(blocks // SHORTEST, 2, 8))
    size = blocks // pieces
    times = {"burst": [], "drain": []}
    for guest in range(max(1, BURST // blocks)):
        stream = Stream(nr_pages, seed + guest)
        sides = replaying_sides(library, stream.pageblock)
        for side in sides.values():
            boot(side, stream.pageblock)
        times["burst"].append(replay(sides, stream, ALLOCATE, pieces, size))
        times["drain"].append(replay(sides, stream, FREE, pieces // 2, size))
        same_state(sides)
    names = list(sides)
    found = {phase: timings(names, joined(found), size) for phase, found in times.items()}
    found["steady"] = steady(sides, stream, slices)
    return found


def change_rooms(sides: list) -> None:
    """Each side goes on in the arrays of the next one, the last in those of the first."""
    rooms = [side.rooms() for side in sides]
    contents = [[array.copy() for array in rooms[0]], *rooms[1:]]
    for i in reversed(range(len(sides))):
        room = rooms[(i + 1) % len(sides)]
        for array, content in zip(room, contents[i]):
            n = min(len(array), len(content))
            array[:n] = content[:n]
        sides[i].move(room)


def steady(sides: dict, stream: Stream, slices: int) -> list[Timing]:
    """Timings of allocating and freeing evenly, on guests that were filled and drained before.

    Which pages of its host a guest gets makes up to 7 % at 256 GiB, for the same code.  So the
    compact sides change rooms after each share of the slices, until each has been in each.
    """
    # The first steady operations still change the mixture of block sizes.
    replay(sides, stream, STEADY, 1, SLICE)
    movable = [side for name, side in sides.items() if name != STRUCT_PAGE]
    found = []
    for part in np.array_split(np.arange(slices), min(slices, len(movable))):
        if found:
            change_rooms(movable)
        found.append(replay(sides, stream, STEADY, len(part), SLICE))
    same_state(sides)
    return timings(list(sides), joined(found), SLICE)


def shuffled_walk(library, nr_pages: int, order: int, blocks: int, slices: int) -> dict:
    """Timings of a walk over one free list whose blocks stand in random address order.

    ``links`` follows the links and adds up the nodes.  ``rows`` is the walker's own stroke,
    which writes a row for every block, beside a C loop that writes the same rows.  ``whole`` is
    ``list_nodes``, as snapshots and tables walk, beside a C loop that writes the same nodes.
    """
    sides = new_sides(library, np.full(nr_pages // PAGEBLOCK_NR_PAGES, MOVABLE))
    apart = np.arange(0, nr_pages, nr_pages // blocks)
    nodes = np.random.default_rng(2).permutation(apart)
    for side in sides.values():
        side.set_list(order, MOVABLE, nodes)
    same_state(sides)
    part = max(1, blocks // 2)
    return {
        "links": _walk_links(sides, order, part, slices),
        "rows": _walk_rows(sides, order, blocks, slices),
        "whole": _walk_whole(sides, order, nodes, slices),
    }


def _walk_links(sides: dict, order: int, part: int, slices: int) -> list[Timing]:
    sums = {name: [] for name in sides}
    verbs = {
        name: lambda n, name=name: sums[name].append(sides[name].walk(order, MOVABLE, n))
        for name in sides
    }
    timings = measure(verbs, [part] * slices, part)
    for name in sides:
        assert sums[name] == sums[FREEHINT], f"{name}: the sums differ from freehint's"
    return timings


def _walk_rows(sides: dict, order: int, blocks: int, slices: int) -> list[Timing]:
    rows = {name: np.zeros((blocks + 1, 3), np.int64) for name in sides}

    def verb(name):
        def run(_):
            # The walker adds to the third column, which the engine clears before a stroke.
            rows[name][:, 2] = 0
            n = sides[name].fill(order, MOVABLE, rows[name])
            assert n == blocks, f"{name}: {n} of {blocks} blocks walked"

        return run

    timings = measure({name: verb(name) for name in sides}, range(slices), blocks)
    for name in sides:
        assert np.array_equal(rows[name], rows[FREEHINT]), f"{name}: rows differ from freehint's"
    return timings


def _walk_whole(sides: dict, order: int, nodes: np.ndarray, slices: int) -> list[Timing]:
    rooms = {name: np.full(len(nodes), -1) for name in sides}
    found = {}

    def verb(name):
        def run(_):
            found[name] = sides[name].whole(order, MOVABLE, rooms[name])

        return run

    timings = measure({name: verb(name) for name in sides}, range(slices), len(nodes))
    for name, walked in found.items():
        assert np.array_equal(walked, nodes), f"{name}: walked another list than was made"
    return timings
