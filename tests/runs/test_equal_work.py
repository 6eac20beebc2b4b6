"""Survival at equal guest work."""

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.config import InputError
from freehint.runs.equal_work import WorkLog, equal_work


def busy() -> fh.Scenario:
    """A recorded 4 GiB guest, and a host that is away 10 ms at times."""
    return fh.Scenario().with_values({"host.gap_ns": 10_000_000})


def test_a_frozen_guest_is_not_praised_for_its_survival():
    """While the lock is held the guest hangs, so it reuses little, whatever the hints are."""
    policies = ["restartable_cursor", "hold_the_lock"]
    table = equal_work([busy().with_values({"policy": one}) for one in policies], seeds=[1])
    cursor, hold = table.set_index("policy").loc[["restartable_cursor", "hold_the_lock"]].iloc
    assert hold["alloc_wait_max_ns"] > 20_000_000  # It hung.
    assert hold["allocations"] < 0.8 * cursor["allocations"]
    assert hold["survival"] > cursor["survival"] + 0.02  # By the end of the run it looks better;
    assert hold["survival_equal_work"] < cursor["survival_equal_work"]  # by its work it is not.
    assert hold["survival_equal_work"] == pytest.approx(hold["survival"])


def test_a_log_changes_no_result():
    scenario = busy().with_values({"policy": "v24"})
    log = WorkLog(scenario.duration_ns)
    watched, alone = fh.simulate(scenario, watchers=[log]), fh.simulate(scenario)
    pd.testing.assert_series_equal(watched.summary, alone.summary)
    assert log.survival_after(alone.summary["allocations"]) == alone.summary["survival"]


def test_survival_is_interpolated_and_unknown_before_the_first_hint():
    log = WorkLog(1)
    log.rows = [[10, 0, 0], [20, 0, 100], [30, 50, 100]]
    assert log.survival_after(25) == pytest.approx(0.75)
    assert np.isnan(log.survival_after(10))


def test_no_seeds_are_refused():
    with pytest.raises(InputError, match="seeds must hold at least one seed"):
        equal_work([busy()], [])
