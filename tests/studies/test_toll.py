"""What hinting costs drawn guests under pressure, compaction before reports, and balloons."""

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.policies.five_step import FiveStep
from freehint.studies.pressure import compacting, guests, inflating, toll
from freehint.studies.pressure.toll import KILLS, NOTHING


def test_a_seed_draws_another_guest_and_each_policy_gets_the_same():
    jobs = {seed: guests.drawn_jobs("pressed", seed).jobs for seed in range(1, 6)}
    assert len(set(jobs.values())) == 5
    guest = guests.drawn_guest("pressed", toll.PROMPT)
    assert guest("none", 3).workload == guest("v24", 3).workload != guest("none", 4).workload
    with pytest.raises(fh.InputError, match="state"):
        guests.drawn_guest("tired", toll.PROMPT)


def test_calm_guests_reclaim_nothing_and_pressed_ones_do():
    calm, pressed = (toll.toll(state, ["none"], [1, 2]) for state in ("calm", "pressed"))
    assert (calm["reclaimed_MiB"] == 0).all() and (calm["ooms"] == 0).all()
    assert (pressed["reclaimed_MiB"] > 50).all() and (pressed["ooms"] == 0).all()
    assert (pressed["read_again_MiB"] > 50).all()


def test_the_balloon_makes_a_calm_guest_drop_cache_and_a_walker_does_not():
    found = toll.changed(toll.toll("calm", ["v24", "balloon_alloc"], [1, 2, 3]))
    assert found.loc["balloon_alloc", "reclaimed (MiB)"].startswith("+")
    assert found.loc["v24", "reclaimed (MiB)"] == NOTHING
    assert toll.silent(found).to_dict() == {"v24": True, "balloon_alloc": False}


def test_a_policy_that_never_gives_back_costs_a_process_on_the_brink():
    miser = FiveStep("miser", on_empty=None, shrink=None)
    found = toll.toll("brink", [miser, "five_step"], [1, 4], toll.AWAY)
    kills = found.groupby("policy")["ooms"].sum()
    assert kills["none"] == kills["five_step"] == 0 < kills["miser"]
    assert toll.changed(found).loc["miser", KILLS] > 0


def test_a_measure_that_some_run_lacks_is_left_out():
    columns = [one.outcome for one in toll.MEASURES]
    rows = [
        {"policy": policy, "seed": seed, "ooms": 0, **dict.fromkeys(columns, 1.0 + seed)}
        for policy in ("none", "a")
        for seed in (1, 2)
    ]
    rows[3]["took_s"] = np.nan
    found = toll.changed(pd.DataFrame(rows))
    assert "jobs took (s)" not in found.columns and "stalls" in found.columns
    assert toll.silent(found)["a"]


def test_compaction_adds_large_blocks_and_no_single_pages():
    passes = compacting.compacting([1, 2], orders=(0, 9), pieces=(1, 1024))
    gained = compacting.gains(passes).set_index(["granularity", "pieces"])
    assert gained.loc[("2 MiB", "4 KiB"), "pays"]
    assert gained.loc[("2 MiB", "4 KiB"), "more_MiB"] > 40
    assert not gained.loc["4 KiB", "pays"].any()
    assert not gained.loc[("2 MiB", "4 MiB"), "pays"]
    assert (passes.loc[passes["policy"] == compacting.LEAVES, "copied_pages"] == 0).all()
    said = compacting.answer(gained.reset_index())
    assert "blocks of 4 KiB: no gain seen" in said and "none with pieces of 4 MiB" in said


def test_a_recorded_snapshot_is_compacted_and_left_as_it_was():
    memory = fh.load_snapshot(fh.data("linux-6.1/traces/frag.T1"))
    before = memory.nr_free.copy()
    found = compacting.compacted_snapshot(memory)
    assert (memory.nr_free == before).all()
    gain = found["after_MiB"] - found["before_MiB"]
    assert gain["2 MiB"] > 100 and abs(gain["4 KiB"]) < 20
    assert found["copied_pages"].gt(0).all() and "copies" in compacting.told_of(found)


def test_a_balloon_gets_what_is_cache_and_waits_for_what_is_not():
    found = inflating.inflating([1, 2], 2, ["cache", "anonymous", "anonymous, swap"])
    by_guest = found.groupby("guest")
    assert by_guest["reached"].all().to_dict() == {
        "cache": True,
        "anonymous": False,
        "anonymous, swap": True,
    }
    assert (by_guest["swapped_MiB"].min() > 0).to_dict()["anonymous, swap"]
    assert (by_guest["missing_MiB"].min() > 50).to_dict()["anonymous"]
    assert inflating.ends(found).loc["anonymous", "after (s)"] == "–"
    with pytest.raises(fh.InputError, match="kind"):
        inflating.inflating([1], kinds=["full"])
