"""Liveness under pressure: policies beside "none", with the same seeds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.policies.five_step import FiveStep
from freehint.studies.pressure.liveness import (
    OUTCOMES,
    against_none,
    full_guest,
    memory_runs_out,
)


def test_a_policy_that_never_gives_back_brings_an_oom_that_none_would_not_have_had():
    memory = fh.make_memory("64MiB", fragmentation=0.9)
    values = {"memory": memory, "ring.size": 1024, "host.gap_ns": 0, "host.service_ns": 150_000}
    values |= {"workload.live_share": 0.7, "workload.interval_ns": 1_000}
    values |= {"workload.order_weights": (1,), "workload.type_weights": (0, 1, 0)}

    def with_room(policy, seed):
        return full_guest(policy, seed).with_values(values)

    good = FiveStep(capacity=400)
    miser = replace(good, name="miser", shrink=None, on_empty=None)
    runs = memory_runs_out([miser, good], [1, 2], with_room)
    extra = against_none(runs).groupby("level")["extra_ooms"].first()
    assert extra.to_dict() == {"miser": 2, "five_step": 0}
    assert (runs.groupby("policy")["held_pages"].min()[["miser", "five_step"]] > 0).all()
    # The callback alone does not help: isolation stops at the min watermark, so the lists are not
    # empty when allocations fail there.  The shrinker is asked then.
    half = [replace(good, name="no shrinker", shrink=None), replace(good, on_empty=None)]
    ooms = memory_runs_out(half, [1, 2], with_room).groupby("policy")["ooms"].sum()
    assert ooms.to_dict() == {"none": 0, "no shrinker": 2, "five_step": 0}


def test_each_policy_runs_beside_none_with_the_same_seeds():
    runs = memory_runs_out(["v24", "balloon_alloc"], [3, 4])
    assert runs.groupby("policy")["seed"].apply(list).to_dict() == {
        "none": [3, 4],
        "v24": [3, 4],
        "balloon_alloc": [3, 4],
    }
    held = runs.groupby("policy")["held_pages"].max()
    assert held["none"] == held["v24"] == 0
    found = against_none(runs)
    assert set(found["level"]) == {"v24", "balloon_alloc"} and len(found) == 2 * len(OUTCOMES)
    assert (found["extra_ooms"] == 0).all()


def test_extra_ooms_are_counted_seed_by_seed():
    zeros = dict.fromkeys(OUTCOMES, 0)
    rows = [
        {"policy": policy, "seed": seed, **zeros, "ooms": ooms}
        for policy, each in {"none": (0, 1, 0), "a": (1, 2, 0), "b": (0, 0, 0)}.items()
        for seed, ooms in enumerate(each)
    ]
    found = against_none(pd.DataFrame(rows)).set_index(["level", "outcome"])
    assert found["extra_ooms"]["a", "ooms"] == 1 and found["extra_ooms"]["b", "ooms"] == 0
    assert found["difference"]["a", "ooms"] == pytest.approx(2 / 3)
    assert np.isnan(found["half_width"]["b", "stalls"]) or found["half_width"]["b", "stalls"] == 0


def test_seeds_are_checked():
    with pytest.raises(fh.InputError, match="seeds"):
        memory_runs_out(["none"], [1, 1])
