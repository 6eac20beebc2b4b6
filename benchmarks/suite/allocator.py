"""The allocator beside C and beside plain Python, and the bytes that a frame takes."""

from benchmarks.allocator import (
    STRUCT_PAGE,
    operation_bars,
    operations,
    same_state,
    shuffled_walk,
    walk_bars,
)
from benchmarks.onezone import OneZone
from benchmarks.paired import Timing, measure
from benchmarks.plain import Plain
from benchmarks.rows import FREEHINT, RATIO, Row, spaced, timing_rows
from benchmarks.stream import ALLOCATE, FREE, STEADY, Stream, boot
from freehint.formats.boot import make_memory

GIB_PAGES = 1 << 18
STRUCT_PAGE_BYTES = 64  # a frame's struct page, as Linux has it

LEAST_BYTES = 5.3  # times fewer than struct pages: 12 bytes a frame

WALKS = ((16, 0, 1 << 21), (256, 9, 1 << 17), (256, 10, 1 << 16))  # GiB, order, blocks
QUICK_WALKS = ((8, 0, 1 << 20), (64, 10, 1 << 14))
PLAIN = "plain Python"
PLAIN_SLICE = 30_000  # four of them fill nine tenths of a guest of 1 GiB


def allocator_operations(library, quick: bool):
    """Allocator operations; 256 GiB take 7 GiB of memory and are left out when quick."""
    for gib in (16, 1) if quick else (256, 16, 1):
        phases = operations(library, gib * GIB_PAGES, 3 if quick else 6)
        for phase, timings in phases.items():
            what = f"allocator, {gib} GiB, {phase}"
            yield from timing_rows(what, timings, "ns/operation", operation_bars(gib, phase))


def walks(library, quick: bool):
    """Walks over one shuffled list; orders 9 and 10 fill the guest, which is smaller when quick."""
    slices = 4
    for gib, order, blocks in QUICK_WALKS if quick else WALKS:
        ways = shuffled_walk(library, gib * GIB_PAGES, order, blocks, slices)
        for way, timings in ways.items():
            what = f"walk, {gib} GiB, {blocks:,} blocks of order {order}, {way}"
            yield from timing_rows(what, timings, "ns/block", walk_bars(order, way))


def sizes(library, quick: bool):
    """Bytes a frame."""
    for size in ("1GiB", "16GiB", "256GiB"):
        memory = make_memory(size)
        nr_bytes = sum(array.nbytes for array in memory if hasattr(array, "nbytes"))
        value = nr_bytes / memory.nr_pages
        what = f"memory, {spaced(size)}"
        yield Row(what, FREEHINT, value, "bytes/frame")
        yield Row(what, STRUCT_PAGE, STRUCT_PAGE_BYTES, "bytes/frame")
        ratio = STRUCT_PAGE_BYTES / value
        yield Row(what, f"{STRUCT_PAGE} / {FREEHINT}", ratio, RATIO, bar=LEAST_BYTES)


def _replay(sides: dict, stream: Stream, allocates: int, slices: int, size: int) -> list[Timing]:
    """One phase on both sides; Python gets the operations as a list, made outside the clock."""
    drawn = (stream.draw(size, allocates) for _ in range(slices))
    verbs = {
        FREEHINT: lambda piece: _right(sides[FREEHINT].replay(piece[0])),
        PLAIN: lambda piece: _right(sides[PLAIN].replay(piece[1])),
    }
    return measure(verbs, ((piece, piece.tolist()) for piece in drawn), size)


def _right(wrong: int) -> None:
    assert wrong == 0, f"{wrong} allocations got another block than recorded"


def plain_python(library, quick: bool, gib: float = 1):
    """The same operations in plain Python, its lists compared with freehint's at the end."""
    stream = Stream(int(gib * GIB_PAGES), seed=1)
    sides = {FREEHINT: OneZone(stream.pageblock), PLAIN: Plain(stream.pageblock)}
    for side in sides.values():
        boot(side, stream.pageblock)
    sides[FREEHINT].replay(stream.draw(0, ALLOCATE))  # compiles
    size = int(PLAIN_SLICE * min(gib, 1))
    for phase, allocates, n in (("burst", ALLOCATE, 4), ("drain", FREE, 2), ("steady", STEADY, 8)):
        timings = _replay(sides, stream, allocates, n, size)
        yield from timing_rows(f"plain Python, {gib} GiB, {phase}", timings, "ns/operation")
    same_state(sides)
