"""freehint validate pressure: what it prints, its exit status, and what it refuses."""

from dataclasses import replace

import pandas as pd
import pytest

import freehint as fh
from freehint.cli import main
from freehint.replay.pressure.compare import COLUMNS
from freehint.replay.pressure.machine import host_factor
from freehint.replay.pressure.measured import measure
from freehint.replay.pressure.predict import (
    SEEDS,
    model_jobs,
    predict,
    slowness_of,
    workload_of,
)
from pressured import stem


@pytest.fixture(scope="module")
def oom():
    return measure(stem("linux-6.1/rc_oom"), points=200)


def test_the_workload_is_that_of_the_recording(oom):
    guest = workload_of(oom, {"fill_ns": 7, "reclaim_page_ns": 9}, "no_boost")
    assert guest.jobs == f"fill 600; fork {0.27 * host_factor(oom.host_turns):g}; fill 60"
    assert (guest.files, guest.cached, guest.swap_MiB) == ("a=210,b=210", "a", 0)
    assert (guest.fill_ns, guest.without) == (7, "no_boost")
    assert str(guest.recording) == str(oom.stem)


def test_recorded_steps_become_jobs():
    jobs = {"fork 3": ["fork 0.81"], "rm a b": ["rm a", "rm b"], "drop_caches 3": ["drop_caches"]}
    assert {step: model_jobs(step) for step in jobs} == jobs
    assert model_jobs("dirty 290 60 14") == ["dirty 290 60 14"]


def test_a_slow_machine_needs_longer_for_all_that_has_no_pace_of_its_own(oom):
    fast, slow = workload_of(oom), workload_of(oom, slowness=2.0)
    factor = host_factor(oom.host_turns)
    assert slow.jobs == f"fill 600; fork {0.54 * factor:g}; fill 60"
    assert slow.fill_ns == 2 * fast.fill_ns
    assert slow.swap_in_ns == 2 * fast.swap_in_ns
    assert slow.disk_page_ns == round(2 * factor * fh.UnderPressure.disk_page_ns)
    assert slow.forks_per_s == fast.forks_per_s / 2
    alone = workload_of(replace(oom, host_turns=()))
    assert 1 < host_factor(oom.host_turns) < 1.1 and host_factor(()) == 1
    assert (fast.host_turns.count("+"), alone.host_turns) == (len(oom.host_turns), None)
    # The recorded machine was twice as slow as that of the times per page; fitted again, it is not.
    slowness = slowness_of(oom)
    assert 1.8 < slowness < 2.4
    assert slowness_of(oom, {"fill_ns": round(fast.fill_ns * slowness)}) < 1.3
    own = predict(oom, slowness=slowness)
    recorded = oom.steps["end_s"] - oom.steps["begin_s"]
    assert own.steps_s[0][1] == pytest.approx(recorded[0], rel=0.1)
    assert own.slowness == slowness * host_factor(oom.host_turns)


def test_the_prediction_fills_memory_until_the_kill(oom):
    found = predict(oom)
    assert found.counts["oom_kill"] == len(found.oom_s) == len(found.oom_pages) == 1
    assert len(found.steps_s) == 3
    assert found.steps_s[0][0] <= found.oom_s[0] <= found.steps_s[0][1]
    assert (found.steps_s[:, 1] >= found.steps_s[:, 0]).all()
    assert [one.counts["oom_kill"] for one in found.others] == [1] * (len(SEEDS) - 1)
    assert len({one.counts["pageoutrun"] for one in (found, *found.others)}) > 1
    assert found.free[0] == pytest.approx(oom.free[0].sum(), abs=200)
    slow = predict(oom, {"fill_ns": 90_000})
    assert slow.oom_s[0] > 2 * found.oom_s[0]
    assert slow.oom_pages[0] == pytest.approx(found.oom_pages[0], rel=0.02)


def test_the_command_tells_each_quantity_and_fails_if_a_bar_is_missed(tmp_path, capsys):
    table, rates = tmp_path / "table.parquet", tmp_path / "rates.toml"
    where = stem("linux-6.1/rc_oom")
    calibrated = ["--calibrate", str(stem("linux-6.1/rc_cache")), "--rates", str(rates)]
    arguments = ["validate", "pressure", str(where), "--out", str(table), *calibrated]
    status = main([*arguments, "--wrong", "cache_never_reclaimed"])
    said = capsys.readouterr().out
    rows = pd.read_parquet(table)
    assert list(rows.columns) == list(COLUMNS)
    missed = int((rows["ok"] == "False").sum())
    judged = int((rows["bar"] != "").sum())
    assert f"{judged - missed} of {judged} bars hold" in said
    assert "times per page: calibrated on rc_cache: read_ns " in said
    assert "cache_never_reclaimed" in said and "misses" in said
    assert status == (1 if missed else 0)
    assert "Calibrated on rc_cache" in rates.read_text()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--wrong", "no_swap"], "--wrong must be one of no_boost"),
        (["--rates", "nothing.toml"], "nothing.toml: there is no such file"),
        (["--calibrate", "nothing"], "nothing.T0.meta.json: there is no such file"),
    ],
)
def test_bad_options_are_refused(options, match, capsys):
    assert main(["validate", "pressure", str(stem("linux-6.1/rc_oom")), *options]) == 2
    said = capsys.readouterr().err
    assert match in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("fields", "job", "match"),
    [
        ({"disk_MiB": {"a": 210}, "pre": "", "swap_MiB": -1}, "swapon", "'swap_MiB' must be"),
        ({"disk_MiB": 7, "pre": ""}, "fill 60", "field 'disk_MiB' must be an object, got 7"),
        ({"disk_MiB": {"a": 0}, "pre": ""}, "fill 60", "MiB must be a whole number"),
        ({}, "melt 200", "'melt 200', must begin with one of read"),
    ],
)
def test_a_workload_that_cannot_be_is_refused(oom, fields, job, match):
    steps = oom.steps.iloc[:1].assign(job=job)
    with pytest.raises(fh.InputError, match=match) as refused:
        workload_of(replace(oom, info=oom.info | fields, steps=steps))
    assert "\n" not in str(refused.value)
