"""Who has the one CPU: the job, kswapd or kcompactd.

The rule is EEVDF from 6.6 on (``eevdf.py``), and until then CFS of 6.1 with its numbers for one
CPU, for tasks of equal weight.  A task of CFS that wakes
is placed half a latency before the others and preempts the one that runs if that one is ahead of
it by more than the wakeup granularity; each tick of 4 ms ends a turn that has lasted its share of
the latency.  So kswapd, which sleeps most of the time, begins as soon as an allocation wakes it
and runs until the zones are balanced, 1 to 4 ms in the recordings; when it has more to do, job and
kswapd take turns of 3 to 4 ms (recordings linux-6.1/rc_cache and rc_oom).

The host may take the CPU away for a while.  A guest that is not told of stolen time charges it to
the task that ran, and takes its tick when it is back: a kswapd that was cut off for 8 ms has to
wait until the job has had as much, and the job, which goes on allocating, soon finds the free pages
below min and reclaims directly (recordings linux-6.1/rc_oom2 and linux-6.12/rc_oom2, made on a
host that ran others in more than half of the time).

Source: place_entity(), wakeup_preempt_entity(), check_preempt_tick(), update_curr() of
kernel/sched/fair.c and update_rq_clock_task() of kernel/sched/core.c of Linux 6.1; CONFIG_HZ=250.
"""

from freehint.config import InputError
from freehint.engine.guest.pressure.eevdf import average, dequeue, earliest, enqueue, renew_deadline
from freehint.engine.world.jobs import NOBODY, NR_TASKS
from freehint.jit import kernel
from freehint.units import NS_PER_MS

TICK_NS = 4 * NS_PER_MS
LATENCY_NS = 6 * NS_PER_MS  # sysctl_sched_latency
LEAST_NS = 750_000  # sysctl_sched_min_granularity
WAKEUP_NS = NS_PER_MS  # sysctl_sched_wakeup_granularity
MOST_TURN_MS = 10_000


def parse_turns(text: str | None, name: str) -> tuple:
    """The host's turns, such as "3.5+4.5, 3.4+8.6" (ms), as pairs in ns; None: there are none.

    Parameters
    ----------
    text : str or None
    name : str
        The parameter, for the message.

    Returns
    -------
    tuple
        Pairs of int: time in ns that the guest's CPU runs, and that the host then runs others.

    Raises
    ------
    InputError
        A turn is not two numbers of milliseconds.
    """
    found = []
    for turn in text.split(",") if text else ():
        try:
            pair = [float(part) for part in turn.split("+")]
        except ValueError:
            pair = []
        if len(pair) != 2 or not all(0 < part <= MOST_TURN_MS for part in pair):
            raise InputError(
                f"{name}: turn {turn.strip()!r:.40} must be RUNS+AWAY, two numbers of ms above 0"
                f" and at most {MOST_TURN_MS}"
            )
        found.append(tuple(max(1, round(part * NS_PER_MS)) for part in pair))
    return tuple(found)


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
    """Give the CPU to the leftmost task, or to that of EEVDF."""
    state = jobs.state[0]
    if not state.eevdf:
        state.task = leftmost(jobs)
    else:
        state.parity_ns = -1
        state.task = earliest(jobs)
        if state.task >= 0:
            state.parity_ns = jobs.deadline[state.task]
    state.picked_ns = now_ns


@kernel(cold=True)
def wake_task(jobs, task, now_ns):
    """Make a task runnable; it preempts the one that runs if that one is far ahead of it."""
    if jobs.runnable[task]:
        return
    running = jobs.state[0].task
    if jobs.state[0].eevdf:
        enqueue(jobs, task)
        if running < 0 or earliest(jobs) == task:
            pick(jobs, now_ns)
        return
    first = leftmost(jobs)
    if first >= 0:
        placed = jobs.vruntime[first] - LATENCY_NS // 2
        jobs.vruntime[task] = max(jobs.vruntime[task], placed)
    jobs.runnable[task] = 1
    if running < 0 or jobs.vruntime[running] - jobs.vruntime[task] > WAKEUP_NS:
        pick(jobs, now_ns)


@kernel(cold=True)
def sleep_task(jobs, task, now_ns):
    """Let a task sleep; another takes the CPU."""
    if jobs.state[0].eevdf:
        dequeue(jobs, task)
    jobs.runnable[task] = 0
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
        if renew_deadline(jobs, task) and average(jobs)[0] > 1:
            pick(jobs, now_ns)
        return
    runnable = 0
    for one in range(NR_TASKS):
        runnable += jobs.runnable[one]
    first, had_ns = leftmost(jobs), now_ns - state.picked_ns
    if runnable < 2 or first == task or had_ns < LEAST_NS:
        return
    share_ns = max(LATENCY_NS // runnable, LEAST_NS)
    if had_ns > share_ns or jobs.vruntime[task] - jobs.vruntime[first] > share_ns:
        pick(jobs, now_ns)


@kernel
def taken_away(jobs, spent_ns):
    """Time in ns for which the host takes the CPU away during so much of a task's work."""
    if jobs.turns.shape[0] == 0:
        return 0
    state, away_ns = jobs.state[0], 0
    state.host_left_ns -= spent_ns
    while state.host_left_ns <= 0:
        away_ns += jobs.turns[state.host_turn, 1]
        state.host_turn = (state.host_turn + 1) % jobs.turns.shape[0]
        state.host_left_ns += jobs.turns[state.host_turn, 0]
    return away_ns
