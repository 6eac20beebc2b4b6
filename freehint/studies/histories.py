"""Random guests, hosts and controls, drawn from a seed."""

import random
from dataclasses import replace
from functools import cache

from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import GENERATIONS, MigrationConfig
from freehint.engine.world.ring import RingConfig
from freehint.formats.boot import make_memory
from freehint.policies import POLICIES, find_policy
from freehint.policies.policy import Policy
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, PAGES_PER_MIB

DURATION_NS = 1_500_000
MIGRATION_NS = 40 * NS_PER_MS


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
    """Draw times for STOP, DONE and the switch; each may also never come, and DONE is the last."""
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
    """The policy with shorter pauses, so that a short history holds whole walks."""
    capacity = chance.choice((1, 4, 32, 200)) if policy.capacity == 32 else policy.capacity
    delay = None if policy.delay_ns is None else chance.choice((20_000, 200_000))
    return replace(policy, pause_ns=min(policy.pause_ns, 5_000), delay_ns=delay, capacity=capacity)


def history(policy, number: int) -> Scenario:
    """Draw a scenario from a number; guest, host and commands do not depend on the policy.

    Parameters
    ----------
    policy : str or Policy
    number : int
        The seed of the draw.
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


# Guests under pressure.

# Of a guest that has already filled all but a fifth of its memory; {} MiB are more than is left.
JOBS = (
    *("fill {}", "read a; fill {}", "write c 4; fill {}; rm c", "frag {} 50 4; fill 4"),
    *("fill {}; fill {}", "read a; drop_caches; fill {}", "fill {}; reclaim 4; read a"),
)


def pressed(policy, number: int) -> Scenario:
    """Draw a history whose guest runs out of memory.

    Parameters
    ----------
    policy : str or Policy
    number : int
        The seed of the draw.
    """
    chance = random.Random(f"pressed {number}")
    quiet = history(policy, number)
    free_MiB = int(quiet.memory.zones.nr_free_pages.sum()) // PAGES_PER_MIB
    cache_MiB = int(chance.choice((0, 0.4, 0.7)) * free_MiB)
    guest = UnderPressure(
        jobs=chance.choice(JOBS).replace("{}", str(free_MiB * 3 // 10)),
        files="a=4",
        cache_MiB=cache_MiB,
        anon_MiB=free_MiB * 8 // 10 - cache_MiB,
        swap_MiB=chance.choice((0, 0, 16)),
        **dict.fromkeys(("read_ns", "write_ns", "fill_ns", "exit_ns", "rm_ns"), 150),
        exec_ns=1_000,
        oom_ns=10_000,
        course_ns=DURATION_NS // 10,
    )
    return replace(quiet, workload=guest, duration_ns=2 * DURATION_NS)


# Migrations.


def _migration(chance) -> MigrationConfig:
    return MigrationConfig(
        start_at_ns=chance.randrange(2 * NS_PER_MS),
        bandwidth_Bps=chance.choice((1 << 27, 1 << 29, 1 << 31, 1 << 33)),
        downtime_limit_ms=chance.choice((1, 5, 300)),
        generation=chance.choice(GENERATIONS),
        chunk_shift=chance.choice((6, 9, 12, 18)),
        initially_set=chance.choice((False, True)),
        zero_page_ns=chance.choice((10, 100)),
        normal_page_ns=chance.choice((100, 500)),
        hint_latency_ns=chance.choice((0, 10_000, 500_000)),
        cancel_at_ns=chance.choice((-1, -1, chance.randrange(MIGRATION_NS // 2))),
    )


def migrating(number: int) -> Scenario:
    """Draw a migration from a number.

    Parameters
    ----------
    number : int
        The seed of the draw.

    Returns
    -------
    Scenario
        The guest and host of :func:`history` for 40 ms, with a guest ten times as busy and a
        policy that is drawn too.
    """
    chance = random.Random(f"migration {number}")
    quiet = history(chance.choice([*POLICIES]), number)
    workload = replace(
        quiet.workload,
        interval_ns=quiet.workload.interval_ns // 10,
        write_share=chance.choice((0.1, 0.6)),
    )
    return replace(
        quiet,
        kernel=chance.choice(("6.1", "6.12")),
        workload=workload,
        migration=_migration(chance),
        control=Control(off_at_ns=chance.choice((-1, -1, chance.randrange(MIGRATION_NS // 2)))),
        duration_ns=MIGRATION_NS,
    )
