"""A run's tables are made when they are asked for, from what is left of its engine."""

import copy
import pickle
from dataclasses import fields

import pandas as pd
import pytest

import freehint as fh
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.simulate import new_run

SCENARIO = fh.Scenario(memory="64MiB", policy="v24", duration_ns=50_000_000)
TABLES = [one.name for one in fields(fh.Run) if one.name not in ("provenance", "memory")]


def made(run) -> set:
    """The tables that have been made."""
    return set(TABLES) & vars(run).keys()


def test_each_table_is_made_once_when_it_is_asked_for():
    run = fh.simulate(SCENARIO)
    assert made(run) == set() and set(TABLES) <= set(dir(run))
    for number, name in enumerate(TABLES, 1):
        table = getattr(run, name)
        assert isinstance(table, pd.Series if name == "summary" else pd.DataFrame)
        assert getattr(run, name) is table and len(made(run)) == number
    with pytest.raises(AttributeError, match="a Run has no 'report'"):
        run.report  # noqa: B018


@pytest.mark.parametrize(
    "other", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_copy_makes_the_same_tables(other):
    run = fh.simulate(SCENARIO)
    reports = run.reports
    twin = other(run)
    assert made(run) == {"reports"} == made(twin)
    pd.testing.assert_frame_equal(twin.reports, reports)
    pd.testing.assert_frame_equal(twin.waits, run.waits)
    assert twin.summary.equals(run.summary) and len(run.waits) and len(reports)


def test_an_engine_that_goes_on_changes_no_run_of_before():
    """As the player's engines do."""
    engine = new_engine(SCENARIO, guest_memory(SCENARIO)[0])
    engine.advance_to(30_000_000)
    early, again = (new_run(SCENARIO, engine, ()) for _ in range(2))
    expected = {name: getattr(again, name).copy() for name in TABLES}
    engine.run()
    late = new_run(SCENARIO, engine, ())
    for name in TABLES:
        assert getattr(early, name).equals(expected[name]), name
    assert len(late.history) > len(early.history) and len(late.waits) > len(early.waits)
    assert late.summary["allocations"] > early.summary["allocations"]
