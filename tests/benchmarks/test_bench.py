"""The benchmark itself: regressions are found and noise is not, sides agree, files are whole."""

import functools
import json
import math

import numpy as np
import pytest

from benchmarks import shipped, stored, suite, table
from benchmarks.bitmaps import count, scan, sync
from benchmarks.core import mark_ns, shifted
from benchmarks.paired import Timing
from benchmarks.rows import Part, Row, least_mark, merged, part_of, quartiles, timing_rows
from benchmarks.run import main, told_changes
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


def processes_of(*levels, marks=1.0, bar=1.0, slices=8):
    """Processes that measured one ratio each at a level of its own, with 2 % of noise."""
    chance = np.random.default_rng(3)
    return [
        [Part(ratio(9, bar=bar), tuple(level * chance.normal(1, 0.02, slices)), tuple(mark))]
        for level, mark in zip(levels, np.broadcast_to(marks, (len(levels), slices)))
    ]


def one_of(processes, alone_ns=1.0):
    """The only row of some processes."""
    (row,) = merged([[p._replace(row=p.row._replace(slices=8)) for p in ps] for ps in processes],
                    alone_ns)  # fmt: skip
    return row


@pytest.mark.parametrize("levels", [(0.95, 0.98, 1.29), (1.23, 0.97, 0.98), (1.25, 1.25, 1.25)])
def test_what_differs_between_processes_is_noise_and_no_miss(levels):
    row = one_of(processes_of(*levels))
    assert not row.missed and row.slices == 24
    assert row.value == pytest.approx(np.median(levels), rel=0.02)
    assert row.p25 <= row.value <= row.p75
    assert row.p75 > max(levels) * 0.93  # of the faster process


@pytest.mark.parametrize("levels", [(0.8, 0.82, 0.81), (0.93, 0.7, 0.94)])
def test_a_fall_in_all_processes_is_a_miss(levels):
    assert one_of(processes_of(*levels)).missed


def test_no_process_counts_more_than_another():
    many, few = processes_of(1.0, slices=80), processes_of(2.0, 2.0)
    row = one_of(many + few)
    assert row.value == pytest.approx(2.0, rel=0.03) and row.p25 == pytest.approx(1.0, rel=0.05)


def test_the_quartiles_of_one_process_are_its_own():
    ratios = np.random.default_rng(1).normal(1, 0.1, 101)
    assert quartiles([ratios]) == pytest.approx(np.percentile(ratios, (25, 50, 75)), abs=0.005)


def test_slices_on_a_shared_core_are_left_out():
    marks = np.tile([1.0, 1.02, 1.5, 1.4, 1.0, 1.05, 1.3, 2.0], (2, 1))
    processes = processes_of(1.25, 1.25, marks=marks)
    for (part,) in processes:
        assert len(part.ratios) == 8
    slow = [
        [p._replace(ratios=tuple(np.where(np.array(p.marks) > 1.1, 0.5, p.ratios)))]
        for (p,) in processes
    ]
    row = one_of(slow)
    assert (row.slices, row.shared, row.missed) == (8, False, False)
    assert row.value == pytest.approx(1.25, rel=0.03) and row.p25 > 1.1
    assert least_mark(slow) == 1.0


def test_a_core_that_was_shared_all_the_time_is_told_and_not_judged():
    row = one_of(processes_of(0.7, 0.7, 0.7, marks=1.5))
    assert row.shared and not row.missed and row.slices == 24
    assert "shared" in table.verdict(row) and stored.ratios([row]) == {}
    assert one_of(processes_of(0.7, 0.7, 0.7, marks=1.5), alone_ns=1.5).missed


def test_a_figure_without_slices_stays_as_it_is():
    memory = Row("memory", "C / freehint", 0.9, "ratio", bar=1.0)
    quartiles = ratio(2.0)
    assert merged([[part_of(memory), part_of(quartiles)]], float("inf")) == [memory, quartiles]


@pytest.mark.parametrize("unit", ["s", "M events/s"])
def test_rows_of_one_name_are_refused(unit):
    """They would become one row, with a value between seconds and events."""
    seconds = part_of(Row("migration", "whole run", 0.4, "s"))
    other = part_of(Row("migration", "whole run", 12.0, unit))
    with pytest.raises(ValueError, match="two rows are called 'migration', 'whole run'"):
        merged([[seconds, other]], float("inf"))
    if unit != "s":
        with pytest.raises(ValueError, match="two rows"):
            merged([[seconds], [other]], float("inf"))


def test_the_stored_mark_is_of_this_processor(tmp_path):
    assert stored.core_mark_ns(MACHINE, tmp_path) == float("inf")
    stored.store([ratio(2.0)], MACHINE | {"core_mark_ns": 0.5}, "make bench", tmp_path)
    assert stored.core_mark_ns(MACHINE, tmp_path) == 0.5
    assert stored.core_mark_ns(MACHINE | {"cpu": "b"}, tmp_path) == float("inf")


def test_a_table_of_another_state_of_the_cache_is_no_bar():
    then = {"load_8MiB_ns": [20.0, 22.0]}
    assert stored.same_cache(then, {"load_8MiB_ns": [18.0, 26.0]})
    assert not stored.same_cache(then, {"load_8MiB_ns": [130.0, 140.0]})
    assert not stored.same_cache({"load_8MiB_ns": [130.0, 140.0]}, then)
    assert not stored.same_cache(then, {"load_8MiB_ns": [20.0, 140.0]})  # meanwhile
    assert not stored.same_cache({}, then)  # stored before there was a mark


def test_a_fall_below_the_stored_table_counts_only_in_the_same_state_of_the_cache(monkeypatch):
    cached = {"load_8MiB_ns": [20.0, 22.0]}
    table = {"machine": MACHINE | cached, "ratios": stored.ratios([ratio(2.0)])}
    monkeypatch.setattr(stored, "load_all", lambda: [table])
    now = [ratio(1.2)]
    assert told_changes(now, MACHINE | cached) == 1
    assert told_changes(now, MACHINE | {"load_8MiB_ns": [130.0, 140.0]}) == 0


def test_a_core_is_marked_by_shifts_that_are_carried_out():
    def step(word):
        word ^= (word << 13) & (2**64 - 1)
        return word ^ (word >> 7)

    words = [1 << n for n in range(8)]
    sums = [functools.reduce(int.__xor__, words)]
    for _ in range(2):
        words = [step(word) for word in words]
        sums.append(functools.reduce(int.__xor__, words))
    first = np.array([1 << n for n in range(8)])
    assert [shifted(first, steps) for steps in range(3)] == sums
    assert mark_ns() > 0


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
    marks = (1.0, 1.0, 1.0)
    timings = [Timing("freehint", 10.0, (1, 1, 1), marks), Timing("C", 20.0, (1.9, 2, 2.1), marks)]
    rows = merged([timing_rows("walk", timings, "ns/block", {"C": 2.5})], 1.0)
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
    assert [part.row.what for part in rows if part.ratios]
    assert all(math.isfinite(part.row.value) and part.row.value > 0 for part in rows)


@pytest.mark.parametrize("work", [count, sync, scan])
def test_bitmaps_are_compared_on_the_same_answers(work):
    freehint, numpy = work(1 << 14, 3)  # compares the answers itself
    assert (freehint.side, numpy.side, numpy.slices) == ("freehint", "numpy", 3)
