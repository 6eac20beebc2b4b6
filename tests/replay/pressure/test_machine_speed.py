"""What rows tell of the recorded machine: how fast it was in "dirty"."""

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.replay.pressure.machine import dirty_slowness, no_paces, paces_of

SHRINK = "nid=0 nr_scanned={} nr_reclaimed={} nr_dirty=0 nr_ref_keep={} flags=RECLAIM_WB_{}"


def rows(*those):
    """A trace of (time in s, task, event, text), and the times."""
    times, comm, event, text = zip(*those)
    trace = pd.DataFrame({"comm": comm, "event": event, "gfp": text})
    return trace, np.array(times)


def test_dirty_is_timed_by_its_pages_and_then_by_those_of_kswapd():
    trace, time_s = rows(
        (0.5, "load", "mm_page_alloc", ""),  # of the step before
        (1.1, "load", "mm_page_alloc", ""),
        (1.2, "load", "mm_page_alloc", ""),
        (1.5, "kswapd0", "kswapd_balance", ""),
        (1.6, "kswapd0", "mm_page_free", ""),
        (1.8, "kswapd0", "mm_vmscan_lru_shrink_inactive", SHRINK.format(7, 2, 4, "ANON")),
        (1.9, "load", "mm_page_alloc", ""),
        (2.0, "kswapd0", "mm_vmscan_lru_shrink_inactive", SHRINK.format(2, 1, 0, "FILE")),
        (2.1, "load", "mm_vmscan_lru_shrink_inactive", SHRINK.format(9, 9, 0, "ANON")),
    )
    steps = pd.DataFrame(
        [("fill 1", 0.0, 1.0), ("dirty 1 1 1", 1.0, 3.0)], columns=["job", "begin_s", "end_s"]
    )
    found = paces_of(trace, steps, time_s).loc[0].to_dict()
    assert found == pytest.approx(
        {
            "filled": 2,
            "filled_s": 0.5,
            "kswapd_s": 0.4,
            "scanned": 9,
            "reclaimed": 3,
            "swapped": 1,
        }
    )
    assert paces_of(trace, steps[:1], time_s).empty
    # A recording that has rows of the pages that are written says so itself.
    trace.loc[[4, 6], "event"] = "mm_vmscan_write_folio"
    assert paces_of(trace, steps, time_s)["swapped"].tolist() == [1]


def test_two_numbers_tell_how_slow_the_machine_was_in_dirty():
    fill_ns, costs = fh.UnderPressure().fill_ns, fh.Costs()
    price_ns = 9 * costs.scan_page_ns + 4 * costs.reclaim_page_ns + 5 * costs.swap_out_ns
    pace = {
        "filled": 2000,
        "filled_s": 2000 * fill_ns * 1.5e-9,
        "kswapd_s": 1000 * price_ns * 2.5e-9,
        "scanned": 9000,
        "reclaimed": 4000,
        "swapped": 5000,
    }
    assert dirty_slowness(pd.DataFrame([pace]), fill_ns, costs, 7.0) == pytest.approx((1.5, 2.5))
    # Too few pages tell nothing.
    few = pd.DataFrame([pace | {"filled": 3, "scanned": 3}])
    assert dirty_slowness(few, fill_ns, costs, 7.0) == (7.0, 7.0)
    assert dirty_slowness(no_paces(), fill_ns, costs, 7.0) == (7.0, 7.0)
