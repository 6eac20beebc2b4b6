"""The event loop: whose turn is next."""

import numpy as np

import freehint as fh
from benchmarks.events import new_engine, run_until
from freehint.engine.world.clock import ACTOR_BITS, schedule

UNTIL_NS = 4_000_000


def begun():
    """A guest of four busy CPUs; from 1 ms on a walk, whose worker and the host wake each other."""
    ring = fh.RingConfig(size=8)
    engine = new_engine(fh.Scenario(memory="64MiB", policy="hold_the_lock", ring=ring, seed=5))
    schedule(engine.world, engine.strokes.users[0].actor, UNTIL_NS // 4)
    return engine


def test_events_come_in_the_order_of_all_keys():
    """The loop carries the smallest key from turn to turn; each call of it compares all anew."""
    whole, stepped = begun(), begun()
    run_until(whole, UNTIL_NS)
    while (next_ns := int(stepped.world.key.min()) >> ACTOR_BITS) < UNTIL_NS:
        run_until(stepped, next_ns + 1)
    assert whole.world.tally[0].allocations > 500 and whole.world.ring.count.any()
    assert np.array_equal(whole.world.key, stepped.world.key)
    assert whole.world.tally.tolist() == stepped.world.tally.tolist()
    assert np.array_equal(whole.world.memory.links, stepped.world.memory.links)
