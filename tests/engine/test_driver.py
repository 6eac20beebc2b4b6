"""Strokes without Python give the runs that strokes with Python give."""

from dataclasses import replace

import numpy as np
import pytest

import freehint as fh
from freehint.engine import strokes
from freehint.engine.driver import FILLED, IN_ZONE, LOCKED, Driver
from freehint.policies.balloon_alloc import fill
from freehint.runs.tables.remains import Remains

ALWAYS, NEVER = 1, 1 << 40
GUEST = {"memory": "64MiB", "duration_ns": 8_000_000, "walk_at_ns": 1_000_000}
BUSY = {"workload": fh.Workload(nr_cpus=2, interval_ns=5_000), "ring": fh.RingConfig(size=8)}
MOVED = {
    "memory": "64MiB",
    "duration_ns": 60_000_000,
    "migration": fh.MigrationConfig(bandwidth_Bps=1 << 31, start_at_ns=1_000_000),
}
BALLOON = fh.POLICIES["balloon_alloc"]
REPORTER = replace(fh.POLICIES["page_reporting"], delay_ns=200_000)
# How the strokes of each go: policy, scenario, and what Python has to go on with at some stroke.
CASES = {
    "under the lock": ("v24", BUSY, None),
    "without it, zone by zone": (replace(BALLOON, block_order=4), BUSY, IN_ZONE),
    "acknowledged": (replace(BALLOON, block_order=4, report="acknowledged"), BUSY, IN_ZONE),
    "a migration": (replace(BALLOON, block_order=6), MOVED, IN_ZONE),
    "with feedback": (REPORTER, BUSY, None),
    "all zones": ("five_step", BUSY, None),
    "held until used": ("hold_the_lock", BUSY, None),
    "all at once": ("restartable_cursor", BUSY, None),
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
    print(case, len(plain.locks), len(plain.reports), left[:5])
    for name in ("reports", "locks", "waits", "walks", "history", "summary"):
        assert getattr(plain, name).equals(getattr(driven, name)), name
    assert np.array_equal(plain.memory.links, driven.memory.links)
