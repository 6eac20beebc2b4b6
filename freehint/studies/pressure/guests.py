"""Guests under pressure whose jobs are drawn from the seed, so that a seed is another guest.

Each reads a file, fills anonymous memory, and reads the file again, twice.  How much it fills
decides what happens:

calm      File and fill have room side by side: nothing is ever reclaimed.
pressed   A fill needs room that the cache has: kswapd reclaims it, and the next read begins anew.
brink     A fill needs nearly all there is.  Without hints no process is killed yet.

The host asks for a walk ten times per second, as in the rounds of a migration that does not end,
and never says DONE.
"""

import numpy as np

from freehint.config import one_of
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.policies import find_policy
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, NS_PER_S

MEMORY = "256MiB"
# State -> bounds in MiB of the file and of the fills.
SIZES = {"calm": ((40, 60), (60, 120)), "pressed": ((80, 120), (140, 215))}
SIZES["brink"] = ((80, 120), (212, 220))
STATES = tuple(SIZES)
FILLS = 2
EVERY_NS = 100 * NS_PER_MS
DURATION_S = {"calm": 4, "pressed": 8, "brink": 9}
HURRIED_NS = 200 * NS_PER_MS  # between passes of page reporting: two seconds are too seldom here


def drawn_jobs(state: str, seed: int) -> UnderPressure:
    """The jobs of one guest; the seed draws the sizes.

    Parameters
    ----------
    state : str
        One of STATES.
    seed : int

    Examples
    --------
    >>> from freehint.studies.pressure.guests import drawn_jobs
    >>> drawn_jobs("calm", 1).jobs
    'read a; fill 91; read a; fill 106; read a'
    """
    one_of("state", state, STATES)
    (least, most), fills = SIZES[state]
    draw = np.random.default_rng([seed, STATES.index(state)])
    size = draw.integers(least, most + 1)
    steps = [f"fill {mib}; read a" for mib in draw.integers(fills[0], fills[1] + 1, FILLS)]
    return UnderPressure(jobs="; ".join(["read a", *steps]), files=f"a={size}")


def drawn_guest(state: str, values: dict):
    """A function that gives the scenario of a policy and a seed, for a guest in one of STATES.

    Parameters
    ----------
    state : str
    values : dict
        Further values of the scenario by path.

    Raises
    ------
    InputError
        The state is not known.
    """
    one_of("state", state, STATES)

    def guest(policy, seed):
        policy = find_policy(policy)
        hurried = {} if policy.delay_ns is None else {"policy.delay_ns": HURRIED_NS}
        scenario = Scenario(
            memory=MEMORY,
            policy=policy,
            seed=seed,
            workload=drawn_jobs(state, seed),
            control=Control(every_ns=EVERY_NS),
            walk_at_ns=0,
            duration_ns=DURATION_S[state] * NS_PER_S,
        )
        return scenario.with_values(hurried | values)

    return guest
