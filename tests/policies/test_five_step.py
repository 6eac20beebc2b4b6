"""Tsirkin's five steps: which blocks are held, where they come back, the callback."""

import dataclasses

import numpy as np
import pytest

import freehint as fh
from freehint.mm.buddy import FPI_NONE, free_block, rmqueue_smallest
from freehint.mm.fallback import RMQUEUE_NORMAL, rmqueue
from freehint.mm.isolate import isolate_free_page
from freehint.mm.memory import (
    BUDDY,
    EMPTIED,
    HEADS,
    MAX_ORDER,
    MOVABLE,
    UNMOVABLE,
    USER_LIST,
    WATCH_EMPTY,
    WMARK_MIN,
    free_list_head,
    list_nodes,
    user_node,
)
from freehint.mm.zone import alloc_pages, free_pages
from freehint.policies.five_step import FiveStep
from freehint.policies.five_step_state import AT_INTERRUPTS
from memories import empty_memory, free_memory
from strokes import Strokes

USED, TAKEN, LOST, REFUSED = (
    fh.Outcome.USED,
    fh.Outcome.TAKEN,
    fh.Outcome.LOST,
    fh.Outcome.REFUSED,
)


def order_10(memory, migratetype=MOVABLE):
    return list_nodes(memory, free_list_head(memory, 0, 10, migratetype)).tolist()


def held(memory, user=0):
    return list_nodes(memory, user_node(memory, user, USER_LIST)).tolist()


@pytest.mark.parametrize("report", ["acknowledged", "unlocked"])
def test_every_block_is_reported_once_and_comes_back_in_the_order_it_left(report):
    memory = free_memory(100 * 1024)
    before = order_10(memory)
    walk = Strokes(FiveStep(report=report), memory).to_end()
    assert [n for n, _ in walk.reported] == before == order_10(memory)
    assert [len(one.rows) for one in walk.done if one.rows] == [32, 32, 32, 4]


def test_a_second_walk_of_the_only_zone_reports_its_blocks_again():
    memory = free_memory(100 * 1024)
    walk = Strokes(FiveStep(), memory).to_end()
    first = walk.reported
    walk.call("end_walk")
    walk.done, walk.zone, walk.over = [], 0, False
    assert walk.to_end().reported == first and len(first) == 100


def test_blocks_are_neither_free_nor_lost_while_they_are_reported():
    memory = free_memory(100 * 1024)
    seen = []

    def look(walk):
        rows = [n for n, _ in walk_rows(walk)]
        seen.append(held(memory) == rows and int(memory.zones.nr_free_pages[0]))

    def walk_rows(walk):
        return [(n, 10) for n in held(walk.memory)]

    Strokes(FiveStep(), memory, meanwhile=look).to_end()
    assert seen[:4] == [68 * 1024, 68 * 1024, 68 * 1024, 96 * 1024]


def test_largest_blocks_first_and_none_below_min_order():
    memory = fh.make_memory("64MiB", fragmentation=1.0, seed=5)
    memory.zones.watermark[:] = -1
    free = fh.free_lists(memory).query("zone == 'DMA32'")["order"].astype(int)
    assert free.min() < 3
    walk = Strokes(FiveStep(min_order=3), memory).to_end()
    orders = [o for one in walk.done if one.zone == 1 for _, o in one.rows]
    assert orders == sorted(free[free >= 3], reverse=True)


@pytest.mark.parametrize("profile", fh.PROFILES.values(), ids=list(fh.PROFILES))
@pytest.mark.parametrize("capacity", [0, 1, 7])
def test_no_block_twice_and_none_left_out_on_a_quiet_guest(profile, capacity):
    memory = fh.make_memory("64MiB", profile=profile, fragmentation=0.6, seed=2)
    memory.zones.watermark[:] = -1  # isolation always leaves more than this
    before = set((fh.free_lists(memory)["pfn"] - memory.base_pfn).tolist())
    walk = Strokes(FiveStep(capacity=capacity, user=1), memory).to_end()
    nodes = [n for n, _ in walk.reported]
    assert len(nodes) == len(set(nodes))
    assert set(nodes) == before
    assert not held(memory, 1)


def test_the_min_watermark_holds_while_blocks_are_away():
    memory = free_memory(40 * 1024)
    memory.zones.watermark[0, WMARK_MIN] = 30 * 1024
    lowest = []
    Strokes(
        FiveStep(min_order=10),
        memory,
        meanwhile=lambda walk: lowest.append(int(memory.zones.nr_free_pages[0])),
    ).to_end()
    assert min(lowest) > 30 * 1024


def interrupted(memory, policy=None):
    """The guest takes the rest that isolation left of the MOVABLE list: step 5 must come."""
    taken = []

    def run_empty(walk):
        while memory.nr_free[0, 10, MOVABLE] > 0:
            taken.append(rmqueue_smallest(memory, 0, 10, MOVABLE))
        moved = walk.policy.on_empty(memory, walk.state, 0, 10, MOVABLE)
        fh.check_memory(memory)
        walk.moved = moved

    return Strokes(policy or FiveStep(capacity=8), memory, meanwhile=run_empty), taken


def test_a_list_that_runs_empty_gets_everything_back_at_once():
    memory = free_memory(20 * 1024)
    walk, taken = interrupted(memory)
    walk.stroke()
    assert len(taken) == 12 and walk.moved == 8
    assert order_10(memory) == [n for n, _ in walk.done[0].rows]
    assert walk.state.at[AT_INTERRUPTS] == 1 and not held(memory)


@pytest.mark.parametrize("outcome", [USED, LOST, REFUSED])
def test_the_drain_after_an_interrupt_moves_nothing(outcome):
    memory = free_memory(20 * 1024)
    walk, _ = interrupted(memory)
    walk.outcomes = lambda rows: [outcome] * len(rows)
    walk.stroke()
    after = order_10(memory)
    assert after == [n for n, _ in walk.done[0].rows]
    walk.meanwhile = None
    walk.to_end()
    assert order_10(memory) == after


def test_a_block_that_another_user_holds_by_then_is_left_to_it():
    memory = free_memory(20 * 1024)
    walk, _ = interrupted(memory)
    empty = walk.meanwhile

    def then_isolate(walk):
        empty(walk)
        isolate_free_page(memory, order_10(memory)[3], 2)

    walk.meanwhile = then_isolate
    walk.stroke()
    assert held(memory, 2) == [walk.done[0].rows[3][0]]


def test_a_list_that_isolation_emptied_calls_back_when_it_is_missed():
    memory = free_memory(4 * 1024)
    memory.zones.watermark[:] = -1
    memory.notify[WATCH_EMPTY] = 1
    found = []

    def want_a_page(walk):
        assert not order_10(memory)
        assert rmqueue(memory, 0, 0, MOVABLE, 0, RMQUEUE_NORMAL)[0] == -1
        which = int(memory.notify[EMPTIED]) - 1
        found.append((which % HEADS, which // HEADS % MAX_ORDER))
        migratetype, order = found[-1]
        assert walk.policy.on_empty(memory, walk.state, 0, order, migratetype) == 4
        assert rmqueue(memory, 0, 0, MOVABLE, 0, RMQUEUE_NORMAL)[0] >= 0

    walk = Strokes(FiveStep(capacity=8), memory, meanwhile=want_a_page)
    walk.stroke()
    assert found == [(MOVABLE, 0)]
    fh.check_memory(memory)


def test_a_list_that_isolation_emptied_calls_back_though_a_larger_block_would_serve():
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(-1, -1, -1))
    free_block(memory, 0, 0, 9, FPI_NONE)
    moved = []

    def run_empty(walk):
        free_block(memory, 1024, 0, 10, FPI_NONE)
        moved.append(walk.policy.on_empty(memory, walk.state, 0, 9, MOVABLE))

    Strokes(FiveStep(), memory, meanwhile=run_empty).stroke()
    assert moved == [1] and not held(memory)


def test_a_list_that_gave_nothing_does_not_interrupt():
    memory = free_memory(20 * 1024)
    walk = Strokes(FiveStep(capacity=8), memory)
    moved = []
    walk.meanwhile = lambda w: moved.append(w.policy.on_empty(memory, w.state, 0, 10, UNMOVABLE))
    walk.stroke()
    assert moved == [0] and walk.state.at[AT_INTERRUPTS] == 0


def test_refused_blocks_go_first_lost_ones_last():
    memory = free_memory(20 * 1024)
    before = order_10(memory)
    answers = [[USED, LOST, REFUSED, REFUSED]]
    walk = Strokes(FiveStep(capacity=4), memory, lambda rows: answers[0])
    walk.stroke()
    assert order_10(memory) == before[2:] + before[:2]
    walk.outcomes = None
    walk.to_end()
    nodes = [n for n, _ in walk.reported]
    assert nodes == [before[0], *before[2:]]


@pytest.mark.parametrize("verb", ["release", "shrink"])
def test_held_blocks_come_back_when_asked_for(verb):
    memory = free_memory(20 * 1024)
    policy = FiveStep(capacity=8)
    state = policy.new_state(memory, policy)
    n, _ = policy.fill(memory, state, 0, np.zeros((9, 3), np.int64), 8)
    if verb == "release":
        assert policy.release(memory, state) == n
    else:
        assert policy.shrink(memory, state, 1) == n * 1024
    fh.check_memory(memory)
    assert memory.zones.nr_free_pages[0] == 20 * 1024
    assert policy.release(memory, state) == 0


def test_a_walk_that_was_given_up_leaves_nothing_that_hurts_the_next():
    memory = free_memory(20 * 1024)
    Strokes(FiveStep(capacity=4), memory).stroke()
    walk = Strokes(FiveStep(capacity=4), memory).to_end()
    assert len(walk.reported) == 20
    head = free_list_head(memory, 0, 10, MOVABLE)
    assert fh.mm.list.list_length(memory.links, head) == 20  # no END is left


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("on_full", ["lose", "stop"])
def test_the_walk_ends_whatever_guest_and_ring_do(seed, on_full):
    chance = np.random.default_rng(seed)
    memory = fh.make_memory("64MiB", fragmentation=0.8, seed=seed)
    taken = []

    def guest(walk):
        for _ in range(chance.integers(0, 60)):
            if taken and chance.random() < 0.5:
                node, order = taken.pop(chance.integers(len(taken)))
                free_pages(memory, node, 0, order, 0)
                continue
            order = int(chance.choice([0, 0, 3, 9, 10]))
            empty = {(z, o, t) for z, o, t in zip(*np.nonzero(memory.nr_free == 0))}
            node, _, _ = alloc_pages(memory, 0, order, int(chance.integers(0, 3)), 0)
            if node >= 0:
                taken.append((node, order))
            for z, o, t in zip(*np.nonzero(memory.nr_free == 0)):
                if (z, o, t) not in empty:
                    walk.policy.on_empty(memory, walk.state, int(z), int(o), int(t))

    def ring(rows):
        room = int(chance.integers(0, 20))
        rest = LOST if on_full == "lose" else REFUSED
        return ([USED] * len(rows))[:room] + [rest] * (len(rows) - room)

    walk = Strokes(FiveStep(capacity=16, on_full=on_full), memory, ring, guest).to_end(2000)
    assert not held(memory)
    assert all(memory.frame[n] & BUDDY == 0 for n, _ in taken)
    assert len(walk.reported) > 50


def test_what_the_guest_freed_again_may_be_reported_again():
    memory = free_memory(20 * 1024)
    walk = Strokes(FiveStep(capacity=4), memory)
    walk.stroke()
    node = walk.done[0].rows[0][0]
    while rmqueue_smallest(memory, 0, 10, MOVABLE) != node:
        pass
    free_block(memory, node, 0, 10, 0)
    walk.to_end()
    assert [n for n, _ in walk.reported].count(node) == 2


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"min_order": 11}, "policy.min_order must be a whole number in 0..10, got 11"),
        ({"report": "under_lock"}, "policy.report must be unlocked or acknowledged"),
    ],
)
def test_bad_knobs_are_refused(wrong, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        dataclasses.replace(fh.POLICIES["five_step"], **wrong)
