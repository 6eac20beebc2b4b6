"""Who has the one CPU of a guest from 6.6 on: EEVDF, for tasks of equal weight.

The task that is eligible (it has had at most the average) with the earliest deadline runs.  A
deadline is one slice of 0.75 ms ahead, and only a tick of 4 ms, a wake-up or a sleep looks at it.
So kswapd is cut off by the first tick after 0.75 ms, unless it was behind, and the job then has the
CPU until the next (recordings linux-6.12/rc_oom).

Source: avg_vruntime(), entity_eligible(), update_deadline(), pick_eevdf(), place_entity(),
update_entity_lag(), requeue_delayed_entity() of kernel/sched/fair.c of Linux 6.12, with its
features PLACE_LAG, RUN_TO_PARITY, DELAY_DEQUEUE and DELAY_ZERO.
"""

from freehint.engine.world.jobs import NOBODY, NR_TASKS
from freehint.jit import kernel

SLICE_NS = 750_000  # sysctl_sched_base_slice
MOST_LAG_NS = 4_000_000  # max(2 * slice, TICK_NSEC)
SLEEPS, DELAYED, RUNS = range(3)  # a task that sleeps too early stays queued: it is delayed


@kernel(inline=True)
def queue_of(jobs, task):
    """Whether a task sleeps, sleeps but is still queued, or is runnable."""
    if jobs.runnable[task]:
        return RUNS
    return DELAYED if jobs.delayed[task] else SLEEPS


@kernel
def average(jobs):
    """Number and average vruntime of the queued tasks."""
    queued = total = most = 0
    for task in range(NR_TASKS):
        most = max(most, jobs.vruntime[task])
        if queue_of(jobs, task) != SLEEPS:
            queued += 1
            total += jobs.vruntime[task]
    if queued == 0:
        return 0, most
    return queued, total // queued


@kernel
def renew_deadline(jobs, task):
    """Set the next deadline if the task has had its slice; has it?"""
    if task < 0 or jobs.vruntime[task] < jobs.deadline[task]:
        return False
    jobs.deadline[task] = jobs.vruntime[task] + SLICE_NS
    return True


@kernel
def earliest(jobs):
    """The task that is to run next, or NOBODY; delayed ones that come up go to sleep."""
    state = jobs.state[0]
    running = state.task
    if running >= 0 and jobs.runnable[running] and jobs.deadline[running] == state.parity_ns:
        return running
    while True:
        _, mean = average(jobs)
        best = running if running >= 0 and queue_of(jobs, running) != SLEEPS else NOBODY
        if best >= 0 and jobs.vruntime[best] > mean:
            best = NOBODY
        for task in range(NR_TASKS):
            eligible = queue_of(jobs, task) != SLEEPS and jobs.vruntime[task] <= mean
            if task != running and eligible:
                if best < 0 or jobs.deadline[task] < jobs.deadline[best]:
                    best = task
                elif best == running and jobs.deadline[task] == jobs.deadline[best]:
                    best = task
        if best < 0 or jobs.runnable[best]:
            return best
        jobs.delayed[best] = jobs.lag[best] = 0


@kernel
def place(jobs, task, lag_ns):
    """Put a task among the queued ones, with what it was behind when it went to sleep."""
    others, mean = average(jobs)
    if others:
        mean -= lag_ns * (others + 1) // others
    jobs.vruntime[task] = mean
    jobs.deadline[task] = mean + SLICE_NS


@kernel
def enqueue(jobs, task):
    """Make a task runnable."""
    renew_deadline(jobs, jobs.state[0].task)
    if jobs.delayed[task]:
        _, mean = average(jobs)
        if mean > jobs.vruntime[task]:
            jobs.delayed[task] = 0
            place(jobs, task, 0)
    else:
        place(jobs, task, jobs.lag[task])
    jobs.delayed[task] = 0
    jobs.runnable[task] = 1


@kernel
def dequeue(jobs, task):
    """Let a task sleep; one that has had more than the average stays queued."""
    _, mean = average(jobs)
    lag_ns = mean - jobs.vruntime[task]
    jobs.delayed[task] = 1 if lag_ns < 0 else 0
    jobs.lag[task] = min(max(lag_ns, -MOST_LAG_NS), MOST_LAG_NS)
    jobs.runnable[task] = 0
