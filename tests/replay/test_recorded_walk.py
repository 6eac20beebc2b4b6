"""A recorded walk for the player tells what the recording tells."""

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.runs.trajectory.recorder import USER_COUNTS

SAMPLES = ("a_scan", "c_fivekeep0")


@pytest.fixture(scope="module", params=SAMPLES)
def walk(request):
    stem = f"linux-6.1/walkers/{request.param}"
    trace = pd.read_parquet(f"{fh.data(stem)}.trace.parquet")
    rows = trace[trace["event"].astype(str).str.startswith("w_")]
    return stem, rows, fh.record_walk(stem, moments=50)


def pages(rows) -> int:
    return int((2 ** rows["order"].astype(int)).sum())


def test_its_tables_are_the_rows_of_the_trace(walk):
    _, rows, seen = walk
    reports, run = rows[rows["event"] == "w_report"], seen.run
    assert run.reports["pfn"].tolist() == reports["pfn"].tolist()
    assert run.reports["duplicate"].tolist() == (reports["c"] == 1).tolist()
    assert run.summary["offered_pages"] == pages(reports)
    assert run.summary["hinted_pages"] == pages(reports[reports["a"] == 1])
    begins, ends = (
        rows[rows["event"].isin([f"w_list_{when}", f"w_hold_{when}"])]["ts_us"].to_numpy()
        for when in ("begin", "end")
    )
    assert run.locks["held_ns"].tolist() == ((ends - begins) * 1000).tolist()
    assert (run.walks["end_ns"] > 0).all()
    assert len(run.walks) == (rows["event"] == "w_walk_begin").sum()


def test_the_ring_holds_what_was_not_used_or_withdrawn(walk):
    _, rows, seen = walk
    taken = ((rows["event"] == "w_report") & (rows["a"] == 1)).sum()
    used = (rows["event"] == "w_used").sum()
    withdrawn = rows[rows["event"] == "w_withdraw"]["a"].sum()
    assert seen.arrays["in_flight"][-1, 0] == taken - used - withdrawn
    assert seen.arrays["user"][-1, 0, USER_COUNTS.index("offered")] == pages(
        rows[rows["event"] == "w_report"]
    )


def test_no_hint_is_stale_that_the_recording_does_not_call_stale(walk):
    _, rows, seen = walk
    stale = rows[(rows["event"] == "w_used") & (rows["a"] == 0)]
    assert len(stale) == 0 and seen.run.summary["stale_pages"] == 0
    assert seen.run.summary["reused_pages"] > 0


def test_its_lists_are_those_of_t0_and_t1(walk):
    stem, _, seen = walk
    for moment, when in ((0, "T0"), (len(seen) - 1, "T1")):
        wanted = fh.free_lists(fh.load_snapshot(f"{fh.data(stem)}.{when}"))
        found = seen.lists_at(moment)
        keys = ["zone", "order", "migratetype", "position"]
        both = found.merge(wanted, on=keys, suffixes=("", "_wanted"))
        assert len(both) == len(found) > 0
        assert both["pfn"].tolist() == both["pfn_wanted"].tolist()


def test_hinted_pages_are_seen_where_they_are(walk):
    _, rows, seen = walk
    cell = 1 << seen.meta["cell_shift"]
    hinted = seen.arrays["cells.hinted"][-1]
    reports = rows[(rows["event"] == "w_report") & (rows["a"] == 1)]
    base = seen.meta["base_pfn"]
    ever = np.zeros(len(hinted), bool)
    for pfn, order in reports[["pfn", "order"]].itertuples(index=False):
        first = int(pfn) - base
        ever[first // cell : (first + (1 << int(order)) - 1) // cell + 1] = True
    assert hinted[~ever].max(initial=0) == 0 and hinted[ever].any()


def test_a_recording_without_a_walk_is_refused():
    with pytest.raises(fh.InputError, match=r"fork\.trace\.parquet: has no rows of a walker"):
        fh.record_walk("linux-6.1/traces/fork")
