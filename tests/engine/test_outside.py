"""What comes from outside of a guest under pressure: policies, balloon, drop_caches, reclaim."""

import numpy as np
import pytest

import freehint as fh

MS = 1_000_000
FULL = "fill 60; read a; fill 130; sleep 0.2"


def simulate(policy="none", jobs=FULL, s=2.4, **values):
    guest = fh.UnderPressure(jobs=jobs, files="a=40,b=60")
    given = fh.Scenario("128MiB", policy=policy, workload=guest, duration_ns=int(s * 1e9))
    run = fh.simulate(given.with_values(values))
    fh.check_memory(run.memory)
    return run


@pytest.fixture(scope="module")
def none():
    return simulate()


@pytest.mark.parametrize("policy", ["balloon_alloc", "five_step", "page_reporting"])
def test_no_policy_brings_an_oom_that_none_would_not_have_had(policy, none):
    often = {"walk_at_ns": 10 * MS, "control.every_ns": 50 * MS}
    if policy == "page_reporting":
        often["policy.delay_ns"] = 20 * MS
    run = simulate(policy, **often)
    assert run.summary["hinted_pages"] > 0
    assert run.jobs["ooms"].tolist() == none.jobs["ooms"].tolist()
    assert (run.jobs["outcome"] == none.jobs["outcome"]).all()


def test_reclaim_takes_the_blocks_of_the_hint_shrinker_back(none):
    run = simulate("balloon_alloc", walk_at_ns=10 * MS)
    held = run.held["pages"].to_numpy()
    assert held.max() > 10_000 and held[-1] < held.max()
    scanned = run.reclaim["slabs_scanned"].iloc[-1]
    # A scan of 128 pages frees a block of 1,024.
    assert scanned % 128 == 0 and (held.max() - held[-1]) // 1024 <= scanned // 128
    assert none.reclaim["slabs_scanned"].iloc[-1] == 0


def test_a_balloon_drives_the_page_cache_out():
    jobs = "read b; sleep 1.5"
    run = simulate(jobs=jobs, **{"control.at": "0.6 balloon 100"})
    cache = run.reclaim["inactive_file"] + run.reclaim["active_file"]
    before, after = cache[run.reclaim["time_ns"] < 600 * MS].max(), cache.iloc[-1]
    assert before > 50 * 256 and after < before / 2
    assert run.balloon["pages"].iloc[-1] > 90 * 256
    assert run.reclaim["pgsteal_kswapd"].iloc[-1] + run.reclaim["pgsteal_direct"].iloc[-1] > 5_000
    assert (np.diff(run.balloon["pages"]) >= 0).all() and not run.jobs["ooms"].any()


def test_drop_caches_and_memory_reclaim_at_a_time():
    jobs = "read b; sleep 1.5"
    dropped = simulate(jobs=jobs, **{"control.at": "1 drop_caches"}).reclaim
    reclaimed = simulate(jobs=jobs, **{"control.at": "1 reclaim 20"}).reclaim
    for table, least, most in ((dropped, 55, 61), (reclaimed, 20, 28)):
        cache = (table["inactive_file"] + table["active_file"]) / 256
        gone = cache[table["time_ns"] < 1_000 * MS].max() - cache.iloc[-1]
        assert least <= gone <= most
    assert dropped["drop_pagecache"].iloc[-1] == 1
