"""Who has the one CPU: the job, kswapd or kcompactd.  All are tasks of equal weight.

Before 6.6 the rule is CFS, with its numbers for one CPU.  A task that wakes is placed half a
latency before the others and preempts the one that runs if that one is ahead of it by more than
the wakeup granularity; each tick of 4 ms ends a turn that has lasted its share of the latency.  So
kswapd, which sleeps most of the time, begins as soon as an allocation wakes it and runs until the
zones are balanced, 1 to 4 ms in the recordings; when it has more to do, job and kswapd take turns
of 3 to 4 ms (recordings linux-6.1/rc_cache and rc_oom).

From 6.6 on it is EEVDF.

The host may take the CPU away for a while: see :mod:`freehint.engine.guest.pressure.stolen`.

Source: kernel/sched/fair.c, place_entity(), wakeup_preempt_entity(), check_preempt_tick() of Linux
6.1; for 6.12 see :mod:`freehint.engine.guest.pressure.eevdf`; CONFIG_HZ=250.
"""

from freehint.engine.guest.pressure.eevdf import (
    ASLEEP,
    RUNNABLE,
    dequeue,
    enqueue,
    new_slice,
    pick_next,
    preempt_by,
    queued,
)
from freehint.engine.world.clock import TICK_NS
from freehint.engine.world.jobs import NOBODY, NR_TASKS
from freehint.jit import kernel
from freehint.units import NS_PER_MS

LATENCY_NS = 6 * NS_PER_MS  # sysctl_sched_latency
LEAST_NS = 750_000  # sysctl_sched_min_granularity
WAKEUP_NS = NS_PER_MS  # sysctl_sched_wakeup_granularity


@kernel(cold=True)
def wake_task(jobs, task, now_ns):
    """Make a task runnable; it may preempt the one that runs."""
    if jobs.runnable[task] == RUNNABLE:
        return
    if jobs.state[0].eevdf:
        enqueue(jobs, task)
        preempt_by(jobs, task)
        return
    running = jobs.state[0].task
    first = leftmost(jobs)
    if first >= 0:
        placed = jobs.vruntime[first] - LATENCY_NS // 2
        jobs.vruntime[task] = max(jobs.vruntime[task], placed)
    jobs.runnable[task] = RUNNABLE
    if running < 0 or jobs.vruntime[running] - jobs.vruntime[task] > WAKEUP_NS:
        pick(jobs, now_ns)


@kernel(cold=True)
def sleep_task(jobs, task, now_ns):
    """Let a task sleep; another takes the CPU."""
    if jobs.state[0].eevdf:
        dequeue(jobs, task)
        if jobs.state[0].task == task:
            pick_next(jobs)
        return
    jobs.runnable[task] = ASLEEP
    if jobs.state[0].task == task:
        pick(jobs, now_ns)


@kernel
def account(jobs, task, spent_ns, now_ns):
    """Charge a task with its time up to ``now_ns``; a tick may end its turn."""
    state = jobs.state[0]
    jobs.vruntime[task] += spent_ns
    if now_ns < state.tick_at:
        return
    state.tick_at = (now_ns // TICK_NS + 1) * TICK_NS
    if state.eevdf:
        if new_slice(jobs, task) and queued(jobs) > 1:
            pick_next(jobs)
    else:
        check_preempt_tick(jobs, task, now_ns)


@kernel
def leftmost(jobs):
    """The runnable task that has had the CPU for the shortest time, or NOBODY."""
    best = NOBODY
    for task in range(NR_TASKS):
        if jobs.runnable[task] and (best < 0 or jobs.vruntime[task] < jobs.vruntime[best]):
            best = task
    return best


@kernel(cold=True)
def pick(jobs, now_ns):
    """Give the CPU to the leftmost task."""
    jobs.state[0].task = leftmost(jobs)
    jobs.state[0].picked_ns = now_ns


@kernel(cold=True)
def check_preempt_tick(jobs, task, now_ns):
    """End the turn of a task that has had its share.  Source: check_preempt_tick()."""
    first, had_ns = leftmost(jobs), now_ns - jobs.state[0].picked_ns
    runnable = queued(jobs)
    if runnable < 2 or first == task or had_ns < LEAST_NS:
        return
    share_ns = max(LATENCY_NS // runnable, LEAST_NS)
    if had_ns > share_ns or jobs.vruntime[task] - jobs.vruntime[first] > share_ns:
        pick(jobs, now_ns)
