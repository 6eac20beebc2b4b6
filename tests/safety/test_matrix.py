"""The table of make explore: what it holds, and that this code still comes to it."""

from dataclasses import replace

import pytest

from freehint.policies import POLICIES
from freehint.safety.case import Case, why_not
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust import matrix
from freehint.safety.exhaust.matrix import NAMES, explored, other_verdicts, searched_again
from freehint.safety.trace import replay
from freehint.safety.verdicts import EXHAUSTED, FOLLOWS, IN_A_SLICE, UNFINISHED, VIOLATED


def test_every_counterexample_of_the_kept_table_ends_as_it_says():
    table = explored()
    violated = table[table["verdict"] == VIOLATED]
    assert len(violated) > 0
    for row in violated.itertuples():
        *before, last = [came_to for _, came_to in replay(row.schedule)]
        assert not any(before) and PROPERTIES[last] == row.property
        assert len(before) + 1 == row.length


def test_the_kept_table_has_every_cell_and_follows_only_where_it_may():
    table = explored().set_index(NAMES)
    cells = matrix.cells()
    assert list(table.index) == sorted(tuple(matrix.named(case).values()) for case in cells)
    possible = {name for name, policy in POLICIES.items() if not why_not(policy)}
    assert {case.policy for case in cells} == possible
    for *name, discard in table.index[table["verdict"] == FOLLOWS]:
        assert not discard
        assert table.loc[(*name, True), "verdict"] == EXHAUSTED


def test_this_code_comes_to_the_kept_table():
    again = searched_again(["none"])
    assert len(again) == 5
    assert again["same"].all()


def test_another_verdict_is_told():
    kept = explored()
    assert other_verdicts(kept, kept) == []
    found = kept.copy()
    found.loc[0, "verdict"] = UNFINISHED
    (said,) = other_verdicts(found, kept)
    assert said.endswith(f"{UNFINISHED}, but the kept table has {kept.loc[0, 'verdict']}")
    assert len(other_verdicts(kept, kept.iloc[1:])) == 1


SMALL = Case("hold_the_lock", "own", "G2", 4, True, vcpus=2, rounds=1)


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        (matrix.Limits(), VIOLATED),
        (matrix.Limits(whole_states=1), IN_A_SLICE),
        (matrix.Limits(slice_states=1, whole_states=1), UNFINISHED),
    ],
)
def test_a_cell_says_how_far_it_came(limits, verdict):
    assert matrix.verdict_of(SMALL, limits)["verdict"] == verdict


def test_a_cell_without_a_violation_is_exhausted():
    assert matrix.verdict_of(replace(SMALL, generation="G3"))["verdict"] == EXHAUSTED
