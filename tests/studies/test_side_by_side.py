"""The scenarios in which the report compares policies, and the search that chose them."""

import pandas as pd
import pytest

import freehint as fh
from freehint.config import InputError
from freehint.studies import side_by_side as study

RUNS = [("none", 1000), ("a", 500), ("b", 497), ("c", 300)]


def table(waits=(0, 0, 0, 5_000_000)) -> pd.DataFrame:
    """Bytes and waits of four policies over three seeds; a and b are nearer than 1 %."""
    rows = [
        (policy, seed, sent + 0.1 * seed, wait)
        for (policy, sent), wait in zip(RUNS, waits, strict=True)
        for seed in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["policy", "seed", "sent_bytes", "alloc_wait_max_ns"])


def test_pairs_are_told_apart_by_differences_that_are_sure_and_large_enough():
    pairs = study.told_apart(table()).set_index(["policy", "other"])
    assert len(pairs) == 6
    assert not pairs.loc[("a", "b"), "sent"] and pairs.loc[("a", "c"), "sent"]
    assert pairs["wait"].sum() == 3 and pairs.loc[("a", "c"), "wait"]
    small = study.told_apart(table(waits=(0, 0, 0, 900_000)))
    assert not small["wait"].any()


def test_a_noisy_difference_tells_nothing_apart():
    noisy = table()
    noisy.loc[noisy["policy"] == "c", "sent_bytes"] = [100, 900, 500]
    pairs = study.told_apart(noisy).set_index(["policy", "other"])
    assert not pairs.loc[("a", "c"), "sent"]


def test_the_loaded_scenario_is_of_the_searched_grid():
    assert list(study.LOADED) == list(study.GRID)
    assert all(value in study.GRID[name] for name, value in study.LOADED.items())
    scenario = study.loaded()
    assert scenario.ring.size == study.LOADED["ring.size"]
    assert study.calm().workload.state == "freed" and study.calm().ring == scenario.ring


def test_a_search_sorts_its_settings_by_the_pairs_that_they_tell_apart():
    grid = {name: study.GRID[name][:1] for name in study.GRID}
    grid["ring.size"] = (1024, 64)
    found = study.search(seeds=[1, 2], grid=grid)
    assert list(found["apart"]) == sorted(found["apart"], reverse=True) and len(found) == 2
    assert (found["apart"] <= 36).all() and (found["ended"] == 1).all()


def test_only_a_policy_that_needs_it_gets_a_host_that_discards():
    names = ("none", "v24", "page_reporting")
    moved = study.each_policy(study.loaded(), names)
    assert [one.host.discard for one in moved] == [False, False, True]
    assert not any(one.host.discard for one in study.each_policy(study.busy(), names))


def test_a_comparison_in_which_nothing_walks_is_refused():
    late = study.busy(memory="64MiB", duration_ns=1_000_000)
    runs = study.side_by_side(late, ("none", "v24"))
    with pytest.raises(InputError, match=r"nothing walks \(policies none, v24\)"):
        study.require_walks(runs)
    with pytest.raises(InputError, match=r"nothing walks \(policies none\): none never walks"):
        study.require_walks(runs[runs["policy"] == "none"])
    walked = fh.sweep(fh.Scenario(memory="64MiB"), {"policy": ["v24"]}, [1])
    assert study.require_walks(walked) is walked
