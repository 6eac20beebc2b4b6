"""The turns of kernel threads, CPUs of programs and recorded guests, and migrations."""

from freehint.engine.guest.kthreads import kthreads_event
from freehint.engine.guest.recorded import recorded_event
from freehint.engine.guest.vcpu import program_event_of_cpu
from freehint.engine.host.precopy import migration_event
from freehint.engine.world.records import KTHREADS, MIGRATION, PROGRAM, RECORDED
from freehint.jit import kernel


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


TURNS = {
    KTHREADS: kthreads_turn,
    PROGRAM: program_turn,
    RECORDED: recorded_turn,
    MIGRATION: migration_turn,
}
