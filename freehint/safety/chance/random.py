"""Schedules at random, for guests too large to exhaust: ``explore_at_random``."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from freehint.config import whole
from freehint.safety.case import Case
from freehint.safety.chance.schedules import NR_ENDS, Room, play_some, run_many
from freehint.safety.guest import FINE, new_guest
from freehint.safety.own.bound import bound
from freehint.safety.pack import settle
from freehint.safety.steps import ACTORS, CHOICES, choices_of
from freehint.safety.trace import MOST_STEPS

STEPS = 200
SCHEDULES_AT_ONCE = 2000  # by one thread


@dataclass(frozen=True)
class Chances:
    """What schedules at random came to.

    Attributes
    ----------
    case : Case
    seed, depth : int
        ``depth`` is 0 for uniform schedules, else that of PCT.
    schedules, transitions : int
        Numbers of schedules and of steps.
    ends : dict
        Violation -> (number of schedules that ended with it, number of the first).
    violation : int
        0, or what the first schedule with a violation came to.
    first : int
        The number of this schedule, from 0; -1 without a violation.
    found, steps : tuple of int
        This schedule, as it was found and shortened.
    bound : float
        PCT finds a bug of this depth in one schedule with at least this chance; 0 if uniform.
    seconds : float
    """

    case: Case
    seed: int
    depth: int
    schedules: int
    transitions: int
    ends: dict
    violation: int
    first: int
    found: tuple
    steps: tuple
    bound: float
    seconds: float


class Walk:
    """A guest of a case, and the room to run schedules in it.

    Parameters
    ----------
    case : Case
    steps : int
        The most steps of a schedule.
    depth : int
        0 for uniform schedules, else that of PCT.
    """

    def __init__(self, case: Case, steps: int, depth: int):
        guest, policy = new_guest(case)
        self.guest, self.pinned, self.depth = guest, bound(guest, policy), depth
        settle(self.pinned)
        choices = choices_of(case)
        self.actors = len(set(choices // CHOICES))
        self.room = Room(
            first=guest.words.copy(),
            base=guest.words.copy(),
            plain=choices,
            choices=choices.copy(),
            begins=np.searchsorted(choices, np.arange(ACTORS + 1) * CHOICES).astype(np.int64),
            order=np.zeros(ACTORS, np.int64),
            priority=np.zeros(ACTORS, np.int64),
            change=np.zeros(max(depth - 1, 0), np.int64),
            swapped=np.zeros(1, np.int64),
            stream=np.zeros(1, np.uint64),
            taken=np.zeros(steps, np.uint8),
        )

    def run(self, begin: int, end: int, seed: int) -> tuple:
        """Run the schedules ``begin <= number < end``.

        Returns
        -------
        (int64[NR_ENDS, 2], (int, int, int), uint8[n])
            As run_many() gives them; the first violation's steps.
        """
        ends, best = np.zeros((NR_ENDS, 2), np.int64), np.zeros_like(self.room.taken)
        how = (seed, self.depth)
        told = run_many(self.pinned, self.room, (begin, end), how, ends, best)
        return ends, told, best[: told[1]]

    def play(self, steps) -> tuple[int, tuple]:
        """Play those of the steps that can be done; FINE or the violation, and these steps."""
        wanted = np.array(steps, np.uint8)
        kept = np.zeros_like(wanted)
        came_to, n = play_some(self.pinned, self.room, wanted, kept)
        return came_to, tuple(kept[:n].tolist())


def shorten(case: Case, steps) -> tuple:
    """A schedule without the steps that its violation does not need.

    Runs of steps are left out, half of them first, as long as the same violation comes; at the end
    no single step can be left out.  It need not be a shortest schedule.
    Source: Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, 2002.

    Parameters
    ----------
    case : Case
    steps : sequence of int

    Returns
    -------
    tuple of int
    """
    walk = Walk(case, max(len(steps), 1), 0)
    violation, steps = walk.play(steps)
    size = max(len(steps) // 2, 1)
    while size:
        at, shorter = 0, False
        while at < len(steps):
            came_to, kept = walk.play(steps[:at] + steps[at + size :])
            if came_to == violation and len(kept) < len(steps):
                steps, shorter = kept, True
            else:
                at += size
        if not (shorter and size == 1):
            size //= 2
    return steps


def explore_at_random(
    case: Case, schedules: int, depth: int = 0, seed: int = 0, steps: int = STEPS, threads=None
) -> Chances:
    """Schedules at random: uniform, or PCT.

    The result depends on no machine and on no number of threads: each schedule's numbers come from
    the seed and its own number.

    Parameters
    ----------
    case : Case
    schedules : int
    depth : int
        0: at each step every actor is next with the same chance.  Else the depth of PCT.
    seed : int
    steps : int
        The most steps of a schedule.
    threads : int, optional
        By default one per CPU.

    Returns
    -------
    Chances

    Raises
    ------
    InputError
        A number cannot be used, or the policy cannot work so.

    Examples
    --------
    >>> from freehint.safety.guest import DISCARDED
    >>> case = Case(policy="v24", discard=True)
    >>> found = explore_at_random(case, schedules=1000)
    >>> found.violation == DISCARDED, found.first < 1000
    (True, True)
    """
    whole("explore.random", schedules, 1, 1 << 40)
    whole("explore.pct", depth, 0, 10)
    whole("explore.seed", seed, 0, (1 << 63) - 1)
    whole("explore.steps", steps, 1, MOST_STEPS)
    threads = len(os.sched_getaffinity(0)) if threads is None else threads
    whole("explore.threads", threads, 1, 1024)
    began = time.perf_counter()
    walks = [Walk(case, steps, depth)]
    parts = range(0, schedules, SCHEDULES_AT_ONCE)
    walks += [Walk(case, steps, depth) for _ in range(min(threads, len(parts)) - 1)]

    def run_part(begin: int) -> tuple:
        walk = walks.pop()
        try:
            return walk.run(begin, min(begin + SCHEDULES_AT_ONCE, schedules), seed)
        finally:
            walks.append(walk)

    actors = walks[0].actors
    with ThreadPoolExecutor(len(walks)) as pool:
        done = list(pool.map(run_part, parts))
    ends = _together([one for one, _, _ in done])
    found = next(((told[0], best) for _, told, best in done if told[0] >= 0), (-1, ()))
    first, taken = found[0], tuple(map(int, found[1]))
    violation = next((end for end, (_, number) in ends.items() if number == first), FINE)
    return Chances(
        case=case,
        seed=seed,
        depth=depth,
        schedules=schedules,
        transitions=sum(told[2] for _, told, _ in done),
        ends=ends,
        violation=violation,
        first=first,
        found=taken,
        steps=shorten(case, taken) if violation else (),
        bound=1 / (actors * steps ** (depth - 1)) if depth else 0.0,
        seconds=time.perf_counter() - began,
    )


def _together(parts: list) -> dict:
    """Violation -> (number of schedules, the first's number), of all parts in their order."""
    found = {}
    for ends in parts:
        for end in np.flatnonzero(ends[:, 0]).tolist():
            number, first = found.get(end, (0, int(ends[end, 1])))
            if end != FINE:
                found[end] = (number + int(ends[end, 0]), first)
    return found
