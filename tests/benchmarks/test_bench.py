"""The benchmark itself: regressions are found and noise is not, sides agree, files are whole."""

import json
import math

import numpy as np
import pytest

from benchmarks import shipped, stored, suite, table
from benchmarks.bitmaps import count, scan, sync
from benchmarks.paired import Timing
from benchmarks.rows import Row, timing_rows
from benchmarks.run import main
from benchmarks.suite.allocator import plain_python
from freehint.config import InputError

MACHINE = {"cpu": "a", "caches": {"L1": "32K"}, "transparent_hugepage": "madvise"}


def ratio(value, half=0.02, what="walk", bar=None):
    """A row of a ratio with quartiles that lie this share of it away."""
    return Row(what, "C / freehint", value, "ratio", value * (1 - half), value * (1 + half), 9, bar)


def change_of(before, now):
    """The changes between two tables of one row each."""
    return stored.changes(stored.ratios([before]), stored.ratios([now]))


def test_a_regression_is_found_with_both_values():
    (change,) = change_of(ratio(2.0), ratio(1.6))
    assert change.fell and (change.before, change.now) == (2.0, 1.6)
    assert "1.60, stored 2.00" in str(change) and str(change).startswith("regression: walk: C")


def test_noise_is_no_regression_and_wide_quartiles_allow_more():
    chance = np.random.default_rng(1)
    for wobble in chance.uniform(-stored.FLOOR, stored.FLOOR, 100):
        assert change_of(ratio(2.0), ratio(2.0 * (1 + wobble))) == []
    assert change_of(ratio(2.0, half=0.02), ratio(1.6, half=0.02))
    assert change_of(ratio(2.0, half=0.02), ratio(1.6, half=0.15)) == []
    assert change_of(ratio(2.0, half=0.3), ratio(1.1, half=0.3))  # however noisy


def test_what_became_faster_is_told_and_is_no_regression():
    (change,) = change_of(ratio(2.0), ratio(3.0))
    assert not change.fell and str(change).startswith("better than stored")


def test_only_ratios_are_stored_and_only_of_what_holds_its_bars(tmp_path):
    rows = [Row("walk", "freehint", 12.5, "ns/block"), ratio(2.0)]
    path = stored.store(rows, MACHINE, "make bench", tmp_path)
    kept = stored.load(path)
    assert kept["ratios"] == {"walk: C / freehint": {"ratio": 2.0, "p25": 1.96, "p75": 2.04}}
    assert "12.5" not in path.read_text()
    assert stored.changes(kept["ratios"], stored.ratios(rows)) == []
    for bad in ([ratio(2.0, bar=3)], [rows[0]]):
        with pytest.raises(InputError):
            stored.store(bad, MACHINE, "make bench", tmp_path)
    with pytest.raises(InputError, match="not of make bench, but only walks"):
        stored.store(rows, MACHINE, "make bench, but only walks", tmp_path)
    assert stored.load_all(tmp_path) == [kept]


def test_each_processor_keeps_its_table_and_another_one_is_told_the_spread(tmp_path):
    for cpu, value in (("a 1.0 (R)", 2.0), ("b", 3.0), ("b", 4.0)):
        stored.store([ratio(value)], MACHINE | {"cpu": cpu}, "make bench", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1-0-r.json", "b.json"]
    tables = stored.load_all(tmp_path)
    own = stored.of_machine(tables, MACHINE | {"cpu": "b", "python": "4"})
    assert own["ratios"]["walk: C / freehint"]["ratio"] == 4.0
    assert stored.of_machine(tables, MACHINE | {"cpu": "c"}) is None
    assert stored.outside(tables, stored.ratios([ratio(1.8), ratio(9.0, what="new")])) == []
    (low,) = stored.outside(tables, stored.ratios([ratio(1.5)]))
    assert str(low) == "below the 2 stored processors: walk: C / freehint: 1.50, there 2.00..4.00"


def test_only_a_ratio_has_a_bar_and_misses_it_only_beyond_its_noise():
    assert not ratio(0.99, half=0.02, bar=1.0).missed  # the upper quartile holds it
    assert ratio(0.97, half=0.02, bar=1.0).missed
    assert Row("memory", "C / freehint", 0.9, "ratio", bar=1.0).missed
    with pytest.raises(AssertionError, match="a bar is for a ratio, not for s"):
        assert Row("walk", "freehint", 0.9, "s", bar=1.0).missed


def test_a_missed_bar_says_what_to_do(capsys, monkeypatch, tmp_path):
    low = Row("memory", "C / freehint", 0.9, "ratio", bar=1.0)
    monkeypatch.setitem(suite.PARTS, "memory", lambda library, quick: [low])
    assert main(["--quick", "--only", "memory", "-o", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "bar missed: memory, C / freehint: 0.90, must be at least 1.0" in told
    assert "git bisect run" in told and "--store" in told


def test_stored_results_have_quartiles_around_every_ratio_and_no_times():
    tables = stored.load_all()
    assert tables
    for kept in tables:
        assert kept["machine"]["cpu"] and len(kept["ratios"]) >= 20
        for what, one in kept["ratios"].items():
            assert set(one) == {"ratio", "p25", "p75"} and what.count(" / freehint") == 1
            assert one["p25"] is None or 0 < one["p25"] <= one["ratio"] <= one["p75"]


def test_a_table_is_written_and_read_again(tmp_path):
    timings = [Timing("freehint", 10.0, 1, 1, 1, 5), Timing("C", 20.0, 2, 1.9, 2.1, 5)]
    rows = timing_rows("walk", timings, "ns/block", {"C": 2.5})
    assert [row.value for row in rows] == [10, 20, 2] and rows[2].missed
    paths = table.write(rows, MACHINE, "make bench", tmp_path / "new")
    assert {path.suffix for path in paths} == {".csv", ".json", ".md", ".svg", ".png"}
    assert table.read(tmp_path / "new/bench.json") == (rows, MACHINE, "make bench")
    assert ">= 2.5 MISSED" in (tmp_path / "new/bench.md").read_text()
    with pytest.raises(InputError, match="run make bench first"):
        table.read(tmp_path / "bench.json")
    (tmp_path / "bench.json").write_text(json.dumps({"rows": [{}], "machine": 1}))
    with pytest.raises(InputError, match="is not a table of make bench"):
        table.read(tmp_path / "bench.json")


def test_a_part_of_a_document_is_replaced_and_missing_marks_are_named():
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert shipped.between(text, "x", "new\n") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"
    with pytest.raises(InputError, match="<!-- y -->"):
        shipped.between(text, "y", "")


def test_plain_python_does_the_same_operations_and_ends_with_the_same_lists():
    rows = list(plain_python(None, True, gib=1 / 16))  # compares the lists itself
    assert [row.what for row in rows if row.unit == "ratio"]
    assert all(math.isfinite(row.value) and row.value > 0 for row in rows)


@pytest.mark.parametrize("work", [count, sync, scan])
def test_bitmaps_are_compared_on_the_same_answers(work):
    freehint, numpy = work(1 << 14, 3)  # compares the answers itself
    assert (freehint.side, numpy.side, numpy.slices) == ("freehint", "numpy", 3)
