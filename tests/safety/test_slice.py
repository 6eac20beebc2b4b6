"""Slices, symmetry and checkpoints: a reduced search comes to what the whole one comes to."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from freehint.config import InputError
from freehint.safety.case import FRAMES, Case
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.slice import slices_of
from freehint.safety.guest import DISCARDED, FINE, LOST_WRITE, MATE, WATCHED, new_guest

LOGS = [("G1", 4), ("G2", 2), ("G2", 4), ("G3", 0)]


FOUND = {
    "v24": {FINE, LOST_WRITE, DISCARDED},
    "five_step": {FINE, LOST_WRITE},
    "hold_the_lock": {FINE},
}


@pytest.mark.parametrize("policy", FOUND)
def test_the_slices_of_all_pages_have_the_verdict_of_the_whole_guest(policy):
    found, only_in_slices = set(), []
    for (generation, chunk), discard in product(LOGS, (False, True)):
        case = Case(policy, "own", generation, chunk, True, discard, operations=2, rounds=1)
        whole = explore(case)
        slices = [explore(replace(case, watched=page)) for page in FRAMES]
        assert whole.violation or whole.exhausted
        assert all(one.violation or one.exhausted for one in slices)
        violated = {one.violation for one in slices} - {0}
        if whole.violation:
            assert violated == {whole.violation}, case
        elif violated:
            only_in_slices.append((policy, generation, chunk, discard))
        found.add(whole.violation)
    assert found == FOUND[policy]
    # With two operations every free block is hinted, so no neighbour in the chunk is dirty.
    assert set(only_in_slices) <= {("hold_the_lock", "G2", 4, discard) for discard in (False, True)}


def test_a_slice_is_much_smaller():
    case = Case("v24", generation="G1", operations=2, rounds=1)
    assert 20 * explore(replace(case, watched=0)).states < explore(case).states


@pytest.mark.parametrize("policy", ["none", "hold_the_lock"])
def test_the_slices_of_the_second_block_are_those_of_the_first(policy):
    for page in range(4):
        case = Case(policy, "own", "G3", 4, True, vcpus=2, rounds=1, watched=page)
        first, second = explore(case), explore(replace(case, watched=page + 8))
        assert first.exhausted
        assert second.exhausted
        assert (first.states, first.transitions) == (second.states, second.transitions)


@pytest.mark.parametrize("policy", ["none", "hold_the_lock"])
def test_vcpus_that_change_names_change_no_verdict(policy):
    for generation, chunk in (("G1", 4), ("G3", 4)):
        case = Case(policy, "own", generation, chunk, True, vcpus=2, rounds=1, watched=0)
        alike, named = explore(case), explore(case, symmetric=False)
        assert alike.violation == named.violation
        assert len(alike.steps) == len(named.steps)
        assert alike.exhausted == named.exhausted
        assert 3 * alike.states < 2 * named.states


def test_the_watched_pages_of_a_chunk_no_larger_than_a_block():
    for chunk, pages in ((0, 0b1), (1, 0b11), (2, 0b1111), (4, 0b1)):
        guest, _ = new_guest(Case(chunk=chunk, watched=0))
        assert guest.rule[WATCHED] == pages
        assert (guest.rule[MATE] >= 0) == (chunk > 2)
        bits = [new_guest(Case(chunk=chunk, watched=p))[0].rule[WATCHED] for p in slices_of(chunk)]
        assert np.bitwise_or.reduce(bits) == 0b1111


@pytest.mark.parametrize("field", ["postcopy", "effect"])
def test_what_needs_all_pages_is_not_sliced(field):
    with pytest.raises(InputError, match=r"explore\.watched must be -1"):
        Case(watched=0, **{field: True})
    with pytest.raises(InputError, match="watched must be -1 or one of"):
        Case(watched=5)


KILLED = """
import sys
from freehint.safety.exhaust import explore as module
from freehint.safety.case import Case
module.KEEP_EVERY_S = 0
case = Case("v24", generation="G1", operations=2, rounds=1)
module.explore(case, progress=lambda _, n, *__: print(n, flush=True), checkpoint=sys.argv[1])
"""


def test_a_killed_search_goes_on_from_its_checkpoint(tmp_path):
    file = tmp_path / "search.npz"
    process = subprocess.Popen([sys.executable, "-c", KILLED, file], stdout=subprocess.PIPE)
    end = time.monotonic() + 120
    for states in process.stdout:
        if int(states) > 20_000:
            break
        assert time.monotonic() < end
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    case = Case("v24", generation="G1", operations=2, rounds=1)
    levels = []
    went_on = explore(case, progress=lambda level, *_: levels.append(level), checkpoint=file)
    assert levels[0] > 1
    assert replace(went_on, seconds=0) == replace(explore(case), seconds=0)


def test_a_checkpoint_of_another_search_or_a_damaged_one_is_refused(tmp_path):
    file = tmp_path / "search.npz"
    explore(Case(operations=2), most_states=1000, checkpoint=file)
    with pytest.raises(InputError, match=r"search\.npz: this is a checkpoint of .*operations=2"):
        explore(Case(operations=3), checkpoint=file)
    content = file.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"x" * 100):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"search\.npz"):
            explore(Case(operations=2), checkpoint=file)
