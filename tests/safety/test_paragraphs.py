"""P4: what breaks the virtio specification is found, and named by paragraph."""

from dataclasses import replace

import pytest

from freehint.config import InputError
from freehint.engine.monitor import MUST, RULES
from freehint.engine.world.violations import (
    AFTER_STOP,
    NO_DONE,
    NOT_CURRENT,
    NOT_SUPPLIED,
    WITHOUT_ID,
)
from freehint.safety.check import PROPERTIES, STILL_HELD
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.known import CASES, FOUND, known_bugs
from freehint.safety.guest import FINE, FIRST_RULE, Case
from freehint.safety.trace import replay, schedule_string

PLAIN = Case("v24", generation="G1", initially_set=True, rounds=2, operations=1, spec=True)
BUGS = ("no_done_on_cancel", "early_putback", "deaf_to_stop", "walk_at_switch")


@pytest.mark.parametrize("policy", ["none", "v24", "five_step", "balloon_alloc"])
def test_a_policy_breaks_no_must_and_no_should(policy):
    found = explore(replace(PLAIN, policy=policy, shoulds=True, rounds=1))
    assert found.exhausted and found.violation == FINE and found.states > 100


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        (replace(PLAIN, discard=True), NOT_CURRENT),  # It discards what came too late.
        (replace(PLAIN, bug="repeated_id"), NOT_CURRENT),
        (replace(PLAIN, bug="no_done_on_cancel"), NO_DONE),
        (replace(PLAIN, bug="deaf_to_stop", shoulds=True), AFTER_STOP),
        (replace(PLAIN, bug="walk_at_switch", switch=True), WITHOUT_ID),
        (replace(PLAIN, switch=True, shoulds=True), NOT_SUPPLIED),
    ],
)
def test_what_breaks_a_rule_is_named_by_paragraph(case, kind):
    found = explore(case)
    rule = RULES[kind]
    assert found.violation == FIRST_RULE + kind
    assert PROPERTIES[found.violation].startswith(f"P4: {rule.paragraph} {rule.rule}: ")
    *before, last = [end for _, end in replay(schedule_string(case, found.steps))]
    assert last == found.violation and not any(before)


def test_a_should_is_asked_for_only_if_wanted():
    found = explore(replace(PLAIN, switch=True, rounds=1))
    assert found.exhausted and found.violation == FINE
    musts = sum(1 << kind for kind, one in RULES.items() if one.rule == MUST)
    assert PLAIN.rules == musts and replace(PLAIN, spec=False).rules == 0
    with pytest.raises(InputError, match=r"explore\.shoulds must go with spec"):
        Case(shoulds=True)
    with pytest.raises(InputError, match=r"explore\.spec must be off"):
        Case(spec=True, snapshot=True)


def test_its_bugs_are_found_and_pass_without():
    table = known_bugs(BUGS, operations=1)
    assert list(table.verdict) == [FOUND] * len(BUGS)
    assert (table.fixed == "exhausted, no violation").all()


def test_a_cancel_without_done_keeps_the_blocks_of_a_balloon():
    found = explore(replace(CASES["no_done_on_cancel"], bug="no_done_on_cancel"))
    assert found.violation == STILL_HELD
    told = [said for said, _ in replay(schedule_string(found.case, found.steps))]
    assert told[-2:] == ["the migration is cancelled", "nobody can do anything"]
