"""Recorded compactions: what their rows tell, and our log beside them."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.compact.state import (
    FREED,
    ISOLATED,
    MIGRATED,
    SCANNED,
    TURNED_HEAD,
    TURNED_TAIL,
)
from freehint.mm.memory import LRU, MOVABLE, SKIP_BIT, UNMOVABLE
from freehint.replay.pressure.compactions import (
    LruPages,
    Predictions,
    compared,
    marks_of,
    predict_compactions,
    recorded_rows,
)
from memories import empty_memory

COLUMNS = ("event", "comm", "pfn", "order", "migratetype", "gfp")
SCAN = "range=(0x{:x} ~ 0x{:x}) nr_scanned={} nr_taken={}"


def trace_of(*rows):
    """A trace of rows (event, pfn, order, migratetype, text) by kcompactd, or (.., comm)."""
    full = [
        (event, *(rest or ("kcompactd0",)), pfn, order, migratetype, text)
        for event, pfn, order, migratetype, text, *rest in rows
    ]
    return pd.DataFrame(full, columns=list(COLUMNS)).assign(seq=range(len(full)))


def test_rows_are_read_as_the_log_is_written():
    trace = trace_of(
        ("turn", 5000, -1, -1, ""),
        ("turn_head", -1, 8, -1, ""),
        ("turn_head", 6000, 6, -1, ""),
        ("isolate", 6000, 6, -1, ""),
        ("isolate_ret", -1, -1, -1, ""),
        ("mm_compaction_isolate_freepages", -1, -1, -1, SCAN.format(5632, 6144, 16, 0)),
        ("mm_page_free", 4500, 0, -1, ""),
        ("mm_compaction_migratepages", -1, -1, -1, "nr_migrated=1 nr_failed=31"),
        ("mm_page_pcpu_drain", 4500, 0, 1, ""),
    )
    assert recorded_rows(trace) == [
        (TURNED_TAIL, 5000, 0, 0, 0),
        (TURNED_HEAD, 6000, 0, 0, 0),
        (ISOLATED, 6000, 6, 0, 0),
        (SCANNED, 5632, 6144, 16, 0),
        (FREED, 4500, 0, 0, 0),
        (MIGRATED, 1, 31, 0, 0),
    ]


def test_pages_of_the_lru_lists_are_told_by_allocations_and_by_how_they_are_freed():
    memory = empty_memory({"DMA32": (4096, 6144)})
    free_block(memory, 1024, 0, 10, FPI_NONE)
    trace = trace_of(
        ("mm_page_alloc", 4096 + 1024, 0, MOVABLE, "", "cat"),
        ("mm_page_alloc", 4096 + 1025, 0, UNMOVABLE, "", "cat"),
        ("mm_page_free", 4096, 0, -1, "", "kswapd0"),
        ("mm_page_free_batched", 4096, 0, -1, "", "kswapd0"),
        ("mm_page_free", 4097, 0, -1, "", "cat"),
        ("mm_page_free", 4098, 0, -1, ""),
        ("mm_page_free", 4096 + 1024, 0, -1, "", "cat"),
        ("isolate", 4096 + 1028, 2, -1, ""),
    )
    pages = LruPages(trace, memory)
    assert np.flatnonzero(pages.go_to(0)).tolist() == [0, 2]  # 1 is freed alone: the kernel's own
    assert np.flatnonzero(pages.go_to(2)).tolist() == [0, 2, 1024]
    assert np.flatnonzero(pages.go_to(9)).tolist() == [*range(1028, 1032)]


@pytest.mark.parametrize(
    ("predicted", "outcome"),
    [([1, 2, 3], (3, 3)), ([1, 9, 2, 3], (3, 1)), ([1, 2], (2, 2)), ([], (0, 0))],
)
def test_rows_are_compared_in_their_order(predicted, outcome):
    assert compared([1, 2, 3], predicted) == outcome


def test_marks_are_ours_below_the_scanners_end_and_the_recorded_scans_above():
    memory = empty_memory({"DMA32": (4096, 4096 + 4000)})
    memory.pageblock[[0, 5]] |= SKIP_BIT
    scans = [(SCANNED, 7168, 7680, 16, 0), (SCANNED, 6656, 6800, 9, 1), (SCANNED, 7680, 8096, 1, 0)]
    marks = marks_of(memory, scans, 0, 4096 + 1024)
    assert np.flatnonzero(marks).tolist() == [0, 6, 7]


def test_a_compaction_is_predicted_from_the_state_before_it():
    memory = empty_memory({"DMA32": (4096, 8192)}, watermark=(0, 0, 0))
    rows = [
        ("mm_page_alloc", 4096 + 7, 0, MOVABLE, "", "cat"),
        ("mm_compaction_begin", -1, -1, -1, "zone_start=0x1000 migrate_pfn=0x1000 free_pfn=0x1e00"),
        ("isolate", 7680, 2, -1, ""),
        ("mm_compaction_isolate_freepages", -1, -1, -1, SCAN.format(7680, 7684, 4, 4)),
        ("mm_page_free", 4096 + 7, 0, -1, ""),
        ("mm_compaction_migratepages", -1, -1, -1, "nr_migrated=1 nr_failed=0"),
        ("mm_page_free", 7682, 0, -1, ""),
        ("mm_page_free", 7681, 0, -1, ""),
        ("mm_page_free", 7680, 0, -1, ""),
        ("mm_compaction_end", -1, -1, -1, "migrate_pfn=0x1e00 free_pfn=0x1e00, status=complete"),
    ]
    predictions = Predictions(trace_of(*rows), memory)
    free_block(memory, 7680 - 4096, 0, 2, FPI_NONE)
    free_block(memory, 3, 0, 0, FPI_NONE)  # stays: a zone is never isolated empty
    found = predictions.predict(memory, 1, 9)
    assert memory.frame[7683 - 4096] == LRU
    assert (found["recorded"], found["equal"], found["others"]) == (7, 7, 0)
    assert (found["status"], found["predicted_status"]) == ("complete", "complete")


TRUTH = Path(__file__).parents[3] / "shared" / "ground-truth" / "reclaim" / "linux-6.1"


@pytest.mark.parametrize(
    ("name", "equal"),
    [("rc_cache", [(726, 729), (300, 300), (70, 75)]), ("rc_oom", [(47, 48)])],
)
def test_recorded_compactions_in_calm_are_predicted(name, equal):
    """The figures of docs/model.md: zone DMA32, while others wrote fewer than 500 rows."""
    if not TRUTH.is_dir():
        assert not os.environ.get("CI"), f"{TRUTH} is missing"
        pytest.skip(f"{TRUTH} is not here")
    found = predict_compactions(TRUTH / name)
    calm = found[(found["zone"] == "DMA32") & (found["others"] < 500)]
    assert list(zip(calm["equal"], calm["recorded"])) == equal
