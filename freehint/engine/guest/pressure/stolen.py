"""The turns that the host takes the guest's CPU away, as steal time does.

A guest that is not told of stolen time charges it to the task that ran, and takes its tick when it
is back: a kswapd that was cut off for 8 ms has to wait until the job has had as much, and the job,
which goes on allocating, soon finds the free pages below min and reclaims directly (recordings
linux-6.1/rc_oom2 and linux-6.12/rc_oom2, made on a host that ran others in more than half of the
time).

Source: update_curr() of kernel/sched/fair.c, update_rq_clock_task() of kernel/sched/core.c of
Linux 6.1.
"""

from freehint.config import InputError
from freehint.jit import kernel
from freehint.units import NS_PER_MS

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
    tuple of (int, int)
        Time that the guest's CPU runs, and that the host then runs others.

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
