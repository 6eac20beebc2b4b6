"""Events per second of the engine's loop, on the default workload in its steady state."""

from time import thread_time_ns
from typing import NamedTuple

import numpy as np

from freehint.engine.engine import Engine
from freehint.engine.loop import TIME_IS_UP, advance
from freehint.engine.world.clock import schedule
from freehint.policies import find_policies
from freehint.runs.begin import guest_memory, new_world
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS, NS_PER_S

SLICE_NS = NS_PER_S // 2
WALK_NS = 100 * NS_PER_MS  # holds one walk and what becomes of its hints
OPERATIONS_A_PAGE = 4  # until the CPUs hold their share and the lists are mixed


class Speed(NamedTuple):
    """Million events per second: of the compiled loop alone, and with Python's part as well.

    ``p25`` and ``p75`` are the spread of ``loop`` over the slices.
    """

    loop: float
    p25: float
    p75: float
    whole: float
    slices: int


def nr_events(engine: Engine) -> int:
    """Operations of CPUs, buffers used by the host, and rows reported by the worker, so far."""
    tally, ring = engine.world.tally[0], engine.world.ring
    cpus = tally.allocations + tally.failed_allocations + tally.frees + tally.writes
    return int(cpus + ring.count[:, 1].sum() + engine.world.state[0].nr_reports)


def new_engine(scenario: Scenario) -> Engine:
    """The engine that ``simulate`` would run."""
    memory, _ = guest_memory(scenario)
    seeds = np.random.SeedSequence(scenario.seed).spawn(scenario.workload.nr_cpus + 1)
    streams = [np.random.Generator(np.random.PCG64(s)) for s in seeds]
    policies = find_policies(scenario.policy)
    return Engine(new_world(scenario, memory), policies, scenario.host, streams)


def run_until(engine: Engine, until_ns: int) -> tuple[int, int, int]:
    """Run like Engine.run(): events, and CPU time in ns of the compiled loop and of all."""
    begin, first, loop = thread_time_ns(), nr_events(engine), 0
    why = None
    while why != TIME_IS_UP:
        called = thread_time_ns()
        why, now_ns, who = advance(engine.pinned, until_ns)
        loop += thread_time_ns() - called
        engine._answer(why, now_ns, who)
    return nr_events(engine) - first, loop, thread_time_ns() - begin


def warm_up_ns(engine: Engine) -> int:
    """Simulated time that it takes to fill the guest and mix its lists."""
    workload = Scenario().workload
    pages = engine.world.state[0].target_pages
    return int(pages * OPERATIONS_A_PAGE * workload.interval_ns)


def speed(memory: str, policy: str, slices: int) -> Speed:
    """Speed of a guest of this size.

    Without a policy: neighbouring stretches of one run.  With one: one walk a slice, each in a
    run of its own.
    """
    timed = []
    if policy == "none":
        engine = new_engine(Scenario(memory=memory, policy=policy))
        warm = warm_up_ns(engine)
        run_until(engine, warm)
        timed += [run_until(engine, warm + i * SLICE_NS) for i in range(1, slices + 1)]
    else:
        for seed in range(slices):
            engine = new_engine(Scenario(memory=memory, policy=policy, seed=seed))
            warm = warm_up_ns(engine)
            run_until(engine, warm)
            schedule(engine.world, engine.users[0].actor, warm)
            timed.append(run_until(engine, warm + WALK_NS))
    events, loop, whole = np.array(timed, float).T
    middle, low, high = np.percentile(events / loop * 1e3, (50, 25, 75))
    return Speed(middle, low, high, float(np.median(events / whole)) * 1e3, slices)
