"""A policy that watches for empty lists is called before the guest takes another type's blocks."""

from dataclasses import replace

import pytest

import freehint as fh

MS = 1_000_000
FIVE = fh.POLICIES["five_step"]
WORKLOAD = fh.Workload(nr_cpus=2, live_share=0.95, growth=0.95, interval_ns=1_000)
PROGRAM = fh.Program("churn", fill_MiB=1, dirty_MiB=24, rate_MiBps=2_000.0)


def noted(gives: bool):
    """five_step with a note of each callback: the type's blocks there, and those given back."""
    notes = []

    def on_empty(memory, state, zone, order, migratetype):
        there = int(memory.nr_free[zone, order:, migratetype].sum())
        held = int(state.held[zone].sum())
        moved = FIVE.on_empty(memory, state, zone, order, migratetype) if gives else 0
        notes.append((there, held, moved))
        return moved

    return replace(FIVE, on_empty=on_empty, capacity=400), notes


def missed(policy, notes, workload, duration_ns) -> list:
    """The callbacks for a type without any block while some were held, as blocks given back.

    The guest runs short while a slow host keeps the blocks of a long report.
    """
    memory = fh.make_memory("64MiB", fragmentation=0.9)
    scenario = fh.Scenario(memory, policy=policy, workload=workload)
    values = {"host.service_ns": 50_000, "host.gap_ns": 0, "ring.size": 1024}
    run = fh.simulate(scenario.with_values(values | {"walk_at_ns": 0, "duration_ns": duration_ns}))
    fh.check_memory(run.memory)
    return [moved for there, held, moved in notes if there == 0 and held > 0]


@pytest.mark.parametrize("guest", [(WORKLOAD, 8 * MS), (PROGRAM, 60 * MS)], ids=["cpus", "program"])
def test_blocks_come_back_before_the_guest_takes_those_of_another_type(guest):
    given_back = missed(*noted(True), *guest)
    assert any(given_back)
    # A policy that gives nothing back is called for one allocation after the other.
    deaf = missed(*noted(False), *guest)
    assert len(deaf) > 3 * len(given_back)


def test_nobody_is_called_between_walks():
    policy, notes = noted(True)
    scenario = fh.Scenario("64MiB", policy=policy, workload=WORKLOAD, walk_at_ns=20 * MS)
    fh.simulate(replace(scenario, duration_ns=20 * MS))
    assert not notes
