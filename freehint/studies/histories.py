"""Random guests, hosts and controls, drawn from a seed."""

import random
from dataclasses import replace
from functools import cache

from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.world.ring import RingConfig
from freehint.formats.boot import make_memory
from freehint.policies import find_policy
from freehint.policies.policy import Policy
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario

DURATION_NS = 1_500_000


# Histories.


@cache
def _memory(fragmentation: float, seed: int):
    return make_memory("64MiB", seed=seed, fragmentation=fragmentation)


def _workload(chance) -> Workload:
    return Workload(
        nr_cpus=chance.choice((1, 2, 3)),
        interval_ns=chance.choice((5_000, 15_000, 50_000)),
        live_share=chance.choice((0.1, 0.5, 0.9)),
        growth=chance.choice((0.5, 0.75, 0.95)),
        write_share=0.05,
        order_weights=chance.choice(
            ((1,), (8, 1, 0, 1), (4, 1, 1, 1, 1, 1), (1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1))
        ),
        type_weights=chance.choice(((0, 1, 0), (1, 1, 1), (1, 4, 0))),
    )


def _host(chance) -> HostConfig:
    every, away = chance.choice(((1, 0), (200_000, 100_000), (300_000, 10**12)))
    return HostConfig(
        service_ns=chance.choice((500, 5_000, 50_000)),
        kick_ns=chance.choice((0, 20_000)),
        gap_every_ns=every,
        gap_ns=away,
    )


def _control(chance) -> Control:
    """STOP, DONE and the switch at any time, or never; DONE comes last."""
    times = sorted(chance.randrange(DURATION_NS // 8, DURATION_NS) for _ in range(3))
    never = chance.random() < 0.4
    off, stop = (-1, -1) if never else chance.sample(times[:2], 2)
    return Control(
        every_ns=chance.choice((0, DURATION_NS // 3)),
        stop_at_ns=stop if chance.random() < 0.7 else -1,
        off_at_ns=off if chance.random() < 0.3 else -1,
        done_at_ns=chance.choice((-1, times[2])),
    )


def _hurried(policy: Policy, chance) -> Policy:
    """The same policy with its pauses cut, so that a short history holds whole walks."""
    capacity = chance.choice((1, 4, 32, 200)) if policy.capacity == 32 else policy.capacity
    delay = None if policy.delay_ns is None else chance.choice((20_000, 200_000))
    return replace(policy, pause_ns=min(policy.pause_ns, 5_000), delay_ns=delay, capacity=capacity)


def history(policy, number: int) -> Scenario:
    """The scenario that a number stands for; guest, host and commands do not depend on the policy.

    Parameters
    ----------
    policy : str or Policy
    number : int
    """
    chance = random.Random(number)
    return Scenario(
        memory=_memory(chance.choice((0.0, 0.4, 1.0)), chance.randrange(4)),
        policy=_hurried(find_policy(policy), random.Random(number)),
        seed=number,
        workload=_workload(chance),
        ring=RingConfig(chance.choice((2, 8, 64, 1024))),
        host=_host(chance),
        control=_control(chance),
        walk_at_ns=chance.choice((0, 100_000)),
        duration_ns=DURATION_NS,
    )
