"""The explorer: what it finds, what it exhausts, and its schedules as strings."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from freehint.cli import main
from freehint.config import InputError
from freehint.policies import POLICIES
from freehint.safety.case import why_not
from freehint.safety.check import DAMAGED, DISCARDED, LOST_WRITE, STILL_HELD, check_owners
from freehint.safety.exhaust.explore import explore
from freehint.safety.guest import Case
from freehint.safety.migrating import FINE
from freehint.safety.trace import Player, read_schedule, replay, schedule_string

DOCS = Path(__file__).parents[2] / "docs"
LOSING = {"policy": "v24", "chunk": 4, "initially_set": True}


def ends(case: Case, steps) -> list:
    """What each step of a schedule came to."""
    return [came_to for _, came_to in replay(schedule_string(case, steps))]


@pytest.mark.parametrize("generation", ["G2", "G3"])
def test_a_write_is_lost_and_its_schedule_replays(generation):
    found = explore(Case(generation=generation, **LOSING))
    assert found.violation == LOST_WRITE and not found.exhausted
    assert ends(found.case, found.steps) == [FINE] * (len(found.steps) - 1) + [LOST_WRITE]
    told = [sentence for sentence, _ in replay(schedule_string(found.case, found.steps))]
    assert any("writes page" in one for one in told)
    assert any("uses the hint" in one and "out of the bitmap" in one for one in told)


def test_no_step_of_the_shortest_schedule_can_be_left_out():
    found = explore(Case(generation="G3", **LOSING))
    for left_out in range(len(found.steps)):
        steps = found.steps[:left_out] + found.steps[left_out + 1 :]
        try:
            assert not any(ends(found.case, steps))
        except InputError as error:
            assert "cannot be taken here" in str(error)


def test_the_first_generation_loses_nothing():
    found = explore(Case(generation="G1", operations=2, **LOSING))
    assert found.exhausted and found.violation == FINE and found.states > 1000


def test_a_discarding_host_destroys_a_page_of_v24():
    found = explore(Case(generation="G1", discard=True, **LOSING))
    assert found.violation == DISCARDED
    assert ends(found.case, found.steps)[-1] == DISCARDED
    assert (
        "discards what was written" in list(replay(schedule_string(found.case, found.steps)))[-1][0]
    )


def test_the_schedules_in_the_docs_lose_a_write_of_five_step_and_destroy_one():
    found = re.findall(r"--replay (five_step\S+)", (DOCS / "safety.md").read_text())
    ends = []
    for text in found:
        *before, last = replay(text)
        assert not any(came_to for _, came_to in before)
        ends.append(last[1])
    assert ends == [LOST_WRITE, DISCARDED]


def test_a_limit_is_not_taken_for_the_end():
    found = explore(Case(generation="G1", **LOSING), most_states=500)
    assert not found.exhausted and found.violation == FINE


def test_a_page_in_two_places_is_seen():
    player = Player(Case(policy="none"))
    player.play(0x02)  # four pages
    assert check_owners(player.pinned) == FINE
    player.guest.world.held[0, 0] += 1 << 4  # as if the block began a page later
    assert check_owners(player.pinned) == DAMAGED
    player.guest.world.held[0, 0] -= 1 << 4
    player.guest.world.cpu[0].nr_blocks = 0  # nobody's
    assert check_owners(player.pinned) == DAMAGED


def test_a_block_that_stays_held_at_the_end_is_seen():
    player = Player(Case(policy="five_step"))
    for step in (0x40, 0x42):  # begin, cancel
        assert player.play(step)[1] == FINE
    assert player.end() == FINE
    player = Player(Case(policy="five_step"))
    for step in (0x40, 0x50, 0x20):  # begin, the command, the worker takes a block
        assert player.play(step)[1] == FINE
    player.guest.world.key[:] = 1 << 62
    player.guest.own[:] = 0
    player.guest.own[0] = 4  # ENDED
    assert player.end() == STILL_HELD


def test_a_schedule_comes_back_from_its_string():
    case = Case(policy="five_step", generation="G2", discard=True, operations=3)
    text = schedule_string(case, (0x40, 0x50))
    assert text == "five_step,generation=G2,discard=True,operations=3:4050"
    assert read_schedule(text) == (case, (0x40, 0x50))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("v24", "must be a schedule"),
        ("v24:4", "must be a schedule"),
        ("v24,chunks=4:40", "there is no 'chunks'"),
        ("v24,chunk=x:40", "chunk cannot be 'x'"),
        ("v24,chunk=9:40", "explore.chunk"),
        ("v42:40", "policy"),
        ("v24:60", "step 60 cannot be taken here"),
        ("v24:41", "step 41 cannot be taken here"),
    ],
)
def test_a_string_that_is_no_schedule_is_refused_in_a_sentence(text, complaint, capsys):
    assert main(["explore", "--replay", text]) == 2
    assert complaint in capsys.readouterr().err


def test_the_command_tells_the_verdict_and_the_schedule(capsys):
    arguments = ["explore", "--policy", "v24", "--generation", "G3", "--initially-set"]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "violation of P1" in said and "states/s" in said
    text = said.splitlines()[-1].split()[-1]
    assert main(["explore", "--replay", text]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("P1")


def test_a_policy_that_does_not_fit_is_refused():
    assert "feedback" in why_not(replace(POLICIES["v24"], resume="host_feedback"))
    with pytest.raises(InputError, match=r"policy\.report"):
        explore(Case(policy="v24", report="acknowledged"))
