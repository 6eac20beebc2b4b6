"""The host's pieces, snapshots, early switch-over, and bugs of the host's side put back."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freehint.config import InputError
from freehint.safety.bugs import BUGS
from freehint.safety.check import DISCARDED, LOST_WRITE, PROPERTIES
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.known import CASES, FOUND, known_bugs
from freehint.safety.guest import AT_DESTINATION, FINE, HOST_AT, NO_EFFECT, PHASE, RECEIVED, Case
from freehint.safety.host.device import IDLE
from freehint.safety.steps import CHOICES, HOST, MIGRATION
from freehint.safety.trace import Player, replay, schedule_string

PLAIN = Case(policy="v24", generation="G1", initially_set=True, rounds=1, operations=2)
GO_ON, TURN, CANCEL, SWITCH = range(MIGRATION * CHOICES, MIGRATION * CHOICES + 4)
COMMAND, WORKER, USE = 0x50, 0x20, HOST * CHOICES
DOCS = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
IN_DOCS = dict(re.findall(r"^\| (\w+) \| .* \| P\d \| (\d+) \|", DOCS, re.MULTILINE))
HOSTS_SIDE = [name for name, bug in BUGS.items() if bug.number < 20]


def played(case: Case, steps) -> Player:
    """A guest after a schedule without a violation."""
    player = Player(case)
    for step in steps:
        assert player.play(step)[1] == FINE
    return player


@pytest.mark.parametrize("name", HOSTS_SIDE)
def test_a_known_bug_is_found_and_its_schedule_replays(name):
    found = explore(replace(CASES[name], bug=name))
    assert PROPERTIES[found.violation].startswith(BUGS[name].breaks + ":")
    *before, last = [end for _, end in replay(schedule_string(found.case, found.steps))]
    assert not any(before) and last == found.violation
    assert len(found.steps) == int(IN_DOCS[name])


@pytest.mark.parametrize("name", HOSTS_SIDE)
def test_without_the_bug_the_guest_is_exhausted(name):
    fixed = explore(replace(CASES[name], operations=2))
    assert fixed.exhausted and fixed.violation == FINE and fixed.states > 1000


@pytest.mark.parametrize("name", HOSTS_SIDE)
def test_the_same_schedule_harms_nobody_without_the_bug(name):
    """Either the fix forbids one of its steps, or all end well."""
    found = explore(replace(CASES[name], bug=name))
    try:
        ends = [end for _, end in replay(schedule_string(CASES[name], found.steps))]
    except InputError as error:
        assert "cannot be taken here" in str(error)
    else:
        assert not any(ends)


def test_the_table_says_what_was_found():
    table = known_bugs(["hint_after_pause", "postcopy_hints"])
    assert list(table.verdict) == [FOUND, FOUND] and list(table.breaks) == ["P7", "P8"]
    assert (table.fixed == "exhausted, no violation").all() and (table.steps > 0).all()


def test_every_bug_has_a_number_a_case_and_a_property():
    assert len({bug.number for bug in BUGS.values()}) == len(BUGS)
    known = {text.partition(":")[0] for text in PROPERTIES.values()}
    for name in HOSTS_SIDE:
        assert BUGS[name].breaks in known and all(getattr(CASES[name], n) for n in BUGS[name].needs)


def test_a_bug_that_could_do_nothing_is_refused():
    with pytest.raises(InputError, match="fine_host must be on for bug stop_without_lock"):
        Case(bug="stop_without_lock")
    with pytest.raises(InputError, match="postcopy"):
        Case(postcopy=True, snapshot=True)


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
@pytest.mark.parametrize("discard", [False, True])
def test_the_pieces_one_after_the_other_are_the_engines_use_of_a_buffer(generation, discard):
    case = replace(PLAIN, generation=generation, discard=discard, chunk=1)
    hinted = [GO_ON, COMMAND, WORKER, WORKER, WORKER]
    # The second buffer is used after STOP.
    at_once = played(case, hinted)
    pieces = played(replace(case, fine_host=True), hinted)
    for then in ([], [TURN]):
        at_once.play(USE)
        taken = 0
        while taken == 0 or pieces.guest.own[HOST_AT] != IDLE:
            pieces.play(USE)
            taken += 1
        assert taken == 2 + discard + (not then)
        assert np.array_equal(at_once.guest.arena, pieces.guest.arena)
        for step in then or [TURN]:
            at_once.play(step), pieces.play(step)


def test_stop_and_the_new_id_wait_for_the_host():
    player = played(replace(PLAIN, fine_host=True), [GO_ON, COMMAND, WORKER, WORKER, USE])
    assert player.guest.own[HOST_AT] != IDLE
    assert TURN not in player.possible() and CANCEL not in player.possible()
    assert GO_ON in player.possible()  # but the sender does not
    for _ in range(2):
        player.play(USE)
    assert TURN in player.possible()


def test_in_a_slice_the_sender_does_not_wait_for_the_host_either():
    case = replace(PLAIN, generation="G3", fine_host=True, watched=8)
    player = played(case, [GO_ON, COMMAND, WORKER, WORKER, USE])
    assert player.guest.own[HOST_AT] != IDLE and SWITCH + 1 in player.possible()


def test_a_write_between_discard_and_bitmap_is_lost_in_pieces_alone():
    """A host at once sees the write before both, and P3 speaks, or after both, and nothing is lost.

    The log clears with the hint only what the last sync saw, hence G3.
    """
    case = Case(policy="v24", generation="G3", initially_set=True, rounds=1, discard=True)
    steps = [GO_ON, COMMAND, *[WORKER] * 4, 0x00, USE, USE]  # page 8; popped and discarded
    player = played(replace(case, fine_host=True), [*steps, 0x03, USE, USE, TURN, TURN])
    assert player.play(TURN)[1] == LOST_WRITE
    early = played(case, steps[:7])
    early.play(0x03)
    assert early.play(USE)[1] == DISCARDED
    late = played(case, steps[:8])
    late.play(0x03)
    assert all(late.play(TURN)[1] == FINE for _ in range(3))


@pytest.mark.parametrize("generation", ["G1", "G2", "G3"])
def test_a_hint_has_its_effect_but_in_the_second_generation(generation):
    found = explore(replace(CASES["first_chunk"], generation=generation, operations=2))
    assert found.violation == (NO_EFFECT if generation == "G2" else FINE)


def test_a_fault_at_the_destination_is_served():
    case = replace(PLAIN, postcopy=True, operations=-1)
    player = played(case, [0x00, 0x03, GO_ON, SWITCH])  # page 8 is written, all is to be sent
    assert player.guest.own[PHASE] == AT_DESTINATION and player.guest.own[RECEIVED] == 0
    player.play(0x03)
    assert player.guest.own[RECEIVED] == 1 << 8
    assert player.guest.world.dirty.bitmap[0] >> 8 & 1 == 0
    for _ in range(8):
        assert player.play(GO_ON)[1] == FINE
    assert player.end() == FINE


def test_while_the_vcpus_are_paused_nobody_acts_but_the_snapshot():
    case = replace(PLAIN, snapshot=True, discard=True, operations=-1)
    steps = [GO_ON, COMMAND, WORKER, WORKER, TURN]
    assert sorted(played(case, steps).possible()) == [TURN, CANCEL]
    with_bug = played(replace(case, bug="hint_after_pause"), steps)
    assert sorted(with_bug.possible()) == [USE, TURN, CANCEL]
    assert "snapshot" in with_bug.play(TURN)[0]


def test_to_drain_the_ring_before_the_pause_is_as_good():
    drained = explore(replace(CASES["hint_after_pause"], bug="hint_after_pause", drain=True))
    assert drained.exhausted and drained.violation == FINE
    with pytest.raises(InputError, match="drain"):
        Case(drain=True)
