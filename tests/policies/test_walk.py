"""walk_free_mem_block, and the walker's verbs under everything that may happen between strokes."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import freehint as fh
from freehint.mm.buddy import FPI_NONE, del_page_from_free_list, free_block, rmqueue_smallest
from freehint.mm.list import list_next, set_list
from freehint.mm.memory import (
    GATHER_FROM,
    HINTED,
    MOVABLE,
    REPORTED,
    USER_BOOKMARK,
    copy_memory,
    free_list_head,
    user_node,
)
from freehint.mm.zone import alloc_pages, free_pages
from freehint.policies.policy import ON_FULL
from freehint.policies.walk import fill
from freehint.policies.walk_state import HIGH_FIRST, NEVER_ROTATE, PER_LIST, RESTART, new_walk_state
from freehint.policies.walker import LOCK, ORDER, RESUME, ROTATE
from freehint.studies.thread import eight_blocks, thread_story
from memories import SETTINGS, empty_memory, examples
from strokes import Strokes, refused_with_a_reason


@pytest.fixture(scope="module")
def guest():
    return fh.load_snapshot(fh.data("linux-6.1/traces/frag.T1"))


def test_walk_visits_every_block_in_the_kernels_order(guest):
    seen = []
    assert fh.walk_free_mem_block(guest, lambda opaque, pfn, nr: seen.append((pfn, nr))) == 0
    lists = fh.free_lists(guest)
    zone = lists["zone"].cat.codes.to_numpy()
    rank = np.lexsort((lists["position"], lists["migratetype"], -lists["order"].astype(int), zone))
    expected = lists.iloc[rank]
    assert [p for p, _ in seen] == expected["pfn"].tolist()
    assert [n for _, n in seen] == [1 << k for k in expected["order"]]


def test_walk_stops_at_the_first_value_that_is_not_zero_and_returns_it(guest):
    calls = []

    def stop_at_third(opaque, pfn, nr_pages):
        calls.append(opaque)
        return -4 if len(calls) == 3 else None

    assert fh.walk_free_mem_block(guest, stop_at_third, opaque="mine") == -4
    assert calls == ["mine"] * 3


def test_v24_callback_says_true_to_go_on(guest):
    answers = iter([True, True, False])
    calls = []
    stop = fh.walk_free_mem_block(
        guest, fh.v24(lambda o, pfn, nr: calls.append(pfn) or next(answers))
    )
    assert (stop, len(calls)) == (1, 3)


def test_min_order_leaves_smaller_blocks_out(guest):
    sizes = []
    fh.walk_free_mem_block(guest, lambda o, pfn, nr: sizes.append(nr), min_order=9)
    assert len(sizes) > 0 and min(sizes) >= 512


@pytest.mark.parametrize("min_order", [-1, 11, 1.5, "9"])
def test_min_order_out_of_range_is_refused(guest, min_order):
    with pytest.raises(fh.InputError, match=r"min_order .*got"):
        fh.walk_free_mem_block(guest, print, min_order=min_order)


def test_a_callback_that_cannot_be_called_is_refused(guest):
    with pytest.raises(fh.InputError, match="report_pfn_range must be callable, got 3"):
        fh.walk_free_mem_block(guest, 3)


# The thread's example, in the thread's words.


def reports(*args, **knobs):
    return ["".join(s.reported) for s in thread_story(*args, **knobs).steps if s.reported]


def test_unchanged_list_after_rotation_is_c_to_h_then_a_b():
    assert thread_story("on_exit", "scan_for_first").steps[1].chain == tuple("CDEFGHAB")


@pytest.mark.parametrize("rotate", ["on_exit", "each_report"])
def test_scan_until_a_is_seen_reports_each_block_once(rotate):
    assert reports(rotate, "scan_for_first") == ["AB", "CD", "EF", "GH"]


def test_a_and_only_a_consumed_ends_after_one_lap():
    told = thread_story("on_exit", "scan_for_first", consumed="A")
    assert (told.finished, told.duplicates, told.unreported) == (True, 0, ())


def test_when_more_than_a_is_gone_b_is_reported_twice():
    told = thread_story("on_exit", "scan_for_first", consumed="A and C")
    assert told.finished
    assert [s.duplicates for s in told.steps if s.duplicates] == [("B",)]


def test_a_freed_again_is_not_a():
    policy = fh.Walker("w", rotate="on_exit", resume="scan_for_first", capacity=2)
    from freehint.mm.buddy import FPI_NONE, free_one_page
    from freehint.studies.thread import eight_blocks

    memory = eight_blocks()
    walk = Walk(policy, memory)
    walk.stroke(0)
    taken = rmqueue_smallest(memory, 0, 9, MOVABLE)  # C, the head
    free_one_page(memory, taken, 0, 9, MOVABLE, FPI_NONE)
    # A leaves its list and comes back: a new stay, unknown to the walk.
    from freehint.mm.buddy import del_page_from_free_list

    del_page_from_free_list(memory, 0, 0, 9)
    free_one_page(memory, 0, 0, 9, MOVABLE, FPI_NONE)
    rest = walk.to_end(0)
    assert rest[0] == 0  # A stands at the head again, and is reported again


@pytest.mark.parametrize("resume", ["cursor", "host_feedback"])
@pytest.mark.parametrize("rotate", ROTATE)
@pytest.mark.parametrize("consumed", ["nothing", "A", "A and C", "A and B", "everything"])
def test_cursor_and_feedback_report_each_block_once_whatever_is_consumed(rotate, resume, consumed):
    told = thread_story(rotate, resume, consumed=consumed)
    assert (told.finished, told.duplicates, told.unreported) == (True, 0, ())


@pytest.mark.parametrize("rotate", ROTATE)
def test_restart_offers_blocks_for_ever(rotate):
    told = thread_story(rotate, "restart")
    assert not told.finished and told.duplicates >= 16


def test_scan_without_rotation_is_refused_with_a_reason():
    with pytest.raises(fh.InputError, match=r"cannot go with policy.rotate 'never'"):
        fh.Walker("w", rotate="never", resume="scan_for_first")


def test_whole_walk_that_stops_on_a_full_ring_is_refused_with_a_reason():
    with pytest.raises(fh.InputError, match="until the host has taken everything"):
        fh.Walker("w", lock="whole_walk", on_full="stop")


class Walk:
    """Drives a walker's verbs as the engine does, with outcomes of the caller's choice."""

    def __init__(self, policy, memory):
        self.policy, self.memory = policy, memory
        self.state = policy.new_state(memory, policy)
        self.capacity = policy.stroke_capacity or int(memory.nr_free.sum()) + 1

    def stroke(self, zone, refuse_from=None, lose=()):
        report = np.zeros((self.capacity + 1, 3), np.int64)
        n, status = self.policy.fill(self.memory, self.state, zone, report, self.capacity)
        outcome = np.full(self.capacity, fh.Outcome.TAKEN, np.uint8)
        for row in lose:
            if row < n:
                outcome[row] = fh.Outcome.LOST
        refused = refuse_from is not None and refuse_from < n
        if refused:
            outcome[refuse_from:] = fh.Outcome.REFUSED
        offered = n if not refused else refuse_from
        nodes = [int(x) for x in report[:offered, 0]]
        if n:
            self.memory.frame[[x for x, o in zip(nodes, outcome) if o == 1]] |= HINTED
            self.policy.drain(self.memory, self.state, zone, report, n, outcome)
            if self.policy.wants_feedback and offered:
                used = np.full(offered, fh.Outcome.USED, np.uint8)
                self.policy.drain(self.memory, self.state, zone, report, offered, used)
        return nodes, status == fh.Stroke.ZONE_DONE and not refused

    def to_end(self, zone, most=100_000):
        reported = []
        for _ in range(most):
            nodes, done = self.stroke(zone)
            reported += nodes
            if done:
                return reported
        raise AssertionError("the walk does not end")


FINITE = [
    (rotate, resume)
    for rotate in ROTATE
    for resume in RESUME
    if resume != "restart" and (rotate, resume) != ("never", "scan_for_first")
]


@pytest.mark.parametrize("order", ORDER)
@pytest.mark.parametrize(("rotate", "resume"), FINITE)
def test_an_undisturbed_walk_reports_every_block_once(guest, rotate, resume, order):
    memory = copy_memory(guest)
    policy = fh.Walker("w", rotate=rotate, resume=resume, order=order, capacity=509)
    walk = Walk(policy, memory)
    before = fh.free_lists(memory)
    reported = [n for zone in range(len(memory.zones)) for n in walk.to_end(zone)]
    assert len(reported) == len(before)
    assert set(reported) == set(before["pfn"] - memory.base_pfn)
    fh.check_memory(memory)
    # A whole lap of rotation leaves every list in the order it had.
    assert fh.free_lists(memory)["pfn"].tolist() == before["pfn"].tolist()


def free_list_positions(memory):
    table = fh.free_lists(memory)
    return set(zip(table["pfn"], table["order"]))


def random_history(memory, stream, zone, walk):
    """A walk with allocations, frees and refusals between its strokes: the blocks reported, and
    those that stood on their lists all the while."""
    staying = free_list_positions(memory)
    reported, held, done = [], [], False
    while not done:
        refuse = int(stream.choice([0, 1, 3])) if stream.random() < 0.2 else None
        nodes, done = walk.stroke(zone, refuse_from=refuse)
        reported += nodes
        for _ in range(stream.integers(0, 4)):
            if held and stream.random() < 0.5:
                node, order = held.pop(stream.integers(len(held)))
                free_pages(memory, node, 0, order, 0)
            else:
                order = int(stream.choice([0, 0, 1, 4, 9, 10]))
                node, _, _ = alloc_pages(memory, 0, order, MOVABLE, 0)
                if node >= 0:
                    held.append((node, order))
            staying &= free_list_positions(memory)
        fh.check_memory(memory)
    return reported, staying


@settings(SETTINGS, max_examples=examples(25))
@given(seed=st.integers(0, 10**6), rotate=st.sampled_from(ROTATE), capacity=st.integers(20, 200))
def test_bookmark_survives_whatever_happens_between_strokes(seed, rotate, capacity):
    """Blocks taken, merged, split, lists emptied, hints refused: every block that stands on its
    list throughout is reported exactly once, and the lists stay whole."""
    memory = fh.make_memory("64MiB", fragmentation=1.0, seed=seed)
    walk = Walk(fh.Walker("w", rotate=rotate, resume="cursor", capacity=capacity), memory)
    reported, staying = random_history(memory, np.random.default_rng(seed), 1, walk)
    inside = [p - memory.base_pfn for p, _ in staying if p >= memory.zones[1].start_pfn]
    assert len(inside) > 0
    assert {reported.count(node) for node in inside} == {1}


def test_bookmark_is_gone_after_the_walk(guest):
    memory = copy_memory(guest)
    walk = Walk(fh.Walker("w", resume="cursor", capacity=100), memory)
    for zone in range(len(memory.zones)):
        walk.to_end(zone)
    bookmark = user_node(memory, 0, USER_BOOKMARK)
    assert memory.links.reshape(-1, 2)[bookmark].tolist() == [bookmark, bookmark]


@pytest.mark.parametrize(("rotate", "resume"), FINITE)
def test_a_full_ring_that_stops_the_stroke_loses_no_block(rotate, resume):
    memory = fh.make_memory("64MiB", fragmentation=1.0)
    policy = fh.Walker("w", rotate=rotate, resume=resume, capacity=7, on_full="stop")
    walk = Walk(policy, memory)
    expected = {p - memory.base_pfn for p, _ in free_list_positions(memory)}
    reported, zone, turn = [], 0, 0
    while zone < 2:
        nodes, done = walk.stroke(zone, refuse_from=(None, 3, 0, 5)[turn % 4])
        reported += nodes
        zone += done
        turn += 1
        assert turn < 10_000
    assert set(reported) == expected
    assert len(reported) == len(expected)


def test_what_a_full_ring_refused_does_not_count_for_the_lap():
    """A is consumed, so one lap must do; it leaves none of the others out."""
    memory = eight_blocks()
    knobs = {"rotate": "on_exit", "resume": "scan_for_first", "on_full": "stop"}
    walk = Walk(fh.Walker("w", capacity=2, **knobs), memory)
    assert walk.stroke(0, refuse_from=1) == ([0], False)
    del_page_from_free_list(memory, 0, 0, 9)
    assert walk.to_end(0) == [1024 * i for i in range(1, 8)]


def test_a_lost_hint_is_not_rotated():
    memory = fh.make_memory("64MiB")
    head = fh.free_lists(memory).query("zone == 'DMA32' and order == 10")["pfn"].iloc[:3].tolist()
    walk = Walk(fh.Walker("w", rotate="on_exit", resume="scan_for_first", capacity=2), memory)
    walk.stroke(1, lose=(1,))
    after = fh.free_lists(memory).query("zone == 'DMA32' and order == 10")["pfn"].tolist()
    assert after[0] == head[1] and after[-1] == head[0]


@pytest.mark.parametrize("again", [False, True])
def test_what_the_host_used_is_marked_unless_it_was_allocated_meanwhile(again):
    memory = fh.make_memory("64MiB")
    policy = fh.Walker("w", resume="host_feedback", min_order=10, capacity=1)
    walk = Strokes(policy, memory, outcomes=lambda rows: [fh.Outcome.LOST] * len(rows))
    walk.zone = 1
    walk.stroke()
    [(node, order)] = walk.done[0].rows
    memory.frame[node] |= HINTED
    if again:
        assert rmqueue_smallest(memory, 1, order, MOVABLE) == node
        free_block(memory, node, 1, order, FPI_NONE)
    report = np.array([[node, order, 1]])
    policy.drain(memory, walk.state, 1, report, 1, np.array([fh.Outcome.USED], np.uint8))
    assert bool(memory.frame[node] & REPORTED) == (not again)


def test_the_allocator_steps_over_a_bookmark_and_the_policy_is_charged():
    memory = fh.make_memory("64MiB")
    lists = fh.free_lists(memory).query("zone == 'DMA32' and order == 10")["pfn"].tolist()
    walk = Walk(fh.Walker("w", resume="cursor", min_order=10, capacity=1), memory)
    walk.stroke(1)
    taken = [rmqueue_smallest(memory, 1, 10, MOVABLE) for _ in range(2)]
    assert [node + memory.base_pfn for node in taken] == lists[:2]
    # The first stood before the bookmark, the second behind it.
    assert memory.zones[1].bookmark_steps == 1
    fh.check_memory(memory)


@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize("order", [9, 10])
def test_a_stroke_that_may_take_a_whole_list_gathers_its_links_and_keeps_its_order(order, short):
    pages = GATHER_FROM << order
    memory = empty_memory({"Normal": (4096, 4096 + pages)})
    nodes = np.random.default_rng(1).permutation(np.arange(0, pages, 4 << order))
    listed = np.insert(nodes, 7, user_node(memory, 1, USER_BOOKMARK))
    set_list(memory.links, free_list_head(memory, 0, order, MOVABLE), listed)
    memory.nr_free[0, order, MOVABLE] = len(nodes)
    knobs = NEVER_ROTATE, RESTART, PER_LIST, HIGH_FIRST, 9, 0, False
    state = new_walk_state(*knobs, memory.nr_pages)
    state.gathered[:] = -1
    report = np.zeros((len(nodes) + 1, 3), np.int64)
    n, _status = fill(memory, state, 0, report, len(nodes) - short)
    assert n == len(nodes) - short
    assert report[:n, 0].tolist() == nodes[:n].tolist()
    assert set(report[:n, 1]) == {order} and report[:n, 2].tolist() == [1] * n
    gathered = state.gathered[0, nodes[:n] >> order]
    following = [list_next(memory.links, node) for node in nodes[:n]]
    assert gathered.tolist() == ([-1] * n if short else following)
    assert new_walk_state(*knobs).gathered.shape == (1, 0)
    again = np.zeros_like(report)
    assert fill(memory, new_walk_state(*knobs), 0, again, len(nodes) - short)[0] == n
    assert np.array_equal(again, report)


# Every combination of the knobs works, or is refused with a reason.

KNOBS = list(itertools.product(ROTATE, RESUME, LOCK, ORDER, ON_FULL, (0, 9)))


def a_small_ring(policy, chance):
    """Outcomes of a ring that has room for some of a stroke's rows."""

    def outcomes(rows):
        room = len(rows) if policy.on_full == "wait" else int(chance.integers(0, 40))
        rest = fh.Outcome.LOST if policy.on_full == "lose" else fh.Outcome.REFUSED
        return [fh.Outcome.TAKEN if i < room else rest for i in range(len(rows))]

    return outcomes


def a_busy_guest(memory, chance, held):
    """A few allocations and frees, as between two strokes."""
    for _ in range(6):
        if held and chance.random() < 0.6:
            node, order = held.pop(int(chance.integers(len(held))))
            free_pages(memory, node, 0, order, 0)
        else:
            order = int(chance.choice([0, 2, 9]))
            node, _, _ = alloc_pages(memory, 0, order, int(chance.integers(0, 3)), 0)
            if node >= 0:
                held.append((node, order))


@pytest.fixture(scope="module")
def fragments():
    return fh.make_memory("64MiB", fragmentation=0.9, seed=4)


@pytest.mark.parametrize("knobs", KNOBS, ids=lambda k: "-".join(map(str, k)))
def test_every_combination_of_knobs_works_or_is_refused(knobs, fragments):
    names = ("rotate", "resume", "lock", "order", "on_full", "min_order")
    values = dict(zip(names, knobs))
    contradicts = (values["rotate"], values["resume"]) == ("never", "scan_for_first") or (
        (values["lock"], values["on_full"]) == ("whole_walk", "stop")
    )
    if contradicts:
        assert refused_with_a_reason(lambda: fh.Walker("w", **values))
        return
    policy = fh.Walker("w", capacity=60, **values)
    memory, chance, held = copy_memory(fragments), np.random.default_rng(1), []
    walk = Strokes(policy, memory, a_small_ring(policy, chance))
    # restart offers the same blocks for ever where a stroke can end before its list does.
    endless = values["resume"] == "restart" and (
        values["lock"] == "per_batch" or values["on_full"] == "stop"
    )
    for _ in range(30 if endless else 2_000):
        if not walk.stroke():
            break
        a_busy_guest(memory, chance, held)
    else:
        assert endless
    assert walk.reported
    assert min(order for _, order in walk.reported) >= values["min_order"]


@pytest.mark.parametrize(("rotate", "resume"), FINITE)
def test_a_walk_that_was_given_up_leaves_nothing_that_hurts_the_next(rotate, resume, fragments):
    memory = copy_memory(fragments)
    policy = fh.Walker("w", rotate=rotate, resume=resume, capacity=5)
    for _ in range(3):
        walk = Strokes(policy, memory)
        walk.stroke()
        walk.stroke()
    assert len(set(Strokes(policy, memory).to_end().reported)) > 30


def test_v33_takes_the_largest_blocks_of_a_zone_under_one_hold(guest):
    memory = copy_memory(guest)
    walk = Strokes(fh.POLICIES["v33"], memory).to_end()
    assert [one.zone for one in walk.done] == [0, 1]
    lists = fh.free_lists(guest).query("order == 10")
    zone = lists["zone"].cat.codes.to_numpy()
    expected = lists.iloc[np.lexsort((lists["position"], lists["migratetype"], zone))]
    assert [n + memory.base_pfn for n, _ in walk.reported] == expected["pfn"].tolist()


def test_v33s_blocks_may_be_gone_when_the_ring_takes_them(guest):
    memory = copy_memory(guest)

    def take_everything(walk):
        while rmqueue_smallest(walk.memory, walk.zone, 10, MOVABLE) >= 0:
            pass

    walk = Strokes(fh.POLICIES["v33"], memory, meanwhile=take_everything).to_end()
    assert len(walk.reported) > 0 and memory.nr_free[:, 10, MOVABLE].sum() == 0


def test_v24_may_stop_at_the_first_list_that_is_empty(guest):
    memory = copy_memory(guest)
    defect = dataclasses.replace(fh.POLICIES["v24"], stops_at_empty_list=True)
    walk = Strokes(defect, memory)
    assert not walk.stroke()
    # Order 10 has no UNMOVABLE block: nothing at all is reported.
    assert walk.done[0].status == fh.Stroke.STOPPED and walk.reported == []
    assert memory.nr_free[0, 10, 0] == 0
    whole = Strokes(fh.POLICIES["v24"], copy_memory(guest)).to_end().reported
    assert len(whole) == len(fh.free_lists(guest))


def test_v25_as_first_posted_made_every_error_1(guest):
    assert fh.walk_free_mem_block(guest, lambda *_: -4, error_as_bool=True) == 1
    assert fh.walk_free_mem_block(guest, lambda *_: 0, error_as_bool=True) == 0


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"report": "unlocked"}, "policy.report 'unlocked' needs policy.lock 'per_zone'"),
        (
            {"report": "unlocked", "lock": "per_zone", "resume": "restart", "on_full": "stop"},
            "without the lock a block may have left the list",
        ),
        ({"stops_at_empty_list": True}, "stops_at_empty_list goes only with v24"),
    ],
)
def test_more_contradictions_are_refused_with_a_reason(knobs, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.Walker("w", **knobs)
