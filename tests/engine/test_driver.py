"""Strokes without Python give the runs that strokes with Python give."""

from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.engine import driver, strokes
from freehint.engine.driver import FILLED, IN_ZONE, LOCKED, Driver
from freehint.policies.balloon_alloc import fill

ALWAYS, NEVER = 1, 1 << 40
GUEST = {"memory": "64MiB", "duration_ns": 8_000_000, "walk_at_ns": 1_000_000}
BUSY = {"workload": fh.Workload(nr_cpus=2, interval_ns=5_000), "ring": fh.RingConfig(size=8)}
MOVED = {
    "memory": "64MiB",
    "duration_ns": 60_000_000,
    "migration": fh.MigrationConfig(bandwidth_Bps=1 << 31, start_at_ns=1_000_000),
}
BALLOON = fh.POLICIES["balloon_alloc"]
FEW = {"capacity": 2, "pause_ns": 20_000, "min_order": 4}
# How the strokes of each go: policy, scenario, and what Python goes on with at some of them.
CASES = {
    "under the lock": ("v24", BUSY, None),
    "without it": (replace(BALLOON, block_order=4), BUSY, IN_ZONE),
    "acknowledged": (replace(BALLOON, block_order=4, report="acknowledged"), BUSY, IN_ZONE),
    "in a migration": (replace(BALLOON, block_order=6), MOVED, IN_ZONE),
    "gathered": (fh.CallFiveStep(**FEW), BUSY, FILLED),
    "with feedback": (fh.CallWalker("own", resume="host_feedback", **FEW), BUSY, None),
    "with all locks": (
        fh.CallWalker("own", lock="whole_call", on_full="wait", **FEW),
        BUSY,
        IN_ZONE,
    ),
}


def simulate(monkeypatch, many: int, policy, values: dict) -> fh.Run:
    monkeypatch.setattr(strokes, "MANY_STROKES", many)
    return fh.simulate(fh.Scenario(policy=policy, **GUEST | values))


def told(monkeypatch) -> list:
    """What the driver leaves to Python, as it comes."""
    left, go_on = [], Driver._go_on

    def note(driver, why, *about):
        left.append(why)
        go_on(driver, why, *about)

    monkeypatch.setattr(Driver, "_go_on", note)
    return left


@pytest.mark.parametrize("case", CASES)
def test_a_driver_changes_nothing(monkeypatch, case):
    policy, values, asked = CASES[case]
    left = told(monkeypatch)
    plain = simulate(monkeypatch, NEVER, policy, values)
    assert not left
    driven = simulate(monkeypatch, ALWAYS, policy, values)
    assert len(plain.locks) > 10
    assert asked in left if asked else not left
    for name in ("reports", "locks", "waits", "walks", "history", "summary"):
        assert getattr(plain, name).equals(getattr(driven, name)), name
    assert np.array_equal(plain.memory.links, driven.memory.links)


def test_a_policy_with_more_rows_than_before_is_left_to_python(monkeypatch):
    """The tables become wider, or the feedback is longer than the driver's own table."""
    left = told(monkeypatch)
    monkeypatch.setattr(driver, "TOLD", 1)
    policy = fh.CallWalker("own", resume="host_feedback", **FEW)
    plain = simulate(monkeypatch, NEVER, policy, BUSY)
    driven = simulate(monkeypatch, ALWAYS, policy, BUSY)
    assert LOCKED in left and plain.locks.equals(driven.locks)
    assert plain.reports.equals(driven.reports)


@fh.kernel
def fill_wrongly(memory, state, zone, report, capacity):
    """Choose a block as balloon_alloc does, but one of 16 with an order that it has not."""
    n, status = fill(memory, state, zone, report, capacity)
    if report[0, 0] & 255 == 128:
        report[0, 1] = 3
    return n, status


def test_a_row_that_names_no_block_is_told_as_without_a_driver(monkeypatch):
    policy = replace(BALLOON, fill=fill_wrongly, trusted=True, block_order=4)
    said = []
    for many in (NEVER, ALWAYS):
        left = told(monkeypatch)
        with pytest.raises(fh.InputError, match=r"row 0 \(node \d+, order 3\) is neither") as error:
            simulate(monkeypatch, many, policy, BUSY)
        said.append(str(error.value))
    assert said[0] == said[1] and FILLED in left
