"""A bit of work of the job: begin a process, do a page of its step, exit, or die of the OOM."""

from freehint.engine.guest.pressure.cache import (
    OUT,
    copy_step,
    read_step,
    rm_step,
    sync_step,
    write_step,
)
from freehint.engine.guest.pressure.forked import fork_step
from freehint.engine.guest.pressure.kcompactd import compact_memory_step
from freehint.engine.guest.pressure.pages import (
    free_kernel_block,
    get_kernel_block,
    price_compaction,
    price_reclaim,
)
from freehint.engine.guest.pressure.process import (
    dirty_step,
    exit_step,
    fill_page,
    frag_step,
    out_of_memory,
    release_step,
)
from freehint.engine.guest.pressure.steps import (
    BALLOON,
    COMPACT_MEMORY,
    COPY,
    DIRTY,
    DROP_CACHES,
    FILL,
    FORK,
    FRAG,
    HOLD,
    READ,
    RECLAIM,
    RELEASE,
    RM,
    S_KIND,
    S_MORE,
    S_PAGES,
    S_SOURCE,
    SHELLS,
    SLEEP,
    SWAPON,
    SYNC,
    WRITE,
)
from freehint.engine.world.clock import ask_to_shrink
from freehint.engine.world.jobs import (
    DONE,
    EXEC,
    EXIT,
    L_BEGIN,
    L_END,
    L_OUTCOME,
    NEXT,
    NOT_ENDED,
    PROCESS_BLOCKS,
    R_EXEC,
    R_RM,
    WORK,
)
from freehint.jit import kernel
from freehint.mm.list import list_empty
from freehint.mm.memory import CALLED, MOVABLE, NR_USERS, UNMOVABLE, USER_LIST, user_node
from freehint.mm.reclaim.counts import PAGEOUTRUN
from freehint.mm.reclaim.direct import drop_caches, memory_reclaim
from freehint.mm.reclaim.slowpath import THROTTLE_NS
from freehint.units import NS_PER_MS

# Blocks of order 0 of a process that runs a command, beside what its step allocates: 12 UNMOVABLE
# and 19 MOVABLE ones (rc_cache, cat, dd and tail).
PROCESS_UNMOVABLE = 12
LOOK_NS = 100_000  # a throttled task looks so often whether kswapd lets it go.  Assumed
BALLOON_LOOK_NS = 10 * NS_PER_MS  # the host's script looks so often at the balloon
BATCH = 32  # pages of drop_caches and memory.reclaim at a time


@kernel(cold=True)
def exec_step(world, now_ns):
    """Begin a step's process; return the time in ns, or OUT."""
    state = world.jobs.state[0]
    while state.nr_process < PROCESS_BLOCKS:
        kind = UNMOVABLE if state.nr_process < PROCESS_UNMOVABLE else MOVABLE
        block = get_kernel_block(world, 0, kind, now_ns)
        if block < 0:
            return OUT
        world.jobs.process[state.nr_process] = block
        state.nr_process += 1
    state.part = WORK
    return world.jobs.rate[R_EXEC]


@kernel
def end_process(world):
    """Give back the blocks of the step's process."""
    state = world.jobs.state[0]
    for i in range(state.nr_process):
        free_kernel_block(world, world.jobs.process[i])
    state.nr_process = 0


@kernel(cold=True)
def begin_next(world, now_ns):
    """End the step, and begin the next if there is one."""
    jobs, state = world.jobs, world.jobs.state[0]
    end_process(world)
    log = jobs.log[state.step]
    if log[L_OUTCOME] == NOT_ENDED:
        log[L_OUTCOME], log[L_END] = DONE, now_ns
    state.step += 1
    begin_step(world, now_ns)


@kernel
def begin_step(world, now_ns):
    """Begin the step that is due, unless the jobs are over."""
    jobs, state = world.jobs, world.jobs.state[0]
    if state.step == jobs.step.shape[0]:
        return
    kind = jobs.step[state.step, S_KIND]
    jobs.log[state.step, L_BEGIN] = now_ns
    state.part = EXEC
    for shell in SHELLS:
        if kind == shell:
            state.part = WORK
    state.at = state.ahead = state.window = state.copied = state.exit_at = 0
    state.began_ns = now_ns
    state.slow, state.runs_before = 1000, world.reclaim.count[PAGEOUTRUN]


@kernel
def end_work(state, kind):
    """The step has done its work: a process with anonymous memory exits, others just end."""
    state.part = EXIT if kind in (FILL, DIRTY) else NEXT


@kernel(cold=True)
def work_step(world, row, now_ns):
    """A bit of a step's work; return the time in ns, or OUT."""
    state, kind = world.jobs.state[0], row[S_KIND]
    over = state.at == row[S_PAGES]
    if kind == READ and not over:
        return read_step(world, row, now_ns)
    if kind == COPY and not over:
        return copy_step(world, row, now_ns)
    if kind == WRITE and not over:
        return write_step(world, row, now_ns)
    if (kind == FILL or kind == HOLD) and not over:
        return fill_page(world, row, now_ns)
    if kind == RM and not over:
        return rm_step(world, row)
    if kind == DIRTY:
        return dirty_step(world, row, now_ns)
    if kind == FRAG:
        return frag_step(world, row, now_ns)
    if kind == FORK:
        return fork_step(world, row, now_ns)
    return shell_step(world, row, now_ns)


@kernel(cold=True)
def shell_step(world, row, now_ns):
    """What the shell does itself, or the end of other work; return the time in ns."""
    state, kind = world.jobs.state[0], row[S_KIND]
    if kind == SYNC:
        if not sync_step(world, now_ns):
            return 0
    elif kind == SLEEP:
        if now_ns < state.began_ns + row[S_MORE]:
            state.ready_ns = state.began_ns + row[S_MORE]
            return 0
    elif kind == DROP_CACHES:
        dropped = drop_caches(world.memory, world.reclaim, 0, BATCH)
        if dropped == BATCH:
            return dropped * world.jobs.rate[R_RM]
    elif kind == RECLAIM and state.at < row[S_PAGES]:
        got = memory_reclaim(world.memory, world.reclaim, 0, min(BATCH, row[S_PAGES] - state.at))
        if got > 0:
            state.at += got
            return price_reclaim(world)
    elif kind == COMPACT_MEMORY:
        state.at = compact_memory_step(world, state.at)
        if state.at >= 0:
            return price_compaction(world)
    elif kind == RELEASE:
        spent = release_step(world, row)
        if spent > 0:
            return spent
    elif kind == BALLOON:
        until_ns = state.began_ns + row[S_MORE]
        if world.balloon.at[0] != row[S_SOURCE] and now_ns < until_ns:
            state.ready_ns = min(now_ns + BALLOON_LOOK_NS, until_ns)
            return 0
    elif kind == SWAPON:
        world.reclaim.node[0].swap_free = world.reclaim.node[0].swap_total
    end_work(state, kind)
    return 0


@kernel(cold=True)
def somebody_holds_pages(world):
    """Does a policy hold free blocks, or the balloon pages, that they could give back?"""
    for user in range(NR_USERS):
        if not list_empty(world.memory.links, user_node(world.memory, user, USER_LIST)):
            return True
    return world.balloon.at[0] > 0


@kernel(cold=True)
def job_step(world, now_ns):
    """A bit of work of the job; return the time in ns."""
    jobs, state = world.jobs, world.jobs.state[0]
    if state.oom_of > 0:
        spent, gone = exit_step(world, jobs.step[state.oom_of - 1])
        if gone:
            if state.oom_of - 1 == state.step:
                state.part = NEXT
            state.oom_of = 0
        return spent
    row = jobs.step[state.step]
    if state.part == NEXT:
        begin_next(world, now_ns)
        return 0
    if state.part == EXIT:
        spent, gone = exit_step(world, row)
        if gone:
            state.part = NEXT
        return spent
    spent = exec_step(world, now_ns) if state.part == EXEC else work_step(world, row, now_ns)
    if spent != OUT:
        return spent
    node = world.reclaim.node[0]
    if node.reclaiming:  # the step goes on with the next round, or when kswapd has freed some pages
        if node.waits:
            state.ready_ns = now_ns + LOOK_NS
        return 0
    if node.nr_writeback > 0:
        # Pages are on their way to the disk: as reclaim_throttle() does, wait for some of them.
        world.reclaim.node[0].oom = 0
        state.waits_io = state.waits_some = 1
        return 0
    if not node.oom and world.memory.notify[CALLED] == 0:
        state.ready_ns = now_ns + THROTTLE_NS
        return 0
    can_give = world.memory.notify[CALLED] != 0 or somebody_holds_pages(world)
    if can_give and ask_to_shrink(world, 0):  # then the step tries again
        world.reclaim.node[0].oom = 0
        return price_reclaim(world)
    return out_of_memory(world, now_ns)
