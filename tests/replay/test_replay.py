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
from freehint.formats.traces.columns import trace_rows
from freehint.formats.traces.recording import load_recording
from freehint.formats.traces.rows import C_ROTATIONS
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.memory import MOVABLE, PCP, free_list_head, list_nodes
from freehint.mm.zone import free_pages
from freehint.replay.buddy_blocks import block_in_use, infer_rotation
from freehint.replay.replay import scratch
from memories import empty_memory, free_memory

SAMPLES = fh.data("linux-6.1/traces/compile.trace.parquet").parent
SAMPLES_612 = fh.data("linux-6.12/traces")
TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth"
RECORDED = {
    "linux-6.1": ("idle20", "compile", "fork", "cache", "frag", "press_pub", "smp2"),
    "linux-6.12": (
        *("idle20", "fork", "forkbulk", "cache", "frag", "press_pub", "smp2", "steal2"),
        "norm4g",
    ),
}


def folder(kernel):
    """The folder of all recordings, where it is there; users have the shipped ones."""
    if TRUTH.is_dir():
        return TRUTH / kernel / "traces"
    if os.environ.get("CI"):
        pytest.fail(f"{TRUTH} is missing")
    return fh.data(f"{kernel}/traces")


def stem(recording):
    """A recording such as "linux-6.12/steal2"; the test is skipped where it does not ship."""
    kernel, name = recording.split("/")
    where = folder(kernel) / name
    if not TRUTH.is_dir() and not Path(f"{where}.trace.parquet").exists():
        pytest.skip(f"{recording} is not among the shipped recordings")
    return where


def recordings(kernel, but=()):
    return [f"{kernel}/{name}" for name in RECORDED[kernel] if name not in but]


@pytest.mark.parametrize("recording", recordings("linux-6.1") + recordings("linux-6.12"))
def test_buddy_level_has_no_miss_and_every_block_in_its_place(recording):
    found = fh.replay(stem(recording), "buddy", "probes")
    assert (found.misses, found.refused) == (0, 0)
    assert found.t1_equal and found.t1_lists["equal"].all()
    fh.check_memory(found.memory)


@pytest.mark.parametrize(
    "recording",
    recordings("linux-6.1", but=["press_pub"]) + recordings("linux-6.12", but=["steal2"]),
)
def test_std_inputs_are_exact_by_inference(recording):
    found = fh.replay(stem(recording), "buddy", "std")
    assert found.misses == 0 and found.t1_equal


def test_std_inputs_of_press_pub_miss_one_free_that_its_position_does_not_tell():
    found = fh.replay(stem("linux-6.1/press_pub"), "buddy", "std")
    assert found.inferred_frees == 11  # of 12
    assert 0 < found.misses <= 33


@pytest.mark.parametrize("recording", recordings("linux-6.1", but=["smp2"]))
@pytest.mark.parametrize("inputs", ["std", "probes"])
def test_pcp_level_misses_are_bulk_pages_and_all_else_is_equal(recording, inputs):
    found = fh.replay(stem(recording), "pcp", inputs)
    assert found.misses == found.silent_rows
    assert (found.refused, found.untold_claims) == (0, 0)
    assert found.t1_equal and found.pcp_equal
    fh.check_memory(found.memory)


# Pages that alloc_pages_bulk() took; in forkbulk a probe tells of them.
SILENT_PAGES = {
    **{"idle20": 0, "forkbulk": 0, "frag": 0, "norm4g": 0},
    **{"cache": 8, "fork": 344, "press_pub": 44, "smp2": 388, "steal2": 32},
}


@pytest.mark.parametrize("name", SILENT_PAGES)
def test_pcp_level_of_6_12_is_exact_but_for_bulk_pages(name):
    found = fh.replay(stem(f"linux-6.12/{name}"), "pcp", "probes")
    assert found.misses == found.silent_rows == SILENT_PAGES[name] // 4
    assert found.silent_pages == SILENT_PAGES[name]
    assert (found.refill_misses, found.drain_misses) == (0, 0)
    assert (found.refused, found.untold_claims) == (0, 0)
    assert found.t1_equal and found.pcp_equal
    fh.check_memory(found.memory)


def test_pcp_level_of_6_12_needs_to_be_told_when_lists_decay():
    # 20 s in which nothing happens but that the vmstat worker lowers pcp.high.
    found = fh.replay(SAMPLES_612 / "idle20", "pcp", "std")
    assert found.misses == 0 and found.t1_lists["equal"].all()
    assert not found.pcp_equal and not found.t1_equal


def test_rotations_by_compaction_are_inferred_counted_and_listed():
    where = stem("linux-6.12/steal2")
    found = fh.replay(where, "buddy", "probes")
    assert (found.rotations, found.misses, found.refused) == (9, 0, 0)
    assert found.t1_equal
    table = found.rotation_rows
    assert len(table) == 9 and table["inferred"].all()
    # Each one stands at the row whose page it explains.
    trace = pd.read_parquet(f"{where}.trace.parquet").iloc[table["row"]]
    assert trace["pfn"].tolist() == table["pfn"].tolist()
    assert set(trace["event"]) == {"mm_page_alloc_zone_locked", "steal"}


def test_a_rotation_is_inferred_only_where_compaction_was_seen_at_work():
    memory = free_memory(pages=4096)
    run = scratch(memory)
    head = free_list_head(memory, 0, 10, MOVABLE)
    assert not infer_rotation(memory, run, 7, 2048, 0, 10)
    assert list_nodes(memory, head).tolist() == [0, 1024, 2048, 3072]
    run.compacting[0] = True
    assert not infer_rotation(memory, run, 7, 2049, 0, 10)  # no block of that list
    assert infer_rotation(memory, run, 7, 2048, 0, 10)
    assert list_nodes(memory, head).tolist() == [2048, 3072, 0, 1024]
    assert run.counts[C_ROTATIONS] == 1
    assert run.rotations[0].tolist() == [7, 0, 10, 2048, True]


def test_inferred_rotations_do_not_save_a_wrong_rule():
    # It infers 394 rotations instead of 8, misses 1,334 blocks all the same, and T1 tells.
    found = fh.replay(stem("linux-6.12/steal2"), "buddy", "probes", ablation="always_head")
    assert found.misses > 1_000 and found.rotations > 100
    assert not found.t1_equal


# Scored blocks of each.
FROM_SOURCE_TO_DESTINATION = {
    "linux-6.12/hints/freed": 286,
    "linux-6.12/hints/freed_off": 220,
    "linux-6.12/hints/frag_off": 126,
}


@pytest.mark.parametrize("recording", FROM_SOURCE_TO_DESTINATION)
@pytest.mark.parametrize("inputs", ["std", "probes"])
def test_a_migrated_guest_goes_on_where_it_was(recording, inputs):
    found = fh.replay(fh.data(recording), "buddy", inputs)
    assert (found.hits, found.misses) == (FROM_SOURCE_TO_DESTINATION[recording], 0)
    assert found.refused == 0 and found.t1_equal
    fh.check_memory(found.memory)


def test_free_page_reporting_is_exact_at_both_levels():
    recording = fh.data("linux-6.12/reporting/fpr")
    found = fh.replay(recording, "buddy", "probes")
    assert (found.hits, found.misses, found.refused) == (320, 0, 0)
    assert found.t1_equal
    found = fh.replay(recording, "pcp", "probes")
    assert (found.misses, found.refill_misses, found.drain_misses) == (0, 0, 0)
    assert found.t1_equal and found.pcp_equal
    # The kmem tracepoints do not tell of the blocks that were isolated and put back.
    assert not fh.replay(recording, "buddy", "std").t1_equal


# Each kernel's recordings by the other's rules: misses of blocks scored, at least.  6.1's rules
# take for a move what in 6.12 is an allocation, and the reverse: from the first fallback on.
WRONG_KERNEL = [
    ("linux-6.12/steal2", fh.LINUX_6_1, 20_000),  # 24,922 of 67,489
    ("linux-6.12/cache", fh.LINUX_6_1, 1_000),  # 1,490 of 87,643
    ("linux-6.1/press_pub", fh.LINUX_6_12, 500),  # 610 of 262,676
    ("linux-6.1/cache", fh.LINUX_6_12, 1_500),  # 1,809 of 87,583
    ("linux-6.1/compile", fh.LINUX_6_12, 400),  # 502 of 28,597
]


@pytest.mark.parametrize(("recording", "profile", "at_least"), WRONG_KERNEL)
def test_the_other_kernels_rules_fail(recording, profile, at_least):
    found = fh.replay(stem(recording), "buddy", "probes", profile=profile)
    assert found.misses > at_least
    assert not found.t1_equal
    assert found.first_miss is not None


@pytest.mark.parametrize("name", ["forkbulk", "frag"])
def test_without_a_fallback_only_the_pcp_level_tells_the_kernels_apart(name):
    wrong = {"inputs": "probes", "profile": fh.LINUX_6_1}
    found = fh.replay(SAMPLES_612 / name, "buddy", **wrong)
    assert found.misses == 0 and found.t1_equal
    found = fh.replay(SAMPLES_612 / name, "pcp", **wrong)
    assert found.refill_misses > 100 and found.drain_misses > 50_000
    assert not found.t1_equal


@pytest.mark.parametrize(
    ("ablation", "level"),
    [
        ("always_head", "buddy"),
        ("lowest_first", "buddy"),
        ("no_claim", "pcp"),
        ("wrong_batch", "pcp"),
    ],
)
@pytest.mark.parametrize("where", [SAMPLES / "compile", SAMPLES_612 / "cache"], ids=str)
def test_a_wrong_rule_fails_the_bar(where, ablation, level):
    found = fh.replay(where, level, "probes", ablation=ablation)
    assert found.misses > found.silent_rows and not found.t1_equal


def test_hits_alone_do_not_show_a_wrong_rule():
    found = fh.replay(SAMPLES_612 / "frag", "buddy", "probes", ablation="always_head")
    assert found.hits == found.scored == 163_863
    assert not found.t1_equal


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


def copy_of(samples, name, folder):
    for path in samples.glob(f"{name}.*"):
        shutil.copy(path, folder)
    return folder / name


@pytest.fixture
def copy(tmp_path):
    return copy_of(SAMPLES, "idle20", tmp_path)


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


def set_text(column, text, event):
    def change(trace):
        trace[column] = trace[column].astype(str)
        trace.loc[trace.index[trace["event"] == event][0], column] = text
        return trace

    return change


def rename_event(trace):
    trace["event"] = trace["event"].astype(str)
    trace.loc[20, "event"] = "cma_alloc_finish"
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
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE)
def test_damaged_traces_are_refused(copy, damage, sentence, capsys):
    rewrite(copy, damage)
    with pytest.raises(fh.InputError, match=sentence):
        fh.replay(copy, "pcp")
    assert main(["replay", str(copy)]) == 2
    assert "idle20.trace.parquet" in capsys.readouterr().err


def add_events(stem, name):
    """Add a row of another tracepoint after every tenth between the snapshots; count them."""
    path = f"{stem}.trace.parquet"
    trace, inside = pd.read_parquet(path), load_recording(stem).trace["seq"]
    more = trace[trace["seq"].isin(inside[:-1:10])]
    more = more.assign(event=name, pfn=-1, order=-1, migratetype=-1)
    both = pd.concat([trace.astype({"event": str}), more])
    both = both.sort_index(kind="stable").reset_index(drop=True)
    both["seq"] = both.index.astype("uint32")
    both.astype({"event": "category"}).to_parquet(path)
    meta = Path(f"{stem}.T1.meta.json")
    told = json.loads(meta.read_text())
    told["trace"][0]["entries"] += len(more)
    meta.write_text(json.dumps(told))
    return len(more)


@pytest.mark.parametrize("level", ["buddy", "pcp"])
def test_rows_of_unknown_events_are_counted_and_change_nothing(tmp_path, level, capsys):
    stem = copy_of(SAMPLES, "compile", tmp_path)
    before = fh.replay(stem, level)
    added = add_events(stem, "sched_switch")
    after = fh.replay(stem, level)
    assert after.unknown == {"sched_switch": added} and added > 100 and before.unknown == {}
    for count in ("scored", "hits", "misses", "t1_equal", "pcp_equal", "inferred_frees"):
        assert getattr(after, count) == getattr(before, count)
    assert before.hits > 1000
    main(["replay", str(stem)])
    assert "'sched_switch'" in capsys.readouterr().out
    assert main(["replay", str(stem), "--strict"]) == 2
    assert "event 'sched_switch' is of an unknown kind" in capsys.readouterr().err


def test_an_event_that_changes_the_lists_is_refused(copy):
    rewrite(copy, rename_event)
    with pytest.raises(fh.InputError, match="event 'cma_alloc_finish' changes the lists, and no"):
        fh.replay(copy)


DAMAGE_612 = [
    (set_value("a", 7, event="decay"), r"row \d+ \(decay\): a 7 is no zone's address"),
    (set_text("gfp", "all", event="bulk_alloc"), r"row \d+ \(bulk_alloc\): gfp 'all' is no number"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE_612)
def test_damaged_probe_rows_of_6_12_are_refused(tmp_path, damage, sentence):
    where = copy_of(SAMPLES_612, "forkbulk", tmp_path)
    rewrite(where, damage)
    with pytest.raises(fh.InputError, match=sentence):
        fh.replay(where, "pcp", "probes")


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


def test_only_pages_in_use_may_be_freed():
    memory = empty_memory({"DMA32": (4096, 8192)})
    free_pages(memory, 8, 0, 0, 0)
    free_one_page(memory, 32, 0, 3, MOVABLE, FPI_NONE)
    assert memory.frame[8] & PCP
    for node, order in ((8, 0), (8, 3), (32, 3), (36, 0), (32, 4)):
        assert not block_in_use(memory, node, order)
    assert block_in_use(memory, 9, 0) and block_in_use(memory, 40, 3)


def test_rows_that_a_level_does_not_use_are_counted():
    recording = load_recording(SAMPLES / "cache")
    rows, ignored, unknown = trace_rows(recording, "std")
    assert ignored["free_direct"] == 5
    used = int((rows.kind != 0).sum())
    assert used + sum(ignored.values()) == len(recording.trace) and unknown == {}


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


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES_612], ids=str)
def test_validate_prints_the_table_writes_it_and_judges(samples, tmp_path, capsys):
    for name in ("idle20", "frag"):  # test_readme.py validates them all
        copy_of(samples, name, tmp_path)
    out = tmp_path / "table.parquet"
    told = ["--inputs", "probes", "--out", str(out)]
    assert main(["validate", "replay", str(tmp_path), *told]) == 0
    assert "the bar holds" in capsys.readouterr().out
    assert pd.read_parquet(out)["recording"].tolist() == ["frag", "frag", "idle20", "idle20"]


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
