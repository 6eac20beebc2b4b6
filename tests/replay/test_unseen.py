"""What no row tells: rotations, drained zones, pages that compaction keeps, ends of boosts."""

import shutil

import numpy as np
import pandas as pd
import pytest
from test_replay import stem

import freehint as fh
from freehint.formats.traces import rows
from freehint.formats.traces.columns import settle, trace_rows
from freehint.formats.traces.compaction import mark_held, settle_returned
from freehint.formats.traces.recording import load_recording
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.memory import HIGHATOMIC, MOVABLE, UNMOVABLE, free_list_head, list_nodes
from freehint.replay.buddy_blocks import named_by_fallback, named_by_try
from freehint.replay.buddy_level import move_block_row
from freehint.replay.replay import scratch
from memories import empty_memory

# Refills, drained pages and rotations of each.
EXACT = {
    "linux-5.10/cache": (133_789, 133_497, 0),
    "linux-5.10/frag": (164_559, 98_469, 0),
    "linux-5.10/steal2": (72_059, 55_537, 34),
    "linux-6.12/stealc": (86_962, 65_104, 4),
}


@pytest.mark.parametrize("recording", EXACT)
def test_both_levels_are_exact(recording):
    refills, drains, rotations = EXACT[recording]
    found = fh.replay(stem(recording), "buddy", "probes")
    assert (found.misses, found.refused, found.rotations) == (0, 0, rotations)
    assert found.t1_equal and found.scored == refills
    found = fh.replay(stem(recording), "pcp", "probes")
    assert (found.misses, found.refused, found.rotations) == (0, 0, rotations)
    assert (found.refills, found.refill_misses) == (refills, 0)
    assert (found.drains, found.drain_misses) == (drains, 0)
    assert found.t1_equal and found.pcp_equal
    fh.check_memory(found.memory)


# Each by rules that are wrong in one point: misses at least, or refused rows.
ABLATED = [
    ("linux-5.10/steal2", "no_rotation", "buddy", 20_000),
    ("linux-6.12/steal2", "no_rotation", "buddy", 200),
    ("linux-5.10/steal2", "no_zone_drain", "pcp", 1_000),
    ("linux-6.12/stealc", "free_returned", "pcp", 10_000),
]


@pytest.mark.parametrize(("recording", "ablation", "level", "at_least"), ABLATED)
def test_each_rule_is_needed(recording, ablation, level, at_least):
    found = fh.replay(stem(recording), level, "probes", ablation=ablation)
    assert found.misses > at_least and not found.t1_equal


def test_the_end_of_a_boost_is_inferred_once_and_explains_all_drains():
    where = stem("linux-6.12/mix8")
    found = fh.replay(where, "pcp", "probes")
    assert (found.boost_ends, found.misses, found.drain_misses) == (1, found.silent_rows, 0)
    assert found.t1_equal and found.pcp_equal
    wrong = fh.replay(where, "pcp", "probes", infer=False)
    assert wrong.boost_ends == 0 and wrong.misses > 400 and wrong.drain_misses > 50_000


def test_no_boost_is_inferred_where_every_drain_is_right():
    assert fh.replay(stem("linux-6.12/steal2"), "pcp", "probes").boost_ends == 0


def test_no_inferred_end_saves_a_wrong_rule():
    found = fh.replay(stem("linux-6.12/mix8"), "pcp", "probes", ablation="wrong_batch")
    assert found.drain_misses > 10_000 and not found.t1_equal


# The recording of each kernel by its neighbours' rules: level and misses at least.
NEIGHBOURS = [
    ("linux-5.10/steal2", fh.LINUX_4_15, "buddy", 20_000),
    ("linux-5.10/steal2", fh.LINUX_4_15, "pcp", 20_000),
    ("linux-5.10/steal2", fh.LINUX_6_1, "pcp", 20_000),
    ("linux-6.12/stealc", fh.LINUX_6_1, "buddy", 10_000),
]


@pytest.mark.parametrize(("recording", "profile", "level", "at_least"), NEIGHBOURS)
def test_a_neighbours_rules_fail(recording, profile, level, at_least):
    found = fh.replay(stem(recording), level, "probes", profile=profile)
    assert found.misses > at_least and not found.t1_equal


@pytest.mark.parametrize("name", ["cache", "frag"])
def test_without_a_fallback_5_10_and_4_15_cannot_be_told_apart(name):
    for level in ("buddy", "pcp"):
        found = fh.replay(stem(f"linux-5.10/{name}"), level, "probes", profile=fh.LINUX_4_15)
        assert found.misses == 0 and found.t1_equal


# One rule at a time.


def one_row(memory, kind, node, order, migratetype, change, value):
    """Rows with this one row."""
    columns = np.array([kind, 0, node, order, migratetype, change, value, 0, 0]).reshape(9, 1)
    types = (np.int8, np.int16, np.int32, np.int8, np.int8, np.int8, np.int32, np.int8, np.int32)
    return rows.Rows(*(c.astype(t) for c, t in zip(columns, types, strict=True)))


def movable_blocks(profile, order=9):
    """A zone in which nothing is free but three MOVABLE blocks; compaction is at work."""
    memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
    for node in (0, 1024, 2048):
        free_one_page(memory, node, 0, order, MOVABLE, FPI_NONE)
    run = scratch(memory)
    run.compacting[0] = True
    return memory, run


def order_of_list(memory, order=9):
    return list_nodes(memory, free_list_head(memory, 0, order, MOVABLE)).tolist()


@pytest.mark.parametrize("profile", [fh.LINUX_5_10, fh.LINUX_6_1, fh.LINUX_6_12])
def test_a_fallback_names_the_first_block_of_its_list(profile):
    memory, run = movable_blocks(profile)
    assert order_of_list(memory) == [2048, 1024, 0]
    told = one_row(memory, rows.EXTFRAG, 1024, 0, UNMOVABLE, 1, 9)
    named_by_fallback(memory, run, told, 0, 7)
    assert order_of_list(memory) == [1024, 0, 2048]
    assert run.rotations[0].tolist() == [7, 0, 9, 1024, True]
    # No rotation brings a page to the front that is no block of the list.
    named_by_fallback(memory, run, one_row(memory, rows.EXTFRAG, 512, 0, UNMOVABLE, 1, 9), 0, 8)
    assert run.counts[rows.C_ROTATIONS] == 1
    # Nor does any before compaction is at work.
    run.compacting[0] = False
    named_by_fallback(memory, run, one_row(memory, rows.EXTFRAG, 0, 0, UNMOVABLE, 1, 9), 0, 9)
    assert order_of_list(memory) == [1024, 0, 2048]


def test_a_try_to_claim_names_the_first_block_too():
    memory, run = movable_blocks(fh.LINUX_6_12, order=5)
    tried = one_row(memory, rows.STEAL, 1024, 0, UNMOVABLE, -1, 5)
    named_by_try(memory, run, tried, 0, 3)
    assert order_of_list(memory, 5)[0] == 1024 and run.counts[rows.C_ROTATIONS] == 1
    # The order of another list: the block does not stand on it.
    named_by_try(memory, run, one_row(memory, rows.STEAL, 0, 0, UNMOVABLE, -1, 4), 0, 4)
    assert run.counts[rows.C_ROTATIONS] == 1


@pytest.mark.parametrize("profile", [fh.LINUX_5_10, fh.LINUX_6_1, fh.LINUX_6_12])
def test_a_pageblock_enters_the_reserve_and_leaves_it(profile):
    memory = empty_memory({"DMA32": (4096, 8192)}, profile=profile)
    free_one_page(memory, 64, 0, 4, MOVABLE, FPI_NONE)
    for old, new in ((MOVABLE, HIGHATOMIC), (HIGHATOMIC, UNMOVABLE)):
        move_block_row(memory, one_row(memory, rows.MOVE_BLOCK, 0, 0, new, -1, old), 0)
        assert memory.pageblock[0] & 7 == new
        assert list_nodes(memory, free_list_head(memory, 0, 4, new)).tolist() == [64]
        fh.check_memory(memory)
    # The move of a steal: its pageblock is none of the reserve, and its own row tells of it.
    if profile.release < 610:
        move_block_row(memory, one_row(memory, rows.MOVE_BLOCK, 0, 0, MOVABLE, -1, UNMOVABLE), 0)
        assert memory.nr_free[0, 4, UNMOVABLE] == 1


COMPACTOR, OTHER = 0, -1


def returned(*told):
    """Which of these rows are frees by which compaction keeps a page.

    A row is (kind, node, order, process, ends); process 0 isolates pages.
    """
    kind, node, order, by, ends = (np.array(one) for one in zip(*told, strict=True))
    zeros = np.zeros(len(kind))
    value = np.where(kind == rows.ISOLATE_PAGE, 1 << order, 0)
    types = (np.int8, np.int16, np.int32, np.int8, np.int8, np.int8, np.int32, np.int8, np.int32)
    columns = (kind, zeros, node, order, zeros, zeros, value, zeros, zeros)
    some = rows.Rows(*(c.astype(t) for c, t in zip(columns, types, strict=True)))
    by = by.astype(np.int16)
    mark_held(some, by, np.full(64, -1, np.int16))
    settle_returned(
        *(some, by, ends.astype(bool), np.zeros(64, np.int32)),
        *(np.full(1, len(kind), np.int64), np.zeros(1, np.bool_)),
    )
    return (some.fate == rows.RETURNED).tolist()


ISOLATED = (rows.ISOLATE_PAGE, 0, 2, COMPACTOR, False)
FREED = (rows.FREE, 1, 0, COMPACTOR, False)
MOVED = (rows.FREE, 40, 0, COMPACTOR, False)
TAKEN = (rows.ALLOC, 1, 0, OTHER, False)
FREED_BY_OTHER = (rows.FREE, 1, 0, OTHER, False)
DRAINED = (rows.PCPU_DRAIN, 1, 0, OTHER, False)
ENDS = (rows.ALLOC, 50, 1, COMPACTOR, True)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # The same compaction frees it once more, in the end.
        ([ISOLATED, FREED, FREED], [False, True, False]),
        # A page that could not be used was used for a page that was then freed.
        ([ISOLATED, FREED, MOVED], [False, True, False]),
        ([ISOLATED, FREED, MOVED, FREED_BY_OTHER], [False, True, False, False]),
        # The page came to the lists: it is taken from there.
        ([ISOLATED, FREED, MOVED, TAKEN], [False, False, False, False]),
        ([ISOLATED, FREED, DRAINED, FREED], [False, False, False, False]),
        # The end of a compaction, and what its process does later.
        ([ISOLATED, FREED, ENDS, MOVED], [False, False, False, False]),
        ([ISOLATED, FREED, ENDS, FREED], [False, False, False, False]),
        # Pages that it did not isolate.
        ([MOVED, MOVED, ISOLATED], [False, False, False]),
    ],
)
def test_a_page_that_compaction_keeps(told, expected):
    assert returned(*told) == expected


def test_a_search_that_took_no_page_marks_no_isolation():
    where = stem("linux-6.12/stealc")
    recording = load_recording(where)
    columns, _, unknown = trace_rows(recording, "probes", strict=True)
    assert unknown == {}
    searches = recording.trace[columns.kind == rows.FAST_ISOLATE]
    none = searches["gfp"].astype(str).str.contains("nr_taken=0")
    assert none.sum() == 1
    assert (columns.fate == rows.ROTATES).sum() == len(searches) - none.sum()


def test_a_drain_of_a_batch_is_a_zones_only_if_no_free_explains_it():
    where = stem("linux-5.10/steal2")
    recording = load_recording(where)
    columns, _, _ = trace_rows(recording, "probes")
    settle(recording.t0, columns, "probes", infer=True)
    drains = recording.trace["event"] == "drain"
    zones = columns.kind == rows.DRAIN_ZONE
    assert drains.sum() == (zones | (columns.kind == rows.DRAIN)).sum()
    batch = recording.t0.pcp["batch"][columns.value[drains], 0]
    assert ((recording.trace["a"][drains] != batch) == zones[drains]).all()
    assert zones.sum() > 30


def test_a_drain_names_a_zone(tmp_path):
    where = stem("linux-5.10/steal2")
    for path in where.parent.glob(f"{where.name}.*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / f"{where.name}.trace.parquet"
    path.chmod(0o644)
    trace = pd.read_parquet(path)
    trace.loc[trace.index[trace["event"] == "drain"][0], "b"] = 7
    trace.to_parquet(path)
    with pytest.raises(fh.InputError, match=r"row \d+ \(drain\): b 7 is no zone's address"):
        fh.replay(tmp_path / where.name, "pcp", "probes")
