"""The thread's knobs on a real guest: lists, lock and hints, redrawn as a knob moves."""

from freehint.policies.walker import Walker
from freehint.simulate import Scenario
from freehint.widgets.scenario import ScenarioKnobs

KNOBS = ("rotate", "resume", "lock", "order", "min_order", "batch", "full ring", "ring size",
         "host away (ms)", "kernel")  # fmt: skip


class GuestKnobs(ScenarioKnobs):
    """Policy, ring, host and kernel knobs of a scenario, beginning with v24's walk.

    Parameters
    ----------
    scenario : Scenario, optional
        Where the knobs of ring, host and kernel begin, and everything that no knob changes.
    """

    def __init__(self, scenario: Scenario | None = None):
        walker = Walker("walker", rotate="never", resume="restart", lock="per_list")
        scenario = (scenario or Scenario()).with_values({"policy": walker})
        super().__init__(scenario, KNOBS, panels=("walk", "lock", "lists", "balance"))
