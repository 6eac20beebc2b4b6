"""A search stops at its limits, also within a level, and its checkpoint is bound to the code."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from freehint.config import InputError
from freehint.safety.case import Case
from freehint.safety.exhaust import search as tables
from freehint.safety.exhaust import store
from freehint.safety.exhaust.expand import LEVEL_DONE, NEED_ROOM
from freehint.safety.exhaust.explore import explore, search_all
from freehint.safety.exhaust.late import ROW, STATES
from freehint.safety.exhaust.search import Search

CASE = Case("v24", generation="G1", operations=2, rounds=1, vcpus=2)
LEAST = 6 << 20


@pytest.fixture(scope="module")
def whole():
    found = explore(CASE)
    assert found.exhausted
    return replace(found, seconds=0)


def test_a_search_stops_within_a_level_before_its_tables_take_too_much(whole):
    tracemalloc.start()
    try:
        search, came_to = search_all(CASE, 1 << 30, LEAST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert came_to == NEED_ROOM and 0 < search.count[ROW] < len(search.level)
    assert search.count[STATES] < whole.states
    assert LEAST / 4 < search.bytes <= LEAST and peak < LEAST + (2 << 20)


def test_it_goes_on_within_the_level(whole, tmp_path):
    file = tmp_path / "search.npz"
    for most in (LEAST // 4, LEAST):
        stopped = explore(CASE, most_bytes=most, checkpoint=file)
        assert not stopped.exhausted and stopped.states < whole.states
    assert replace(explore(CASE, checkpoint=file), seconds=0) == whole


def test_parts_of_a_level_come_to_what_the_level_comes_to(whole, monkeypatch):
    monkeypatch.setattr(tables, "PART", 1000)
    assert replace(explore(CASE), seconds=0) == whole
    stopped = explore(CASE, most_states=40_000)
    assert 40_000 < stopped.states < 60_000 and not stopped.exhausted


def test_a_guest_that_was_searched_before_is_as_good_as_a_new_one():
    small = replace(CASE, operations=1)
    used, _ = search_all(small, 1 << 30, 1 << 30)  # It began anew for each byte that changes.
    fresh = Search(small, used.cells.tolist())
    while len(fresh.level):
        assert fresh.expand(1 << 30) == LEVEL_DONE
        fresh.next_level()
    assert fresh.count.tolist() == used.count.tolist() and fresh.count[STATES] > 1000
    for name in ("first", "table", "parents", "steps"):
        assert np.array_equal(getattr(fresh, name), getattr(used, name)), name


def test_a_checkpoint_of_other_code_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "search.npz"
    explore(CASE, most_states=1000, checkpoint=file)
    monkeypatch.setattr(store, "code_of_rules", lambda: "0" * 16)
    with pytest.raises(InputError, match=r"search\.npz: .* written by other code .*, not 0{16}"):
        explore(CASE, checkpoint=file)


def test_the_code_is_that_of_the_rules(tmp_path):
    for room in (*store.RULES, "figures"):
        (tmp_path / room / "deep").mkdir(parents=True)
        (tmp_path / room / "deep" / "one.py").write_text("a = 1\n")
    before = store.code_of_rules(tmp_path)
    (tmp_path / "figures" / "deep" / "one.py").write_text("a = 2\n")
    assert store.code_of_rules(tmp_path) == before != store.code_of_rules()
    for room in store.RULES:
        (tmp_path / room / "deep" / "one.py").write_text("a = 2\n")
        after = store.code_of_rules(tmp_path)
        assert after != before
        before = after
