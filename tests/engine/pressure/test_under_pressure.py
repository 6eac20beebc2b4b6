"""Guests under pressure: what reclaim, swap, OOM and policies do to their jobs."""

import numpy as np
import pytest

import freehint as fh
from freehint.engine.watcher import Watcher
from freehint.runs.run import Run
from freehint.runs.scenario_dict import scenario_of, told
from freehint.runs.scenario_file import read_scenario, scenario_toml

SECOND = 1_000_000_000


class Content(Watcher):
    """Compares the content of every resident page with that of its place, now and then."""

    def __init__(self, every_ns=50_000_000):
        self.every_ns = self.at = every_ns
        self.seen = 0

    def begin(self, engine):
        self.engine = engine

    def next_stop_ns(self):
        return self.at

    def advanced(self, time_ns):
        if time_ns < self.at:
            return
        self.at += self.every_ns
        world = self.engine.world
        places = np.flatnonzero(world.reclaim.place > 0)
        nodes = world.reclaim.place[places] - 1
        assert (world.version[nodes] == world.jobs.content[places]).all()
        fh.check_memory(world.memory, world.reclaim)
        self.seen += len(places)


def scenario(jobs, seconds=2, policy="none", seed=1, host=None, **guest):
    workload = fh.UnderPressure(jobs=jobs, files="a=60,b=30", **guest)
    more = {"host": host} if host else {}
    return fh.Scenario(
        memory="64MiB",
        policy=policy,
        seed=seed,
        workload=workload,
        duration_ns=seconds * SECOND,
        **more,
    )


def test_a_file_larger_than_memory_is_read_with_kswapd_and_content_stays_right():
    watch = Content()
    run = fh.simulate(scenario("read a; copy b c; read c; rm c; fork 0.1", 4), watchers=[watch])
    assert watch.seen > 100_000
    assert run.summary["pgsteal_kswapd"] > 1000
    assert run.summary["oom_kill"] == 0 and run.summary["jobs_done"] == 5
    assert list(run.jobs["outcome"]) == ["done"] * 5
    assert (run.jobs["end_ns"].diff().dropna() > 0).all()


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others():
    first, again, other = (
        fh.simulate(scenario("frag 30 50 4; read a; fill 30", 2, seed=seed)) for seed in (1, 1, 2)
    )
    assert first.reclaim.equals(again.reclaim) and first.summary.equals(again.summary)
    assert not first.reclaim.equals(other.reclaim)


def test_out_of_memory_kills_the_process_named_in_the_jobs_and_the_next_goes_on():
    run = fh.simulate(scenario("read b; fill 100; fill 10", 3), watchers=[Content()])
    assert list(run.jobs["outcome"]) == ["done", "killed", "done"]
    assert list(run.jobs["step"]) == ["read b", "fill 100", "fill 10"]
    assert run.summary["oom_kill"] == run.summary["jobs_killed"] == 1
    began, ended = run.jobs["begin_ns"][1], run.jobs["end_ns"][1]
    assert began < run.summary["oom_ns"] == ended <= run.jobs["begin_ns"][2]
    assert run.waits["kind"].isin(["reclaim"]).any()
    assert run.waits["wait_ns"].sum() >= run.summary["stall_ns"] > 0


def test_out_of_memory_kills_what_frag_left_if_that_is_larger():
    run = fh.simulate(scenario("frag 40 10 16; fill 30", 3))
    assert list(run.jobs["outcome"]) == ["killed", "done"]


def test_swap_takes_what_would_have_been_killed():
    run = fh.simulate(scenario("fill 80; dirty 60 100 0.5", 12, swap_MiB=100), watchers=[Content()])
    assert run.summary["oom_kill"] == 0 and run.summary["jobs_done"] == 2
    assert run.summary["pswpout"] > 1000 and run.summary["pswpin"] > 0
    assert run.reclaim["swap_free_pages"].iloc[-1] == 100 * 256
    # "dirty" ends when its time is over, that of the filling included.
    lasts = run.jobs["end_ns"][1] - run.jobs["begin_ns"][1]
    assert 500_000_000 <= lasts < 900_000_000
    off = fh.simulate(scenario("fill 80", 4, swap_MiB=100, without="swap_ignored"))
    assert off.summary["oom_kill"] == 1


def test_operators_drop_caches_reclaim_and_compact():
    run = fh.simulate(
        scenario("read b; reclaim 10; drop_caches; compact_memory", 3), watchers=[Content()]
    )
    pages = run.reclaim[["inactive_file", "active_file"]].sum(axis=1)
    assert pages.max() >= 25 * 256 and pages.iloc[-1] == 0
    assert run.summary["jobs_done"] == 4
    assert run.reclaim["pgsteal_file"].iloc[-1] >= 10 * 256
    assert run.reclaim["drop_pagecache"].iloc[-1] == 1


def test_a_cache_that_is_never_reclaimed_ends_in_an_oom():
    assert fh.simulate(scenario("read b; fill 40", 3)).summary["oom_kill"] == 0
    wrong = fh.simulate(scenario("read b; fill 40", 3, without="cache_never_reclaimed"))
    assert wrong.summary["oom_kill"] == 1


def test_what_is_filled_before_time_0_is_there():
    run = fh.simulate(scenario("sleep 0.1", 1, cache_MiB=20, anon_MiB=10))
    first = run.reclaim.iloc[0]
    assert first["inactive_file"] == 20 * 256
    assert first["inactive_anon"] + first["active_anon"] == 10 * 256


def test_policies_hint_and_the_host_discards_while_the_guest_reclaims():
    jobs = "fill 150; sleep 3; read a; fill 220"  # page_reporting needs 64 MiB free
    watch = Content(200_000_000)
    small = scenario(jobs, 9, "page_reporting", host=fh.HostConfig(discard=True))
    run = fh.simulate(small.with_values({"memory": "256MiB"}), watchers=[watch])
    assert watch.seen and run.summary["hinted_pages"] > 0
    assert run.summary["lost_to_discard_pages"] == 0
    assert run.summary["discarded_pages"] > 0 and run.summary["jobs_done"] == 4
    assert run.summary["pgsteal_kswapd"] > 1000
    assert run.resident["faults"].iloc[-1] > 0


def test_a_migration_loses_no_write():
    moved = scenario("read b; fill 50; read a", 3).with_values({"migration.bandwidth_Bps": 10**9})
    run = fh.simulate(moved)
    assert run.summary["migration"] == "completed" and run.summary["lost_writes"] == 0


def test_it_is_written_and_read_as_any_scenario(tmp_path):
    wanted = scenario("read a; fill 10", 1, swap_MiB=5, swappiness=100)
    assert scenario_of(told(wanted)) == wanted
    path = tmp_path / "one.toml"
    path.write_text(scenario_toml(wanted))
    assert read_scenario(path) == wanted
    run = fh.simulate(wanted)
    again = Run.load(run.save(tmp_path / "run"))
    assert again.reclaim.equals(run.reclaim) and again.jobs["step"].tolist() == [
        "read a",
        "fill 10",
    ]
    (tmp_path / "run" / "jobs.parquet").unlink()
    with pytest.raises(fh.InputError, match=r"jobs\.parquet: there is no such file"):
        Run.load(tmp_path / "run")


def test_other_guests_have_no_entry_and_no_row_of_reclaim():
    run = fh.simulate(fh.Scenario(memory="64MiB", policy="none", duration_ns=10_000_000))
    assert "oom_kill" not in run.summary and not len(run.reclaim) and not len(run.jobs)
    assert run.table_names[-1] == "balloon"
