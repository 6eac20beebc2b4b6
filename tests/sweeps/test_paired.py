"""Differences seed by seed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from freehint.config import InputError
from freehint.sweeps.paired import interval, paired


def runs(seeds=(1, 2, 3, 4), **more) -> pd.DataFrame:
    """Policy b is 2 above a in each seed but for a little; seeds differ by tens."""
    rows = [(p, s, 10.0 * s + 2 * (p == "b") + 0.1 * (p == "b") * s) for s in seeds for p in "ab"]
    return pd.DataFrame(rows, columns=["policy", "seed", "x"]).assign(**more)


def test_what_seeds_have_in_common_is_no_noise():
    table = paired(runs(), ["x"], against="a").set_index("level")
    assert table.loc["b", "difference"] == pytest.approx(2.25)
    assert table.loc["b", "differs"] and table.loc["b", "mean"] > table.loc["b", "against"]
    unpaired = stats.ttest_ind(*(part["x"] for _, part in runs().groupby("policy")))
    assert unpaired.pvalue > 0.5  # The seeds' own spread hides the difference.


@pytest.mark.parametrize("n", [2, 5, 16, 17, 40])
def test_the_interval_is_students(n):
    values = np.random.default_rng(1).normal(size=n)
    mean, half = interval(values)
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), rel=0.01)


def test_a_difference_that_changes_its_sign_is_none():
    table = runs().assign(y=[0, 1, 0, -1, 0, 2, 0, -2])
    found = paired(table, ["x", "y"], against="a").set_index("outcome")
    assert found["differs"].to_dict() == {"x": True, "y": False}


def test_one_seed_has_no_interval():
    table = paired(runs(seeds=(1,)), ["x"], against="a")
    assert table["half_width"].isna().all() and not table["differs"].any()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (runs().iloc[:-1], "not every seed has every policy"),
        (pd.concat([runs(), runs()]), "a seed has policy twice"),
        (runs().drop(columns="x"), "'x'"),
        (runs().replace("a", "c"), "'a'"),
    ],
)
def test_what_cannot_be_paired_is_refused(table, words):
    with pytest.raises(InputError, match=words):
        paired(table, ["x"], against="a")
