"""How allocations waited, told so that it is not 0 where few of many waited."""

import pandas as pd

import freehint as fh
from freehint.runs.run import readable
from freehint.runs.summary import waiting


def test_a_few_waits_of_many_allocations_show():
    waits = pd.DataFrame({"kind": ["alloc", "alloc", "free"], "wait_ns": [100, 300, 900]})
    found = waiting(pd.Series({"allocations": 1_000}), waits)
    assert found == {
        "alloc_wait_p999_ns": 100,
        "alloc_wait_mean_ns": 200.0,
        "alloc_waited": 0.002,
    }
    nobody = waiting(pd.Series({"allocations": 0}), waits.iloc[:0])
    assert set(nobody.values()) == {0}


def test_people_read_what_tells_and_no_percentile_that_is_0_for_every_policy():
    scenario = fh.Scenario(policy="hold_the_lock")
    shown = readable(fh.simulate(scenario))
    assert "allocation wait p99" not in shown and "allocation wait p99.9" in shown
    assert shown["allocations that waited"].endswith(" %") and shown["mean of the waits"] != "0 ns"
    assert shown["coverage"] == "100 %"


def test_runs_side_by_side_show_a_dash_for_what_a_run_has_not_got():
    runs = [
        fh.simulate(fh.Scenario(memory="64MiB", policy=policy))
        for policy in ("v24", "balloon_alloc")
    ]
    row = fh.comparison(runs).loc["offered again when lost"]
    assert row["v24"] == "–" and row["balloon_alloc"].endswith("iB")
