"""Numbers behind the pictures of migrations."""

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint import figures
from freehint.runs.summary import percentiles
from freehint.studies.migrations import (
    after_the_migration,
    readable_rounds,
    savings,
    steps_down,
)
from freehint.units import format_ns, micro

FAST = fh.MigrationConfig(
    start_at_ns=1_000_000, bandwidth_Bps=1 << 33, zero_page_ns=10, normal_page_ns=100
)
SMALL = fh.Scenario(memory="64MiB", migration=FAST, duration_ns=60_000_000)


def test_savings_are_told_against_the_run_without_hints_at_the_same_level_and_seed():
    table = pd.DataFrame(
        {
            "policy": ["none"] * 4 + ["v24"] * 4,
            "knob": [1, 2] * 4,
            "seed": [1, 1, 2, 2] * 2,
            "sent_bytes": [100, 200, 10, 100, 30, 220, 2, 110],
            "total_ns": [3e9, 4e9, 3e9, 4e9, 1e9, 5e9, 1e9, 5e9],
        }
    )
    found = savings(table, "knob", ["one", "two"])
    assert found["level"].tolist() == ["one", "two"]
    assert np.allclose(found["saved_bytes"], [75, -10]) and np.allclose(found["saved_s"], [2, -1])
    assert np.allclose(found["bytes_half"], [12.71 * 5, 0]) and np.allclose(found["s_half"], 0)
    heights = [bar.get_height() for bar in figures.effect(found).patches]
    assert np.allclose(heights, [75, -10])
    assert savings(table[table["seed"] == 1], "knob")["bytes_half"].isna().all()


def test_rounds_for_readers_have_no_nanoseconds():
    rounds = fh.simulate(SMALL).rounds
    shown = readable_rounds(rounds)
    assert shown["time"].iloc[-1] == micro(format_ns(rounds["time_ns"].iloc[-1]))
    assert shown["sync"].iloc[-1] == len(rounds) and not [c for c in shown if c.endswith("_ns")]


def test_afterwards_counts_only_what_came_after_the_switch_over():
    after = after_the_migration(SMALL, 10_000_000)
    whole = fh.simulate(SMALL).summary
    assert 0 < after["work"] < whole["allocations"] + whole["frees"] + whole["writes"]
    assert 0 < after["faults"] <= whole["faults"]
    assert after_the_migration(SMALL, 1)["faults"] == 0
    with pytest.raises(ValueError, match="has not ended"):
        after_the_migration(SMALL.with_values({"duration_ns": 1_100_000}), 1)


def test_bars_of_fates_add_up_to_the_memory():
    table = fh.summaries([fh.simulate(SMALL)])
    sent = table[["normal_pages", "zero_pages", "skipped_pages"]].sum(axis=1)[0] / 256
    widths = [bar.get_width() for bar in figures.pages_by_fate(table).patches]
    assert np.isclose(sum(widths), float(sent))


def test_rounds_add_up_to_the_migration():
    runs = [fh.simulate(SMALL.with_values({"policy": p})) for p in ("none", "v24")]
    for at, run in enumerate(runs):
        bars = [b for b in figures.rounds_over_time(runs).patches if b.get_y() == at - 0.3]
        took_s = sum(bar.get_width() for bar in bars)
        assert np.isclose(took_s, run.summary["total_ns"] / 1e9)
        sent = figures.sent_by_round(runs).collections[at].get_offsets()[:, 0]
        assert np.isclose(np.nansum(sent), run.summary["sent_bytes"] / 1e6)
        assert 1 < len(sent) <= run.summary["rounds"]  # a round that sent nothing has no dot


def test_steps_down_are_found_where_memory_falls():
    found = steps_down([0, 1, 2, 3], [100, 99, 50, 50])
    assert found.to_numpy().tolist() == [[2, 49]]


def test_more_waits_than_counted_operations_havepercentiles():
    """A Program's allocations wait for the lock and are not counted."""
    found = percentiles([5, 7], 0, "wait")
    assert found == {"wait_p50_ns": 5, "wait_p99_ns": 7, "wait_max_ns": 7}
