"""The compile benchmark: its table told from summaries, its sentence, its picture."""

import numpy as np
import pytest

import freehint as fh
from compile_runs import END_NS, sweep_of_summaries
from freehint.figures.compile import compile_figure
from freehint.studies.compile import (
    START_NS,
    answer,
    by_policy,
    compile_benchmark,
    scenario,
    switched_off_differs,
    told,
)
from freehint.units import NS_PER_S


def test_slowdown_is_told_against_the_legacy_run_on_the_same_guest():
    table = told(sweep_of_summaries(), END_NS)
    means = by_policy(table, memory="long up")
    assert means.index.tolist() == ["none", "v24", "page_reporting"]
    assert means["slowdown_ms"].tolist() == [0, 2, 2]
    assert means["migration_s"].tolist() == [20, 6, 6] and means["after_s"].tolist() == [10, 24, 24]
    assert means.loc["v24", "alloc_wait_max_us"] == 5
    off = by_policy(table, memory="long up", switch="off")
    assert off["slowdown_ms"].tolist() == [0, 0, 0]


def test_a_run_that_the_switch_does_not_stop_is_found():
    runs = sweep_of_summaries()
    assert len(switched_off_differs(told(runs, END_NS))) == 0
    rows = (runs["policy"] == "v24") & (runs["control.off_at_ns"] == 0)
    runs.loc[runs.index[rows][0], "faults"] = 1
    assert switched_off_differs(told(runs, END_NS))["policy"].tolist() == ["v24"]


def test_runs_that_failed_or_did_not_end_are_named():
    for column, value, sentence in (
        ("status", "failed", "policy v24, seed 1: failed: "),
        ("migration", "active", "policy v24, seed 1: its migration is active"),
    ):
        runs = sweep_of_summaries()
        runs.loc[4, column] = value
        with pytest.raises(RuntimeError, match=sentence):
            told(runs, END_NS)


def test_the_sentence_and_the_picture_hold_the_numbers():
    table = told(sweep_of_summaries(), END_NS)
    sentence = answer(table)
    assert "in 6.0 to 6.0 s with hints and in 20.0 s without" in sentence
    assert (
        "2.0 to 2.0 ms" in sentence
        and "longer than 5 µs for a zone lock, and none failed" in sentence
        and "gains 0 to 0 MB" in sentence
    )
    left, right = compile_figure(table)
    assert [bar.get_width() for bar in left.patches] == [20, 6, 6]
    assert left.lines[0].get_xdata().tolist() == [6, 6, 6]
    widths = np.reshape([bar.get_width() for bar in right.patches], (3, 3))
    assert widths.tolist() == [[8, 8, 8], [0, 0, 0], [0.5, 2.5, 2.5]]


def test_a_real_benchmark_of_short_runs():
    calls = []
    table = compile_benchmark((1_000,), duration_ns=END_NS, progress=calls.append)
    assert len(table) == sum(calls) == 2 * 2 * len(fh.POLICIES)
    assert (table["lost_writes"] == 0).all() and len(switched_off_differs(table)) == 0
    means = by_policy(table, memory="long up")
    hints = means.drop(index=["none", "page_reporting"])
    assert (hints["sent_MB"] < means.loc["none", "sent_MB"] / 2).all()
    assert (hints["slowdown_ms"] >= 0).all() and (hints["fault_ms"] >= hints["slowdown_ms"]).all()


def test_the_migration_begins_in_the_busiest_seconds():
    table = scenario().workload.loaded.table
    per_s = np.bincount(table[:56_492, 0] // NS_PER_S, minlength=76)
    five = np.convolve(per_s, np.ones(5), "valid")
    at = START_NS // NS_PER_S
    assert five[at] > 0.9 * five.max()
