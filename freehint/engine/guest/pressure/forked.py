"""fork: processes that are forked, exec, live for a while and exit, under pressure.

The processes are those of :mod:`freehint.engine.guest.forks`.  Reclaim does not know their pages,
which live for some 50 ms.
"""

from freehint.engine.guest.forks import BLOCKS, EXEC_AT, NR_BLOCKS, NR_COPIED
from freehint.engine.guest.pressure.cache import OUT
from freehint.engine.guest.pressure.pages import free_kernel_block, get_kernel_block
from freehint.engine.guest.pressure.steps import S_MORE
from freehint.engine.world.jobs import NEXT
from freehint.jit import kernel

GONE = -1


@kernel(cold=True)
def free_blocks(world, process, first, behind):
    """Give back blocks of a process."""
    fork = world.jobs.fork
    for i in range(first, behind):
        if fork[process, i] != GONE:
            free_kernel_block(world, fork[process, i])
            fork[process, i] = GONE


@kernel(cold=True)
def exit_forked(world, now_ns):
    """Let the processes exit whose life is over, the oldest first."""
    jobs, state = world.jobs, world.jobs.state[0]
    room = jobs.fork.shape[0]
    while state.fork_from < state.fork_to:
        oldest = state.fork_from % room
        if jobs.fork[oldest, NR_BLOCKS] > now_ns and state.fork_to - state.fork_from < room:
            return
        free_blocks(world, oldest, 0, NR_BLOCKS)
        state.fork_from += 1


@kernel(cold=True)
def fork_step(world, row, now_ns):
    """FORK: the next block of the newest process, until the step's time is over.

    Returns
    -------
    int
        Time in ns, or OUT.
    """
    jobs, state = world.jobs, world.jobs.state[0]
    exit_forked(world, now_ns)
    process = state.fork_to % jobs.fork.shape[0]
    if now_ns - state.began_ns >= row[S_MORE]:
        if state.fork_at == 0:
            state.part = NEXT
            return 0
    at = state.fork_at
    block = get_kernel_block(world, BLOCKS[at, 0], BLOCKS[at, 1], now_ns)
    if block < 0:
        return OUT
    jobs.fork[process, at] = block
    state.fork_at = at + 1
    if state.fork_at == EXEC_AT:
        free_blocks(world, process, 0, NR_COPIED)
    elif state.fork_at == NR_BLOCKS:
        jobs.fork[process, NR_BLOCKS] = now_ns + state.life_ns
        state.fork_to += 1
        state.fork_at = 0
    state.ready_ns = now_ns + state.fork_ns
    return 0
