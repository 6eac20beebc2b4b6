"""A user's own policy in the explorer: right ones are exhausted, wrong ones have a schedule."""

import re
from dataclasses import replace

import pytest

import freehint as fh
from freehint.jit import as_python
from freehint.jit.apart import PAIR, address_of
from freehint.jit.cache import CACHE_FOLDER, SUFFIX
from freehint.jit.pinned import pinned
from freehint.mm.isolate import isolate_free_page, putback_isolated_page
from freehint.mm.list import list_next
from freehint.mm.memory import MOVABLE, free_list_head
from freehint.safety.case import Case, why_not
from freehint.safety.check import DISCARDED, LOST_WRITE, PROPERTIES, STILL_HELD
from freehint.safety.exhaust.expand import expand
from freehint.safety.guest import new_guest
from freehint.safety.own.bound import FORGET_IN
from freehint.safety.own.case import case_of
from freehint.safety.pack import settle
from freehint.safety.steps import take_step
from freehint.safety.trace import read_schedule, replay
from freehint.safety.verdicts import EXHAUSTED, UNFINISHED, VIOLATED
from freehint.widgets import SchedulePlayer

ZONE_DONE = int(fh.Stroke.ZONE_DONE)
TOLD = {"generation": "G1", "discard": True, "operations": 2}


@fh.kernel
def look(memory, state, zone, report, capacity):
    """Choose the first block of order 2, and leave it where it is."""
    head = free_list_head(memory, zone, 2, MOVABLE)
    node = list_next(memory.links, head)
    if node == head:
        return 0, ZONE_DONE
    report[0, 0], report[0, 1], report[0, 2] = node, 2, 1
    return 1, ZONE_DONE


def take(memory, state, zone, report, capacity):
    """Choose it, and take it off the list; this is plain Python."""
    n, status = look(memory, state, zone, report, capacity)
    if n == 1 and not isolate_free_page(memory, report[0, 0], 0):
        return 0, ZONE_DONE
    return n, status


@fh.kernel
def leave(memory, state, zone, report, n, outcome):
    return 0


@fh.kernel
def put_back(memory, state, zone, report, n, outcome):
    for row in range(n):
        putback_isolated_page(memory, report[row, 0])
    return n


@fh.kernel
def leave_alone(memory, number):
    return number


RIGHT = fh.Policy("right", take, put_back, report="acknowledged")


@pytest.fixture(scope="module")
def found():
    """The shortest schedule of a policy that waits for the host and yet holds nothing."""
    return fh.explore(replace(RIGHT, fill=look, drain=leave), **TOLD)


def test_a_policy_that_takes_what_it_reports_is_exhausted():
    right = fh.explore(RIGHT, **TOLD)
    assert right.verdict == EXHAUSTED and right.states > 1000 and right.hinted
    assert right.schedule == "" and len(right.trace()) == 0
    assert right.bounds["host"] == "discards the pages of a used hint"
    assert "right: EXHAUSTED" in repr(right) and "<b>EXHAUSTED</b>" in right._repr_html_()
    short = fh.explore(RIGHT, most_states=500, **TOLD)
    assert short.verdict == UNFINISHED and "stopped at its limit" in repr(short)
    with pytest.raises(fh.InputError, match="found no violation, so it has no schedule"):
        SchedulePlayer(right)


def test_one_that_leaves_its_block_on_the_list_is_found(found):
    assert (found.verdict, found.violation) == (VIOLATED, DISCARDED)
    assert found.schedule.startswith("own,generation=G1,discard=True,operations=2:")
    told = found.trace()
    assert list(told.index) == list(range(1, len(found.steps) + 1))
    assert told["breaks"].tolist() == [""] * (len(told) - 1) + [PROPERTIES[DISCARDED]]
    assert "waits until the host has used its hints" in " ".join(told["step"])
    assert found.schedule in repr(found) and found.schedule in found._repr_html_()


def test_one_that_keeps_its_block_for_ever_is_found():
    kept = fh.explore(replace(RIGHT, drain=leave), **TOLD)
    assert kept.violation == STILL_HELD and "P5" in kept.trace()["breaks"].iloc[-1]


def test_two_functions_of_one_name_are_two_policies():
    """Nothing that was compiled of one is taken for the other, and the disk keeps neither."""

    def made(keeps):
        def drain(memory, state, zone, report, n, outcome):
            return 0 if keeps else put_back(memory, state, zone, report, n, outcome)

        return replace(RIGHT, drain=drain)

    kept = set(CACHE_FOLDER.glob(f"*{SUFFIX}"))
    ends = [fh.explore(made(keeps), **TOLD).violation for keeps in (True, False, True)]
    assert ends == [STILL_HELD, 0, STILL_HELD]
    # Other tests keep kernels there meanwhile.  What is compiled of a function has its name inside.
    new = set(CACHE_FOLDER.glob(f"*{SUFFIX}")) - kept
    assert not [path for path in new if b"test_two_functions_of_one_name" in path.read_bytes()]


def test_a_schedule_of_an_own_policy_needs_it(found):
    for play in (read_schedule, SchedulePlayer, fh.Player):
        with pytest.raises(fh.InputError, match=r"own, which it cannot name: give the policy"):
            play(found.schedule)
    ends = [came_to for _, came_to in replay(found.schedule, found.case.chosen)]
    assert ends == [0] * (len(ends) - 1) + [DISCARDED]
    player = fh.Player(found.schedule, policy=found.case.chosen)
    assert player.last == len(ends) and player.payload == fh.Player(found).payload


def test_policies_of_the_house_go_by_their_names():
    assert case_of(fh.POLICIES["v24"], chunk=1) == case_of("v24", chunk=1)
    changed = replace(fh.POLICIES["v24"], capacity=1)
    lost = fh.explore(changed, generation="G3", initially_set=True)
    assert lost.case.policy == "own" and lost.violation == LOST_WRITE
    assert [end for _, end in replay(lost.schedule, changed)][-1] == LOST_WRITE


@pytest.mark.parametrize("name", ["v24", "page_reporting"])
def test_a_further_policy_compiles_its_verbs_alone(found, name):
    """Whatever is explored, the kernels of the search have one signature."""
    kernels = expand, take_step, settle
    before = [len(one.entry.overloads) for one in kernels]
    assert fh.explore(name, generation="G1", operations=1, rounds=1).hinted
    assert before == [len(one.entry.overloads) for one in kernels] == [1, 1, 1]


def test_a_state_before_its_walk_holds_nothing_to_forget():
    """So settle() renews it and calls no ``forget``."""
    walked = [name for name, one in fh.POLICIES.items() if not (why_not(one) or one.release)]
    forgotten = 0
    for name in walked:
        guest, _ = new_guest(Case(name))
        before, forget = guest.arena.tobytes(), FORGET_IN.get(type(guest.state))
        if forget:
            as_python(forget)(guest.world.memory, guest.state)
            forgotten += 1
        assert guest.arena.tobytes() == before
    assert forgotten >= 5


def test_a_verb_that_returns_something_else_has_no_address():
    memory = pinned(new_guest(Case())[0].world.memory)
    with pytest.raises(TypeError, match="returns int64, not UniTuple"):
        address_of(leave_alone, PAIR, memory, 1)


def test_a_policy_whose_blocks_are_too_large_says_nothing():
    @fh.kernel
    def large(memory, state, zone, report, capacity):
        return 0, ZONE_DONE

    quiet = fh.explore(replace(RIGHT, fill=large), **TOLD)
    assert quiet.verdict == EXHAUSTED and not quiet.hinted
    assert "No hint was ever on the ring" in repr(quiet)


def writes_far(memory, state, zone, report, capacity):
    report[1 << 40, 0] = 1
    return 0, ZONE_DONE


def too_many(memory, state, zone, report, capacity):
    return capacity + 1, ZONE_DONE


def no_number(memory, state, zone, report, capacity):
    return "all"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"fill": writes_far}, "policy right: a verb failed with IndexError: index is out of boun"),
        ({"fill": too_many}, "policy right: a verb failed with ValueError: fill must return"),
        ({"fill": no_number}, "policy right: fill cannot be compiled: "),
        ({"new_state": lambda memory, policy: [1]}, "new_state must return .* got a list"),
        ({"feedback": True}, "'right' cannot be explored in 8 frames: .* no feedback"),
        ({"delay_ns": 5}, "'right' cannot be explored in 8 frames: .* no\\s+delay_ns"),
    ],
)
def test_what_cannot_be_explored_is_one_sentence(changes, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.explore(replace(RIGHT, **changes), **TOLD)


def test_bounds_that_are_none_are_named(tmp_path):
    with pytest.raises(fh.InputError, match=re.escape("'opertions'; there are report, gener")):
        fh.explore("v24", opertions=2)
    with pytest.raises(fh.InputError, match="bounds with a policy, and a case without"):
        fh.explore(case_of("v24"), chunk=1)
    with pytest.raises(fh.InputError, match="checkpoint must be None"):
        fh.explore(RIGHT, checkpoint=tmp_path / "kept.npz")
