"""The measured side of recordings under pressure: course, counts, steps, and times per page."""

import gzip
import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.formats.info import events_of, read_info, vmstat, vmstat_delta
from freehint.formats.traces.marks import Step, marked_steps
from freehint.replay.pressure.calibrate import RATES, calibrate, read_rates, write_rates
from freehint.replay.pressure.measured import (
    FALLBACKS,
    FULL_SLEEPS,
    Measured,
    host_turns_of,
    measure,
)
from freehint.replay.pressure.steps import jobs_of_command, steps_of
from pressured import stem

NAMES = ("linux-6.1/rc_cache", "linux-6.1/rc_oom", "linux-6.12/rc_oom")


@cache
def measured(name) -> Measured:
    return measure(stem(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_course_is_exact_and_ends_at_t1(name):
    found = measured(name)
    assert found.misses == 0
    t0 = fh.load_snapshot(f"{stem(name)}.T0").zones["nr_free_pages"]
    t1 = fh.load_snapshot(f"{stem(name)}.T1").zones["nr_free_pages"]
    # Only the recorder's own few processes run before the first step and after the last.
    assert np.abs(found.free[0] - t0).sum() < 100
    assert np.abs(found.free[-1] - t1).sum() < 1500
    assert found.free.min() >= 0
    assert found.before["nr_free_pages"] - t0.sum() < 100


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_tell_the_counts_of_vmstat(name):
    found = measured(name)
    counts, runs = found.counts, found.kswapd
    assert len(runs) == counts["pageoutrun"]
    assert runs["reclaimed"].sum() == counts["pgsteal_kswapd"]
    assert (runs["end_s"] >= runs["begin_s"]).all()
    assert (runs["begin_s"].iloc[1:].to_numpy() >= runs["end_s"].iloc[:-1].to_numpy()).all()
    assert len(found.oom_s) == counts["oom_kill"]
    # Each balancing ends with a nap, a full sleep, or no sleep at all.
    naps, none = counts["kswapd_low_wmark_hit_quickly"], counts["kswapd_high_wmark_hit_quickly"]
    assert naps + none + counts[FULL_SLEEPS] == counts["pageoutrun"]


def test_what_the_recordings_show():
    cache, oom = measured("linux-6.1/rc_cache"), measured("linux-6.1/rc_oom")
    assert (cache.band, oom.band) == (290, 290)
    assert cache.zones == ["DMA", "DMA32"]
    assert cache.counts[FALLBACKS] == 10  # of 15, as five took whole pageblocks
    assert oom.oom_s == pytest.approx([2.987], abs=0.001)
    # kswapd keeps the free pages within the watermarks that wake it and let it sleep.
    free = cache.free.sum(axis=1)[cache.reclaiming]
    low, high = cache.start.zones["watermark"].sum(axis=0)[1:]
    reserve = int(cache.start.zones["lowmem_reserve"][0, 1])
    assert low < np.median(free) < high + reserve
    assert cache.reclaiming.mean() == pytest.approx(0.80, abs=0.02)


STEPS = {
    "linux-6.1/rc_cache": [
        "read a b",
        "copy b c",
        "write z 125",
        "read c",
        "sync",
        "rm c",
        "fork 1",
    ],
    "linux-6.1/rc_oom": ["fill 600", "fork 1", "fill 60"],
    "linux-6.12/rc_oom": ["fill 600", "fork 1", "fill 60"],
}


@pytest.mark.parametrize("name", NAMES)
def test_steps_follow_one_another(name):
    steps = measured(name).steps
    assert steps["job"].tolist() == STEPS[name]
    times = steps[["begin_s", "end_s"]].to_numpy().ravel()
    assert times[0] == 0 and (np.diff(times) > 0).all()
    assert measured(name).time_s[-1] == times[-1]


def test_gaps_tell_how_the_host_shared_its_cpu():
    ran = [sum(turn) for turn in zip(*measured("linux-6.1/rc_oom").host_turns)]
    assert ran[1] / sum(ran) == pytest.approx(0.047, abs=0.001)
    alloc, free, begin, end = (
        *("mm_page_alloc", "mm_page_free"),
        *("kswapd_balance", "kswapd_balance_ret"),
    )
    rows = [
        *((0, alloc, 9), (1000, alloc, 9), (5000, alloc, 9), (6500, alloc, 9)),
        *((9000, begin, 2), (20_000, alloc, 9), (21_000, end, 2)),  # kswapd's time does not count
        *((22_000, alloc, 9), (30_000, free, 9), (33_000, alloc, 9)),  # nor that of an exit
        *((37_000, alloc, 8), (45_000, alloc, 9), (47_500, alloc, 9)),  # nor of another process
        *((50_000, free, 7), (50_500, free, 7), (55_000, free, 7)),  # rm
        (65_000, alloc, 6),  # after the steps
    ]
    trace = pd.DataFrame(rows, columns=["ts_us", "event", "pid"])
    steps = [(1, "fill 9", 0, 50_000), (2, "rm a", 50_000, 60_000), (3, "read b", 60_000, 70_000)]
    steps = pd.DataFrame(steps, columns=["step", "job", "begin_us", "end_us"])
    found = host_turns_of(trace, trace["event"], steps)
    assert found == ((1.0, 4.0), (1.5, 2.5), (0.5, 4.5), (0.001, 10.0))
    assert host_turns_of(trace, trace["event"], steps.iloc[:0]) == ()


def trace_of(*rows) -> pd.DataFrame:
    trace = pd.DataFrame(rows, columns=["ts_us", "event", "comm", "pid", "gfp"])
    return trace.assign(seq=range(100, 100 + len(rows)))


def test_marks_tell_the_steps():
    mark = "tracing_mark_write"
    trace = trace_of(
        (5, mark, "init", 1, "FH step 1 begin load fill 300"),
        (7, "mm_page_alloc", "load", 9, "GFP_KERNEL"),
        (9, mark, "init", 1, "FH step 1 end load fill 300 status 137"),
        (9, mark, "init", 1, "FH step 2 begin read a"),
        (12, mark, "init", 1, "FH step 2 end read a status 0"),
    )
    found = steps_of(trace, {}, "x")
    assert found.to_numpy().tolist() == [[1, "fill 300", 5, 9], [2, "read a", 9, 12]]
    assert marked_steps(trace)[0] == Step(1, "load fill 300", 100, 5, 102, 9, 137)
    for rows, match in (
        (trace.iloc[:2], r"x: step 1 \('fill 300'\) does not end before T1"),
        (trace.iloc[1:], r"x: step 1 \('fill 300'\) does not begin after T0"),
        (trace.drop(2), r"x: step 1 \('fill 300'\) does not end before T1"),
        (trace.drop(3), r"x: step 2 \('read a'\) does not begin after T0"),
    ):
        with pytest.raises(fh.InputError, match=match):
            steps_of(rows, {}, "x")


def test_commands_become_jobs():
    command = (
        "cat /mnt/a /mnt/b > /dev/null; cat /mnt/a > /mnt/c; fhload dirty 290 60 14; wl_fork 2"
    )
    jobs = ["read a b", "copy a c", "dirty 290 60 14", "fork 2"]
    assert [job for job, _ in jobs_of_command(command, "x")] == jobs
    dd = "dd if=/dev/zero of=/mnt/z bs=64k count=2000 2>/dev/null"
    assert jobs_of_command(f"mount -t ext4 /dev/vda /mnt; {dd}", "x") == [("write z 125", "dd")]
    with pytest.raises(fh.InputError, match="x: command 'reboot now' is no known step"):
        jobs_of_command("sync; reboot now", "x")


def copied(tmp_path, change) -> Path:
    """A copy of rc_oom of which NAME.info.json.gz is changed."""
    source = stem("linux-6.1/rc_oom")
    for path in source.parent.glob("rc_oom.*"):
        shutil.copy(path, tmp_path / path.name)
    info = change(read_info(source))
    (tmp_path / "rc_oom.info.json.gz").write_bytes(gzip.compress(json.dumps(info).encode()))
    return tmp_path / "rc_oom"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda info: [], "must be a JSON object, got"),
        (lambda info: info | {"vm_T1": 7}, "field 'vm_T1' must be text, got 7"),
        (lambda info: info | {"vm_T1": "x"}, "field 'vm_T1' has no part '### /proc/vmstat'"),
        (lambda info: info | {"proc_T0": "### /proc/vmstat\npgfree many\n"}, "'pgfree many'"),
        (lambda info: info | {"command": "rm -r /"}, "command 'rm -r /' is no known step"),
        (lambda info: info | {"command": " "}, "has no step of the workload"),
    ],
)
def test_bad_info_is_refused_in_one_sentence(tmp_path, change, match):
    with pytest.raises(fh.InputError, match=match) as refused:
        measure(copied(tmp_path, change))
    assert "\n" not in str(refused.value)


def test_a_recording_without_info_is_refused(tmp_path):
    with pytest.raises(fh.InputError, match=r"nothing.info.json.gz: there is no such file"):
        measure(tmp_path / "nothing")
    with pytest.raises(fh.InputError, match="points must be"):
        measure(tmp_path / "nothing", points=1)


def test_what_vmstat_counts():
    text = "### /proc/meminfo\nA: 3 kB\n### /proc/vmstat\nnr_x {}\npgfree {}\npgfault 2\n"
    info = {"proc_T0": text.format(9, 2), "vm_T1": text.format(-2, 7)}
    assert vmstat(info, "vm_T1", "x") == {"nr_x": -2, "pgfree": 7, "pgfault": 2}
    grown = vmstat_delta(info, "x")
    assert grown == {"nr_x": -11, "pgfree": 5, "pgfault": 0}
    assert events_of(grown) == {"pgfree": 5}


def test_times_per_page_are_fitted_and_kept(tmp_path):
    cache = calibrate(stem("linux-6.1/rc_cache"))
    assert set(cache) == {"read_ns", "write_ns", "rm_ns", "scan_page_ns", "reclaim_page_ns"}
    oom = calibrate(stem("linux-6.1/rc_oom"))
    assert set(oom) == {"fill_ns", "exit_ns", "oom_ns", "scan_page_ns", "reclaim_page_ns"}
    # The machine was half as fast while rc_oom was made.
    assert 1.8 < oom["reclaim_page_ns"] / cache["reclaim_page_ns"] < 2.4
    runs = measured("linux-6.1/rc_cache").kswapd
    spent_s = (runs["end_s"] - runs["begin_s"])[runs["reclaimed"] > 0].sum()
    assert cache["reclaim_page_ns"] == pytest.approx(1e9 * spent_s / 232_429, rel=0.1)
    write_rates(oom, tmp_path / "rates.toml", "x/rc_oom")
    assert read_rates(tmp_path / "rates.toml") == oom
    assert "Calibrated on rc_oom" in (tmp_path / "rates.toml").read_text()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("read_ns = -1", "read_ns must be a whole number"),
        ("read_ns = 1.5", "read_ns must be a whole number"),
        ("sleep_ns = 5", f"be among {', '.join(RATES)}, got 'sleep_ns'"),
        ("read_ns", "is not TOML"),
    ],
)
def test_bad_rates_are_refused(tmp_path, text, match):
    path = tmp_path / "rates.toml"
    path.write_text(text)
    with pytest.raises(fh.InputError, match=match):
        read_rates(path)
