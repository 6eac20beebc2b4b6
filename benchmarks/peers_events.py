"""The event loop against SimPy and against a loop around heapq, on the same simulation.

All sides are one engine: the same guest CPUs with the same random words, kernel threads, host and
policy's worker (a walk in every fourth slice), and the same compiled handler of an event,
:func:`step`.  What differs is who keeps the order of events: freehint's compiled loop, a heap of
keys in Python, or SimPy with a process an actor.  So the peers are as fast as they can be; with
the allocator in Python an event would cost them several times as much.  What Python answers (a
policy's strokes, drawing words) is the same on all sides and is not counted.

They begin with the same warmed-up guest and must end in the same state, or this fails: every list
in its order, every row of reports, waits and locks with its time, every key.
"""

import hashlib
from heapq import heapify, heapreplace
from time import thread_time_ns

import numpy as np
import simpy

from benchmarks.events import nr_events, warm_up_ns
from benchmarks.paired import Timing, in_turn, timings
from freehint.engine.engine import Engine, run_events
from freehint.engine.loop import TIME_IS_UP, cpu_turn, turn
from freehint.engine.world.clock import ACTOR_BITS, NEVER
from freehint.jit import kernel
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.scenario import Scenario
from freehint.units import NS_PER_MS

SLICE_NS = 250 * NS_PER_MS  # about 200,000 operations of the CPUs
LEAD_NS = 50 * NS_PER_MS  # not timed: until a side has its own data in the cache again
WALK_EVERY_NS = 4 * SLICE_NS
FREEHINT, HEAPQ, SIMPY = "freehint", "heapq", "SimPy"
ACTOR_MASK = (1 << ACTOR_BITS) - 1


@kernel
def step(world, actor, until_ns):
    """One event of one actor, for a loop that keeps the order of events itself.

    A CPU's write that follows before ``until_ns`` may be done with it, as in freehint's loop.

    Returns
    -------
    (int, int, int)
        As :func:`freehint.engine.loop.advance`, but -1 where nothing needs Python; and the
        actor's new key.
    """
    now_ns = world.key[actor] >> ACTOR_BITS
    if actor < world.cpu.shape[0] and world.state[0].cpu_kernel == 0:
        return cpu_turn(world, actor, now_ns, until_ns), actor, world.key[actor]
    why, who = turn(world, actor, now_ns, now_ns)
    return why, who, world.key[actor]


class FreehintLoop:
    """freehint's own loop; ``took_ns`` is its CPU time so far, Python's answers left out."""

    took_ns = 0

    def __call__(self, engine: Engine, until_ns: int) -> tuple:
        begin = thread_time_ns()
        why = self.run(engine, until_ns)
        self.took_ns += thread_time_ns() - begin
        return why

    def run(self, engine: Engine, until_ns: int) -> tuple:
        """Events before ``until_ns``; as :func:`freehint.engine.loop.advance` returns."""
        return run_events(engine, until_ns)


class HeapqLoop(FreehintLoop):
    """A heap of the actors' keys."""

    def run(self, engine: Engine, until_ns: int) -> tuple:
        """Events before ``until_ns``."""
        until, world, host = until_ns << ACTOR_BITS, engine.pinned, engine.strokes.host
        heap = engine.world.key.tolist()
        heapify(heap)
        while heap[0] < until:
            due = heap[0]
            actor = due & ACTOR_MASK
            why, who, key = step(world, actor, until_ns)
            if why >= 0:
                return why, due >> ACTOR_BITS, who
            if actor < host:
                heapreplace(heap, key)
            else:  # it may have woken others
                heap = engine.world.key.tolist()
                heapify(heap)
        return TIME_IS_UP, until_ns, -1


class SimPyLoop(FreehintLoop):
    """A SimPy process for each actor; its clock counts keys, so that ties have freehint's order."""

    env = None

    def run(self, engine: Engine, until_ns: int) -> tuple:
        """Events before ``until_ns``, those that Python answers too."""
        self.until_ns = until_ns
        if self.env is None:
            self.engine = engine
            self.known = engine.world.key.tolist()
            self.env = simpy.Environment(min(self.known))
            self.processes = [self.env.process(self._actor(a)) for a in range(len(self.known))]
        self._interrupt_others(-1)
        if until_ns << ACTOR_BITS > self.env.now:
            self.env.run(until_ns << ACTOR_BITS)
        return TIME_IS_UP, until_ns, -1

    def _actor(self, actor: int):
        env = self.env
        key = self.known[actor]
        while True:
            try:
                yield env.timeout(max(0, key - env.now)) if key < NEVER else env.event()
            except simpy.Interrupt:
                key = self.known[actor]
                continue
            why, who, key = step(self.engine.pinned, actor, self.until_ns)
            if why >= 0:
                self._answer(why, env.now >> ACTOR_BITS, who)
                key = int(self.engine.world.key[actor])
            self.known[actor] = key
            if why >= 0 or actor >= self.engine.strokes.host:
                self._interrupt_others(actor)

    def _answer(self, why: int, now_ns: int, who: int) -> None:
        begin = thread_time_ns()
        self.engine.answer(why, now_ns, who)
        self.took_ns -= thread_time_ns() - begin

    def _interrupt_others(self, actor: int) -> None:
        for other, key in enumerate(self.engine.world.key.tolist()):
            if other != actor and key != self.known[other]:
                self.known[other] = key
                self.processes[other].interrupt()


SIDES = {FREEHINT: FreehintLoop, HEAPQ: HeapqLoop, SIMPY: SimPyLoop}


def digest(engine: Engine) -> str:
    """Everything that a run is, hashed."""
    world, found = engine.world, hashlib.sha256()
    parts = (*world.memory, world.key, world.lock_until, world.state, world.tally, world.user)
    parts += (world.cpu, world.held, *world.ring, world.fate, np.array(engine.strokes.locks))
    parts += tuple(getattr(world, n)[: world.state[0][f"nr_{n}"]] for n in ("reports", "waits"))
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def run_slice(engine: Engine, from_ns: int) -> int:
    """CPU time in ns that a side's loop takes for a slice, its lead left out."""
    engine.run_until(from_ns + LEAD_NS)
    before = engine.loop.took_ns
    engine.run_until(from_ns + SLICE_NS)
    return engine.loop.took_ns - before


def speeds(memory: str = "1GiB", slices: int = 12) -> list[Timing]:
    """freehint's loop, a heapq loop and SimPy, in alternating slices of one simulation.

    The unit is an event.

    Raises
    ------
    RuntimeError
        The sides did not end in the same state.
    """
    scenario = Scenario(
        memory=memory, policy="restartable_cursor", duration_ns=50_000 * WALK_EVERY_NS
    )
    scenario = scenario.with_values({"control.every_ns": WALK_EVERY_NS})
    engines = {name: new_engine(scenario, guest_memory(scenario)[0]) for name in SIDES}
    warm_ns = -(-warm_up_ns(engines[FREEHINT]) // SLICE_NS) * SLICE_NS
    for name, engine in engines.items():
        engine.run_until(warm_ns)  # by freehint's loop, whoever goes on
        engine.loop = SIDES[name]()
    first = nr_events(engines[FREEHINT])
    begins = (warm_ns + turn * SLICE_NS for turn in range(slices))
    found = in_turn([*SIDES], lambda name, from_ns: run_slice(engines[name], from_ns), begins)
    if len({digest(engine) for engine in engines.values()}) > 1:
        raise RuntimeError("the sides of benchmarks.peers_events ended in different states")
    events = (nr_events(engines[FREEHINT]) - first) / slices * (1 - LEAD_NS / SLICE_NS)
    return timings([*SIDES], found, events)


if __name__ == "__main__":
    for t in speeds():
        print(f"{t.side:10}{1e3 / t.unit_ns:8.2f} M events/s   x {t.ratio:.1f}  n={t.slices}")
