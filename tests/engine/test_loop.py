"""The event loop: whose turn is next."""

import numpy as np
import pytest

import freehint as fh
from benchmarks.events import new_engine, run_until
from freehint.engine.host.precopy import migration_event
from freehint.engine.world import content
from freehint.engine.world.clock import ACTOR_BITS, schedule
from freehint.engine.world.dirty import LOGGING
from freehint.jit import Kernel, as_python
from freehint.runs import begin

UNTIL_NS = 4_000_000


def begun(nr_cpus):
    """A guest of busy CPUs; from 1 ms on a walk, whose worker and the host wake each other."""
    ring, load = fh.RingConfig(size=8), fh.Workload(nr_cpus=nr_cpus, interval_ns=1250 * nr_cpus)
    scenario = fh.Scenario(memory="64MiB", policy="hold_the_lock", ring=ring, workload=load, seed=5)
    engine = new_engine(scenario)
    schedule(engine.world, engine.strokes.users[0].actor, UNTIL_NS // 4)
    return engine


def operations(engine):
    """Number of operations of the CPUs so far."""
    tally = engine.world.tally[0]
    return tally.allocations + tally.failed_allocations + tally.frees + tally.writes


@pytest.mark.parametrize("nr_cpus", [1, 3, 4, 7])
def test_events_come_in_the_order_of_all_keys(nr_cpus):
    """The loop carries the smallest key from turn to turn; each call of it compares all anew.

    A write may be done with the turn before it, but not after the time to stop.
    """
    whole, stepped = begun(nr_cpus), begun(nr_cpus)
    run_until(whole, UNTIL_NS)
    while (next_ns := int(stepped.world.key.min()) >> ACTOR_BITS) < UNTIL_NS:
        due = np.count_nonzero(stepped.world.key >> ACTOR_BITS == next_ns)
        before = operations(stepped)
        run_until(stepped, next_ns + 1)
        assert operations(stepped) - before <= due
    assert whole.world.tally[0].allocations > 500 and whole.world.ring.count.any()
    assert np.array_equal(whole.world.key, stepped.world.key)
    assert whole.world.tally.tolist() == stepped.world.tally.tolist()
    assert np.array_equal(whole.world.memory.links, stepped.world.memory.links)


def moved(policy: str):
    """A guest that writes while it is moved, and faults at the destination after 20 ms or so."""
    scenario = fh.Scenario(
        memory="64MiB",
        policy=policy,
        workload=fh.Workload(interval_ns=20_000, live_share=0.1),
        migration=fh.MigrationConfig(bandwidth_Bps=1 << 31, start_at_ns=1_000_000),
        duration_ns=40_000_000,
    )
    return begin.new_engine(scenario, begin.guest_memory(scenario)[0])


@pytest.mark.parametrize("policy", ["none", "balloon_alloc"])
def test_pages_sent_in_a_row_are_sent_each_at_its_own_time(policy):
    """A call of the loop that ends after each event sends one page at most."""
    whole, stepped = moved(policy), moved(policy)
    whole.run()
    while stepped.noted_ns < stepped.until_ns:
        next_ns = min(int(stepped.world.key.min()) >> ACTOR_BITS, stepped.commands.next_ns)
        stepped.advance_to(min(next_ns + 1, stepped.until_ns))
    stepped.finish()
    assert whole.migration.status == stepped.migration.status == "completed"
    assert len(whole.migration.rounds) > 2 and whole.world.host[0].faults > 100
    assert whole.migration.rounds == stepped.migration.rounds
    assert whole.migration.end_ns == stepped.migration.end_ns
    for name in ("version", "copy", "present", "fate"):
        assert np.array_equal(getattr(whole.world, name), getattr(stepped.world, name)), name
    for name in ("tally", "host"):
        assert getattr(whole.world, name).tolist() == getattr(stepped.world, name).tolist(), name


@pytest.mark.parametrize("pages", [1, 2, 7])
def test_no_page_is_sent_when_another_actor_has_its_turn(pages):
    """The next page's time may be after the other's turn; it is sent in a call of its own then."""
    engine = moved("none")
    engine.advance_to(2_000_000)
    world, record = engine.world, engine.world.migration[0]
    actor = int(engine.migration.actor)
    now_ns, page_ns = int(world.key[actor]) >> ACTOR_BITS, int(record.normal_page_ns)
    record.window_end = record.check_at = now_ns + 1_000 * page_ns
    record.zero_page_ns, record.quota_bytes = page_ns, 1 << 40
    record.others_at = now_ns + (pages - 1) * page_ns + 1
    sent = int(record.normal + record.zero)
    as_python(migration_event)(world, actor, now_ns)
    assert int(record.normal + record.zero) - sent == pages
    assert int(world.key[actor]) >> ACTOR_BITS == now_ns + pages * page_ns


@pytest.mark.parametrize("order", [0, 3, 6, 9])
@pytest.mark.parametrize("zeroed", [False, True])
def test_a_block_is_written_as_its_pages_are(monkeypatch, order, zeroed):
    monkeypatch.setattr(Kernel, "compile_helpers", False)
    monkeypatch.setattr(content, "fault", as_python(content.fault))
    worlds = []
    for as_block in (True, False):
        world = moved("none").world
        world.dirty.rule[LOGGING] = world.host[0].faulting = 1
        world.host[0].fault_ns = 7
        world.present[8:12] = ~np.uint64(0)
        world.present[13] = 5
        if as_block:
            as_python(content.write_block)(world, 512, order, zeroed)
        else:
            for page in range(512, 512 + (1 << order)):
                (content.zero_page if zeroed else content.write_page)(world, page)
        worlds.append(world)
    block, pages = worlds
    for name in ("version", "present", "host", "migration"):
        assert getattr(block, name).tolist() == getattr(pages, name).tolist(), name
    assert block.dirty.log.tolist() == pages.dirty.log.tolist()
    assert block.host[0].faults == (256 - 2 if order == 9 else 0)
