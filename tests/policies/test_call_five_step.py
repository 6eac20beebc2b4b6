"""The five steps as a kernel can be called: what is held, marked, kept and given back early."""

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import FPI_NONE, del_page_from_free_list, free_block
from freehint.mm.list import list_move
from freehint.mm.memory import MARK_SHIFT, MOVABLE, free_list_head, list_nodes
from freehint.mm.zone import alloc_pages, free_pages
from freehint.policies.call_five_step import CallFiveStep, note_used
from freehint.policies.call_five_step_state import (
    AT_CALL_OVER,
    AT_CAPACITY,
    AT_EMPTY,
    AT_END,
    AT_INTERRUPTS,
    AT_KEPT_BLOCK,
    AT_MISSED,
    AT_REFUSED,
    AT_WATERMARK,
)
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome
from memories import free_memory


def driven(memory, **knobs):
    return Drive(CallFiveStep(**{"min_order": 10, "capacity": 0} | knobs), memory)


def taken(drive, strokes=2):
    """The numbers of the blocks that the next strokes take; the second is MOVABLE's list."""
    found = []
    for _ in range(strokes):
        assert drive.begin()
        report, n, _ = drive.choose()
        found += (report[:n, 0] >> 10).tolist()
    return found


def settle(drive, numbers, used=()):
    """Step 4, after the host has used some of the blocks."""
    report = np.zeros((len(numbers) + 1, 3), np.int64)
    report[: len(numbers), 0] = np.array(numbers, np.int64) << 10
    outcomes = [Outcome.USED if number in used else Outcome.TAKEN for number in numbers]
    drive.settle(report, np.array(outcomes, np.uint8))


def movable(memory):
    return [n >> 10 for n in list_nodes(memory, free_list_head(memory, 0, 10, MOVABLE)).tolist()]


def test_the_last_block_of_a_list_stays():
    memory = free_memory(4096)
    drive = driven(memory)
    assert taken(drive) == [0, 1, 2] and movable(memory) == [3]
    assert drive.state.at[AT_END] == AT_KEPT_BLOCK and not drive.state.at[AT_CALL_OVER]


def test_without_keep_the_watermark_ends_the_list():
    memory = free_memory(4096)
    drive = driven(memory, keep=False)
    assert taken(drive) == [0, 1, 2] and movable(memory) == [3]
    assert drive.state.at[AT_END] == AT_WATERMARK and drive.state.at[AT_REFUSED] >> 10 == 3


def test_the_capacity_ends_the_call_and_used_blocks_are_skipped_until_they_leave():
    memory = free_memory(8192)
    drive = driven(memory, capacity=2)
    assert taken(drive) == [0, 1] and drive.state.at[AT_END] == AT_CAPACITY
    settle(drive, [0, 1], used=[0])
    assert movable(memory) == [2, 3, 4, 5, 6, 7, 0, 1]
    for number in (1, 0):
        list_move(memory.links, number << 10, free_list_head(memory, 0, 10, MOVABLE))
    assert taken(drive) == [1, 2]  # 0 is marked
    settle(drive, [1, 2])
    node, _, _ = alloc_pages(memory, 0, 10, MOVABLE, 0)
    assert node == 0 and memory.frame[0] & (1 << MARK_SHIFT) == 0


def test_marks_last_into_the_next_walk():
    memory = free_memory(4096)
    drive = driven(memory)
    settle(drive, taken(drive), used=[0, 1, 2])
    assert movable(memory) == [3, 0, 1, 2]
    assert taken(driven(memory)) == [3]


def test_an_allocation_that_empties_a_list_gets_all_held_blocks_and_used_ones_keep_their_mark():
    memory = free_memory(4096)
    drive = driven(memory)
    assert taken(drive) == [0, 1, 2]
    note_used(memory, drive.state, 1 << 10)
    assert drive.call("on_empty", 0, 0, MOVABLE) == 0  # one block is left
    del_page_from_free_list(memory, 3 << 10, 0, 10)
    assert movable(memory) == []
    assert drive.call("on_empty", 0, 0, 0) == 0  # another type
    assert drive.call("on_empty", 0, 0, MOVABLE) == 3
    at = drive.state.at
    assert (at[AT_EMPTY], at[AT_MISSED], at[AT_CALL_OVER]) == (10, 3, 1)
    assert movable(memory) == [0, 1, 2]
    marks = [int(memory.frame[n << 10]) >> MARK_SHIFT & 1 for n in (0, 1, 2)]
    assert marks == [0, 1, 0]
    settle(drive, [0, 1, 2])  # It is too late for step 4.
    assert movable(memory) == [0, 1, 2]


def test_a_block_that_merges_loses_its_mark():
    memory = free_memory(4096)
    del_page_from_free_list(memory, 0, 0, 10)
    free_block(memory, 512, 0, 9, FPI_NONE)
    drive = driven(memory, min_order=9, capacity=1, keep=False, order="low_first")
    drive.begin()
    assert drive.choose()[1] == 0  # UNMOVABLE's list
    report, n, _ = drive.choose()
    assert report[:n, 0].tolist() == [512]
    free_block(memory, 0, 0, 9, FPI_NONE)
    drive.settle(report, np.array([Outcome.USED], np.uint8))
    assert drive.state.merged[512] and not (memory.frame >> MARK_SHIFT).any()


@pytest.mark.parametrize("verb", ["release", "shrink"])
def test_all_blocks_come_back_in_the_order_in_which_they_were_taken(verb):
    memory = free_memory(8192)
    drive = driven(memory)
    assert taken(drive) == list(range(7))
    assert drive.call(verb, *([1] if verb == "shrink" else [])) > 0
    assert movable(memory) == [7, *range(7)]
    fh.check_memory(memory)


@pytest.mark.parametrize("knobs", [{}, {"keep": False, "order": "low_first"}, {"span": False}])
def test_it_runs_in_an_experiment_and_loses_no_page(knobs):
    policy = CallFiveStep(capacity=64, **knobs)
    run = fh.simulate(fh.Scenario(policy=policy, memory="64MiB", walk_at_ns=0))
    assert len(run.reports) > 0


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_a_busy_guest_gets_its_blocks_back_and_the_lists_stay_whole(kernel, keep):
    memory = fh.make_memory("64MiB", fh.PROFILES[kernel], seed=4, fragmentation=0.9)
    drive = driven(memory, min_order=0, capacity=200, keep=keep)
    chance, held = np.random.default_rng(2), []
    for _ in range(300):
        if not drive.begin():
            break
        drive.choose()
        for _ in range(4):
            order, migratetype = int(chance.choice([0, 2, 9])), int(chance.integers(0, 3))
            node, _, _ = alloc_pages(memory, 0, order, migratetype, 0)
            if node >= 0:
                held.append((node, order))
                drive.call("on_empty", 0, order, migratetype)
        if drive.state.at[AT_CALL_OVER]:
            for drive.zone in range(len(memory.zones)):
                settle(drive, [])
            assert not drive.state.held.any()
            for node, order in held:
                free_pages(memory, node, 0, order, 0)
            held.clear()
    drive.call("release")
    fh.check_memory(memory)
    assert drive.state.at[AT_INTERRUPTS] > 0
