"""Guests that reclaim: kswapd's flag and boosts, told turns, rows that a softirq overtook."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.formats.traces import rows
from freehint.formats.traces.balance import infer_balances
from freehint.formats.traces.lock_order import softirq_order
from freehint.formats.traces.table import TEXT_EVENTS
from freehint.mm.buddy import FPI_NONE, free_one_page
from freehint.mm.memory import (
    MOVABLE,
    UNMOVABLE,
    ZONE_BELOW_HIGH,
    ZONE_RECLAIM_ACTIVE,
    free_list_head,
    list_nodes,
)
from freehint.mm.profile import LINUX_6_12
from freehint.replay.buddy_level import turn_row
from freehint.replay.inferred.boost import balance_row, look_at_zones
from freehint.replay.replay import scratch
from memories import empty_memory

TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth" / "reclaim"
COMPILE = fh.data("linux-6.1/traces/compile.trace.parquet").parent / "compile"


def stem(name):
    """One of the developers' recordings, such as "linux-6.1/rc_oom"."""
    if not TRUTH.is_dir():
        assert not os.environ.get("CI"), f"{TRUTH} is missing"
        pytest.skip(f"{name} is not among the shipped recordings")
    return TRUTH / name


# Predictions at buddy level and at pcp level, drained pages, told rotations.
EXACT = {
    "linux-6.1/rc_cache": (286_229, 298_094, 277_666, 8),
    "linux-6.1/rc_oom": (74_196, 80_099, 128_025, 0),
    "linux-6.12/rc_oom": (114_499, 81_017, 159_402, 4),
}


@pytest.mark.parametrize("name", EXACT)
def test_both_levels_are_exact(name):
    blocks, pages, drains, told = EXACT[name]
    found = fh.replay(stem(name), "buddy", "probes", strict=True)
    assert (found.scored, found.misses, found.refused) == (blocks, 0, 0)
    assert found.t1_equal
    found = fh.replay(stem(name), "pcp", "probes", strict=True)
    assert (found.scored, found.misses, found.refused) == (pages, 0, 0)
    assert (found.refills, found.refill_misses) == (blocks, 0)
    assert (found.drains, found.drain_misses) == (drains, 0)
    assert (found.rotations, len(found.rotation_rows)) == (0, told)
    assert found.boost_ends == found.silent_pages == found.moved_rows == 0
    assert found.t1_equal and found.pcp_equal
    at_t1 = fh.load_snapshot(f"{stem(name)}.T1").zones
    for field in ("flags", "watermark_boost", "nr_free_pages"):
        assert found.memory.zones[field].tolist() == at_t1[field].tolist()
    fh.check_memory(found.memory)


# A rule taken away: level, misses at least.
ABLATED = [
    ("linux-6.1/rc_cache", "no_reclaim_flag", "pcp", 200_000),  # 201,971 of 298,094
    ("linux-6.1/rc_oom", "no_reclaim_flag", "pcp", 60_000),  # 61,571 of 80,099
    ("linux-6.12/rc_oom", "no_reclaim_flag", "pcp", 60_000),  # 63,631 of 81,017
    ("linux-6.12/rc_oom", "boosts_stay", "pcp", 45_000),  # 47,503
    ("linux-6.12/rc_oom", "no_zone_drain", "pcp", 60_000),  # 62,094
    ("linux-6.1/rc_cache", "no_told_turn", "buddy", 10_000),  # 13,066 of 286,229
]


@pytest.mark.parametrize(("name", "ablation", "level", "at_least"), ABLATED)
def test_each_rule_is_needed(name, ablation, level, at_least):
    found = fh.replay(stem(name), level, "probes", ablation=ablation)
    assert found.misses > at_least and not found.t1_equal


def test_6_1_reads_no_boost_at_pcp_level():
    found = fh.replay(stem("linux-6.1/rc_oom"), "pcp", "probes", ablation="boosts_stay")
    assert found.misses == 0 and found.t1_equal


def without_kswapds_probes(name, folder, more=()):
    """A recording in which only the standard tracepoints tell of kswapd, or not even these."""
    for path in TRUTH.glob(f"{name}.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    where = folder / stem(name).name
    trace = pd.read_parquet(f"{where}.trace.parquet").astype({"event": str})
    gone = trace["event"].isin(["kswapd_balance", "kswapd_balance_ret", *more])
    trace["event"] = trace["event"].mask(gone, "rep").astype("category")
    trace.to_parquet(f"{where}.trace.parquet")
    return where


# Ends that kswapd's rows tell, and how many of them came later, as drains show.
ENDS = {
    "linux-6.1/rc_cache": (1942, 2),
    "linux-6.1/rc_oom": (156, 0),
    "linux-6.12/rc_oom": (109, 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_kswapds_wakes_and_rows_tell_the_same(name, tmp_path):
    ends, later = ENDS[name]
    where = without_kswapds_probes(name, tmp_path)
    found = fh.replay(where, "pcp", "probes")
    assert (found.misses, found.refill_misses, found.drain_misses) == (0, 0, 0)
    assert (found.balance_ends, found.boost_ends) == (later, 0)
    assert f"from its last rows, {ends} times" in found.notes[-1]
    assert found.t1_equal and found.pcp_equal
    found = fh.replay(where, "pcp", "probes", infer=False)
    assert found.misses > 60_000 and "ZONE_RECLAIM_ACTIVE is not inferred" in found.notes[-1]


@pytest.mark.parametrize("ablation", ["wrong_batch", "no_claim"])
def test_no_inferred_end_saves_a_wrong_rule(ablation, tmp_path):
    where = without_kswapds_probes("linux-6.1/rc_oom", tmp_path)
    found = fh.replay(where, "pcp", "probes", ablation=ablation)
    assert found.misses > 15_000 and found.balance_ends == 0 and not found.t1_equal


def test_without_its_wakes_nothing_is_inferred_of_kswapd(tmp_path):
    where = without_kswapds_probes("linux-6.1/rc_oom", tmp_path, ["mm_vmscan_kswapd_wake"])
    found = fh.replay(where, "pcp", "probes")
    assert found.misses > 60_000 and "ZONE_RECLAIM_ACTIVE is not inferred" in found.notes[-1]


def test_what_replay_knows_of_kswapd_is_noted():
    # With std inputs the rows of kswapd's probes are not used.
    found = fh.replay(stem("linux-6.1/rc_oom"), "pcp", "std")
    assert found.misses > 60_000 and "kswapd ran" in found.notes[-1]
    assert fh.replay(COMPILE, "pcp", "probes").notes == ()


# One rule at a time.


def test_kswapd_sets_its_flag_and_ends_the_boosts_that_it_found():
    memory = empty_memory({"DMA": (0, 4096), "DMA32": (4096, 8192), "Normal": (8192, 12288)})
    run = scratch(memory)
    memory.zones["watermark_boost"] = 7, 9, 5
    balance_row(memory, run, 2, rows.FAITHFUL)
    assert memory.zones["flags"].tolist() == [ZONE_RECLAIM_ACTIVE, ZONE_RECLAIM_ACTIVE, 0]
    memory.zones["watermark_boost"] = 7, 13, 6
    balance_row(memory, run, 0, rows.FAITHFUL)
    # What a steal added in the meantime stays, and so does that of a zone it did not balance.
    assert memory.zones["watermark_boost"].tolist() == [0, 4, 6]
    assert memory.zones["flags"].tolist() == [0, 0, 0]
    balance_row(memory, run, 0, rows.FAITHFUL)
    assert memory.zones["watermark_boost"].tolist() == [0, 4, 6]


@pytest.mark.parametrize(
    ("free", "below"),
    [((99, 49), []), ((99, 41), [1]), ((99, 40), [1]), ((48, 41), [1]), ((48, 40), [0, 1])],
)
def test_a_zone_below_low_serves_after_all_zones_were_looked_at(free, below):
    spans = {"DMA": (0, 4096), "DMA32": (4096, 8192)}
    memory = empty_memory(spans, watermark=(32, 40, 48), profile=LINUX_6_12)
    memory.zones["nr_free_pages"] = free
    look_at_zones(memory, scratch(memory), 0, 1, 0, MOVABLE)
    assert np.flatnonzero(memory.zones["flags"]).tolist() == below
    assert set(memory.zones["flags"]) <= {0, ZONE_BELOW_HIGH}


def rows_of(*told):
    """Rows from tuples of (kind, node, value, task)."""
    kind, node, value, task = np.array(told).T
    zero, none = np.zeros(len(told)), np.full(len(told), -1)
    columns = (kind, zero, node, zero, zero, none, value, zero, task)
    types = (np.int8, np.int16, np.int32, np.int8, np.int8, np.int8, np.int32, np.int8, np.int32)
    return rows.Rows(*(c.astype(t) for c, t in zip(columns, types, strict=True)))


KSWAPD, OTHER = 36, 7
WAKE, MINE = (rows.WAKE, 0, 0, KSWAPD), (rows.FREE, 8, 0, KSWAPD)
ALLOCATES, LOCKED = (rows.ALLOC, 9, 0, OTHER), (rows.ZONE_LOCKED, 9, 0, OTHER)


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ((WAKE, ALLOCATES, MINE, LOCKED, ALLOCATES), [4]),
        ((WAKE, ALLOCATES, ALLOCATES), [1]),  # it did nothing
        ((WAKE, MINE, WAKE, MINE, ALLOCATES), [4]),  # nothing decides between the two
        ((WAKE, MINE, ALLOCATES, WAKE, ALLOCATES, MINE), [2]),  # T1 is in the midst of it
        ((ALLOCATES, MINE, ALLOCATES), []),  # no wake
        ((WAKE, ALLOCATES, (rows.BALANCE, 0, 0, KSWAPD)), []),  # rows tell
    ],
)
def test_kswapd_balances_from_its_wake_to_its_last_row(told, ends):
    memory, columns = empty_memory({"DMA32": (4096, 8192)}), rows_of(*told)
    infer_balances(memory, columns)
    assert np.flatnonzero(columns.change == rows.ENDS_BALANCE).tolist() == ends
    inferred = WAKE in told and (rows.BALANCE, 0, 0, KSWAPD) not in told
    woken = columns.kind == rows.BALANCE
    assert columns.value[woken].tolist() == [1] * told.count(WAKE) if inferred else not ends


def test_at_t0_kswapd_may_be_at_work():
    memory, columns = empty_memory({"DMA32": (4096, 8192)}), rows_of(MINE, ALLOCATES, WAKE)
    memory.zones["flags"] = ZONE_RECLAIM_ACTIVE
    infer_balances(memory, columns)
    assert columns.change.tolist() == [-1, rows.ENDS_BALANCE, -1]


def turn(memory, run, node, to_tail):
    turn_row(memory, run, rows_of((rows.TURN, node, to_tail, 0)), 0)
    return list_nodes(memory, free_list_head(memory, 0, 3, MOVABLE)).tolist()


def test_a_told_turn_brings_its_block_to_the_end_or_to_the_head():
    memory = empty_memory({"DMA32": (4096, 8192)})
    for node in (0, 64, 128, 192):
        free_one_page(memory, node, 0, 3, MOVABLE, FPI_NONE)
    free_one_page(memory, 1024, 0, 3, UNMOVABLE, FPI_NONE)
    run = scratch(memory)
    assert turn(memory, run, 128, 1) == [64, 0, 192, 128]
    assert turn(memory, run, 128, 1) == [64, 0, 192, 128]  # it is there already
    assert turn(memory, run, 192, 0) == [192, 128, 64, 0]
    assert run.counts[rows.C_ROTATIONS] == 2 and not run.rotations[:2, 4].any()
    assert run.counts[rows.C_REFUSED] == 0
    for strange in (1, 1024):  # no block, and none of a list that compaction turns
        assert turn(memory, run, strange, 1) == [192, 128, 64, 0]
    assert run.counts[rows.C_REFUSED] == 2
    fh.check_memory(memory)


# Rows of (event, irq, pid, pfn): how they lie, and how they happened.
def ordered(*told):
    trace = pd.DataFrame(told, columns=["event", "irq", "pid", "pfn"]).astype({"event": "category"})
    order = softirq_order(trace.assign(cpu=0).astype({"irq": "uint8", "cpu": "uint8"}))
    return order.rows.tolist(), order.moved


FIRST, SECOND = (("mm_page_alloc_zone_locked", 0, 7, pfn) for pfn in (5, 6))
ALLOC = ("mm_page_alloc", 0, 7, 5)
SOFTIRQ = ("mm_page_free", 1, 7, 40)


def test_an_allocation_goes_back_to_its_refill_before_the_softirq():
    assert ordered(FIRST, SECOND, SOFTIRQ, SOFTIRQ, ALLOC) == ([0, 1, 4, 2, 3], 1)
    assert ordered(SOFTIRQ, FIRST, SECOND, ALLOC) == ([0, 1, 2, 3], 0)
    # A softirq's own allocation, which a hardirq overtakes.
    deeper = [(event, 1, pid, pfn) for event, _, pid, pfn in (FIRST, ALLOC)]
    assert ordered(deeper[0], ("free_direct", 3, 7, 9), deeper[1]) == ([0, 2, 1], 1)


@pytest.mark.parametrize(
    "told",
    [
        (FIRST, SECOND, SOFTIRQ, ("mm_page_alloc", 0, 7, 6)),  # not the refill's first page
        (FIRST, SECOND, SOFTIRQ, ("mm_page_alloc", 0, 8, 5)),  # another process
        (FIRST, SOFTIRQ, ("mm_page_free", 0, 7, 30), ALLOC),  # it went on in between
        (FIRST, ("bulk_alloc_ret", 0, 7, -1), SOFTIRQ, ALLOC),  # the refill was another's
        (FIRST, ("tracing_mark_write", 1, 7, -1), ALLOC),  # no page moved
    ],
)
def test_what_the_rows_do_not_tell_stays_where_it_is(told):
    assert ordered(*told) == (list(range(len(told))), 0)


OVERTAKEN = 450  # allocations in compile with a refill and then another allocation


def copy_of(folder, change):
    """The shipped recording with a changed trace."""
    for path in COMPILE.parent.glob("compile.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    trace = change(pd.read_parquet(f"{COMPILE}.trace.parquet"))
    trace.to_parquet(folder / "compile.trace.parquet")
    return folder / "compile"


def overtaken(trace):
    """The row of an allocation with a refill comes after the next one's, as after a softirq's."""
    event = trace["event"].astype(str).to_numpy()
    irq, order = np.zeros(len(trace), np.uint8), np.arange(len(trace))
    allocates, refilled = event == "mm_page_alloc", np.roll(event == "mm_page_alloc_zone_locked", 1)
    for at in np.flatnonzero(allocates & refilled & np.roll(allocates, -1)):
        order[at : at + 2] = at + 1, at
        irq[at] = 1
    moved = trace.iloc[order].reset_index(drop=True)
    return moved.assign(seq=trace["seq"], irq=irq)


def test_overtaken_rows_are_put_back(tmp_path):
    found = fh.replay(copy_of(tmp_path, overtaken), "pcp", "probes")
    assert found.misses == found.silent_rows and found.t1_equal
    assert found.moved_rows == OVERTAKEN
    assert f"{found.moved_rows} rows that a softirq" in found.notes[0]


def test_overtaken_rows_miss_where_their_contexts_are_not_told(tmp_path):
    found = fh.replay(
        copy_of(tmp_path, lambda t: overtaken(t).drop(columns="irq")), "pcp", "probes"
    )
    assert found.moved_rows == 0 and found.notes == ()
    assert found.misses > 800  # 871


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (lambda n: np.full(n, 4), "compile.trace.parquet: row 0: irq 4 must lie in 0..3"),
        (lambda n: np.full(n, -1), "row 0: irq -1 must lie in 0..3"),
        (lambda n: np.full(n, "s"), "column 'irq' must hold whole numbers, got"),
        (lambda n: pd.array([None] + [0] * (n - 1), "Int8"), "column 'irq' has empty values"),
    ],
)
def test_contexts_that_are_none_are_refused(tmp_path, column, sentence):
    where = copy_of(tmp_path, lambda trace: trace.assign(irq=column(len(trace))))
    with pytest.raises(fh.InputError, match=sentence):
        fh.replay(where)


@pytest.mark.parametrize("event", TEXT_EVENTS[3:])
def test_rows_of_reclaim_are_known_and_counted(tmp_path, event):
    def change(trace):
        trace["event"] = trace["event"].astype(str)
        trace.loc[trace.index[trace["event"] == "bulk"][5:8], "event"] = event
        return trace.astype({"event": "category"})

    where = copy_of(tmp_path, change)
    assert fh.read_trace(f"{where}.trace.parquet").account.whole
    found = fh.replay(where, "buddy", "std", strict=True)
    assert (found.ignored[event], found.misses) == (3, 0)


def test_a_zone_index_that_is_none_is_refused(tmp_path):
    def change(trace):
        trace["event"] = trace["event"].astype(str)
        at = trace.index[trace["event"] == "mm_page_alloc"][20_000]
        trace.loc[at, ["event", "a"]] = "kswapd_balance", 4
        return trace.astype({"event": "category"})

    with pytest.raises(fh.InputError, match=r"row \d+ \(kswapd_balance\): a 4 is no zone index, 0"):
        fh.replay(copy_of(tmp_path, change), "pcp", "probes")
