"""The other event loops that freehint's is compared with."""

import pytest

import freehint as fh
from benchmarks.peers_events import SIDES, digest
from freehint.runs.begin import guest_memory, new_engine


def state_after(side: str) -> str:
    """The state of a small guest after 4 ms, in which it was walked."""
    scenario = fh.Scenario(
        memory="64MiB", policy="restartable_cursor", walk_at_ns=1_000_000, duration_ns=10_000_000
    )
    engine = new_engine(scenario, guest_memory(scenario)[0])
    engine.loop = SIDES[side]()
    engine.run_until(4_000_000)
    state = engine.world.state[0]
    assert engine.loop.took_ns > 0 and engine.world.tally[0].allocations > 0 < state.nr_reports
    return digest(engine)


@pytest.mark.parametrize("side", [name for name in SIDES if name != "freehint"])
def test_other_loops_end_in_the_same_state(side):
    assert state_after(side) == state_after("freehint")
