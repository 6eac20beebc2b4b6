"""What the zone lock and the step over bookmarks are for: the bugs of the walk, put back."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freehint.config import InputError
from freehint.safety.bugs import BUGS
from freehint.safety.check import DAMAGED, LOST_WRITE, PROPERTIES
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.known import CASES
from freehint.safety.guest import FINE, LOOKS_AT, Case
from freehint.safety.steps import CHOICES, MIGRATION, VCPU_1
from freehint.safety.trace import Player, replay, schedule_string

GO_ON, COMMAND, WORKER, HOST_GOES_ON = MIGRATION * CHOICES, 0x50, 0x20, 0x30
ALLOC_PAGE, ALLOC_BLOCK, FREE = 0x00, 0x02, 0x0B  # of vCPU 0
DOCS = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
IN_DOCS = dict(re.findall(r"^\| (\w+) \| .* \| P\d \| (\d+) \|", DOCS, re.MULTILINE))
OF_THE_WALK = [name for name, bug in BUGS.items() if 36 <= bug.number <= 40]
LOOKING = replace(CASES["walk_without_lock"], bug="walk_without_lock", operations=-1)


@pytest.fixture(scope="module")
def found():
    return {name: explore(replace(CASES[name], bug=name)) for name in OF_THE_WALK}


def played(case: Case, steps) -> Player:
    """A guest after a schedule without a violation."""
    player = Player(case)
    for step in steps:
        assert player.play(step)[1] == FINE
    return player


def rows(player: Player) -> list:
    """(node, order) of the blocks that the worker has chosen."""
    world = player.guest.world
    return [tuple(row[:2]) for row in world.report[0, : world.user[0].filled].tolist()]


@pytest.mark.parametrize("name", OF_THE_WALK)
def test_a_bug_of_the_walk_is_found_and_its_schedule_replays(found, name):
    one = found[name]
    assert PROPERTIES[one.violation].startswith(BUGS[name].breaks + ":")
    *before, last = [end for _, end in replay(schedule_string(one.case, one.steps))]
    assert not any(before) and last == one.violation
    assert len(one.steps) == int(IN_DOCS[name])


@pytest.mark.parametrize("name", OF_THE_WALK)
def test_without_the_bug_of_the_walk_the_guest_is_exhausted(name):
    fixed = explore(replace(CASES[name], operations=2))
    assert fixed.exhausted and fixed.violation == FINE and fixed.states > 1000


@pytest.mark.parametrize("name", OF_THE_WALK)
def test_the_schedule_of_a_bug_of_the_walk_harms_nobody_without_it(found, name):
    """Either the lock forbids one of its steps, or all end well."""
    try:
        ends = [end for _, end in replay(schedule_string(CASES[name], found[name].steps))]
    except InputError as error:
        assert name != "bookmark_as_block" and "cannot be taken here" in str(error)
    else:
        assert not any(ends)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("walk_without_lock", "notes pages 8..11, which are no free block any more, for a hint"),
        ("rotate_without_lock", "moves the blocks to the tail without the lock"),
        ("bookmark_as_block", "meets the walk's bookmark in a free list, and takes it for a block"),
    ],
)
def test_words_say_what_the_bug_did(found, name, said):
    one = found[name]
    assert any(said in line for line, _ in replay(schedule_string(one.case, one.steps)))
    assert not any(said in line for line, _ in replay(schedule_string(CASES[name], [GO_ON])))


@pytest.mark.parametrize("policy", ["v24", "rotate_on_exit", "restartable_cursor", "hold_the_lock"])
@pytest.mark.parametrize("taken", [[], [ALLOC_PAGE]])
def test_link_by_link_and_undisturbed_a_walk_chooses_what_fill_chooses(policy, taken):
    """With page 8 taken, three lists have a block each, and a stroke of two does not see all."""
    begun = [*taken, GO_ON, COMMAND, WORKER]
    case = replace(LOOKING, policy=policy, bug="none")
    at_once, pieces = played(case, begun), played(replace(case, bug=LOOKING.bug), begun)
    assert pieces.guest.own[LOOKS_AT] != 0
    chosen, step = set(), WORKER
    while step is not None:
        while pieces.guest.own[LOOKS_AT] != 0:
            pieces.play(WORKER)
        assert np.array_equal(at_once.guest.arena, pieces.guest.arena)
        chosen |= set(rows(pieces))
        possible = at_once.possible()
        step = next((one for one in (HOST_GOES_ON, WORKER) if one in possible), None)
        if step is not None:
            at_once.play(step), pieces.play(step)
    assert chosen == ({(0, 2), (10, 1), (9, 0)} if taken else {(0, 2), (8, 2)})


def test_a_link_into_a_block_in_use_leads_to_the_next_one_in_use():
    player = played(LOOKING, [ALLOC_BLOCK, GO_ON, COMMAND, WORKER, VCPU_1 * CHOICES + 2])
    player.play(WORKER)
    assert rows(player) == [(0, 2)] and player.guest.own[LOOKS_AT] == 1 + 8
    player.play(WORKER)
    assert rows(player) == [(0, 2), (8, 2)] and player.guest.own[LOOKS_AT] == 0


def test_a_link_into_a_block_that_has_merged_ends_the_walk():
    case = replace(LOOKING, policy="hold_the_lock")
    player = played(case, [ALLOC_PAGE, GO_ON, COMMAND, WORKER, WORKER, WORKER])
    assert player.guest.own[LOOKS_AT] == 1 + 10
    player.play(FREE)  # page 8: 8..11 is one block again, and 10 heads none
    player.play(WORKER)
    assert rows(player) == [(0, 2), (10, 1)] and player.guest.own[LOOKS_AT] == 0


def test_one_block_in_use_is_too_few_to_lose_a_write_in_the_first_generation():
    one = explore(replace(LOOKING, vcpus=1, operations=3))
    assert one.exhausted and one.violation == FINE
    third = replace(LOOKING, vcpus=1, operations=3, policy="hold_the_lock", generation="G3")
    assert explore(third).violation == LOST_WRITE
    assert explore(replace(third, bug="none")).violation == FINE


def test_with_rotation_a_walk_without_the_lock_damages_the_lists_too():
    one = explore(replace(LOOKING, policy="rotate_on_exit", operations=1))
    assert one.violation == DAMAGED


def test_a_bug_of_the_walk_is_refused_where_it_could_do_nothing():
    with pytest.raises(InputError, match="rotate each_report or on_exit"):
        Case(bug="rotate_without_lock")
    with pytest.raises(InputError, match="resume cursor or None for bug bookmark_as_block"):
        Case(bug="bookmark_as_block")
    with pytest.raises(InputError, match="policy"):
        Case("five_step", bug="walk_without_lock")
    Case("five_step", bug="bookmark_as_block")
