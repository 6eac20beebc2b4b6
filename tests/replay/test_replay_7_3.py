"""7.3: recordings in lock order, push by push and chunk by chunk; what each new rule decides."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.formats.traces.lock_order import lock_order
from freehint.mm.profile import LINUX_7_3
from freehint.replay.hints import predict_hints

TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth" / "linux-7.3"
CACHE = fh.data("linux-7.3/traces/cache.trace.parquet").parent / "cache"


def stem(name):
    """A recording of 7.3, the shipped one or one of the developers'."""
    if name == "traces/cache":
        return CACHE
    if not TRUTH.is_dir():
        assert not os.environ.get("CI"), f"{TRUTH} is missing"
        pytest.skip(f"{name} is not among the shipped recordings")
    return TRUTH / name


# Predictions at buddy level and at pcp level, drained pages, rotations, rows moved.
EXACT = {
    "traces/idle20": (0, 52, 0, 0, 4),
    "traces/fork": (1_701, 46_797, 0, 0, 673),
    "traces/cache": (8_357, 13_173, 0, 0, 10),
    "traces/frag": (163_674, 164_729, 87_313, 0, 4),
    "traces/forkbulk": (2_670, 48_813, 70_771, 0, 568),
    "traces/steal2": (66_538, 69_124, 48_838, 19, 62),
    "hints/freed": (208, 608, 0, 0, 8),
}


@pytest.mark.parametrize("name", EXACT)
def test_both_levels_are_exact(name):
    blocks, pages, drains, rotations, moved = EXACT[name]
    found = fh.replay(stem(name), "buddy", "probes")
    assert (found.scored, found.misses, found.refused) == (blocks, 0, 0)
    assert found.t1_equal and found.rotations == rotations
    found = fh.replay(stem(name), "pcp", "probes")
    assert (found.scored, found.misses, found.refused) == (pages, 0, 0)
    assert (found.refills, found.refill_misses) == (blocks, 0)
    assert (found.drains, found.drain_misses, found.given_up) == (drains, 0, 0)
    assert (found.rotations, found.moved_rows) == (rotations, moved)
    assert found.t1_equal and found.pcp_equal and found.silent_pages == 0
    fh.check_memory(found.memory)


def test_hints_are_predicted_block_by_block():
    found = predict_hints(stem("hints/freed"))
    assert found.good and len(found.blocks) == 193


# A rule taken away: misses and wrongly drained pages, at least.  What reaches none of them cannot
# tell: fork and idle20 drain nothing, cache drains in one chunk at most.
ABLATED = [
    ("traces/cache", "free_high_adds_high_min", 7_000, 7_000),  # 7,318 of 13,173
    ("traces/steal2", "free_high_adds_high_min", 200, 100_000),
    ("traces/forkbulk", "drain_in_chunks", 2_500, 100_000),  # 2,707 of 48,813
    ("traces/frag", "drain_in_chunks", 0, 3_000),
]


@pytest.mark.parametrize(("name", "rule", "misses", "pages"), ABLATED)
def test_each_new_rule_is_needed(name, rule, misses, pages):
    profile = LINUX_7_3._replace(**{rule: False})
    found = fh.replay(stem(name), "pcp", "probes", profile=profile)
    assert found.misses >= misses and found.drain_misses >= pages


@pytest.mark.parametrize("rule", ["highatomic_skips_pcp", "isolation_keeps_type"])
def test_no_recording_reaches_the_reserve_or_an_isolated_pageblock(rule):
    profile = LINUX_7_3._replace(**{rule: False})
    assert fh.replay(CACHE, "pcp", "probes", profile=profile).t1_equal


def test_6_12s_rules_fail_at_pcp_level_alone():
    found = fh.replay(CACHE, "buddy", "probes", profile=fh.LINUX_6_12)
    assert found.misses == 0 and found.t1_equal
    found = fh.replay(CACHE, "pcp", "probes", profile=fh.LINUX_6_12)
    assert found.misses > 7_000 and not found.t1_equal


def test_6_1s_rules_fail_at_both_levels():
    for level in ("buddy", "pcp"):
        assert not fh.replay(CACHE, level, "probes", profile=fh.LINUX_6_1).t1_equal


def test_without_the_probes_the_order_of_the_rows_is_not_known():
    found = fh.replay(CACHE, "pcp", "std")
    assert found.moved_rows == 0 and found.misses > 100
    assert "preemptible" in found.notes[0]
    assert "10 mm_page_alloc rows" in fh.replay(CACHE, "pcp", "probes").notes[0]
    older = fh.data("linux-6.12/traces/idle20.trace.parquet").parent / "idle20"
    assert fh.replay(older, "pcp", "probes").notes == ()


# Rows of (event, cpu, pfn, a): how they lie, and how they happened.
def ordered(*rows):
    names = ["event", "cpu", "pfn", "a"]
    trace = pd.DataFrame(rows, columns=names).astype({"event": "category", "cpu": "uint8"})
    order = lock_order(trace.astype({"pfn": "int32", "a": "int32"}))
    return order.rows.tolist(), order.moved


def test_a_late_row_moves_to_its_pop():
    rows = [("pcp_pop", 0, 5, 9), ("pcp_push", 0, 7, 9), ("mm_page_alloc", 0, 5, -1)]
    assert ordered(*rows) == ([0, 2, 1], 1)
    rows = [("pcp_pop", 0, 5, 9), ("mm_page_alloc", 0, 5, -1), ("pcp_push", 0, 7, 9)]
    assert ordered(*rows) == ([0, 1, 2], 0)
    # No row tells where the page of the first was taken.
    rows = [("mm_page_alloc", 0, 5, -1), ("pcp_pop", 0, 5, 9), ("mm_page_alloc", 0, 5, -1)]
    assert ordered(*rows) == ([0, 1, 2], 0)


def test_a_pop_moves_to_its_refill_and_a_drain_to_its_first_page():
    refill, direct = ("mm_page_alloc_zone_locked", 0, 5, 1), ("free_direct", 0, 8, 0)
    rows = [refill, direct, ("pcp_pop", 0, 5, 9), ("mm_page_alloc", 0, 5, -1)]
    assert ordered(*rows) == ([0, 2, 3, 1], 0)
    rows = [refill, direct, ("pcp_pop", 1, 6, 9)]  # of another CPU
    assert ordered(*rows) == ([0, 1, 2], 0)
    rows = [("drain", 0, -1, 63), direct, ("mm_page_pcpu_drain", 0, 5, -1)]
    assert ordered(*rows) == ([1, 0, 2], 0)


def copy_of(folder, change):
    """The shipped recording with a changed trace."""
    for path in CACHE.parent.glob("cache.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    trace = change(pd.read_parquet(f"{CACHE}.trace.parquet").astype({"event": str}))
    trace.astype({"event": "category"}).to_parquet(folder / "cache.trace.parquet")
    return folder / "cache"


def without(event):
    return lambda trace: trace.assign(event=trace["event"].replace(event, "rep"))


@pytest.mark.parametrize(("gone", "there"), [("pcp_pop", "pcp_push"), ("pcp_push", "pcp_pop")])
def test_pushes_or_pops_alone_are_refused(tmp_path, gone, there):
    where = copy_of(tmp_path, without(gone))
    with pytest.raises(fh.InputError, match=rf"has \d+ rows {there} but none {gone}, so the order"):
        fh.replay(where, "pcp", "probes")


def test_a_task_that_changed_its_cpu_took_its_page_on_the_first(tmp_path):
    def move(trace):
        late = trace["event"] == "mm_page_alloc"
        trace.loc[late & (trace["seq"] > 30_000), "cpu"] = np.uint8(1)
        return trace

    where = copy_of(tmp_path, move)
    found = fh.replay(where, "pcp", "probes")
    assert found.misses == 0 and found.t1_equal


@pytest.mark.parametrize(
    "names",
    [
        ["UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "ISOLATE", "BLUE"],
        ["UNMOVABLE", "MOVABLE", "RECLAIMABLE", "HIGHATOMIC", "CMA"],
        ["UNMOVABLE", "MOVABLE", "MOVABLE", "HIGHATOMIC", "ISOLATE"],
        [1, 2],
        "UNMOVABLE",
    ],
)
def test_types_that_are_unknown_are_refused(tmp_path, names):
    where = copy_of(tmp_path, lambda trace: trace)
    path = Path(f"{where}.T0.meta.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "migratetypes": names}))
    with pytest.raises(fh.InputError, match=r"T0\.meta\.json: field 'migratetypes' must name"):
        fh.replay(where)


@pytest.mark.parametrize("kind", ["freelist", "pageblock"])
def test_cma_areas_in_use_are_refused(tmp_path, kind):
    where = copy_of(tmp_path, lambda trace: trace)
    path = Path(f"{where}.T0.{kind}.parquet")
    table = pd.read_parquet(path)
    table.loc[3, "migratetype"] = 4
    table.to_parquet(path)
    with pytest.raises(fh.InputError, match=rf"{kind}\.parquet: row 3: migratetype \d is CMA"):
        fh.load_snapshot(f"{where}.T0")


def test_a_row_of_type_cma_is_refused(tmp_path):
    def change(trace):
        at = trace.index[(trace["event"] == "mm_page_pcpu_drain") | (trace["event"] == "pcp_push")]
        trace.loc[at[at > 100][0], "migratetype"] = 4
        return trace

    with pytest.raises(fh.InputError, match=r"row \d+ \(pcp_push\): migratetype 4 is CMA"):
        fh.replay(copy_of(tmp_path, change), "pcp", "probes")


def test_a_saved_snapshot_of_six_types_is_the_same(tmp_path):
    memory = fh.load_snapshot(f"{CACHE}.T1")
    assert memory.nr_free.shape == (2, 11, 6)
    again = fh.load_snapshot(fh.save_snapshot(memory, tmp_path / "again.T1"))
    assert fh.free_lists(again).equals(fh.free_lists(memory))
    assert (again.pageblock == memory.pageblock).all()
