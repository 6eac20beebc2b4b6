"""The decision chart: what is chosen, what is left out, and the table that is kept."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.config import InputError
from freehint.policies import BASELINE
from freehint.studies.chart import chart
from freehint.studies.chart.cells import CHOICES, HOSTS, WORKLOADS, chart_scenario, knobs_of
from freehint.studies.chart.chart import COLUMNS, KEY, changes, evidence
from freehint.studies.chart.study import (
    KNOBS,
    NO_DIFFERENCE,
    NOT_KNOWN,
    OR,
    SEEDS,
    cell,
    decide,
    given_up,
    measured,
)
from freehint.studies.side_by_side import LEAST_SHARE

ROOT = Path(__file__).parents[2]


def runs(**values) -> pd.DataFrame:
    """A table of levels, each with one value for each seed and a cost of its own."""
    return pd.concat(
        pd.DataFrame({"level": level, "seed": range(len(one)), "value": one, "cost": cost})
        for cost, (level, one) in enumerate(values.items())
    )


def test_a_choice_is_all_that_nothing_tells_apart_from_the_best():
    found = decide(runs(a=[9, 9, 9], b=[1, 4, 1], c=[2, 2, 1], d=[5, 6, 5]), least=0.0)
    assert found.levels == ["b", "c"] and found.best == "c" and found.cheapest == "b"
    assert found.runner_up == "d" and found.difference == pytest.approx(11 / 3)
    close = runs(a=[1.0, 1.0], b=[1.5, 1.5])
    assert decide(close, least=0.4).levels == ["a"]
    assert decide(close, least=0.6).levels == ["a", "b"]


def test_a_level_that_takes_memory_in_use_is_left_out():
    without = pd.Series([100.0, 102.0, 101.0])
    table = runs(same=without, evicts=without - 40, little=without - 1.5, noise=[0, 160, 142])
    assert given_up(table.rename(columns={"value": "in_use"}), without) == ["evicts"]


def test_the_cheaper_half_of_a_guest_is_no_choice():
    """The balloon takes a guest's page cache, which stores less than any hint can save."""
    at = ("page cache", "park, 2 MiB chunks")
    [row] = evidence().set_index(KEY).loc[[(*at, "policy")]].to_dict("records")
    [taken] = row["left_out"].split(OR)
    assert CHOICES[taken].allocates and taken not in row["choice"].split(OR)
    assert measured(*at, 1, taken)["value"] < row["best_value"]


@pytest.mark.parametrize(
    "at",
    [("memory hog ended", "park, 2 MiB chunks"), ("churn of small blocks", "live migration")],
)
def test_what_a_cell_names_is_really_better(at):
    kept = evidence().set_index(KEY).loc[(*at, "policy")]
    best, other = (
        [measured(*at, seed, name)["value"] for seed in SEEDS]
        for name in (kept["best"], kept["runner_up"])
    )
    assert np.mean(best) == pytest.approx(kept["best_value"], rel=1e-5)
    assert np.mean(other) - np.mean(best) == pytest.approx(kept["difference"], rel=1e-4)
    assert kept["difference"] > kept["half_width"] and kept["runner_up"] not in kept["choice"]


def test_the_kept_chart_has_every_cell_with_evidence_or_a_reason():
    table = evidence()
    assert list(table.columns) == COLUMNS and not table.duplicated(KEY).any()
    assert len(table) == len(WORKLOADS) * len(HOSTS) * len(KNOBS)
    unknown = table["choice"] == NOT_KNOWN
    assert (table["why"] != "")[unknown].all() and (table["why"] == "")[~unknown].all()
    assert table["seeds"][unknown].isna().all() and (table["seeds"][~unknown] == len(SEEDS)).all()
    assert len(SEEDS) >= 10 and set(table["why"][table["host"].map(lambda h: HOSTS[h].why != "")])
    for row in table[~unknown & (table["choice"] != NO_DIFFERENCE)].itertuples():
        assert row.best in row.choice.split(OR) and row.cheapest in row.choice.split(OR)
        assert row.difference > row.half_width
        assert row.difference >= LEAST_SHARE * row.without * 0.999
    policies = table[table["knob"] == "policy"].set_index(KEY[:2])["choice"]
    assert not policies.map(lambda choice: BASELINE.name in choice.split(OR)).any()
    nothing = table[table["host"] == "a backend that frees nothing"]
    assert set(nothing["choice"]) == {NO_DIFFERENCE, NOT_KNOWN}


def test_a_cell_that_was_not_run_says_why():
    host = next(name for name, one in HOSTS.items() if one.why)
    table = cell("page cache", host)
    assert table["knob"].tolist() == list(KNOBS) and set(table["choice"]) == {NOT_KNOWN}
    assert set(table["why"]) == {HOSTS[host].why}
    asked, alone = (
        next(n for n, p in CHOICES.items() if p.fill and (p.delay_ns is None) == by_host)
        for by_host in (True, False)
    )
    assert "rounds of a migration" in knobs_of(asked, "live migration")["delay"].why
    assert knobs_of(asked, "park, 4 KiB chunks")["delay"].name == "control.every_ns"
    assert knobs_of(alone, "live migration")["delay"].name == "policy.delay_ns"


def test_seeds_move_the_moments_at_which_the_host_acts():
    found = [chart_scenario("just booted", "park, 4 KiB chunks", s, BASELINE.name) for s in SEEDS]
    assert len({one.park.at_ns for one in found}) == len({one.walk_at_ns for one in found}) == 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workload": "page cach"}, "workload must be one of just booted, .*mean 'page cache'"),
        ({"host": "a mainframe"}, "host must be one of live migration, .*got 'a mainframe'"),
    ],
)
def test_unknown_kinds_are_refused(given, words):
    with pytest.raises(InputError, match=words):
        fh.decision_chart(**given)
    with pytest.raises(InputError, match=words):
        cell(**{"workload": "page cache", "host": "live migration"} | given)


def test_the_chart_for_people():
    table = fh.decision_chart()
    assert len(table) == len(WORKLOADS) * len(HOSTS) and table.attrs["made by"] == "make chart"
    one = fh.decision_chart(workload="memory hog ended", host="park, 2 MiB chunks")
    assert one.index.tolist() == [("memory hog ended", "park, 2 MiB chunks")]
    assert re.search(r"MiB", one["column"].iloc[0]) and "; cheapest: " in one["policy"].iloc[0]
    unknown = fh.decision_chart(host="guests that share memory and swap")
    assert unknown["policy"].str.startswith("not known: not run: ").all()


def test_a_changed_choice_fails(tmp_path, monkeypatch, capsys):
    kept = evidence()
    assert changes(kept, kept) == []
    other = kept.copy()
    other.loc[3, "choice"] = "something else"
    assert changes(other, kept) == [
        f"{', '.join(kept.loc[3, KEY])}: something else, and was {kept.loc[3, 'choice']}"
    ]
    assert "gone" in changes(kept.drop(index=0), kept)[0]
    path = tmp_path / "new" / "chart.csv"
    monkeypatch.setattr(sys, "argv", ["chart", str(path)])
    for table, code in ((other, 1), (kept, 0)):
        monkeypatch.setattr(chart, "remade", lambda _progress, table=table: table)
        assert chart.main() == code
    assert capsys.readouterr().out.endswith("no choice has changed\n")
    assert path.read_text() == (ROOT / "data" / "costs" / "chart.csv").read_text()


def test_the_docs_show_the_kept_chart():
    text = (ROOT / "docs" / "chart.md").read_text()
    assert text.split("<!-- chart -->\n")[1].split("<!-- end -->")[0] == chart.markdown()
