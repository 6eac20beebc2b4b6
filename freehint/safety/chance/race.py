"""A planted race that uniform schedules miss and PCT finds: ``make pct``.

The bug is "host_behind": while a hint waits, one vCPU must do 32 operations, and the host none, and
the migration must stay where it is.  At each of these steps a uniform schedule asks the vCPU before
the host with a chance of one half, so a given hint is overtaken so far with one of 2^-32.  PCT
needs an order of priorities and that the migration's falls once it has asked for hints: depth 2.
"""

import sys

from freehint.safety.case import Case
from freehint.safety.chance.behind import FAR_BEHIND
from freehint.safety.chance.random import Chances, explore_at_random
from freehint.safety.guest import FINE
from freehint.safety.trace import replay, schedule_string

CASE = Case(policy="v24", generation="G1", bug="host_behind", operations=60)
DEPTH = 2
STEPS = 120  # enough for all operations, a walk and the migration


def both_ways(schedules: int, seed: int = 0) -> tuple[Chances, Chances]:
    """The race's case by uniform schedules and by PCT, as many of each."""
    return tuple(explore_at_random(CASE, schedules, depth, seed, STEPS) for depth in (0, DEPTH))


def told(uniform: Chances, pct: Chances) -> list[str]:
    """Sentences on both."""
    lines = [
        f"{uniform.schedules:,} uniform schedules: {_number(uniform):,} found the race"
        f" (a hint overtaken so far: a chance of 2^-{FAR_BEHIND})",
        f"{pct.schedules:,} of PCT with depth {pct.depth}: {_number(pct):,} found it",
    ]
    if pct.violation:
        every = pct.schedules / _number(pct)
        lines += [
            f"  the first was number {pct.first + 1:,}; one in {every:,.0f}",
            f"  if all actors always did the same: one in {1 / pct.bound:,.0f}, or more",
            f"  {len(pct.found)} steps, shortened to {len(pct.steps)}:",
            f"  freehint explore --replay {schedule_string(pct.case, pct.steps)}",
        ]
    return lines


def _number(found: Chances) -> int:
    return sum(number for number, _ in found.ends.values())


def main(arguments) -> int:
    """Run as many schedules of both kinds as the argument says.

    Returns
    -------
    int
        The exit code: 0 if PCT alone has found the race and its schedule ends so again, else 1.
    """
    uniform, pct = both_ways(int(arguments[0]))
    print(*told(uniform, pct), sep="\n")
    again = FINE
    for _, came_to in replay(schedule_string(pct.case, pct.steps)):
        again = again or came_to
    return 0 if pct.violation and again == pct.violation and not uniform.violation else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["100000"]))
