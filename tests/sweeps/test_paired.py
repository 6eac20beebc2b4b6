"""Differences seed by seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from freehint.config import InputError
from freehint.policies import POLICIES
from freehint.runs.scenario import Scenario
from freehint.studies.migrations import savings
from freehint.sweeps.paired import (
    NO_DIFFERENCE,
    ONE_SEED,
    Measure,
    amount,
    interval,
    judged,
    paired,
    sentence,
)
from freehint.sweeps.sweep import sweep


def runs(seeds=(1, 2, 3, 4), **more) -> pd.DataFrame:
    """Policy b is 2 above a in each seed but for a little; seeds differ by tens."""
    rows = [(p, s, 10.0 * s + 2 * (p == "b") + 0.1 * (p == "b") * s) for s in seeds for p in "ab"]
    return pd.DataFrame(rows, columns=["policy", "seed", "x"]).assign(**more)


@pytest.fixture(scope="module")
def stats():
    """Imported by the one process that needs it: it takes a second."""
    from scipy import stats

    return stats


def test_what_seeds_have_in_common_is_no_noise(stats):
    table = paired(runs(), ["x"], against="a").set_index("level")
    assert table.loc["b", "difference"] == pytest.approx(2.25)
    assert table.loc["b", "differs"] and table.loc["b", "mean"] > table.loc["b", "against"]
    unpaired = stats.ttest_ind(*(part["x"] for _, part in runs().groupby("policy")))
    assert unpaired.pvalue > 0.5  # The seeds' own spread hides the difference.


@pytest.mark.parametrize("n", [2, 5, 16, 17, 40])
def test_the_interval_is_students(n, stats):
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


@pytest.mark.parametrize("status", ["failed", "refused"])
def test_a_run_that_was_not_done_is_named_with_its_reason(status):
    values = {"status": "done", "error": "", "sent_bytes": 1.0, "total_ns": 1.0, "knob": 3}
    table = runs(seeds=(1, 2)).replace("a", "none").assign(**values)
    later = (table["policy"] == "b") & (table["seed"] == 2)
    table.loc[later, ["status", "error", "sent_bytes"]] = [status, "MemoryError: all", None]
    for compare in (lambda: paired(table, ["x"], "none"), lambda: savings(table, "knob")):
        with pytest.raises(RuntimeError, match=f"policy b, seed 2: {status}: MemoryError: all"):
            compare()


def test_a_misspelt_outcome_is_named_alone():
    table = runs().rename(columns={"x": "coverage"})
    with pytest.raises(InputError) as refused:
        paired(table, ["coverag"], against="a")
    assert str(refused.value) == "table has no column 'coverag'; did you mean 'coverage'?"
    with pytest.raises(InputError, match="outcomes must be a list of columns, got 'coverage'"):
        paired(table, "coverage", against="a")


SENT = Measure("x", "bytes sent", "MB")


def test_a_sentence_says_which_is_more_and_how_sure_that_is():
    (row,) = paired(runs(), ["x"], against="a").itertuples()
    said = sentence(row, SENT)
    assert said == "bytes sent: b 27.2 MB, a 25 MB (+2.25 ± 0.21 MB, 95 %, 4 seeds)"


def test_a_sentence_inside_the_interval_names_no_winner():
    table = runs().assign(x=[0, 1, 0, -1, 0, 2, 0, -2])
    (row,) = paired(table, ["x"], against="a").itertuples()
    said = sentence(row, SENT)
    assert said.startswith(f"bytes sent: {NO_DIFFERENCE} between b and a (+")


def test_a_sentence_on_one_seed_says_that_it_has_no_interval():
    (row,) = paired(runs(seeds=(1,)), ["x"], against="a").itertuples()
    assert sentence(row, SENT).endswith(f"({ONE_SEED})")
    assert judged(1.0, np.nan, "more", "less") == ONE_SEED


def test_a_planted_null_effect_is_not_found():
    """The same policy under two names: first with the same seeds, then with other guests."""
    base = Scenario(memory="64MiB", duration_ns=40_000_000, walk_at_ns=5_000_000)
    two = [replace(POLICIES["v24"], name=name) for name in ("a", "b")]
    table = sweep(base.with_values({"ring.size": 32}), {"policy": two}, seeds=range(1, 41))
    outcomes = ["survival", "stale_pages", "allocations", "alloc_wait_sum_ns", "lost_pages"]
    assert table["survival"].nunique() > 20  # There is noise that could be taken for an effect.
    assert not paired(table, outcomes, against="a")["differs"].any()
    a, b = (part for _, part in table.groupby("policy"))
    others = b[b["seed"] > 20].assign(seed=b["seed"] - 20)
    found = paired(pd.concat([a[a["seed"] <= 20], others]), outcomes, against="a")
    assert not found["differs"].any() and (found["difference"] != 0).any()
    measures = [Measure(name, name) for name in outcomes]
    said = [sentence(row, one) for row, one in zip(found.itertuples(), measures, strict=True)]
    assert all(NO_DIFFERENCE in one for one in said)


def test_of_many_null_effects_one_in_twenty_is_found():
    chance = np.random.default_rng(3)
    found = [interval(chance.normal(size=10)) for _ in range(4_000)]
    share = np.mean([abs(mean) > half for mean, half in found])
    assert 0.04 < share < 0.06


@pytest.mark.parametrize(
    ("difference", "half_width", "words"),
    [(1, 0.5, "above"), (-1, 0.5, "below"), (1, 1, NO_DIFFERENCE), (0, 0, NO_DIFFERENCE)],
)
def test_words_follow_from_the_interval(difference, half_width, words):
    assert judged(difference, half_width, "above", "below") == words


def test_an_amount_has_the_digits_of_its_interval():
    assert amount(1234.5, 67.8, "MB") == "+1,234 ± 68 MB"
    assert amount(0.0012345, 0.000678, "") == "+0.00123 ± 0.00068"
    assert amount(0, 0, "MB") == "+0 ± 0 MB"
    assert amount(-247.949, 0.004, "MB") == "-247.9 ± 0.0 MB"
