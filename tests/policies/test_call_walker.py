"""The walker as a kernel can be called: calls over many lists, and nothing foreign on a list."""

import itertools

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, del_page_from_free_list, free_block
from freehint.mm.list import list_move
from freehint.mm.memory import MOVABLE, WITHOUT_CMA, free_list_head, list_nodes
from freehint.mm.zone import alloc_pages, free_pages
from freehint.policies.call_walker import CALL_RESUME, LAP, CallWalker
from freehint.policies.drive import Drive
from freehint.policies.policy import ON_FULL, Outcome
from freehint.policies.walk_state import (
    AFTER_LAP,
    AT_A_FULL_RING,
    AT_CALL_OVER,
    AT_CAPACITY,
    AT_CURSOR,
    AT_END,
    AT_FIRST,
    AT_GONE,
    AT_ITS_END,
)
from freehint.policies.walker import ROTATE
from memories import empty_memory, free_everything, free_memory


def two_zones():
    """DMA with 3 blocks of order 10 and DMA32 with 5."""
    return free_everything(empty_memory({"DMA": (1024, 4096), "DMA32": (4096, 9216)}))


def driven(memory, **knobs):
    knobs = {"rotate": "on_exit", "resume": "scan_for_first", "min_order": 10} | knobs
    return Drive(CallWalker("w", **knobs), memory)


def calls(drive, most=50):
    """The numbers of the blocks offered in each call, counted from 0 in the memory."""
    found = [[]]
    for _ in range(most):
        stroke = drive.stroke()
        if stroke is None:
            break
        found[-1] += [node >> 10 for node, _ in stroke.rows]
        if drive.state.at[AT_CALL_OVER]:
            found.append([])
    return found


def leave(memory, number):
    """Take a block of order 10 off its list, as an allocation would."""
    zone = 0 if len(memory.zones) == 1 or number < 3 else 1
    del_page_from_free_list(memory, number << 10, zone, 10)
    memory.zones[zone].nr_free_pages -= 1024


def come_back(memory, number, fpi_flags=FPI_NONE):
    zone = 0 if len(memory.zones) == 1 or number < 3 else 1
    free_block(memory, number << 10, zone, 10, fpi_flags)


def movable(memory, zone=0):
    return [n >> 10 for n in list_nodes(memory, free_list_head(memory, zone, 10, MOVABLE)).tolist()]


def test_a_call_goes_over_the_zones_and_takes_the_lock_once_a_list():
    drive = driven(two_zones(), capacity=4)
    strokes = list(drive)
    assert len(strokes) == 2 * 5 + 1  # every list, and once more the list at which a call ended
    assert [len(s.rows) for s in strokes] == [0, 3, 0, 0, 0, 0, 1, 4, 0, 0, 0]
    assert [s.zone for s in strokes] == [0] * 5 + [1] * 6


def test_a_call_that_restarts_begins_with_the_first_zone_again():
    again = calls(driven(two_zones(), rotate="never", resume="restart", capacity=4), most=28)
    assert again == [[0, 1, 2, 3]] * 4 + [[]]
    assert calls(driven(two_zones(), capacity=4)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_full_buffer_ends_the_call_at_the_next_block_and_not_before():
    drive = driven(two_zones(), capacity=3)
    ends = []
    while (stroke := drive.stroke()) and not drive.state.at[AT_CALL_OVER]:
        ends.append(int(drive.state.at[AT_END]))
    assert stroke.rows == [] and stroke.zone == 1  # the first block that finds no room
    assert drive.state.at[AT_END] == AT_CAPACITY and ends == [AT_ITS_END] * 6


def test_without_span_a_call_ends_with_the_first_list_that_gave_a_block():
    assert calls(driven(two_zones(), capacity=0, span=False)) == [[0, 1, 2], [3, 4, 5, 6, 7], []]
    assert calls(driven(two_zones(), capacity=0)) == [[0, 1, 2, 3, 4, 5, 6, 7]]


@pytest.mark.parametrize(("lap", "second"), [("always", [3]), ("if_first_is_gone", [3, 8, 9])])
def test_a_lap_ends_a_list_that_has_grown_though_a_is_still_on_it(lap, second):
    memory = free_memory(10240)
    leave(memory, 8)
    leave(memory, 9)
    for number in range(4, 8):
        leave(memory, number)
    drive = driven(memory, capacity=3, lap=lap)
    assert calls(drive, most=2) == [[0, 1, 2], []]
    assert movable(memory) == [3, 0, 1, 2]
    for number in (8, 9):  # They come behind 3, in front of A.
        come_back(memory, number, FPI_TO_TAIL)
        list_move(memory.links, number << 10, 3 << 10)
    assert movable(memory) == [3, 9, 8, 0, 1, 2]
    found = drive.stroke()
    assert sorted(node >> 10 for node, _ in found.rows) == second
    assert drive.state.at[AT_END] == (AFTER_LAP if lap == "always" else AT_FIRST)


def test_if_a_is_gone_any_marked_block_ends_the_list_and_none_is_told_twice():
    """The thread's "A and only A has been consumed"."""
    for resume, told in (("scan_for_first", [[3, 4, 1], [2, 3]]), ("scan_for_mark", [[3, 4]])):
        memory = free_memory(8192)
        drive = driven(memory, capacity=3, resume=resume)
        assert calls(drive, most=2) == [[0, 1, 2], []]
        for number in (0, 5, 6, 7):
            leave(memory, number)
        assert calls(drive) == told


def test_a_mark_of_an_earlier_walk_ends_nothing():
    memory = free_memory(4096)
    assert calls(driven(memory, capacity=0, resume="scan_for_mark")) == [[0, 1, 2, 3]]
    assert calls(driven(memory, capacity=0, resume="scan_for_mark")) == [[0, 1, 2, 3]]


def newest(memory, capacity=2):
    drive = driven(memory, rotate="never", resume="newest_report", capacity=capacity)
    assert calls(drive, most=2) == [[0, 1], []]
    return drive


@pytest.mark.parametrize(
    ("gone", "cursor", "newer", "told"),
    [
        ([], 1, 0, [2, 3]),
        ([1], 0, 1, [2, 3]),
        ([0], 1, 0, [2, 3]),
        ([0, 1], -1, 2, [2, 3]),
    ],
)
def test_the_walk_goes_on_behind_the_newest_report_that_is_left(gone, cursor, newer, told):
    memory = free_memory(8192)
    drive = newest(memory)
    for number in gone:
        leave(memory, number)
    stroke = drive.stroke()
    assert [node >> 10 for node, _ in stroke.rows] == told
    place = drive.state.at[AT_CURSOR]
    assert (place >> 10 if place >= 0 else -1, drive.state.at[AT_GONE]) == (cursor, newer)


def test_a_block_that_left_and_came_back_is_no_bookmark():
    memory = free_memory(8192)
    drive = newest(memory)
    leave(memory, 1)
    come_back(memory, 1, FPI_TO_TAIL)
    assert [node >> 10 for node, _ in drive.stroke().rows] == [2, 3]
    assert drive.state.at[AT_CURSOR] == 0 and drive.state.at[AT_GONE] == 1


def test_nothing_foreign_stands_on_a_list_between_two_strokes():
    memory = free_memory(8192)
    newest(memory)
    on_lists = set()
    for migratetype in range(WITHOUT_CMA):
        on_lists |= set(list_nodes(memory, free_list_head(memory, 0, 10, migratetype)).tolist())
    assert on_lists == {number << 10 for number in range(8)}


def test_what_the_host_has_used_is_skipped_from_the_first_list_on():
    memory = free_memory(4096)
    policy = CallWalker("w", resume="host_feedback", min_order=10, capacity=2)
    drive = Drive(policy, memory, host_is_slow=True)
    assert calls(drive, most=2) == [[0, 1], []]
    drive.use(np.array([[0, 10, 0]]))
    assert calls(drive, most=2)[0] == [1, 2]


@pytest.mark.parametrize("resume", CALL_RESUME)
def test_a_full_ring_ends_the_call_and_the_refused_block_is_the_next(resume):
    memory = free_memory(4096)
    room = [2]

    def outcomes(rows):
        taken = min(len(rows), room[0])
        room[0] = 9 if rows else room[0]
        return [Outcome.TAKEN] * taken + [Outcome.REFUSED] * (len(rows) - taken)

    knobs = {"rotate": "on_exit", "resume": resume, "min_order": 10, "on_full": "stop"}
    drive = Drive(CallWalker("w", capacity=0, **knobs), memory, outcomes, host_is_slow=True)
    drive.stroke()
    drive.stroke()
    at = drive.state.at
    assert at[AT_CALL_OVER] and at[AT_END] == AT_A_FULL_RING
    assert movable(memory) == [2, 3, 0, 1]
    later = calls(drive, most=9)[0]
    assert later[:2] == ([] if resume == "newest_report" else [2, 3])


def test_a_scan_ends_at_a_and_is_told():
    memory = free_memory(4096)
    drive = driven(memory, capacity=3)
    assert calls(drive, most=2) == [[0, 1, 2], []]
    assert [node >> 10 for node, _ in drive.stroke().rows] == [3]
    assert drive.state.at[AT_END] == AT_FIRST


@pytest.mark.parametrize("resume", ["scan_for_first", "scan_for_mark"])
def test_a_scan_without_rotation_is_refused(resume):
    with pytest.raises(fh.InputError, match=f"'{resume}' cannot go with policy.rotate 'never'"):
        CallWalker("w", rotate="never", resume=resume)


@pytest.mark.parametrize(
    ("gone", "lap", "told"),
    [
        # A has come back as another stay, so only the lap ends the list.
        ((6, 7), "always", [[0, 3, 4], [5, 1]]),
        ((6, 7), "shrinks", [[0, 3, 4]]),
        # A is gone, and counts as one that was still to be told.
        ((0, 6, 7), "always", [[3, 4, 5], [1, 2]]),
        ((0, 6, 7), "shrinks", [[3, 4]]),
    ],
)
def test_a_lap_that_shrinks_tells_nothing_twice(gone, lap, told):
    memory = free_memory(8192)
    drive = driven(memory, capacity=3, lap=lap)
    assert calls(drive, most=2) == [[0, 1, 2], []]
    for number in {0, *gone}:
        leave(memory, number)
    if 0 not in gone:
        come_back(memory, 0)
    assert calls(drive) == told


@pytest.mark.parametrize(
    ("resume", "strokes", "told"),
    [
        ("restart", 2, 2),
        ("restart", 3, 3),
        ("scan_for_first", 1, 1),
        ("scan_for_first", 9, 2),
    ],
)
def test_the_calls_of_a_walk_are_counted(resume, strokes, told):
    rotate = "never" if resume == "restart" else "on_exit"
    drive = driven(free_memory(6144), resume=resume, rotate=rotate, capacity=3, strokes=strokes)
    found = [call for call in calls(drive) if call]
    assert len(found) == told and all(len(call) == 3 for call in found)
    assert drive.stroke() is None and drive.stroke() is None


def test_a_walk_that_restarts_ends_with_its_last_list_unless_its_calls_are_counted():
    for strokes, told in ((0, 1), (4, 4)):
        drive = driven(
            free_memory(4096), resume="restart", rotate="never", capacity=0, strokes=strokes
        )
        assert sum(len(stroke.rows) for stroke in drive) == 4 * told


KNOBS = list(itertools.product(ROTATE, CALL_RESUME, LAP, (True, False), ON_FULL))


@pytest.mark.parametrize("knobs", KNOBS, ids=lambda k: "-".join(map(str, k)))
def test_every_combination_of_knobs_leaves_the_lists_whole(knobs):
    values = dict(zip(("rotate", "resume", "lap", "span", "on_full"), knobs, strict=True))
    if values["rotate"] == "never" and values["resume"].startswith("scan"):
        return
    memory = fh.make_memory("64MiB", fragmentation=0.9, seed=4)
    chance, held = np.random.default_rng(1), []
    missing = Outcome.LOST if values["on_full"] == "lose" else Outcome.REFUSED

    def outcomes(rows):
        room = len(rows) if values["on_full"] == "wait" else int(chance.integers(0, 40))
        return [Outcome.TAKEN if i < room else missing for i in range(len(rows))]

    drive = Drive(CallWalker("w", capacity=60, **values), memory, outcomes)
    offered = 0
    for _ in range(300):
        stroke = drive.stroke()
        if stroke is None:
            break
        nodes = [node for node, _ in stroke.rows]
        assert len(set(nodes)) == len(nodes) <= 60
        offered += len(nodes)
        for _ in range(3):
            if held and chance.random() < 0.6:
                node, order = held.pop(int(chance.integers(len(held))))
                free_pages(memory, node, 0, order, 0)
            else:
                order = int(chance.choice([0, 2, 9]))
                node, _, _ = alloc_pages(memory, 0, order, int(chance.integers(0, 3)), 0)
                if node >= 0:
                    held.append((node, order))
    fh.check_memory(memory)
    assert offered > 0
