"""The C baselines do the same work as freehint, and a side that does not is found out."""

import shutil

import numpy as np
import pytest

from benchmarks.allocator import (
    COMPACT_AHEAD,
    FREEHINT,
    STRUCT_PAGE,
    change_rooms,
    replay,
    replaying_sides,
    same_state,
    shuffled_walk,
)
from benchmarks.baseline import compile_baseline
from benchmarks.stream import ALLOCATE, FREE, STEADY, Stream, boot

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the baselines need gcc")
NR_PAGES = 1 << 13


@pytest.fixture(scope="module")
def library():
    return compile_baseline()


@pytest.fixture(scope="module")
def replayed(library):
    """(stream, sides) after a burst, a drain and a steady phase."""
    stream = Stream(NR_PAGES, seed=1)
    sides = replaying_sides(library, stream.pageblock)
    for side in sides.values():
        boot(side, stream.pageblock)
    for allocates, size in ((ALLOCATE, 2000), (FREE, 800), (STEADY, 5000)):
        slices = replay(sides, stream, allocates, 2, size)
        assert slices.times.shape == (2, 4) and len(slices.marks) == 2
    return stream, sides


def test_all_sides_end_with_the_same_lists(replayed):
    _stream, sides = replayed
    assert len(sides) == 4 and next(iter(sides)) == FREEHINT
    assert sum(len(nodes) > 1 for nodes in sides[FREEHINT].lists()) >= 8  # a mixture
    same_state(sides)


def test_sides_change_rooms_and_go_on(replayed):
    stream, sides = replayed
    movable = [side for name, side in sides.items() if name != STRUCT_PAGE]
    places = [[room.ctypes.data for room in side.rooms()] for side in movable]
    for times in range(1, 1 + len(movable)):
        change_rooms(movable)
        now = [[room.ctypes.data for room in side.rooms()] for side in movable]
        assert now == [places[(i + times) % len(movable)] for i in range(len(movable))]
        replay(sides, stream, STEADY, 1, 500)  # nobody gets another block
        same_state(sides)


def test_a_side_that_goes_its_own_way_is_found_out(replayed):
    stream, sides = replayed
    assert sides[COMPACT_AHEAD].replay(stream.draw(20, ALLOCATE)) == 0
    with pytest.raises(AssertionError, match=COMPACT_AHEAD.replace("+", ".")):
        same_state(sides)
    with pytest.raises(AssertionError, match="allocations got another block"):
        replay(sides, stream, ALLOCATE, 1, 50)


@pytest.mark.parametrize(("order", "blocks"), [(0, 1 << 10), (10, 8)])
def test_every_way_of_walking_walks_the_same_list(library, order, blocks):
    ways = shuffled_walk(library, NR_PAGES, order, blocks, 1)
    assert set(ways) == {"links", "rows", "whole"}
    assert all(np.isfinite(t.ratio) for timings in ways.values() for t in timings)


def test_a_wrong_list_is_no_fast_walk(library, monkeypatch):
    from benchmarks.onezone import OneZone

    whole = OneZone.whole
    monkeypatch.setattr(OneZone, "whole", lambda *a: whole(*a)[::-1])
    with pytest.raises(AssertionError, match="another list"):
        shuffled_walk(library, NR_PAGES, 10, 8, 1)
