"""Effects, interactions and answers of a factorial, on tables whose answers are known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.policies.walker import RESUME, ROTATE
from freehint.studies.factorial import (
    FACTORS,
    answers,
    difference,
    interactions,
    interval,
    main_effects,
    matched,
    refused,
)


def made_up(outcome, seeds=(1, 2, 3)):
    """a in 0..2, b in "x", "y", c in 0..1; ``outcome(a, b, c, seed)``, None: refused."""
    rows = []
    for a, b, c, seed in product(range(3), "xy", range(2), seeds):
        value = outcome(a, b, c, seed)
        status = "done" if value is not None else "refused"
        error = "" if value is not None else "no"
        rows.append((a, b, c, seed, status, error, value))
    return pd.DataFrame(rows, columns=["a", "b", "c", "seed", "status", "error", "value"])


ABC = ["a", "b", "c"]


def test_effects_of_a_sum_are_its_terms_and_nothing_interacts():
    table = made_up(lambda a, b, c, seed: 10.0 * a + 4 * (b == "y") + seed)
    effects = main_effects(table, ABC, "value").set_index(["factor", "level"])
    assert effects.loc["a", "effect"].tolist() == [-10, 0, 10]
    assert effects.loc["b", "effect"].tolist() == [-2, 2]
    assert effects.loc["c", "effect"].tolist() == [0, 0]
    # The seeds move all levels together, so no effect is in doubt.
    assert effects["half_width"].max() < 1e-9
    assert np.nanmax(interactions(table, ABC, "value").to_numpy()) < 1e-9


def test_an_interaction_is_found_where_it_is():
    table = made_up(lambda a, b, c, seed: 8.0 * (b == "y") * c)
    found = interactions(table, ABC, "value")
    # Cells 0, 0, 0, 8 against the sum's -2, 2, 2, 6.
    assert found.loc["b", "c"] == found.loc["c", "b"] == pytest.approx(2)
    assert found.loc["a", "b"] < 1e-9 and np.isnan(found.loc["b", "b"])


def test_a_hole_in_the_design_does_not_leak_into_other_effects():
    """a = 2 never ran with b = y: a plain mean would blame a for b."""
    table = made_up(lambda a, b, c, seed: None if a == 2 and b == "y" else 100.0 * (b == "y"))
    assert set(matched(table, ABC, "a")["b"]) == {"x"}
    assert set(matched(table, ABC, "b")["a"]) == {0, 1}
    effects = main_effects(table, ABC, "value")
    assert effects.query("factor == 'a'")["effect"].tolist() == [0, 0, 0]
    assert difference(table, ABC, "b", "y", "x", "value") == (100, 0)
    assert refused(table)["runs"].tolist() == [6]


def test_intervals_are_students_t():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.30 / np.sqrt(3))
    assert np.isnan(interval([1.0])[1])


@pytest.fixture(scope="module")
def small():
    """A small real factorial, and its second design."""
    base = fh.Scenario(policy=fh.Walker("walker", on_full="lose"), duration_ns=20_000_000)
    levels = (ROTATE, RESUME, ("per_list", "per_batch", "whole_walk"), [16])
    levels += ([16, 256], [0, 2_000_000], ["64MiB"])
    grid = dict(zip(FACTORS, levels))
    base = base.with_values({"walk_at_ns": 1_000_000})
    orders = {"policy.order": ["high_first", "low_first"], "policy.min_order": [0, 9]}
    second = fh.sweep(base, {**orders, "ring.size": [16, 256], "memory": ["64MiB"]}, [1, 2])
    return fh.sweep(base, grid, [1, 2]), second


def test_every_argument_of_the_thread_is_answered_in_a_sentence(small):
    sentences = answers(*small)
    topics = ["Not restartable", "Rotation", "Hold the lock", "The ring never fills"]
    topics += ["Host scheduled out", "Two reports of B"]
    for topic, sentence in zip(topics, sentences, strict=True):
        assert sentence.startswith(f"**{topic}") and "nan" not in sentence


def test_pictures_show_every_level_and_every_pair(small):
    table, _ = small
    axes = fh.figures.main_effects(table, FACTORS)
    dots = axes[0].lines[0].get_xdata()
    assert len(dots) == len(main_effects(table, FACTORS, "lost_pages")) == 16
    cells = fh.figures.interactions(table, FACTORS)[0].texts
    assert len(cells) == len(FACTORS) * (len(FACTORS) - 1)
