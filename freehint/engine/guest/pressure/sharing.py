"""Who has the one CPU: the job, kswapd or kcompactd.  All are tasks of equal weight.

Before 6.6 the rule is CFS, with its numbers for one CPU.  A task that wakes is placed half a
latency before the others and preempts the one that runs if that one is ahead of it by more than
the wakeup granularity; each tick of 4 ms ends a turn that has lasted its share of the latency.  So
kswapd, which sleeps most of the time, begins as soon as an allocation wakes it and runs until the
zones are balanced, 1 to 4 ms in the recordings; when it has more to do, job and kswapd take turns
of 3 to 4 ms (recordings linux-6.1/rc_cache and rc_oom).

From 6.6 on it is EEVDF.  Of the tasks that have had no more than the average, the one whose slice
of 0.75 ms ends first is next.  A task that wakes gets no credit for its sleep: it preempts only a
task whose slice is over, and not at all while it has itself had more than its share.  A task that
sleeps with more than its share stays on the queue until the others have had as much.

Source: kernel/sched/fair.c, place_entity(), wakeup_preempt_entity(), check_preempt_tick() of Linux
6.1; pick_eevdf(), place_entity(), update_deadline(), requeue_delayed_entity() of 6.12;
CONFIG_HZ=250.
"""

from freehint.engine.world.jobs import NOBODY, NR_TASKS
from freehint.jit import kernel
from freehint.units import NS_PER_MS

EEVDF_FROM = 606
TICK_NS = 4 * NS_PER_MS
LATENCY_NS = 6 * NS_PER_MS  # sysctl_sched_latency
LEAST_NS = 750_000  # sysctl_sched_min_granularity
WAKEUP_NS = NS_PER_MS  # sysctl_sched_wakeup_granularity
SLICE_NS = 750_000  # sysctl_sched_base_slice
ASLEEP, RUNNABLE, DELAYED = range(3)  # values of Jobs.runnable


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


# CFS


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


# EEVDF


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
