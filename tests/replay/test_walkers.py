"""freehint validate walker: recorded walks are predicted row by row."""

import os
from pathlib import Path

import pandas as pd
import pytest

import freehint as fh
import walks
from freehint.cli import main
from freehint.config import InputError
from freehint.replay.walkers import predict_walker, validate_walker, walker_ablations

TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth" / "walkers"
KERNELS = ("linux-6.1", "linux-6.12")


def recorded(kernel):
    """The stems of recordings that do not ship; test_readme.py predicts those in data/."""
    stems = {path.with_suffix("").with_suffix("") for path in TRUTH.glob(f"{kernel}/*.trace.*")}
    shipped = {path.name for path in fh.data(f"{kernel}/walkers").glob("*.trace.*")}
    return sorted(stem for stem in stems if f"{stem.name}.trace.parquet" not in shipped)


def test_the_recordings_are_there():
    if TRUTH.is_dir() or os.environ.get("CI"):
        assert [len(recorded(kernel)) for kernel in KERNELS] == [5, 0]


@pytest.mark.parametrize(
    "stem", [stem for kernel in KERNELS for stem in recorded(kernel)], ids=lambda s: s.name
)
def test_every_row_list_and_mark_of_a_real_kernel_is_predicted(stem):
    found = predict_walker(stem)
    assert found.rows["equal"].all() and found.extra == 0
    assert (found.hits, found.refused) == (found.scored, 0)
    assert found.lists["equal"].all() and found.marks == 0 and found.good


@pytest.mark.parametrize(
    "write",
    [walks.rotation, walks.five_steps, walks.full_ring, walks.last_block, walks.cursor],
    ids=lambda f: f.__name__,
)
def test_every_row_of_a_recording_by_hand_is_predicted(write, tmp_path):
    found = predict_walker(write(tmp_path))
    wrong = found.rows[~found.rows["equal"]]
    assert found.good, f"{wrong.to_string()}\n{found.lists}\n{found.marks} {found.extra}"
    assert len(found.rows) > 30


def test_each_wrong_rule_is_refuted_by_a_recording(tmp_path):
    walks.rotation(tmp_path)
    walks.five_steps(tmp_path)
    table = walker_ablations(tmp_path).set_index(["recording", "ablation"])
    assert table["refuted"].to_dict() == {
        ("five_steps", "no_interrupt"): True,
        ("five_steps", "putback_to_head"): True,
        ("rotation", "no_rotation"): True,
        ("rotation", "reverse_order"): True,
        ("rotation", "to_the_head"): True,
        ("rotation", "first_by_pfn"): True,
    }


def test_only_rules_that_a_walk_uses_are_made_wrong(tmp_path):
    rows = walks.five_step_rows()
    quiet = walks.row("tracing_mark_write", gfp=rows[0][-1] + " trigger=0")
    walks.five_steps(tmp_path, [quiet, *rows[1:]])
    table = walker_ablations(tmp_path)
    assert table["ablation"].tolist() == ["putback_to_head"]


def test_validate_prints_writes_and_judges(tmp_path, capsys):
    walks.rotation(tmp_path / "in")
    walks.five_steps(tmp_path / "in")
    out = tmp_path / "rows.parquet"
    assert main(["validate", "walker", str(tmp_path / "in"), "--ablations", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "the bar holds" in told and "first_by_pfn" in told
    table, good = validate_walker(tmp_path / "in")
    assert good and pd.read_parquet(out).equals(table)
    assert f"{len(table)} of {len(table)} rows" in told


def swapped(rows, event):
    """The rows with the pfns of the first two rows of an event exchanged."""
    rows = list(rows)
    one, two = [at for at, line in enumerate(rows) if line[0] == event][:2]
    rows[one], rows[two] = (
        rows[one][:2] + rows[two][2:3] + rows[one][3:],
        rows[two][:2] + rows[one][2:3] + rows[two][3:],
    )
    return rows


@pytest.mark.parametrize("event", ["w_report", "w_rotate", "w_used"])
def test_two_rows_in_the_other_order_are_missed_and_shown(event, tmp_path, capsys):
    walks.rotation(tmp_path, swapped(walks.rotation_rows(), event))
    assert main(["validate", "walker", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "MISSED" in told and told.count("False") == 2


@pytest.mark.parametrize("event", ["w_isolate", "w_putback"])
def test_two_held_blocks_in_the_other_order_are_missed(event, tmp_path):
    stem = walks.five_steps(tmp_path, swapped(walks.five_step_rows(), event))
    assert (~predict_walker(stem).rows["equal"]).sum() == 2


def test_a_row_that_was_not_recorded_is_counted(tmp_path):
    rows = [row for row in walks.rotation_rows() if row[0] != "w_lap"]
    found = predict_walker(walks.rotation(tmp_path, rows))
    assert found.extra == 1 and not found.good


def marker(text):
    """The rows of a walk with another marker, or with none."""
    return [walks.row("tracing_mark_write", gfp=text), *walks.rotation_rows()[1:]]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (marker("other"), "row 2 (w_walk_begin): no marker 'fhw ' stands before it"),
        (marker("fhw turn=1"), "row 1 (tracing_mark_write): knob 'turn=1' is unknown"),
        (marker("fhw rotate=3"), "knob 'rotate' must lie in 0..2, got '3'"),
        (marker("fhw ring=0"), "knob 'ring' must lie in 1..65536, got '0'"),
        (marker("fhw capacity=-1"), "knob 'capacity' must lie in 0..16777216, got '-1'"),
        (
            marker("fhw rotate=0 resume=1"),
            "(tracing_mark_write): policy.resume 'scan_for_first' cannot go with",
        ),
        (walks.rotation_rows()[3:], "row 1 (w_list_begin): its walk began before T0"),
        (walks.rotation_rows()[:1], "holds no recording with rows of a walker"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_a_sentence(rows, sentence, tmp_path, capsys):
    walks.rotation(tmp_path, rows)
    assert main(["validate", "walker", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert sentence in told and str(tmp_path) in told and "Traceback" not in told


def test_a_recording_without_marks_is_refused(tmp_path):
    stem = walks.rotation(tmp_path, marks=False)
    with pytest.raises(InputError, match="has no column 'reported', but the trace has walks"):
        predict_walker(stem)


def test_a_recording_with_marks_of_an_earlier_walk_is_refused(tmp_path):
    stem = walks.rotation(tmp_path, before=(walks.C,))
    with pytest.raises(InputError, match="blocks have the Reported flag already, from a walk"):
        predict_walker(stem)


def test_a_stroke_that_never_put_its_blocks_back_is_missed(tmp_path):
    rows = [row for row in walks.five_step_rows() if row[0] not in ("w_interrupt", "w_hold_begin")]
    found = predict_walker(walks.five_steps(tmp_path, rows))
    assert not found.good and found.extra > 0
