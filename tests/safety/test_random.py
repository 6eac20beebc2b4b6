"""Schedules at random: what they find, that they repeat, and what is left of one when shortened."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from freehint.cli import main
from freehint.config import InputError
from freehint.safety.case import Case
from freehint.safety.chance.histories import run_many, told
from freehint.safety.chance.race import CASE, DEPTH, STEPS
from freehint.safety.chance.random import SCHEDULES_AT_ONCE, Walk, explore_at_random, shorten
from freehint.safety.chance.schedules import SELDOM
from freehint.safety.check import PROPERTIES
from freehint.safety.guest import DISCARDED, FINE
from freehint.safety.steps import CHOICES, HOST, VCPU_0, WORKER
from freehint.safety.trace import replay, schedule_string

ENOUGH = 1000  # schedules of PCT that find the planted race


@pytest.fixture(scope="module")
def race():
    return explore_at_random(CASE, ENOUGH, DEPTH, steps=STEPS)


def ends(case, steps) -> list:
    """What each step of a schedule came to."""
    return [came_to for _, came_to in replay(schedule_string(case, steps))]


def without_time(found):
    return replace(found, seconds=0)


def test_pct_finds_a_race_that_uniform_schedules_miss(race):
    uniform = explore_at_random(CASE, 10 * ENOUGH, steps=STEPS)
    assert uniform.violation == FINE and uniform.first == -1 and uniform.ends == {}
    assert race.violation == DISCARDED
    number, first = race.ends[DISCARDED]
    assert number >= ENOUGH * race.bound and first == race.first
    assert race.bound == 1 / (5 * STEPS ** (DEPTH - 1))


def test_pct_finds_nothing_where_the_race_is_not_planted():
    found = explore_at_random(replace(CASE, bug="none"), ENOUGH, DEPTH, steps=STEPS)
    assert found.violation == FINE and found.transitions > 10 * ENOUGH


def test_both_schedules_end_in_the_violation_as_they_are_replayed(race):
    for steps in (race.found, race.steps):
        *before, last = ends(CASE, steps)
        assert last == DISCARDED and not any(before)
    assert len(race.steps) < len(race.found)


def test_no_step_of_a_shortened_schedule_can_be_left_out(race):
    walk = Walk(CASE, STEPS, 0)
    assert walk.play(race.steps) == (DISCARDED, race.steps)
    for left_out in range(len(race.steps)):
        came_to, _ = walk.play(race.steps[:left_out] + race.steps[left_out + 1 :])
        assert came_to == FINE


def test_what_needs_no_step_is_shortened_to_itself():
    assert shorten(Case(), ()) == ()


def test_numbers_depend_on_the_seed_alone_and_not_on_threads():
    case = Case(vcpus=2, blocks=2, ring=4, operations=30, generation="G3", initially_set=True)
    many = SCHEDULES_AT_ONCE + 500
    one, two = (explore_at_random(case, many, 3, seed=5, threads=n) for n in (1, 2))
    assert without_time(one) == without_time(two)
    other = explore_at_random(case, many, 3, seed=6)
    assert other.transitions != one.transitions


def test_a_schedule_depends_on_no_other():
    """The first with a violation is the same if it alone is run."""
    found = explore_at_random(CASE, ENOUGH, DEPTH, steps=STEPS)
    walk = Walk(CASE, STEPS, DEPTH)
    _, (first, length, _), steps = walk.run(found.first, found.first + 1, 0)
    assert (first, length, tuple(steps)) == (found.first, len(found.found), found.found)


def test_uniform_gives_every_actor_its_turn_and_pct_starves_one():
    """Actors that can act for ever: a vCPU between whose turns the host does nothing."""
    runs = {}
    for depth in (0, 1):
        walk = Walk(replace(CASE, bug="none"), STEPS, depth)
        longest = 0
        for number in range(200):
            walk.run(number, number + 1, 0)
            actors = "".join(str(step // CHOICES) for step in walk.room.taken)
            of_vcpu = max(map(len, re.findall(f"{VCPU_0}+", actors)), default=0)
            longest = max(longest, of_vcpu if str(HOST) in actors else 0)
            assert str(WORKER) in actors or depth
        runs[depth] = longest
    assert runs[1] >= CASE.operations > runs[0]


def test_what_is_seldom_is_a_step_of_the_migration():
    assert {step // CHOICES for step in SELDOM} == {4}


def test_bad_numbers_are_refused():
    for wrong in ({"schedules": 0}, {"depth": -1}, {"depth": 11}, {"steps": 0}, {"seed": -1}):
        with pytest.raises(InputError, match=r"explore\."):
            explore_at_random(Case(), **{"schedules": 1} | wrong)


def test_the_command_prints_the_schedule_and_the_bound(capsys):
    options = "--policy v24 --generation G1 --bug host_behind --operations 60".split()
    options += f"--random {ENOUGH} --pct {DEPTH} --steps {STEPS}".split()
    assert main(["explore", *options]) == 1
    said = capsys.readouterr().out
    assert PROPERTIES[DISCARDED] in said and f"one of {5 * STEPS:,} schedules, or more" in said
    assert main(["explore", "--replay", said.split()[-1]]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == PROPERTIES[DISCARDED]


def test_the_command_says_that_nothing_was_found_and_wants_a_number(capsys):
    assert main(["explore", "--generation", "G1", "--random", "50"]) == 0
    assert "50 schedules at random, uniform, seed 0" in (said := capsys.readouterr().out)
    assert said.splitlines()[-1].strip() == "no violation"
    assert main(["explore", "--pct", "2"]) == 2
    assert "--random" in capsys.readouterr().err


# Whole simulations.


def test_random_migrations_lose_nothing_that_is_promised():
    counts, broken = run_many(0, 60, (18, 6))
    assert broken == []
    for shift in (18, 6):
        of = {(generation, what): n for (s, generation, what), n in counts.items() if s == shift}
        statuses = {key: n for key, n in of.items() if key[1] not in ("compared", "lost")}
        assert sum(statuses.values()) == 30
        compared = sum(n for (_, what), n in of.items() if what == "compared")
        assert compared == sum(n for (_, what), n in of.items() if what == "completed") >= 10


def test_counts_of_lost_writes_say_the_chunk_shift_and_how_many_were_compared():
    counts = Counter({(18, "G2", "completed"): 1_200, (18, "G2", "active"): 34})
    counts.update({(18, "G2", "compared"): 1_200, (18, "G2", "lost"): 5})
    assert told(counts) == [
        "chunk shift 18, G2: 1,234 migrations (34 active, 1,200 completed), 1,200 compared, "
        "5 lost a write"
    ]
