"""Designs that are no grid, sensitivities and searches: what they promise, and refusals."""

import re

import numpy as np
import pandas as pd
import pytest
from test_sweep import SMALL, stopped_sweep

import freehint as fh
from freehint.sweeps import pools
from freehint.sweeps.factors import Range
from freehint.sweeps.objective import stated
from own_policy import WRONG

RANGES = {
    "ring.size": {"low": 8, "high": 4096, "scale": "log2"},
    "host.gap_ns": {"low": 0, "high": 9},
    "policy": ["v24", "none"],
}


@pytest.mark.parametrize("design", [fh.sobol, fh.latin_hypercube, fh.saltelli, fh.morris])
def test_the_same_seed_is_the_same_design_and_another_is_another(design):
    first, again, other = (design(RANGES, 16, seed) for seed in (1, 1, 2))
    assert first.keys == again.keys and first.keys != other.keys
    assert first.facts() == again.facts() != other.facts()


def test_points_are_spread_evenly():
    for design in (fh.sobol(RANGES, 16), fh.latin_hypercube(RANGES, 16)):
        for column in design.unit.T:
            assert sorted((column * 16).astype(int)) == list(range(16))
        assert [policy for *_, policy in design.keys].count(0) == 8
        assert {size.bit_count() for size, *_ in design.keys} == {1}


@pytest.mark.parametrize(
    ("range_", "shares", "numbers"),
    [
        (Range(3, 6), (0, 0.24, 0.26, 0.99, 1), (3, 3, 4, 6, 6)),
        (Range(-2, 1), (0, 0.3, 1), (-2, -1, 1)),
        (Range(0.5, 1), (0, 0.5, 1), (0.5, 0.75, 1.0)),
        (Range(1, 999, "log"), (0, 1 / 3 + 0.001, 1), (1, 10, 999)),
        (Range(0.01, 1.0, "log"), (0, 0.5, 1), (0.01, 0.1, 1.0)),
        (Range(8, 64, "log2"), (0, 0.3, 0.5, 1), (8, 16, 32, 64)),
    ],
)
def test_a_range_holds_both_its_ends(range_, shares, numbers):
    found = [range_.at(share) for share in shares]
    assert found == pytest.approx(numbers)
    assert {type(number) for number in found} == {int if range_.whole else float}


BAD = [
    ({"ring.size": {"low": 8}}, 4, "ring.size must have low and high, got {'low': 8}"),
    ({"ring.size": {"low": 8, "high": 8}}, 4, "ring.size: low must be below high 8, got 8"),
    ({"ring.size": {"low": "8", "high": 9}}, 4, "ring.size: low must be a number, got '8'"),
    ({"a": {"low": 0, "high": 9, "scale": "log"}}, 4, "a: low must be above 0 on scale 'log'"),
    ({"a": {"low": 3, "high": 8, "scale": "log2"}}, 4, "a: low must be a power of two on scale"),
    ({"a": {"low": 3, "high": 8, "scale": "ln"}}, 4, "a: scale must be one of linear, log, log2"),
    ({"a": {"low": 3, "high": 8, "step": 2}}, 4, "a: Range has no parameter 'step'"),
    ({"a": 3}, 4, "a must be a list of values, got 3"),
    ({"seed": [3]}, 4, "ranges must leave seed to seeds"),
    ({}, 4, "ranges must have at least one parameter"),
    (RANGES, 12, "n must be a power of two in a Sobol' sequence, got 12"),
    (RANGES, 0, "n must be a whole number in 1..1048576, got 0"),
]


@pytest.mark.parametrize(("ranges", "n", "sentence"), BAD)
def test_a_design_that_cannot_be_meant_is_one_sentence(ranges, n, sentence):
    with pytest.raises(fh.InputError, match=re.escape(sentence)):
        fh.sobol(ranges, n)


def test_a_misspelt_parameter_is_refused_and_a_contradiction_listed():
    with pytest.raises(fh.InputError, match=r"there is no parameter 'ring\.sise'"):
        fh.sweep(SMALL, fh.sobol({"ring.sise": {"low": 1, "high": 8}}, 4), [1])
    choices = {"policy.rotate": ["never", "on_exit"], "policy.resume": ["cursor", "scan_for_first"]}
    table = fh.sweep(SMALL, fh.latin_hypercube(choices, 12), [1])
    contradicts = (table["policy.rotate"] == "never") & (table["policy.resume"] != "cursor")
    assert contradicts.any() and ((table["status"] == "refused") == contradicts).all()


def test_a_sweep_of_a_design_is_numbered_written_and_gone_on_with(tmp_path):
    design = fh.sobol(RANGES, 8, seed=4)
    out = tmp_path / "runs"
    stopped_sweep(out, 5, design, [1, 2])
    table = fh.sweep(SMALL, design, [1, 2], "processes", out)
    pd.testing.assert_frame_equal(table, fh.sweep(SMALL, design, [1, 2]))
    assert table["run"].tolist() == list(range(16)) and table["seed"].tolist() == [1, 2] * 8
    assert table["ring.size"].tolist()[::2] == [size for size, *_ in design.keys]
    with pytest.raises(fh.InputError, match="holds another sweep, with other design"):
        fh.sweep(SMALL, fh.sobol(RANGES, 8, seed=5), [1, 2], out=out)


# Sensitivity, of a function whose indices are known.

UNIT = {name: {"low": 0.0, "high": 1.0} for name in ("a", "b", "c")}


def table_of(design, function, seeds=2) -> pd.DataFrame:
    """A table as of a sweep, without runs; seeds differ by noise that adds up to 0."""
    rows = []
    for key in design.keys:
        values = dict(zip(design.factors, key))
        for seed in range(seeds):
            noise = seed - (seeds - 1) / 2
            rows.append({**values, "seed": seed, "error": "", "y": function(**values) + noise})
    return pd.DataFrame(rows).rename_axis("run").reset_index()


def test_sobol_indices_of_a_sum_and_of_a_product():
    design = fh.saltelli(UNIT, 512)
    found = fh.sensitivity(table_of(design, lambda a, b, c: 2 * a + b), design, "y")
    assert found["parameter"].tolist() == ["a", "b", "c"]
    # Variances 4/12 and 1/12.
    assert found["S1"].tolist() == pytest.approx([0.8, 0.2, 0], abs=0.03)
    assert found["ST"].tolist() == pytest.approx([0.8, 0.2, 0], abs=0.03)
    product = fh.sensitivity(table_of(design, lambda a, b, c: (a - 0.5) * (b - 0.5)), design, "y")
    # All of it is interaction.
    assert product["S1"].tolist() == pytest.approx([0, 0, 0], abs=0.1)
    assert product["ST"].tolist() == pytest.approx([1, 1, 0], abs=0.1)


def test_morris_effects_of_a_sum():
    design = fh.morris(UNIT, 8)
    found = fh.sensitivity(table_of(design, lambda a, b, c: 2 * a - b), design, "y")
    assert found["mu"].tolist() == pytest.approx([2, -1, 0])
    assert found["mu_star"].tolist() == pytest.approx([2, 1, 0])
    assert found["sigma"].tolist() == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_ring_matters_and_a_host_that_is_never_away_does_not():
    ranges = {
        "ring.size": {"low": 2, "high": 64, "scale": "log2"},
        "costs.pcp_ns": {"low": 50, "high": 51},
    }
    design = fh.morris(ranges, 4)
    found = fh.sensitivity(fh.sweep(SMALL, design, [1]), design, "coverage")
    assert found["mu"][0] > 0.1 > found["mu_star"][1]


def test_what_has_no_sensitivity_is_one_sentence():
    design = fh.saltelli(UNIT, 4)
    table = table_of(design, lambda a, b, c: a)
    for change, column, sentence in (
        (table, "z", "column: there is no column 'z' of numbers; there are run, a, b, c, seed, y"),
        (table.iloc[:-1], "y", "table must be the sweep of this design"),
        (table.assign(a=0.5), "y", "table must be the sweep of this design"),
        (table.assign(y=3), "y", "y must vary over the design, got 3.0"),
        (
            table.assign(y=table["y"].where(table["run"] != 7), error="it broke"),
            "y",
            "y: 1 of 40 runs have no value; the first is run 7: it broke",
        ),
    ):
        with pytest.raises(fh.InputError, match=re.escape(sentence)):
            fh.sensitivity(change, design, column)
    with pytest.raises(fh.InputError, match="kind must be one of saltelli, morris, got 'sobol'"):
        fh.sensitivity(table, fh.sobol(UNIT, 4), "y")


# Search.

SEARCHED = {
    "ring.size": {"low": 2, "high": 4096, "scale": "log2"},
    "policy": ["v24", "rotate_on_exit"],
}


def known_run(space, job):
    """Coverage that grows with the ring, and better with one of the policies."""
    row = space.row(*job)
    good = row["policy"] == "rotate_on_exit"
    coverage = min(1.0, row["ring.size"] / (100 if good else 1000))
    return {**row, "status": "done", "error": "", "size": row["ring.size"], "coverage": coverage}


WANTED = "minimise size subject to coverage >= 0.9"


def test_the_best_is_found_and_the_bound_is_kept(monkeypatch):
    monkeypatch.setattr(pools, "one_run", known_run)
    found = fh.optimise(SMALL, SEARCHED, WANTED, trials=60, seeds=[1])
    assert found.best["coverage"] >= 0.9 and found.best["policy"] == "rotate_on_exit"
    assert 90 <= found.best["size"] < 130
    feasible = found.trials[found.trials["coverage"] >= 0.9]
    assert found.trials["feasible"].sum() == len(feasible) < len(found.trials) == 60
    assert found.best["size"] == feasible["size"].min()
    most = fh.optimise(SMALL, SEARCHED, "maximise size", trials=60, seeds=[1])
    assert most.best["size"] == most.trials["size"].max() > 3500


def test_nothing_feasible_has_no_best(monkeypatch):
    monkeypatch.setattr(pools, "one_run", known_run)
    found = fh.optimise(SMALL, SEARCHED, "minimise size subject to coverage >= 2", 5, [1])
    assert found.best is None and not found.trials["feasible"].any()


def test_a_search_that_was_stopped_goes_on_and_is_the_same(tmp_path, monkeypatch):
    options = {"trials": 8, "seeds": [1, 2], "batch": 2}
    aim = "minimise lock_held_max_ns subject to coverage >= 0.5"
    whole = fh.optimise(SMALL, SEARCHED, aim, **options, out=tmp_path / "whole.parquet")
    assert len(whole.runs) == 16
    done = []

    def stop(count):
        done.append(count)
        if sum(done) >= 7:
            raise KeyboardInterrupt

    out = tmp_path / "runs.parquet"
    with pytest.raises(KeyboardInterrupt):
        fh.optimise(SMALL, SEARCHED, aim, **options, out=out, progress=stop)
    counts = []
    again = fh.optimise(
        SMALL, SEARCHED, aim, **options, scheduler="processes", out=out, progress=counts.append
    )
    for one, other in zip(again, whole):
        assert one.equals(other)
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    # What is finished is read, and nothing runs.
    monkeypatch.setattr(pools, "one_run", None)
    for one, other in zip(fh.optimise(SMALL, SEARCHED, aim, **options, out=out), whole):
        assert one.equals(other)
    with pytest.raises(fh.InputError, match="holds another sweep, with other optimise"):
        fh.optimise(SMALL, SEARCHED, aim, **options, seed=2, out=out)


def test_a_trial_whose_run_fails_is_told_and_the_search_goes_on():
    ranges = {"policy": [WRONG, "v24", "rotate_on_exit"]}
    found = fh.optimise(SMALL, ranges, "maximise coverage", trials=8, seeds=[1])
    failed = found.trials["policy"] == "wrong"
    assert failed.any() and ((found.trials["status"] == "failed") == failed).all()
    assert found.best["policy"] != "wrong" and np.isnan(found.trials["coverage"][failed]).all()


@pytest.mark.parametrize(
    ("aim", "sentence"),
    [
        ("minimize waits", "objective must be 'minimise COLUMN subject to"),
        ("minimise waits subject to coverage > 1", "objective must be 'minimise COLUMN"),
        ("minimise waits subject to coverage >= much", "objective must be 'minimise COLUMN"),
        ("minimise wait", "objective: there is no column 'wait' of numbers; there are run, ring"),
    ],
)
def test_an_objective_that_cannot_be_meant_is_one_sentence(aim, sentence):
    with pytest.raises(fh.InputError, match=re.escape(sentence)):
        fh.optimise(SMALL, {"ring.size": [8, 16]}, aim, trials=1, seeds=[1])


def test_an_objective_is_read():
    found = stated("maximise survival  subject to coverage >= 0.9 and waits <= 1e3")
    assert (found.direction, found.column) == ("maximise", "survival")
    assert found.bounds == (("coverage", ">=", 0.9), ("waits", "<=", 1000.0))
    excess = found.excess({"coverage": 0.8, "waits": 400})
    assert excess == pytest.approx([0.1, -600])
