"""Calls of several strokes in the engine: the pause, the locks of all zones, one report."""

import numpy as np
import pytest

import freehint as fh
from freehint.mm.memory import BUDDY, ISOLATED, frame_order

MS = 1_000_000


def simulate(policy, **values):
    """A run in a guest that is quiet, unless the values say otherwise."""
    scenario = fh.Scenario("64MiB", None, policy, walk_at_ns=MS, duration_ns=60 * MS)
    quiet = {"host.gap_ns": 0, "workload.interval_ns": 20 * MS}
    return fh.simulate(scenario.with_values(quiet | values), check=True)


def begins(table, column, least_ns) -> np.ndarray:
    """The times that come at least so long after the row before."""
    times = table[column].to_numpy()
    return times[np.insert(np.diff(times) >= least_ns, 0, True)]


def test_the_pause_passes_after_a_call_and_not_after_a_list():
    policy = fh.CallWalker("w", resume="restart", capacity=5, strokes=4, pause_ns=10 * MS)
    run = simulate(policy)
    calls = begins(run.reports, "time_ns", 5 * MS)
    assert len(run.reports) == 4 * 5 and len(calls) == 4
    assert (np.diff(calls) >= 10 * MS).all() and (np.diff(calls) < 11 * MS).all()
    assert run.walks["completed"].tolist() == [True]
    # Each call holds the lock of several lists, one after the other.
    assert len(run.locks) > 2 * len(calls)
    assert set(run.reports["zone"]) == {"DMA"}  # it restarts, so it does not get on


def test_a_call_goes_over_the_zones():
    run = simulate(fh.CallWalker("w", capacity=0, pause_ns=10 * MS))
    assert set(run.reports["zone"]) == {"DMA", "DMA32"}
    assert len(begins(run.reports, "time_ns", 5 * MS)) == 1
    walk = run.walks.iloc[0]
    assert walk["end_ns"] - walk["begin_ns"] < 10 * MS and walk["covered_pages"] > 0


def test_a_walk_that_restarts_goes_on_after_the_last_list_if_its_calls_are_counted():
    knobs = {"resume": "restart", "min_order": 10, "capacity": 0, "pause_ns": 10 * MS}
    once = simulate(fh.CallWalker("w", **knobs))
    thrice = simulate(fh.CallWalker("w", strokes=3, **knobs))
    assert len(thrice.reports) == 3 * len(once.reports) > 0
    assert (~thrice.reports["duplicate"]).sum() == len(once.reports)


def test_a_call_may_hold_all_locks_until_the_host_has_taken_everything():
    knobs = {"resume": "restart", "lock": "whole_call", "on_full": "wait", "capacity": 0}
    slow = {"host.service_ns": 100_000, "ring.size": 4, "workload.interval_ns": 20_000}
    run = simulate(fh.CallWalker("w", strokes=2, pause_ns=10 * MS, **knobs), **slow)
    assert len(run.locks) == 2 and run.reports["taken"].all()
    held = [(row.since_ns, row.since_ns + row.held_ns) for row in run.locks.itertuples()]
    assert held[1][0] - held[0][1] == 10 * MS
    assert run.locks["blocks"].sum() == len(run.reports)
    for (since_ns, until_ns), blocks in zip(held, run.locks["blocks"], strict=True):
        assert until_ns - since_ns >= (blocks - 1) * 100_000
        told = run.reports["time_ns"].between(since_ns, until_ns)
        assert told.sum() == blocks
    # Neither zone serves the guest meanwhile.
    waited = run.waits["since_ns"].between(*held[0])
    assert run.waits["wait_ns"][waited].max() > (held[0][1] - held[0][0]) / 2


def test_the_locks_of_a_walk_of_one_call_are_noted():
    knobs = {"lock": "whole_call", "on_full": "wait", "capacity": 0}
    run = simulate(fh.CallWalker("w", **knobs))
    assert run.locks["blocks"].tolist() == [len(run.reports)] and len(run.reports) > 0
    assert run.summary["lock_held_max_ns"] >= run.walks["end_ns"][0] - run.walks["begin_ns"][0] > 0


def test_all_zones_are_free_again_after_a_stop_in_the_middle_of_a_call():
    knobs = {"lock": "whole_call", "on_full": "wait", "capacity": 0}
    slow = {"host.service_ns": 100_000, "ring.size": 4}
    run = simulate(fh.CallWalker("w", **knobs), **slow, **{"control.stop_at_ns": 2 * MS})
    assert run.walks["completed"].tolist() == [False] and len(run.locks) == 1
    assert run.summary["alloc_wait_max_ns"] < 5 * MS
    assert run.history["time_s"].iloc[-1] == 0.06


def test_all_locks_go_with_waiting_alone():
    with pytest.raises(fh.InputError, match=r"'whole_call' needs .* 'wait', got 'lose'"):
        fh.CallWalker("w", lock="whole_call")


def test_five_steps_report_a_whole_call_at_once_and_put_it_back_by_zone():
    run = simulate(fh.CallFiveStep(min_order=9, capacity=0))
    assert set(run.reports["zone"]) == {"DMA", "DMA32"} and run.reports["stroke"].nunique() == 1
    first, last = run.reports["time_ns"].min(), run.reports["time_ns"].max()
    before = run.locks[run.locks["since_ns"] < first]
    # Two zones, two orders, four types that can be isolated: all are walked before the report.
    assert len(before) == 2 * 2 * 4 and before["blocks"].sum() == len(run.reports)
    after = run.locks[run.locks["since_ns"] > last]
    assert after["zone"].tolist() == ["DMA", "DMA32"]
    assert not (run.memory.frame & ISOLATED).any()


def test_five_steps_hold_no_more_than_their_capacity():
    run = simulate(fh.CallFiveStep(min_order=10, capacity=4, strokes=3, pause_ns=5 * MS))
    assert run.reports.groupby("stroke").size().max() == 4
    assert len(begins(run.reports, "time_ns", 4 * MS)) == 3
    # What the host has used is skipped by the next call, and in the next walk.
    assert run.reports["pfn"].is_unique


@pytest.mark.parametrize("command", ["stop", "done"])
@pytest.mark.parametrize("at_ns", range(MS + 1, MS + 40_000, 3_000))
def test_a_command_in_the_middle_of_a_call_leaves_nothing_held(command, at_ns):
    values = {f"control.{command}_at_ns": at_ns, "control.every_ns": 20 * MS}
    run = simulate(fh.CallFiveStep(capacity=0), **values)
    assert not (run.memory.frame & ISOLATED).any()
    assert len(run.walks) == 3 and run.walks["completed"].tolist()[1:] == [True, True]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("interval_ns", [2_000, 20_000])
def test_a_busy_guest_interrupts_calls_and_no_page_is_lost(keep, interval_ns):
    policy = fh.CallFiveStep(capacity=0, keep=keep, strokes=40, pause_ns=MS // 2)
    values = {"workload.interval_ns": interval_ns, "workload.live_share": 0.98}
    run = simulate(policy, **values, **{"workload.growth": 1.0, "duration_ns": 30 * MS})
    assert not (run.memory.frame & ISOLATED).any() and len(run.locks) > 80


def gather_for_ever(memory, state, zone, report, capacity):
    node = int(np.flatnonzero(memory.frame & BUDDY)[0])
    report[:capacity] = node, frame_order(memory.frame[node]), 1
    return capacity, fh.Stroke.AT_ONCE


def test_a_call_that_gathers_for_ever_is_refused():
    drain = {"drain": lambda *arguments: 0, "report": "unlocked", "capacity": 5000}
    with pytest.raises(fh.InputError, match="its call has gathered 20000 rows, but there are only"):
        simulate(fh.Policy("own", gather_for_ever, **drain))


def fill_for_ever(memory, state, zone, report, capacity):
    return 0, fh.Stroke.AT_ONCE


def test_a_call_that_never_ends_is_refused():
    for report in ("under_lock", "unlocked"):
        policy = fh.Policy("own", fill_for_ever, lambda *arguments: 0, report=report)
        with pytest.raises(fh.InputError, match="its walk does not get on"):
            simulate(policy)
