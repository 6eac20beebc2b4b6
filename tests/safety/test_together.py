"""Steps that are taken together change no verdict, and no byte that changes is left out."""

from dataclasses import replace
from itertools import product

import pytest

from freehint.cli import main
from freehint.safety.case import Case
from freehint.safety.core import CoreCase
from freehint.safety.exhaust.expand import LEVEL_DONE, NOT_PACKED
from freehint.safety.exhaust.explore import explore, search_all
from freehint.safety.exhaust.late import STATES, VIOLATION
from freehint.safety.exhaust.search import Search
from freehint.safety.exhaust.together import APART, taken_together
from freehint.safety.guest import FINE
from freehint.safety.trace import replay, schedule_string

LIMITS = (10_000_000, 1 << 30)
LOGS = [("G1", 4), ("G2", 1), ("G3", 0), ("G3", 4)]
SMALL = Case("v24", "own", "G3", 4, True, operations=2, rounds=1, fine_host=True)


def both(case: Case) -> tuple:
    """A case searched in every order, and with steps taken together."""
    return search_all(case, *LIMITS)[0], search_all(case, *LIMITS, reduced=True)[0]


@pytest.mark.parametrize("watched", [-1, 8])
@pytest.mark.parametrize("policy", ["none", "v24", "hold_the_lock"])
def test_steps_taken_together_change_no_verdict(policy, watched):
    case, ends = replace(SMALL, policy=policy, watched=watched), set()
    for (generation, chunk), discard in product(LOGS, (False, True)):
        now = replace(case, generation=generation, chunk=chunk, discard=discard)
        every, some = both(now)
        assert every.count[VIOLATION] == some.count[VIOLATION], now
        if every.count[VIOLATION] == FINE:
            assert 10 * every.count[STATES] > 11 * some.count[STATES], now
        ends.add(int(every.count[VIOLATION]))
    # v24 has a cell that is safe, one that loses a write, and one in which a page is discarded.
    assert len(ends) == (3 if policy == "v24" else 1)


def test_a_violation_has_the_shortest_schedule():
    assert explore(SMALL, reduced=True).steps == explore(SMALL).steps


@pytest.mark.parametrize("discard", [False, True])
def test_the_schedule_of_steps_taken_together_plays_step_by_step(discard):
    case = replace(SMALL, generation="G2", discard=discard, watched=8, operations=3)
    search = search_all(case, *LIMITS, reduced=True)[0]
    steps = search.schedule()
    *before, last = [came_to for _, came_to in replay(schedule_string(case, steps))]
    assert not any(before) and last == search.count[VIOLATION] > FINE
    assert len(steps) > search.depth + 1


def test_only_cases_for_which_it_is_shown_are_reduced():
    assert taken_together(SMALL) != APART
    for field in ("effect", "postcopy", "snapshot"):
        assert taken_together(replace(SMALL, **{field: True})) == APART
    others = {"bug": "repeated_id"}, {"ends": "fair"}, {"spec": True}, {"switch": True}
    for other in others:
        assert taken_together(replace(SMALL, **other)) == APART
    assert taken_together(CoreCase()) == APART


def test_the_command_searches_every_order_if_it_is_told_to(capsys):
    words = ["explore", "--policy", "none", "--generation", "G1", "--operations", "2"]
    words += ["--rounds", "1", "--watched", "0", "--initially-set"]
    states = []
    for more in ([], ["--every-order"]):
        assert main([*words, *more]) == 0
        states.append(int(capsys.readouterr().out.split("\n")[1].split()[0].replace(",", "")))
    assert states[0] < states[1]


def test_a_byte_that_changes_and_is_not_packed_is_seen():
    case = replace(SMALL, generation="G1", watched=0)
    cells = set(search_all(case, *LIMITS)[0].cells.tolist())
    first = {}
    for cell in sorted(cells):
        search = Search(case, cells - {cell})
        while (came_to := search.expand(LIMITS[1])) == LEVEL_DONE and len(search.level):
            search.next_level()
        assert came_to == NOT_PACKED, cell
        assert cell in search.changed()
        first[cell] = search.depth
    assert len(first) > 100
