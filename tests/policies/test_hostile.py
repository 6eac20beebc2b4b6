"""Policies of other people that answer wrongly, write where they must not, or do not come back."""

import ctypes
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.engine.user import CheckPlan
from freehint.mm.list import list_del_init, list_next
from freehint.mm.memory import MOVABLE, free_list_head
from freehint.policies.walk import drain


@fh.kernel
def drain_that_loses(memory, state, zone, report, n, outcome):
    """Settle a stroke as the walker does, then forget the first free block of order 10."""
    moved = drain(memory, state, zone, report, n, outcome)
    node = list_next(memory.links, free_list_head(memory, zone, 10, MOVABLE))
    if node < memory.nr_pages:
        list_del_init(memory.links, node)
        memory.frame[node] = 0
        memory.nr_free[zone, 10, MOVABLE] -= 1
        memory.zones[zone].nr_free_pages -= 1024
    return moved


def test_one_verb_of_ones_own_is_enough_to_be_checked():
    policy = replace(fh.POLICIES["v24"], name="half", drain=drain_that_loses)
    with pytest.raises(fh.InvariantError, match=r"^policy half: drain: .* pages were free"):
        fh.simulate(fh.Scenario(memory="64MiB", policy=policy))


# The zoo.  A verb is a plain Python function here, so that no kernel is compiled for it.
QUICK = {"memory": "64MiB", "duration_ns": 5_000_000, "walk_at_ns": 0}


def first_block(memory, zone):
    """The first block of order 0 or more on the zone's free lists: (node, order)."""
    for order in range(11):
        for migratetype in range(3):
            node = int(list_next(memory.links, free_list_head(memory, zone, order, migratetype)))
            if node < memory.nr_pages:
                return node, order
    return -1, 0


def keep(memory, state, zone, report, n, outcome):
    return 0


def one(memory, state, zone, report, capacity):
    report[0, 0], report[0, 1] = first_block(memory, zone)
    return int(report[0, 0] >= 0), 1


def answers(answer):
    """A fill that returns this."""
    return {"fill": lambda *_: answer}


def drains(answer):
    """A drain that returns this."""
    return {"drain": lambda *_: answer}


def row(node=None, order=None, looked=0, after=0, zone=None):
    """A fill whose only row has some wrong values."""

    def fill(memory, state, at, report, capacity):
        block = first_block(memory, at if zone is None else zone)
        report[0] = node if node is not None else block[0], block[1] if order is None else order, 0
        report[0, 2], report[1, 2] = looked, after
        return 1, 1

    return {"fill": fill}


def raises(error):
    def verb(*_):
        raise error

    return verb


ANSWERS = {
    "fill gives a negative number of rows": (answers((-1, 1)), r"got \(-1, 1\)"),
    "fill gives more rows than fit": (answers((33, 1)), r"got \(33, 1\)"),
    "fill gives half a row": (answers((0.5, 1)), r"got \(0.5, 1\)"),
    "fill gives rows as a float": (answers((np.float64(0), 1)), r"got \(0.0, 1\)"),
    "fill gives True rows": (answers((True, 1)), r"got \(True, 1\)"),
    "fill gives an unknown status": (answers((0, 9)), r"got \(0, 9\)"),
    "fill gives a status as a text": (answers((0, "MORE")), r"got \(0, MORE\)"),
    "fill gives a number of 5,000 digits": (
        answers((10**5000, 1)),
        r"got \(an unprintable int, 1\)",
    ),
    "drain gives a number of 5,000 digits": (
        drains(10**5000),
        "drain must return a whole number .* got an unprintable int",
    ),
    "fill gives nothing": (answers(None), "a Stroke\\), got None"),
    "fill gives a number alone": (answers(3), "a Stroke\\), got 3"),
    "fill gives three numbers": (answers((0, 1, 2)), r"got \(0, 1, 2\)"),
    "a row counts negative blocks": (row(looked=-9_000_000), "row 0 .* counts -9000000 blocks"),
    "a row counts 2^62 blocks": (row(looked=1 << 62), "row 0 .* counts 4611686018427387904 blo"),
    "the row after the last counts negative": (row(after=-1), "row 1 .* counts -1 blocks"),
    "a row names a block of another zone": (
        {**row(zone=1), "next_zone": lambda *_: 0},
        "row 0 .* lies in zone DMA32, but the lock is that of zone DMA",
    ),
    "a row names no page": (row(node=10**9), "row 0 .* is neither a free block nor one held"),
    "a row names a negative page": (row(node=-5), "row 0 .* is neither a free block"),
    "a row has another order than its block": (row(order=10), "row 0 .* is neither a free block"),
    "a row has an order of 77": (row(order=77), "row 0 .* is neither a free block"),
    "drain moved a negative number": (drains(-3), "drain must return a whole number .* got -3"),
    "drain moved half a node": (drains(0.5), "drain must return a whole number .* got 0.5"),
    "drain moved 2^62 nodes": (drains(1 << 62), "drain must return a whole number .* got 46116"),
    "drain gives a list": (drains([1]), r"drain must return a whole number .* got \[1\]"),
    "drain gives a text": (drains("all"), "drain must return a whole number .* got 'all'"),
    "next_zone gives a zone that is not": (
        {"next_zone": lambda *_: 7},
        "next_zone must return a whole number in -1..1, got 7",
    ),
    "next_zone gives no number": (
        {"next_zone": lambda *_: None},
        "next_zone must return a whole number in -1..1, got None",
    ),
    "fill raises": ({"fill": raises(KeyError("x"))}, "fill failed with KeyError: 'x'"),
    "drain leaves the program": ({"drain": raises(SystemExit(0))}, "drain failed with SystemExit"),
    "new_state raises": (
        {"new_state": raises(ZeroDivisionError("no"))},
        "new_state failed with ZeroDivisionError: no",
    ),
    "end_walk raises": ({"end_walk": raises(OSError("full"))}, "end_walk failed with OSError: fu"),
    "a verb takes too few arguments": ({"drain": lambda: 0}, "drain failed with TypeError"),
    "fill calls itself": (
        {"fill": lambda *a: sys.modules[__name__].again(*a)},
        "fill failed with RecursionError",
    ),
    "fill wants more strokes and gives no row": (
        {**answers((0, 0)), "pause_ns": 0},
        "its walk does not get on: .* strokes in 0 ns",
    ),
}


def again(*arguments):
    return again(*arguments)


def refused(verbs, sentence, error=fh.InputError, **scenario):
    policy = fh.Policy("hostile", **({"fill": one, "drain": keep} | verbs))
    with pytest.raises(error, match=rf"^policy hostile: .*{sentence}"):
        fh.simulate(fh.Scenario(policy=policy, **(QUICK | scenario)))


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_wrong_answer_is_refused_in_one_sentence(kind):
    refused(*ANSWERS[kind])


def test_an_honest_policy_of_plain_python_runs():
    run = fh.simulate(fh.Scenario(policy=fh.Policy("honest", one, keep), **QUICK))
    assert run.summary["hinted_pages"] > 0


def writes_before_report(memory, state, zone, report, capacity):
    ctypes.memset(report.ctypes.data - 8, 1, 8)
    return 0, 1


def writes_behind_report(memory, state, zone, report, capacity):
    ctypes.memset(report.ctypes.data + report.nbytes, 1, 8)
    return 0, 1


def writes_behind_outcome(memory, state, zone, report, n, outcome):
    ctypes.memset(outcome.ctypes.data + outcome.nbytes, 1, 1)
    return 0


CANARIES = {
    "fill writes before report": {"fill": writes_before_report},
    "fill writes behind report": {"fill": writes_behind_report},
    "drain writes behind outcome": {"drain": writes_behind_outcome},
}


@pytest.mark.parametrize("kind", CANARIES)
def test_a_write_outside_is_found_by_a_canary(kind):
    verb = next(iter(CANARIES[kind]))
    refused(CANARIES[kind], f"{verb} wrote outside its arrays")


def test_drain_changes_copies_of_outcome_and_report():
    def drain(memory, state, zone, report, n, outcome):
        outcome[:], report[:] = 0, -1
        return 0

    honest, changed = (
        fh.simulate(fh.Scenario(policy=fh.Policy("mine", one, verb), **QUICK))
        for verb in (keep, drain)
    )
    assert changed.reports.equals(honest.reports) and len(honest.reports) > 0


def test_a_trusted_policy_runs_unchecked():
    def drain(memory, state, zone, report, n, outcome):
        raise KeyError("its own")

    policy = fh.Policy("mine", one, drain, trusted=True)
    with pytest.raises(KeyError, match="its own"):
        fh.simulate(fh.Scenario(policy=policy, **QUICK))
    with pytest.raises(fh.InputError, match=r"policy\.trusted must be true or false, got 1"):
        fh.Policy("mine", trusted=1)


HANGS = {
    "compiled": ("fh.kernel", "while state[0] == 0:\n        state[1] += 1"),
    "python": ("", "while True:\n        pass"),
    "asleep": ("", "import time\n    time.sleep(10**6)"),
}
HANGING = """
import freehint as fh
from freehint.engine import watchdog
watchdog.LONGEST_S = 3
def fill(memory, state, zone, report, capacity):
    {body}
    return 0, 1
def drain(memory, state, zone, report, n, outcome):
    return 0
policy = fh.Policy("endless", {door}(fill), drain)
fh.simulate(fh.Scenario(memory="64MiB", policy=policy))
"""


@pytest.mark.parametrize("kind", HANGS)
def test_a_verb_that_does_not_return_is_named_and_ends_the_process(kind):
    door, body = HANGS[kind]
    script = HANGING.format(door=door, body=body)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == "policy endless: fill has not returned for 3 s\n"


@fh.kernel
def far_frame(memory, state, zone, report, capacity):
    memory.frame[1 << 40] = 1
    return 0, 1


@fh.kernel
def far_report(memory, state, zone, report, capacity):
    for i in range(1 << 20):
        report[i, 0] = 1
    return 0, 1


@fh.kernel
def far_state(memory, state, zone, report, capacity):
    return state[1 << 33], 1


@fh.kernel
def far_link(memory, state, zone, report, capacity):
    list_del_init(memory.links, 1 << 40)
    return 0, 1


@fh.kernel
def far_outcome(memory, state, zone, report, n, outcome):
    return outcome[1 << 40]


@fh.kernel
def far_zone(memory, state):
    return memory.zones[1 << 30].index


OUT_OF_BOUNDS = {
    "a kernel writes a frame far outside": {"fill": far_frame},
    "a kernel writes a million rows": {"fill": far_report},
    "a kernel reads far behind its state": {"fill": far_state},
    "a kernel moves a node that is not, through a helper of freehint": {"fill": far_link},
    "a kernel reads far behind outcome": {"drain": far_outcome},
    "a kernel asks for a zone that is not": {"next_zone": far_zone},
}


@pytest.mark.parametrize("kind", OUT_OF_BOUNDS)
def test_an_index_out_of_bounds_is_refused_and_not_followed(kind):
    verb = next(iter(OUT_OF_BOUNDS[kind]))
    refused(OUT_OF_BOUNDS[kind], f"{verb} failed with IndexError: index is out of bounds")


def spoils(change):
    """A drain that changes the memory."""

    def drain(memory, state, zone, report, n, outcome):
        change(memory, int(report[0, 0]))
        return 0

    return {"drain": drain}


def set_value(array, index, value):
    array[index] = value


DAMAGE = {
    "drain points a link to nowhere": lambda m, at: set_value(m.links, 2 * at, 10**9),
    "drain ties a block to itself": lambda m, at: set_value(m.links, 2 * at, at),
    "drain wipes a block's frame": lambda m, at: set_value(m.frame, at, 0),
    "drain gives a block order 15": lambda m, at: set_value(m.frame, at, m.frame[at] | 15),
    "drain fills all frames": lambda m, at: set_value(m.frame, slice(None), 0xFFFF),
    "drain makes a hole of all pageblocks": lambda m, at: set_value(m.pageblock, slice(None), 255),
    "drain makes counters negative": lambda m, at: set_value(m.nr_free, slice(None), -1),
    "drain says that a zone spans 2^40 pages": lambda m, at: set_value(
        m.zones["spanned"], 0, 1 << 40
    ),
    "drain moves a zone": lambda m, at: set_value(m.zones["start_pfn"], 1, -(1 << 40)),
    "drain counts pcp pages that are not": lambda m, at: set_value(m.pcp["count"], 0, 1 << 40),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_to_the_memory_is_named(kind):
    refused(spoils(DAMAGE[kind]), "", fh.InvariantError)


def test_checks_of_a_large_memory_are_counted_out_and_say_what_they_skipped():
    plan = CheckPlan(nr_nodes=1 << 20)  # 6.3 ms a check, 20 us a verb
    checked = [(verb, plan.since()) for verb in range(1, 4_001) if plan.due()]
    assert [verb for verb, _ in checked] == [1, 2, 3, 4, 1573, 3146]
    assert [since for _, since in checked[:4]] == [""] * 4
    assert checked[4][1] == " or one of the 1568 verbs before it"
