"""Assumed costs, halved and doubled: what is run, what is told, and the table that is kept."""

from dataclasses import replace
from pathlib import Path

import pytest

import freehint as fh
from freehint.config import InputError
from freehint.runs.costs.sources import assumed
from freehint.studies.costs.scaling import counts, require_scale, scaled
from freehint.studies.costs.tornado import (
    CASES,
    COLUMN,
    FACTORS,
    NAMES,
    SEEDS,
    SIMULATED,
    VERDICT,
    Case,
    sentences,
    tornado,
    tornado_of_columns,
    tornado_of_verdicts,
    unsure,
)
from freehint.studies.disputes import Found
from freehint.studies.verdicts import DISPUTES

ROOT = Path(__file__).parents[2]
SMALL = fh.Scenario(memory="64MiB", policy="v24", duration_ns=20_000_000, walk_at_ns=1_000_000)


def test_a_scenario_with_costs_multiplied():
    other = scaled(SMALL, {"costs.lock_ns": 2, "host.gap_ns": 0.5, "migration.zero_page_ns": 2})
    assert other.costs.lock_ns == 2 * SMALL.costs.lock_ns
    assert other.host.gap_ns == SMALL.host.gap_ns // 2 and other.migration is None
    assert replace(other, costs=SMALL.costs, host=SMALL.host) == SMALL


def test_a_cost_that_does_not_count_changes_nothing():
    plain = fh.simulate(SMALL).summary
    knobs = [name for name in assumed() if not counts(SMALL, name)]
    assert "costs.throttle_ns" in knobs and "costs.fault_ns" in knobs
    assert fh.simulate(scaled(SMALL, dict.fromkeys(knobs, 50))).summary.equals(plain)
    assert not fh.simulate(scaled(SMALL, {"costs.report_ns": 50})).summary.equals(plain)
    away = SMALL.with_values({"host.gap_ns": 0})
    assert counts(SMALL, "host.gap_every_ns") and not counts(away, "host.gap_every_ns")


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ({"costs.lock": 2}, "scale must be one of costs.walk_block_ns, .*mean 'costs.lock_ns'"),
        ({"SharedHost.swap_in_ns": 2}, "scale must be one of"),
        ({"costs.lock_ns": -1}, r"scale\['costs.lock_ns'\] must be a number in 0..1000, got -1"),
        ({"costs.lock_ns": "2"}, r"scale\['costs.lock_ns'\] must be a number"),
        ([2], "scale must be a dict of costs and factors"),
    ],
)
def test_a_scale_that_names_no_cost_is_refused(scale, words):
    with pytest.raises(InputError, match=words):
        require_scale(scale)
    with pytest.raises(InputError, match=words):
        fh.verdicts([1], ["five steps"], scale=scale)


def test_columns_of_a_small_guest(monkeypatch):
    monkeypatch.setattr("freehint.studies.costs.tornado.assumed", lambda: ["costs.report_ns"])
    table = tornado_of_columns([1, 2], {"small": Case(SMALL, ("lock_held_max_ns", "coverage"))})
    row = table.set_index(["outcome", "factor"]).loc[("lock_held_max_ns", 2.0)]
    doubled = [
        fh.simulate(scaled(SMALL, {"costs.report_ns": f}).with_values({"seed": seed})).summary
        for f in (2, 1)
        for seed in (1, 2)
    ]
    held = [one["lock_held_max_ns"] for one in doubled]
    assert row["difference"] == (held[0] + held[1] - held[2] - held[3]) / 2 > 0
    assert row["against"] == (held[2] + held[3]) / 2 and row["seeds"] == 2 and row["changed"]


def test_verdicts_whose_words_change():
    asked = []

    def find(_dispute, seeds, setting):
        costs = setting.of(SMALL).costs
        asked.append(costs.report_ns)
        return Found(300.0 - costs.report_ns, 20.0, len(seeds))

    one = replace(DISPUTES[-1], find=find, least=0)
    table = tornado_of_verdicts([1, 2], [one])
    assert asked.count(100) == asked.count(400) == 1 and set(table["kind"]) == {VERDICT}
    lost = unsure(table)
    assert lost[["knob", "factor"]].values.tolist() == [["costs.report_ns", 2.0]]
    assert lost["difference"].tolist() == [-200.0]
    *told, missing = sentences(table)
    assert told == [
        "survive every halving and doubling: none",
        f"{one.dispute}: the other side is right with costs.report_ns doubled",
    ]
    assert missing.startswith("not in the table: ") and one.dispute not in missing
    assert sentences(table[table["knob"] != "costs.report_ns"])[0].endswith(one.dispute)


def test_the_kept_table_is_of_these_cases_and_costs():
    table = tornado()
    assert not table.duplicated(NAMES).any() and set(table["factor"]) == set(FACTORS)
    assert (table["seeds"] == len(SEEDS)).all() and len(SEEDS) >= 10
    columns, verdicts = (table[table["kind"] == kind] for kind in (COLUMN, VERDICT))
    assert set(columns["subject"]) == set(CASES)
    for subject, rows in columns.groupby("subject"):
        assert set(rows["outcome"]) <= set(CASES[subject].outcomes)
        assert all(counts(CASES[subject].scenario, knob) for knob in set(rows["knob"]))
    assert list(dict.fromkeys(verdicts["subject"])) == [one.dispute for one in SIMULATED]
    assert set(table["knob"]) <= set(assumed())


def test_a_row_of_the_kept_table_is_what_this_code_finds():
    """A hold of the lock is longer by what rotating its blocks costs, in every seed alike."""
    kept = tornado().set_index(NAMES)
    row = kept.loc[(COLUMN, "rotate, busy", "lock_held_p99_ns", "costs.rotate_ns", 2.0)]
    assert row["half_width"] == 0
    case = CASES["rotate, busy"].scenario
    once, twice = (
        fh.simulate(scaled(case, {"costs.rotate_ns": f})).summary["lock_held_p99_ns"]
        for f in (1, 2)
    )
    assert twice - once == row["difference"] and once == row["against"]


def test_the_docs_say_what_the_kept_table_says():
    words = " ".join((ROOT / "docs" / "costs.md").read_text().replace("\n- ", " ").split())
    for sentence in sentences(tornado()):
        assert sentence in words
