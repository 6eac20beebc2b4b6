"""Is it the real kernel?  Replays of the recorded traces, and of traces that were damaged."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.cli import main
from freehint.replay import load_recording, trace_rows

SAMPLES = fh.data("linux-6.1/traces/compile.trace.parquet").parent
TRUTH = Path(__file__).parent.parent.parent / "shared" / "ground-truth" / "linux-6.1" / "traces"
TRUTH_6_12 = TRUTH.parent.parent / "linux-6.12" / "traces"
SINGLE_CPU = ("idle20", "compile", "fork", "cache", "frag", "press_pub")


def folder():
    """The whole ground truth where it is; users have the shipped recordings."""
    if TRUTH.is_dir():
        return TRUTH
    if os.environ.get("CI"):
        pytest.fail(f"{TRUTH} is missing")
    return SAMPLES


NAMES = [n for n in (*SINGLE_CPU, "smp2") if (folder() / f"{n}.trace.parquet").exists()]


@pytest.mark.parametrize("name", NAMES)
def test_buddy_level_has_no_miss_and_every_block_in_its_place(name):
    found = fh.replay(folder() / name, "buddy", "probes")
    assert (found.misses, found.refused) == (0, 0)
    assert found.t1_equal and found.t1_lists["equal"].all()
    fh.check_memory(found.memory)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "press_pub"])
def test_std_inputs_are_exact_by_inference(name):
    found = fh.replay(folder() / name, "buddy", "std")
    assert found.misses == 0 and found.t1_equal


def test_std_inputs_of_press_pub_miss_one_free_that_its_position_does_not_tell():
    if "press_pub" not in NAMES:
        pytest.skip("press_pub is not among the shipped recordings")
    found = fh.replay(folder() / "press_pub", "buddy", "std")
    assert found.inferred_frees == 11  # of 12
    assert 0 < found.misses <= 33


@pytest.mark.parametrize("name", [n for n in NAMES if n in SINGLE_CPU])
@pytest.mark.parametrize("inputs", ["std", "probes"])
def test_pcp_level_misses_are_bulk_pages_and_all_else_is_equal(name, inputs):
    found = fh.replay(folder() / name, "pcp", inputs)
    assert found.misses == found.silent_rows
    assert (found.refused, found.untold_claims) == (0, 0)
    assert found.t1_equal and found.pcp_equal
    fh.check_memory(found.memory)


NAMES_6_12 = sorted(path.name.split(".")[0] for path in TRUTH_6_12.glob("*.trace.parquet"))


@pytest.mark.parametrize("name", NAMES_6_12)
@pytest.mark.parametrize("level", ["buddy", "pcp"])
def test_every_trace_of_6_12_is_exact_at_both_levels(name, level):
    found = fh.replay(TRUTH_6_12 / name, level, "probes")
    assert found.misses == found.silent_rows
    assert (found.refused, found.refill_misses, found.drain_misses) == (0, 0, 0)
    assert found.t1_equal and found.pcp_equal in (None, True)
    assert found.rotations == (8 if name == "steal2" else 0)
    fh.check_memory(found.memory)


@pytest.mark.parametrize(
    ("ablation", "level"),
    [
        ("always_head", "buddy"),
        ("lowest_first", "buddy"),
        ("no_claim", "pcp"),
        ("wrong_batch", "pcp"),
    ],
)
def test_a_wrong_rule_fails_the_bar(ablation, level):
    found = fh.replay(SAMPLES / "compile", level, "probes", ablation=ablation)
    assert found.misses > found.silent_rows and not found.t1_equal


def test_resynchronising_hides_a_wrong_rule():
    wrong = fh.replay(SAMPLES / "cache", "buddy", "probes", ablation="always_head", resync=True)
    assert wrong.hits / wrong.scored > 0.99
    assert not wrong.t1_equal


def test_first_miss_is_told_in_full():
    found = fh.replay(SAMPLES / "compile", "buddy", "probes", ablation="always_head")
    miss = found.first_miss
    assert miss.predicted_pfn == miss.list_around[0] != miss.observed_pfn
    trace = pd.read_parquet(SAMPLES / "compile.trace.parquet")
    row = trace.iloc[miss.row]
    assert (row["event"], row["pfn"]) == (miss.event, miss.observed_pfn)


# Damage.


@pytest.fixture
def copy(tmp_path):
    for path in SAMPLES.glob("idle20.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "idle20"


def rewrite(stem, change):
    path = f"{stem}.trace.parquet"
    trace = pd.read_parquet(path)
    change(trace).to_parquet(path)


def set_value(column, value, event="mm_page_alloc"):
    def change(trace):
        inside = trace.index[(trace["event"] == event) & (trace.index > 10)]
        trace[column] = trace[column].astype(np.int64)
        trace.loc[inside[0], column] = value
        return trace

    return change


def rename_event(trace):
    trace["event"] = trace["event"].astype(str)
    trace.loc[20, "event"] = "mm_page_teleport"
    trace["event"] = trace["event"].astype("category")
    return trace


DAMAGE = [
    (lambda t: t.iloc[:60], "ends at row 60, before T1 at row"),
    (lambda t: t.drop(index=range(20, 25)), "row 20: seq 25 follows a lost row"),
    (lambda t: t.drop(columns="pfn"), "column 'pfn' is missing"),
    (set_value("pfn", 300_000), r"row \d+ \(mm_page_alloc\): pfn 300000 lies in no zone"),
    (set_value("order", 11), r"row \d+ \(mm_page_alloc\): order 11 must lie in 0\.\.10"),
    (set_value("migratetype", 7), r"row \d+ \(mm_page_alloc\): migratetype 7 is unknown"),
    (set_value("cpu", 3), r"row \d+ \(mm_page_alloc\): cpu 3 is not in the snapshot"),
    (rename_event, "row 20: event 'mm_page_teleport' is of an unknown kind"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE)
def test_damaged_traces_are_refused(copy, damage, sentence, capsys):
    rewrite(copy, damage)
    with pytest.raises(fh.InputError, match=sentence):
        fh.replay(copy, "pcp")
    assert main(["replay", str(copy)]) == 2
    assert "idle20.trace.parquet" in capsys.readouterr().err


def test_lost_events_are_refused(copy):
    path = Path(f"{copy}.T1.meta.json")
    meta = json.loads(path.read_text())
    meta["trace"][0]["overrun"] = 5
    path.write_text(json.dumps(meta))
    with pytest.raises(fh.InputError, match=r"'overrun' of cpu 0 is 5: the trace lost events"):
        fh.replay(copy)


def test_a_trace_of_another_recording_is_refused_or_fails(copy):
    shutil.copy(SAMPLES / "fork.trace.parquet", f"{copy}.trace.parquet")
    with pytest.raises(fh.InputError, match="belongs to another recording"):
        fh.replay(copy)


def test_a_free_of_a_free_page_is_counted_and_damages_nothing(copy):
    recording = load_recording(copy)
    free = int(fh.free_lists(recording.t0)["pfn"].iloc[-1])
    rewrite(copy, set_value("pfn", free, event="mm_page_free"))
    found = fh.replay(copy, "pcp")
    assert found.refused >= 1
    fh.check_memory(found.memory)


def test_rows_that_a_level_does_not_use_are_counted():
    recording = load_recording(SAMPLES / "cache")
    rows, ignored = trace_rows(recording, "std")
    assert ignored["free_direct"] == 5
    used = int((rows.kind != 0).sum())
    assert used + sum(ignored.values()) == len(recording.trace)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"level": "page"}, "level must be one of buddy, pcp, got 'page'"),
        ({"inputs": "all"}, "inputs must be one of std, probes, got 'all'"),
        ({"level": "pcp", "resync": True}, "resync must be False at pcp level"),
        ({"ablation": "wrong_batch"}, "'wrong_batch' is for pcp level, not buddy"),
        ({"ablation": "x"}, "ablation must be one of"),
    ],
)
def test_bad_values_are_refused(arguments, sentence):
    with pytest.raises(fh.InputError, match=sentence):
        fh.replay(SAMPLES / "idle20", **arguments)


def test_validate_prints_the_table_writes_it_and_judges(tmp_path, capsys):
    out = tmp_path / "table.parquet"
    assert main(["validate", "replay", str(SAMPLES), "--inputs", "probes", "--out", str(out)]) == 0
    assert "the bar holds" in capsys.readouterr().out
    table = pd.read_parquet(out)
    assert len(table) == 2 * len(list(SAMPLES.glob("*.trace.parquet")))


def test_validate_fails_where_the_bar_is_missed_and_still_writes(copy, tmp_path, capsys):
    free = pd.read_parquet(f"{copy}.T1.freelist.parquet")
    last = free.index[free["order"] == 10][-2:]
    free.loc[last, "pfn"] = free.loc[last, "pfn"].to_numpy()[::-1]
    free.to_parquet(f"{copy}.T1.freelist.parquet")
    out = tmp_path / "table.parquet"
    assert main(["validate", "replay", str(tmp_path), "--out", str(out)]) == 1
    assert "MISSED" in capsys.readouterr().out
    assert not pd.read_parquet(out)["t1_equal"].any()


def test_validate_names_an_empty_folder(tmp_path, capsys):
    assert main(["validate", "replay", str(tmp_path)]) == 2
    assert "holds no recording" in capsys.readouterr().err
