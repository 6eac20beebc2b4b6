"""fh.counterfactual: the recorded demand under other policies, and how long their hints last."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import freehint as fh
import walks
from freehint.replay.counterfactual import PREDICTED, SIMULATED, recorded_policy
from freehint.replay.walker.reuse import HINT_COLUMNS, reuse_row

TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth" / "walkers"
LEFT = {"ways": [PREDICTED], "reuse": "left_lists"}
HERE = pytest.mark.skipif(not TRUTH.is_dir(), reason="the recordings do not ship")


def measures(row) -> dict:
    return row.drop(["policy", "run", "other_page"]).to_dict()


def test_a_recording_by_hand_has_these_figures(tmp_path):
    stem = walks.rotation(tmp_path)
    table = fh.counterfactual(stem, recorded_policy(stem), **LEFT)
    recorded, predicted = (row for _, row in table.iterrows())
    assert [recorded["run"], predicted["run"]] == ["recorded", PREDICTED]
    # A to C and E to G are told once, A again in another stay, and B twice in the same.
    assert (recorded["reports"], recorded["lost"], recorded["duplicates"]) == (8, 0, 1)
    assert recorded["duplicates_in_walk"] == 1 and recorded["hinted_pages"] == 7 * 1024
    # The guest takes D, H and A.
    assert recorded["used_MiB"] == 12.0
    assert recorded["on_hinted"] == recorded["on_hinted_since"] == 1 / 3
    assert recorded["reused_at_end"] == 1 / 7
    assert np.isnan(recorded["reused_1s"]) and np.isnan(recorded["reused_64MiB"])
    np.testing.assert_equal(measures(predicted), measures(recorded))
    assert predicted["other_page"] == predicted["failures"] == 0


def test_without_rotation_the_guest_takes_what_was_just_hinted(tmp_path):
    stem = walks.rotation(tmp_path)
    policy = replace(recorded_policy(stem), rotate="never", resume="newest_report")
    found = fh.counterfactual(stem, [policy], **LEFT).iloc[1]
    # Calls report ABC, DEF and GH; the guest takes A, B and C, and gives C back.
    assert (found["reports"], found["duplicates"], found["failures"]) == (8, 0, 0)
    assert found["hinted_pages"] == 8 * 1024 and found["on_hinted"] == 1.0
    assert found["reused_at_end"] == 3 / 8 and found["other_page"] == 1.0


def test_a_walker_takes_the_place_of_the_five_steps(tmp_path):
    stem = walks.five_steps(tmp_path)
    policy = fh.CallWalker("w", min_order=10, capacity=0)
    recorded, found = (row for _, row in fh.counterfactual(stem, policy, **LEFT).iterrows())
    assert recorded["reports"] == 7 and recorded["reused_at_end"] == 0
    # All eight blocks are told, and the allocation that got H takes A.
    assert found["reports"] == 8 and found["reused_at_end"] == 1 / 8
    assert found["other_page"] == 1.0 and found["failures"] == 0


def test_a_full_ring_loses_hints_or_ends_the_call(tmp_path):
    stem = walks.full_ring(tmp_path)
    lose = fh.CallWalker("w", rotate="on_exit", resume="scan_for_mark", min_order=10, capacity=0)
    stop, wait = replace(lose, on_full="stop"), replace(lose, lock="whole_call", on_full="wait")
    table = fh.counterfactual(stem, [lose, stop, wait], **LEFT)[1:]
    assert table["reports"].tolist() == [8, 10, 8]
    assert table["lost"].tolist() == [5, 2, 0]
    assert table["hinted_pages"].tolist() == [3 * 1024, 8 * 1024, 8 * 1024]


def test_hints_and_their_ends_are_counted_by_time_and_by_memory():
    s = 1_000_000_000
    hints = np.array(
        [
            # place, time, node, order, walk, taken, twice
            (0, 0, 0, 9, 0, 1, 0),
            (1, 0, 0, 9, 0, 1, 1),
            (2, 0, 512, 9, 0, 0, 0),
            (5, 4 * s, 0, 0, 1, 1, 0),
            (6, 4 * s, 1, 0, 1, 1, 0),
            (7, 4 * s, 2, 1, 1, 1, 1),
        ]
    ).reshape(-1, HINT_COLUMNS)
    uses = np.array([(3, s, 0, 0), (4, 3 * s, 1024, 9), (5, 4 * s, 1, 0), (8, 30 * s, 512, 9)])
    found = reuse_row(hints, uses, 30 * s, 2048)
    assert found["reports"] == 6 and found["lost"] == 1
    assert (found["duplicates"], found["duplicates_in_walk"]) == (2, 1)
    # Page 0 counts twice, for it was used between its hints; so does page 1.
    assert found["hinted_pages"] == 512 + 2 and found["used_MiB"] == 1026 / 256
    assert found["reused_1s"] == 1 / 514 and found["reused_5s"] == 2 / 514
    assert found["on_hinted"] == 2 / 1026 and np.isnan(found["reused_64MiB"])


# RESULTS.md, table 4: the same demand with the recorded walker and with another.
PAIRS = {
    "s6_v24": ({"rotate": "on_exit"}, (90, 0, 92160), (0.0, 0.0, 0.0, 0.0, 4.5), 34.4, 96.9),
    "s6_rot": ({"rotate": "never"}, (90, 0, 92160), (14.8, 32.5), 38.3, 92.0),
    "s3_v24": ({"rotate": "on_exit"}, (624, 445, 182784), (0.0, 0.0, 17.8, 23.2), 23.0, 93.8),
    "s3_rot": ({"rotate": "never"}, (624, 513, 113152), (None, 78.0, 95.5), 77.1, 95.2),
    "c_cursor": (
        {"rotate": "on_exit", "resume": "scan_for_mark"},
        (3463, 1440, 142623),
        (6.4, 0.0),
        12.1,
        7.9,
    ),
    "c_rotscan": (
        {"rotate": "never", "resume": "newest_report"},
        (3360, 1344, 142608),
        (5.6,),
        8.2,
        17.5,
    ),
}


@HERE
@pytest.mark.parametrize("name", PAIRS)
def test_the_published_pairs_come_out_the_same(name):
    stem = TRUTH / "linux-6.1" / name
    knobs, counts, volumes, at_end, other_page = PAIRS[name]
    policy = recorded_policy(stem)
    table = fh.counterfactual(stem, [policy, replace(policy, **knobs)], **LEFT)
    recorded, same, other = (row for _, row in table.iterrows())
    np.testing.assert_equal(measures(same), measures(recorded))
    assert same["other_page"] == 0
    assert (other["reports"], other["duplicates"], other["hinted_pages"]) == counts
    for MiB, percent in zip((64, 128, 256, 384, 512), volumes, strict=False):
        if percent is not None:
            assert round(100 * other[f"reused_{MiB}MiB"], 1) == percent
    assert round(100 * other["reused_at_end"], 1) == at_end
    assert round(100 * other["other_page"], 1) == other_page and other["failures"] == 0


@HERE
def test_the_engine_comes_close_to_what_was_recorded():
    stem = TRUTH / "linux-6.1" / "s6_v24"
    table = fh.counterfactual(stem, recorded_policy(stem), ways=[SIMULATED])
    recorded, simulated = (row for _, row in table.iterrows())
    # RESULTS.md, table 3.
    percents = [round(100 * recorded[f"reused_{s}s"], 2) for s in (1, 5, 20)]
    assert percents == [1.75, 32.89, 96.67]
    assert round(100 * recorded["on_hinted_since"], 2) == 45.15
    assert simulated["reports"] == 90 and simulated["hinted_pages"] == 92160
    for name in ("reused_1s", "reused_5s", "reused_20s", "reused_512MiB", "reused_at_end"):
        assert abs(simulated[name] - recorded[name]) < 0.002


@HERE
def test_a_lap_that_shrinks_with_its_list_tells_no_block_twice():
    stem = TRUTH / "linux-6.1" / "a_scan"
    policy = recorded_policy(stem)
    table = fh.counterfactual(stem, [policy, replace(policy, lap="shrinks")], **LEFT)
    assert table["duplicates_in_walk"].tolist() == [116, 116, 0]
    assert table["reports"].tolist() == [214, 214, 98]
    assert table["hinted_pages"].nunique() == 1


def test_a_recording_without_a_walk_can_only_be_simulated():
    stem = "linux-6.1/traces/idle20"
    table = fh.counterfactual(stem, ["v24", fh.CallWalker("w")])
    assert table["run"].tolist() == [SIMULATED, SIMULATED]
    assert (table["hinted_pages"] > 0).all() and (table["failures"] == 0).all()
    with pytest.raises(fh.InputError, match="give no row"):
        fh.counterfactual(stem, "v24", ways=PREDICTED)
    with pytest.raises(fh.InputError, match=r"idle20.trace.parquet: has no row w_walk_begin"):
        recorded_policy(stem)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ways": ["guessed"]}, "ways must be one of predicted exactly, simulated, got 'guessed'"),
        ({"scenario": "v24"}, "scenario must be a Scenario, got 'v24'"),
        ({"reuse": "seen"}, "reuse must be one of handed_out, left_lists, got 'seen'"),
        ({"policies": "v99"}, "policy must be one of"),
        ({"recording": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_run_is_refused(change, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.counterfactual(**{"recording": "linux-6.1/traces/idle20", "policies": "v24"} | change)
