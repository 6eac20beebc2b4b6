"""The functions that chapters call: each number beside one counted by hand."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

import freehint as fh
from freehint import figures
from freehint.figures.drawing.panels import small_multiples
from freehint.studies import migrations, tables

SMALL = fh.Scenario(memory="64MiB", duration_ns=20_000_000, walk_at_ns=1_000_000)


def test_small_multiples_draw_each_table_under_its_title():
    drawn = {"one": [1, 2], "two": [3], "three": [4]}
    figure = small_multiples(lambda y, ax: ax.plot(y), drawn, columns=2)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["one", "two", "three", ""]
    assert [list(ax.lines[0].get_ydata()) for ax in figure.axes[:3]] == [[1, 2], [3], [4]]
    assert not figure.axes[3].axison and plt.get_fignums() == []


def test_runs_by_name_keep_their_names():
    runs = {"first": fh.simulate(SMALL), "again": fh.simulate(SMALL)}
    assert list(fh.comparison(runs).columns) == ["first", "again"]
    assert list(fh.summaries(runs).index) == ["first", "again"]
    assert list(fh.summaries(runs.values()).index) == [0, 1]
    assert list(fh.comparison(runs.values()).columns) == ["v24"]
    with_seed = [fh.simulate(SMALL.with_values({"seed": seed})) for seed in (1, 2)]
    assert list(fh.comparison(with_seed).columns) == ["v24 #1", "v24 #2"]
    words = fh.comparison(with_seed).to_string().split()
    assert "µs" in words and "us" not in words


def test_lock_costs_are_those_of_the_holds():
    quiet, walked = (fh.simulate(SMALL.with_values({"policy": one})) for one in ("none", "v24"))
    table = tables.lock_costs([quiet, walked])
    assert table["policy"].tolist() == ["none", "v24"] and table["seed"].tolist() == [1, 1]
    assert table["held_ns"].tolist() == [0, walked.locks["held_ns"].sum()]
    assert table["longest_ns"].tolist() == [0, walked.summary["lock_held_max_ns"]]
    assert table["block_ns"].isna().tolist() == [True, False]
    assert table["block_ns"][1] * len(walked.reports) == pytest.approx(table["held_ns"][1])


def test_told_counts_what_the_ring_took_early():
    reports = pd.DataFrame(
        {"time_ns": [100, 150, 199, 200], "taken": [True, False, True, True], "nr_pages": [256] * 4}
    )
    assert tables.told_mib(reports, within_ns=100) == 2


def test_lost_share_is_the_mean_over_the_seeds():
    table = pd.DataFrame(
        {
            "host.gap_ns": [0, 0, 3_000_000, 3_000_000],
            "ring.size": [64, 64, 64, 64],
            "lost_pages": [10, 30, 50, 100],
            "offered_pages": [100, 100, 100, 100],
        }
    )
    shares = tables.lost_share(table)
    assert shares.loc[0, 64] == pytest.approx(0.2) and shares.loc[3, 64] == pytest.approx(0.75)
    assert (shares.index.name, shares.columns.name) == ("host away (ms)", "ring size")


def test_wrong_rules_are_counted_beside_the_kernels():
    stem = fh.data("linux-6.1/traces/compile")
    table = tables.by_wrong_rules(stem, ["always_head"], resync=(False, True))
    assert table["rule"].tolist() == ["as the kernel"] * 2 + ["always to the head"] * 2
    assert table["put right"].tolist() == ["no", "yes"] * 2
    assert table["misses"][0] == 0 < table["misses"][3] < table["misses"][2]
    assert table["lists equal at T1"][0] == "27 of 27" != table["lists equal at T1"][2]


def test_free_shares_add_up_over_the_orders():
    history = pd.DataFrame(
        {"time_s": [0.0] * 4, "order": [-1, 0, 9, 10], "free_pages": [10, 20, 30, 40]}
    )
    assert tables.free_shares(history).iloc[0].round(2).tolist() == [0.7, 0.4, 0.1]


def test_afterwards_measures_against_the_same_seed_without_hints():
    fast = fh.MigrationConfig(bandwidth_Bps=4_000_000_000)
    scenario = SMALL.with_values({"migration": fast, "duration_ns": 400_000_000})
    table = migrations.afterwards(scenario, ["none", "v24"], 20_000_000, seeds=(1,))
    none, v24 = table.iloc[0], table.iloc[1]
    assert none["work_against_none"] == 0
    assert v24["work_against_none"] == pytest.approx(100 * (v24["work"] / none["work"] - 1))
    assert v24["in_faults"] == pytest.approx(100 * v24["fault_ns"] / 20_000_000)
    shown = migrations.readable_means(table)
    assert list(shown.index) == ["none", "v24"] and shown["sent (MB)"].iloc[0] > 0
    labels = {"faults_ms": "in faults (ms)", "unmovable": "UNMOVABLE"}
    figure = figures.measures(table, labels, marks={"unmovable": 3})
    assert [len(ax.lines) for ax in figure.axes] == [0, 1]


def test_the_worst_prediction_comes_with_its_twin(tmp_path):
    same = {
        "state": "churn",
        "hint": "on",
        "cmdline": "quiet",
        "bw_MBps": 50.0,
        "mbps": 1,
        "rep": 0,
    }
    rows = [same | {"transferred_B": 10, "total_time_ms": 1}, same | {"state": "idle"}, same]
    pd.DataFrame(rows).to_csv(tmp_path / "migrations.csv")
    errors = {"error_transferred_B": [0.1, 0.2, 0.4]}
    predicted = {"predicted_transferred_B": [1, 2, 3], "predicted_total_time_ms": [4, 5, 6]}
    alike = migrations.worst_and_alike(pd.DataFrame(errors | predicted), tmp_path)
    assert alike["error"].tolist() == [0.4, 0.1] and alike["predicted_ms"].tolist() == [6, 4]


def test_bytes_by_hint_are_means_in_megabytes():
    table = pd.DataFrame({"state": ["idle"] * 3, "hint": ["off", "on", "on"]})
    table["measured_transferred_B"] = [9e6, 2e6, 4e6]
    table["predicted_transferred_B"] = [8e6, 5e6, 7e6]
    found = migrations.bytes_by_hint(table).loc["idle"]
    assert found.to_dict() == {
        ("measured", "off"): 9,
        ("measured", "on"): 3,
        ("predicted", "off"): 8,
        ("predicted", "on"): 6,
    }


def test_steps_after_free_begin_where_the_program_left():
    phases = ["filling", "filled+freed", "after free", "after free"]
    mib = [100, 90, 90, 50]
    rss = pd.DataFrame({"t_s": [1.0, 5.0, 6.0, 8.0], "phase": phases})
    rss["host_rss_KiB"] = [1024 * m for m in mib]
    steps = migrations.steps_after_free(rss)
    assert steps.to_dict("records") == [{"time_s": 3.0, "MiB": 40.0}]
