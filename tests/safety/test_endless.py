"""P6: walks without end, among hand-made states and in the small guest of balloon_alloc."""

import re
from pathlib import Path

import numpy as np
import pytest

from freehint.safety.case import Case
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust.explore import explore
from freehint.safety.exhaust.known import known_bugs
from freehint.safety.exhaust.lasso import endless
from freehint.safety.guest import ENDLESS, FINE
from freehint.safety.trace import replay, schedule_string

# States are named 1, 2, ..; 0 is nowhere.  Where does the worker lead to from each, where the host?
# Then what is found if the host stands still, and if it takes its turns.
GRAPHS = {
    "the worker comes back": ([2, 3, 2], [0, 0, 0], (1, "ww"), (1, "ww")),
    "to itself": ([2, 3, 3], [0, 0, 0], (2, "w"), (2, "w")),
    "the host would end it": ([2, 3, 2], [9, 4, 4], (1, "ww"), None),
    "the host has nothing to do in one": ([2, 3, 2], [0, 4, 0], (1, "ww"), (1, "ww")),
    "the host alone does not walk": ([0, 0, 0], [2, 1, 0], None, None),
    "both go round": ([2, 0, 1], [4, 3, 4], None, (0, "whw")),
    "the walk ends": ([2, 3, 0], [0, 0, 0], None, None),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_cycle_is_found_where_the_host_may_stand_still_or_acts(name):
    worker, host, alone, fair = GRAPHS[name]
    own = range(1, len(worker) + 1)
    edges = np.array([own, worker, host], np.uint64).T.copy()
    for stands_still, expected in ((True, alone), (False, fair)):
        begin, steps = endless(edges, stands_still)
        told = (begin, "".join("w" if step == 0x20 else "h" for step in steps))
        assert told == (expected or (-1, ""))


SMALL = {"policy": "balloon_alloc", "generation": "G1", "rounds": 1, "operations": 0}


def test_what_linux_merged_goes_round_until_the_host_takes_a_hint():
    found = explore(Case(**SMALL, ends="alone"))
    assert found.violation == ENDLESS
    said = list(replay(schedule_string(found.case, found.steps)))
    assert [came_to for _, came_to in said] == [FINE] * len(found.steps) + [ENDLESS]
    assert "finds the ring full and loses the hint" in said[-3][0]
    assert said[-4][0] == "the worker chooses pages 0..3"
    assert explore(Case(**SMALL, ends="fair")).exhausted
    # Less than the cycle is none.
    shorter = schedule_string(found.case, found.steps[:-1])
    assert not any(came_to for _, came_to in replay(shorter))


def test_both_bugs_of_walks_without_end_are_found_and_pass_without():
    table = known_bugs(["take_and_free", "shrinks_itself"], operations=0)
    assert (table["verdict"] == "found").all()
    assert (table["fixed"] == "exhausted, no violation").all()
    docs = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
    for row in table.itertuples():
        *_, (_, last) = replay(row.schedule)
        assert PROPERTIES[last].startswith("P6")
        assert re.search(rf"^\| {row.bug} \| .* \| P6 \| {row.steps} \|", docs, re.MULTILINE)


def test_the_shrinker_frees_a_block_whose_hint_is_on_the_ring():
    told = [one for one, _ in replay("balloon_alloc,generation=G1,discard=True:4050202051000330")]
    assert told[4].endswith("asks the balloon's shrinker, which frees pages 8, 9, 10, 11")
    assert "it discards what was written to" in told[-1]
