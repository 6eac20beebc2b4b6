"""The turns of a guest under pressure, which need all of reclaim and compaction."""

from freehint.engine.guest.pressure.threads import threads_event
from freehint.engine.guest.pressure.turn import pressure_event
from freehint.engine.world.records import PRESSURE, PRESSURE_THREADS
from freehint.jit import kernel


@kernel
def pressure_turn(world, cpu, now_ns):
    """The turn of the CPU of a guest under pressure."""
    pressure_event(world, cpu, now_ns)
    return False


@kernel
def pressure_threads_turn(world, actor, now_ns):
    """The turn of the kernel threads of a guest under pressure."""
    threads_event(world, actor, now_ns)
    return False


TURNS = {PRESSURE: pressure_turn, PRESSURE_THREADS: pressure_threads_turn}
