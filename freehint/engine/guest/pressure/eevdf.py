"""The scheduler from 6.6 on: EEVDF, for tasks of equal weight on one CPU.

Of the tasks that have had no more than the average, the one whose slice of 0.75 ms ends first is
next.  A task that wakes gets no credit for its sleep: it preempts only a task whose slice is over,
and not at all while it has itself had more than its share.  A task that sleeps with more than its
share stays on the queue until the others have had as much.

Source: pick_eevdf(), place_entity(), update_deadline(), requeue_delayed_entity() of
kernel/sched/fair.c of Linux 6.12.
"""

from freehint.engine.world.clock import TICK_NS
from freehint.engine.world.jobs import NOBODY, NR_TASKS
from freehint.jit import kernel

EEVDF_FROM = 606
SLICE_NS = 750_000  # sysctl_sched_base_slice
ASLEEP, RUNNABLE, DELAYED = range(3)  # values of Jobs.runnable


@kernel(inline=True)
def queued(jobs):
    """Tasks on the queue, with the one that runs.  Source: cfs_rq->nr_running."""
    tasks = 0
    for task in range(NR_TASKS):
        tasks += jobs.runnable[task] != ASLEEP
    return tasks


@kernel(inline=True)
def sum_of_vruntime(jobs):
    """Sum of the virtual times of the tasks on the queue.  Source: avg_vruntime()."""
    total = 0
    for task in range(NR_TASKS):
        total += jobs.vruntime[task] if jobs.runnable[task] != ASLEEP else 0
    return total


@kernel(inline=True)
def eligible(jobs, task):
    """Has a task on the queue had no more than the average?  Source: entity_eligible()."""
    return jobs.vruntime[task] * queued(jobs) <= sum_of_vruntime(jobs)


@kernel(inline=True)
def lag_of(jobs, task):
    """What a task on the queue lacks to the average, at most a tick.  Source: entity_lag()."""
    lag = sum_of_vruntime(jobs) // queued(jobs) - jobs.vruntime[task]
    return max(-TICK_NS, min(lag, TICK_NS))


@kernel(inline=True)
def new_slice(jobs, task):
    """Begin a new slice if that of a task is over; return whether it was.

    Source: update_curr(), update_deadline().
    """
    if jobs.vruntime[task] < jobs.deadline[task]:
        return False
    jobs.deadline[task] = jobs.vruntime[task] + SLICE_NS
    if jobs.state[0].task == task:
        jobs.state[0].protected = 0
    return True


@kernel(cold=True)
def pick_eevdf(jobs):
    """The task that is to run, or NOBODY: the running one until it has had its slice or its share.

    Source: pick_eevdf() with RUN_TO_PARITY.
    """
    running = jobs.state[0].task
    if running >= 0 and jobs.state[0].protected and jobs.runnable[running] == RUNNABLE:
        if eligible(jobs, running):
            return running
    best = NOBODY
    for task in range(NR_TASKS):
        if jobs.runnable[task] != ASLEEP and eligible(jobs, task):
            if best < 0 or jobs.deadline[task] < jobs.deadline[best]:
                best = task
            elif jobs.deadline[task] == jobs.deadline[best] and best == running:
                best = task
    return best


@kernel(cold=True)
def pick_next(jobs):
    """Give the CPU to the next task; delayed ones, whose turn it is, leave the queue.

    Source: pick_next_entity(), set_next_entity().
    """
    state = jobs.state[0]
    best = pick_eevdf(jobs)
    while best >= 0 and jobs.runnable[best] == DELAYED:
        jobs.vlag[best] = min(lag_of(jobs, best), 0)  # DELAY_ZERO
        jobs.runnable[best] = ASLEEP
        best = pick_eevdf(jobs)
    if best != state.task:
        state.protected = 1
    state.task = best


@kernel(cold=True)
def place(jobs, task):
    """Put a task on the queue at the average, but for what it lacked or had too much.

    Source: place_entity() with PLACE_LAG.
    """
    others = queued(jobs)
    if others:
        lag = jobs.vlag[task] * (others + 1) // others
        jobs.vruntime[task] = sum_of_vruntime(jobs) // others - lag
    jobs.deadline[task] = jobs.vruntime[task] + SLICE_NS
    jobs.runnable[task] = RUNNABLE


@kernel(cold=True)
def enqueue(jobs, task):
    """A task wakes.  Source: enqueue_entity(), requeue_delayed_entity()."""
    running = jobs.state[0].task
    if jobs.runnable[task] == ASLEEP:
        if running >= 0 and queued(jobs) == 1:
            new_slice(jobs, running)
        place(jobs, task)
    elif lag_of(jobs, task) > 0:
        jobs.runnable[task] = ASLEEP
        jobs.vlag[task] = 0  # DELAY_ZERO
        place(jobs, task)
    jobs.runnable[task] = RUNNABLE


@kernel(cold=True)
def preempt_by(jobs, task):
    """Let a task that wakes have the CPU if it is now the next.

    Source: check_preempt_wakeup_fair().
    """
    running = jobs.state[0].task
    if running < 0 or new_slice(jobs, running) or pick_eevdf(jobs) == task:
        pick_next(jobs)


@kernel(cold=True)
def dequeue(jobs, task):
    """A task sleeps; with more than its share, it stays on the queue for a while.

    Source: dequeue_entity() with DELAY_DEQUEUE.
    """
    new_slice(jobs, task)
    if not eligible(jobs, task):
        jobs.runnable[task] = DELAYED
        return
    jobs.vlag[task] = lag_of(jobs, task)
    jobs.runnable[task] = ASLEEP
