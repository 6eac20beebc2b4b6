"""How the engine calls a policy's verbs, and that its short cuts change no result."""

import numpy as np
import pytest

import freehint as fh
from freehint.engine import engine
from freehint.mm.memory import BUDDY, ORDER_MASK
from freehint.runs.begin import random_stream

GUEST = {"memory": "64MiB", "duration_ns": 20_000_000, "walk_at_ns": 1_000_000}


def simulate(policy, **values) -> fh.Run:
    return fh.simulate(fh.Scenario(policy=policy, **GUEST).with_values(values))


def fill_in_python(memory, state, zone, report, capacity):
    """The zone's largest free blocks, lowest first; ``state`` counts the calls."""
    state[0] += 1
    here = memory.zones[zone]
    first = int(here.start_pfn) - memory.base_pfn
    frame = memory.frame[first : first + int(here.spanned)]
    nodes = np.flatnonzero((frame & BUDDY != 0) & (frame & ORDER_MASK == 10)) + first
    n = min(len(nodes), capacity)
    for row in range(n):
        report[row] = nodes[row], 10, 1
    return n, 1


@fh.kernel
def fill_compiled(memory, state, zone, report, capacity):
    state[0] += 1
    here = memory.zones[zone]
    first = here.start_pfn - memory.base_pfn
    n = 0
    for node in range(first, first + here.spanned):
        frame = memory.frame[node]
        if frame & BUDDY != 0 and frame & ORDER_MASK == 10 and n < capacity:
            report[n, 0] = node
            report[n, 1] = 10
            report[n, 2] = 1
            n += 1
    return n, 1


def drain_in_python(memory, state, zone, report, n, outcome):
    state[1] += n


def test_a_verb_in_plain_python_and_the_same_compiled_give_one_run():
    runs = [
        simulate(fh.Policy("own", fill, drain_in_python))
        for fill in (fill_in_python, fill_compiled)
    ]
    assert runs[0].summary["hinted_pages"] > 0
    assert runs[0].summary.equals(runs[1].summary)
    assert runs[0].reports.equals(runs[1].reports)
    assert runs[0].locks.equals(runs[1].locks)


def test_a_row_that_names_no_block_is_told_with_its_values():
    def fill(memory, state, zone, report, capacity):
        n, status = fill_in_python(memory, state, zone, report, capacity)
        report[n - 1, 1] = 3
        return n, status

    with pytest.raises(fh.InputError, match=r"row \d+ \(node \d+, order 3\) is neither"):
        simulate(fh.Policy("own", fill, drain_in_python))


def test_a_release_that_loses_pages_is_named():
    def release(memory, state):
        memory.nr_free[0, 10, 1] -= 1
        return 0

    policy = fh.Policy("leaky", fill_in_python, drain_in_python, release=release)
    with pytest.raises(fh.InvariantError, match="policy leaky: release"):
        simulate(policy, **{"control.done_at_ns": 10_000_000})


def test_how_many_words_are_drawn_at_once_does_not_show(monkeypatch):
    runs = []
    for words in (1, engine.FIRST_WORDS, engine.WORDS):
        monkeypatch.setattr(engine, "FIRST_WORDS", words)
        runs.append(simulate("rotate_on_exit", **{"workload.interval_ns": 1000}))
    assert runs[0].summary["allocations"] > engine.FIRST_WORDS
    for run in runs[1:]:
        assert run.summary.equals(runs[0].summary)
        assert (run.memory.links == runs[0].memory.links).all()


def test_each_actor_has_the_stream_that_the_model_says():
    scenario = fh.Scenario(seed=7, **GUEST)
    seeds = np.random.SeedSequence(7).spawn(scenario.workload.nr_cpus + 2)
    for number, seed in enumerate(seeds):
        drawn = random_stream(scenario, number).integers(0, 1 << 63, 5)
        assert (drawn == np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << 63, 5)).all()
