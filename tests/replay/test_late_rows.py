"""Rows that stand behind others though they came first, and blocks that compaction captures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.formats.traces import rows
from freehint.formats.traces.compaction import mark_captures
from freehint.formats.traces.lock_order import softirq_order
from freehint.formats.traces.zones import fill_cpus
from freehint.mm.buddy import FPI_NONE
from freehint.mm.memory import MOVABLE, free_list_head, list_nodes
from freehint.replay.buddy_blocks import replay_free
from freehint.replay.captures import begin_waiting, captured_row, end_waiting
from freehint.replay.replay import scratch
from memories import empty_memory

COMPILE = fh.data("linux-6.1/traces/compile.trace.parquet").parent / "compile"


def ordered(*told):
    trace = pd.DataFrame(told, columns=["event", "cpu", "irq", "pid", "pfn"])
    trace = trace.astype({"event": "category", "cpu": "uint8", "irq": "uint8"})
    order = softirq_order(trace)
    return order.rows.tolist(), order.moved


PUSH, DRAIN = ("mm_page_free_batched", 0, 0, 7, 5), ("mm_page_pcpu_drain", 0, 0, 7, 9)
DIRECT = (("mm_page_free", 0, 1, 7, 40), ("free_direct", 0, 1, 7, 40))
OTHER = ("mm_page_pcpu_drain", 1, 0, 8, 70)
WHOLE = ("drain_zone", 0, 0, 7, -1)
REFILL, TAKES = ("mm_page_alloc_zone_locked", 0, 0, 7, 5), ("mm_page_alloc", 0, 0, 7, 5)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ((PUSH, *DIRECT, DRAIN), ([1, 2, 0, 3], 1)),  # the softirq found the pcp lock taken
        ((PUSH, OTHER, DRAIN), ([1, 0, 2], 1)),  # the other CPU had the zone lock
        ((WHOLE, OTHER, DRAIN), ([1, 0, 2], 1)),
        ((REFILL, OTHER, TAKES), ([0, 2, 1], 1)),
        ((PUSH, DRAIN), ([0, 1], 0)),
        ((PUSH, DIRECT[0], DRAIN), ([0, 1, 2], 0)),  # it got the pcp lock
        ((PUSH, OTHER, ("bulk_alloc_ret", 0, 0, 7, -1)), ([0, 1, 2], 0)),  # nothing was drained
    ],
)
def test_a_drain_goes_behind_what_held_the_lock(told, found):
    assert ordered(*told) == found


def rows_of(*told):
    """Rows from tuples of (kind, node, order, value, task), all MOVABLE."""
    kind, node, order, value, task = np.array(told).T
    zero, none = np.zeros(len(told)), np.full(len(told), -1)
    columns = (kind, zero, node, order, zero + MOVABLE, none, value, zero, task)
    types = (np.int8, np.int16, np.int32, np.int8, np.int8, np.int8, np.int32, np.int8, np.int32)
    return rows.Rows(*(c.astype(t) for c, t in zip(columns, types, strict=True)))


BEGIN, END, GETS = (
    (rows.COMPACTION, 0, -1, 0, 7),
    (rows.COMPACTED, 0, -1, 1, 7),
    (rows.ALLOC, 512, 9, 0, 7),
)


@pytest.mark.parametrize(
    ("told", "captures"),
    [
        ((BEGIN, END, GETS), True),
        ((BEGIN, (rows.COMPACTED, 0, -1, 0, 7), GETS), False),  # no success
        ((BEGIN, END, (rows.ZONE_LOCKED, 512, 9, 0, 7), GETS), False),  # from a list
        ((BEGIN, END, (rows.ALLOC, 512, 9, 0, 8)), False),  # another process
        ((BEGIN, END, (rows.ALLOC, 512, 0, 0, 7)), False),  # a single page
    ],
)
def test_success_without_a_block_from_the_lists_tells_a_capture(told, captures):
    columns = rows_of(*told)
    mark_captures(columns)
    assert (columns.fate[0] == rows.WAITS) == captures
    assert (columns.fate[-1] == rows.CAPTURED) == captures
    assert columns.order[0] == (9 if captures else -1)


def test_the_first_block_that_frees_merge_is_captured():
    memory = empty_memory({"DMA32": (4096, 8192)})
    run, columns = scratch(memory), rows_of(BEGIN, END, GETS)
    mark_captures(columns)
    replay_free(memory, run, 7, 0, 9, MOVABLE, FPI_NONE, rows.FAITHFUL)
    begin_waiting(run, columns, 0)
    for task, node in ((8, 1024), (8, 1280), (7, 512), (7, 768), (7, 2048), (7, 2304)):
        replay_free(memory, run, task, node, 8, MOVABLE, FPI_NONE, rows.FAITHFUL)
    end_waiting(run, 7)
    # 0 was free before, 1024 is another process's, and 512 would have merged with 0.
    assert list_nodes(memory, free_list_head(memory, 0, 9, MOVABLE)).tolist() == [2048, 1024, 0]
    assert memory.zones.nr_free_pages.tolist() == [3 * 512]
    assert captured_row(run, columns, 2) and run.counts[rows.C_HITS] == 1
    assert not captured_row(run, columns, 2)
    assert run.counts[rows.C_REFUSED] == run.counts[rows.C_WAITING] == 0
    fh.check_memory(memory)


def recording_of(columns, cpus, nr_cpus=2):
    trace = pd.DataFrame({"seq": 5, "event": "drain_zone", "b": cpus}).astype({"event": "category"})
    return SimpleNamespace(trace=trace, t0=SimpleNamespace(nr_cpus=nr_cpus))


def test_drain_zone_names_the_cpu_that_is_drained():
    columns = rows_of(*[(rows.DRAIN_ZONE, 0, 0, 0, 7)] * 3)
    columns.cpu[:] = 1
    fill_cpus(recording_of(columns, [0, 1, -1]), columns, "x")
    assert columns.node.tolist() == [0, 1, 1]
    with pytest.raises(fh.InputError, match=r"row 5 \(drain_zone\): b 2 is no CPU of the snapsh"):
        fill_cpus(recording_of(columns, [0, 1, 2]), columns, "x")


def late_rows(trace, most=3):
    """Allocations without a refill stand behind the free of a page that comes after them."""
    event = trace["event"].astype(str).to_numpy()
    irq, order = np.zeros(len(trace), np.uint8), np.arange(len(trace))
    takes = (event == "mm_page_alloc") & (trace["order"] == 0) & (np.roll(event, 1) == event)
    places = np.flatnonzero(takes & (np.roll(event, -1) == "mm_page_free"))
    places = places[(places > 20_000)][::10][:most]
    for at in places:
        order[at : at + 2] = at + 1, at
        irq[at] = 1
    moved = trace.iloc[order].reset_index(drop=True)
    return moved.assign(seq=trace["seq"], irq=irq)


def test_overtaken_allocations_without_a_refill_are_inferred(tmp_path):
    for path in COMPILE.parent.glob("compile.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    late_rows(pd.read_parquet(f"{COMPILE}.trace.parquet")).to_parquet(
        tmp_path / "compile.trace.parquet"
    )
    told = fh.replay(tmp_path / "compile", "pcp", "probes", infer=False)
    assert told.moved_rows == 0 and told.misses > told.silent_rows
    found = fh.replay(tmp_path / "compile", "pcp", "probes")
    assert found.misses == found.silent_rows and found.t1_equal
    assert found.moved_rows > 0 and f"{found.moved_rows} of them because" in found.notes[0]
