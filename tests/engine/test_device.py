"""The host's thread: whose buffer it takes next."""

import freehint as fh
from freehint.engine.host.device import next_user
from freehint.engine.world.ring import ADDED
from freehint.jit import as_python
from freehint.runs.begin import guest_memory, new_world


def test_users_are_served_in_turn():
    scenario = fh.Scenario(memory="64MiB", policy=("v24", "v33", "five_step"))
    world = new_world(scenario, guest_memory(scenario)[0])
    assert as_python(next_user)(world) == -1
    world.ring.count[[0, 2], ADDED] = 9
    served = []
    for _ in range(4):
        world.state[0].turn = as_python(next_user)(world)
        served.append(int(world.state[0].turn))
    assert served == [2, 0, 2, 0]
