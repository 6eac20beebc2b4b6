"""Actors that most runs do not have: each a kernel of its own, which the event loop calls.

Compiled with the loop they would take twice its time, whether a run has them or not.  The loop
finds their addresses in ``World.apart``, under the numbers KTHREADS .. of
:mod:`freehint.engine.world.records`; where one is 0 it comes back for it.
"""

from freehint.engine.guest.kthreads import kthreads_event
from freehint.engine.guest.pressure.threads import threads_event
from freehint.engine.guest.pressure.turn import pressure_event
from freehint.engine.guest.recorded import recorded_event
from freehint.engine.guest.vcpu import program_event_of_cpu
from freehint.engine.host.precopy import migration_event
from freehint.jit import kernel
from freehint.jit.apart import FLAG, calling


@kernel
def kthreads_turn(world, actor, now_ns):
    """The kernel threads' turn."""
    kthreads_event(world, actor, now_ns)
    return False


@kernel
def program_turn(world, cpu, now_ns):
    """The turn of the CPU of a program."""
    program_event_of_cpu(world, cpu, now_ns)
    return False


@kernel
def recorded_turn(world, cpu, now_ns):
    """The turn of a CPU of a recorded guest."""
    recorded_event(world, cpu, now_ns)
    return False


@kernel
def migration_turn(world, actor, now_ns):
    """The migration's turn; True: Python has to sync or to finish."""
    return migration_event(world, actor, now_ns)


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


RARE = (
    *(kthreads_turn, program_turn, recorded_turn, migration_turn),
    *(pressure_turn, pressure_threads_turn),
)


call = calling(FLAG)


def _plain_turn(world, which, actor, now_ns):
    return RARE[which](world, actor, now_ns)


@kernel(inline=True, plain=_plain_turn)
def rare_turn(world, which, actor, now_ns):
    """A turn of a rare actor whose kernel's address is there; has Python to do something?"""
    return call(world.apart[which], (world, actor, now_ns))
