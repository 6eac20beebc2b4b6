"""Strokes in turn without Python: a compiled driver of the event loop, for walks of many strokes.

:func:`freehint.engine.loop.advance` comes back to Python for each begin and end of a stroke, which
costs 20 µs of it.  :func:`run_strokes` does there what :class:`freehint.engine.strokes.Strokes`
does, and calls the policy's verbs by their addresses, so it is one kernel for all policies.  What
is rare it leaves to Python: a whole half of a stroke, or, where a verb was called already, the
rest of it (IN_ZONE .. SETTLED).

A driver is made when a walk has had MANY strokes, so that shorter ones compile no kernel for it.
"""

from typing import NamedTuple

import numpy as np

from freehint.engine.loop import STROKE_DUE, STROKE_PUBLISHED, advance
from freehint.engine.stroke_kernels import (
    begin_rows,
    finish_stroke,
    lock_for_drain,
    lock_zone,
    take_used,
)
from freehint.engine.world.clock import schedule
from freehint.jit import Kernel, kernel
from freehint.jit.apart import NUMBER, PAIR, TRIPLE, address_of, calling, lying_at
from freehint.jit.pinned import Pinned, pinned
from freehint.policies.policy import Outcome, Stroke

TAKEN, USED = int(Outcome.TAKEN), int(Outcome.USED)
MORE, ZONE_DONE, STOPPED, AT_ONCE = map(int, Stroke)
LOCKS = 4096  # holds of a lock in a row before Python takes them over
TOLD = 1024  # most blocks in one feedback
NOTHING_LEFT = -1  # of what Python has to do: it is done
# Where a stroke is when Python goes on with it; behind the numbers of loop.py.
IN_ZONE, LOCKED, FILLED, SETTLED = range(100, 104)
# What run_strokes() knows and changes, in an array.
(
    ADVANCE,  # addresses; NEXT_ZONE is 0 if the policy has no such verb
    FILL,
    DRAIN,
    NEXT_ZONE,
    STATE,
    USER,
    CAPACITY,
    PAUSE_NS,
    ACKNOWLEDGED,
    FEEDBACK,
    ZONE,
    STATUS,
    SINCE_NS,
    BLOCKS,
    STROKES,
    LOCKED_NS,  # since when the stroke that Python goes on with has its lock
    ANSWER,  # of the verb that was called last
    NR_LOCKS,
    NR_WORDS,
) = range(19)

to_number, to_pair, to_triple = map(calling, (NUMBER, PAIR, TRIPLE))


class Told(NamedTuple):
    """What ``drain`` is told at a later stroke.

    table : int64[TOLD + 1, 3]   rows of a report
    outcome : uint8[TOLD]        all USED
    """

    table: np.ndarray
    outcome: np.ndarray


@kernel(inline=True)
def note_lock(world, at, locks, since_ns, end_ns, blocks):
    """Write a row of ``Strokes.locks``."""
    row, user = at[NR_LOCKS], at[USER]
    locks[row, 0] = user
    locks[row, 1] = world.user[user].stroke
    locks[row, 2] = at[ZONE]
    locks[row, 3] = since_ns
    locks[row, 4] = end_ns - since_ns
    locks[row, 5] = blocks
    at[NR_LOCKS] = row + 1


@kernel(inline=True)
def feed_back(world, at, told, nr_used):
    """As ``Strokes._feed_back``; returns the number of nodes that the policy moved."""
    user, memory, zone = at[USER], world.memory, at[ZONE]
    if at[FEEDBACK] == 0:
        take_used(world, user, told.table[:0])
        return 0
    for row in range(nr_used + 1):
        for column in range(3):
            told.table[row, column] = 0
    n = take_used(world, user, told.table[: nr_used + 1])
    if n == 0:
        return 0
    about = memory, lying_at(at[STATE]), zone, told.table[: n + 1], n, told.outcome[:n]
    return to_number(at[DRAIN], about)


@kernel(inline=True)
def begin_stroke(world, at, locks, told, now_ns):
    """As ``Strokes.begin``; returns what Python has to do, or NOTHING_LEFT."""
    user = at[USER]
    record, memory, nodes = world.user[user], world.memory, world.memory.links.shape[0] // 2
    if record.stop != 0 or at[STROKES] >= nodes:
        return STROKE_DUE
    if at[NEXT_ZONE] != 0:
        at[ZONE] = to_number(at[NEXT_ZONE], (memory, lying_at(at[STATE])))
        if at[ZONE] < 0 or at[ZONE] >= memory.nr_free.shape[0]:
            return IN_ZONE
    zone, holds = at[ZONE], record.holds
    since_ns = lock_zone(world, user, zone, now_ns)
    if since_ns < 0:
        return NOTHING_LEFT
    if holds == 0:
        at[SINCE_NS] = since_ns
        at[BLOCKS] = 0
    capacity, nr_used = at[CAPACITY], world.state[0].nr_used
    at[LOCKED_NS] = since_ns
    if capacity > world.outcome.shape[1] or nr_used > told.outcome.shape[0]:
        return LOCKED
    at[STROKES] += 1
    if nr_used > 0:
        at[ANSWER] = feed_back(world, at, told, nr_used)
        if at[ANSWER] < 0 or at[ANSWER] > nodes:
            return SETTLED
    report = world.report[user, : capacity + 1]
    for row in range(capacity + 1):
        for column in range(3):
            report[row, column] = 0
    n, status = to_pair(at[FILL], (memory, lying_at(at[STATE]), zone, report, capacity))
    at[ANSWER], at[STATUS] = n, status
    sound = 0 <= n <= capacity and MORE <= status <= AT_ONCE
    if not sound or (status == AT_ONCE and record.under_lock == 0):
        return FILLED
    row, dropped_ns = begin_rows(world, user, since_ns, 0, n, False)
    if row >= 0:
        return FILLED
    if record.under_lock == 0:
        note_lock(world, at, locks, since_ns, dropped_ns, n)
    return NOTHING_LEFT


@kernel(inline=True)
def call_drain(world, at, n):
    """Tell the policy the outcome of its rows; returns the number of nodes that it moved."""
    user, outcome = at[USER], world.outcome[at[USER], :n]
    if at[ACKNOWLEDGED] != 0:
        for row in range(n):
            if outcome[row] == TAKEN:
                outcome[row] = USED
    about = world.memory, lying_at(at[STATE]), at[ZONE], world.report[user, : n + 1], n, outcome
    return to_number(at[DRAIN], about)


@kernel(inline=True)
def end_stroke(world, at, locks, now_ns):
    """As ``Strokes.end``; returns what Python has to do, or NOTHING_LEFT."""
    user, status = at[USER], at[STATUS]
    record, nodes = world.user[user], world.memory.links.shape[0] // 2
    last = at[NEXT_ZONE] == 0 and at[ZONE] + 1 >= world.memory.nr_free.shape[0]
    if record.stop != 0 or status == STOPPED or (status == ZONE_DONE and last):
        return STROKE_PUBLISHED
    n, blocks, late = record.filled, record.row, record.under_lock == 0 and record.filled > 0
    since_ns = at[SINCE_NS]
    if late:
        record.zone = at[ZONE]
        since_ns = lock_for_drain(world, user, now_ns)
        if since_ns < 0:
            return NOTHING_LEFT
    moved = at[ANSWER] = call_drain(world, at, n) if n > 0 else 0
    if moved < 0 or moved > nodes:
        return SETTLED
    goes_on = status == AT_ONCE and not late
    end_ns, refused = finish_stroke(world, user, n, moved, goes_on, now_ns)
    if late:
        if end_ns > since_ns:
            note_lock(world, at, locks, since_ns, end_ns, n)
    else:
        at[BLOCKS] += blocks
        if record.under_lock != 0 and record.holds == 0:
            note_lock(world, at, locks, since_ns, end_ns, at[BLOCKS])
    record.filled = 0
    record.stroke += 1
    if status == ZONE_DONE and not refused:
        at[ZONE] += 1
    at_once = status == AT_ONCE and not refused
    schedule(world, world.cpu.shape[0] + 2 + user, end_ns + (0 if at_once else at[PAUSE_NS]))
    return NOTHING_LEFT


@kernel
def run_strokes(world, at, locks, told, until_ns):
    """As :func:`freehint.engine.loop.advance`, with the strokes of one user.

    Returns
    -------
    (int, int, int)
        As there; or IN_ZONE .. SETTLED, the time in ns and the user.
    """
    while True:
        why, now_ns, who = to_triple(at[ADVANCE], (world, until_ns))
        stroke = why == STROKE_DUE or why == STROKE_PUBLISHED
        if not stroke or who != at[USER] or at[NR_LOCKS] == locks.shape[0]:
            return why, now_ns, who
        if why == STROKE_DUE:
            why = begin_stroke(world, at, locks, told, now_ns)
        else:
            why = end_stroke(world, at, locks, now_ns)
        if why != NOTHING_LEFT:
            return why, now_ns, who


class Driver:
    """The driver of one user's strokes.

    Parameters
    ----------
    strokes : Strokes
    user : User
        One for which :func:`drivable` holds.

    Raises
    ------
    TypeError
        A verb returns what it may return to Python alone.
    """

    def __init__(self, strokes, user):
        self.strokes, self.user = strokes, user
        current, policy = self._current, user.policy
        memory, state = user.pinned_memory, user.pinned_state
        report, outcome = current.world.report[0], current.world.outcome[0]
        at = self._at = np.zeros(NR_WORDS, np.int64)
        self._locks = np.zeros((LOCKS, 6), np.int64)
        self._told = pinned(Told(np.zeros((TOLD + 1, 3), np.int64), np.full(TOLD, USED, np.uint8)))
        at[ADVANCE] = address_of(advance, TRIPLE, current.pinned, 0)
        at[FILL] = address_of(policy.fill, PAIR, memory, state, 0, report, 0)
        at[DRAIN] = address_of(policy.drain, NUMBER, memory, state, 0, report, 0, outcome)
        if policy.next_zone:
            at[NEXT_ZONE] = address_of(policy.next_zone, NUMBER, memory, state)
        at[USER], at[CAPACITY], at[PAUSE_NS] = user.number, user.capacity, policy.pause_ns
        at[ACKNOWLEDGED] = policy.report == "acknowledged"
        at[FEEDBACK] = policy.wants_feedback

    @property
    def _current(self):
        return self.strokes.current

    def advance(self, until_ns: int) -> tuple:
        """As :func:`freehint.engine.loop.advance`; NOTHING_LEFT where Python has gone on."""
        user, at, world = self.user, self._at, self._current.pinned
        if not user.walking or user.gathered or user.mixed:
            return advance(world, until_ns)
        at[STATE] = user.pinned_state.address
        at[ZONE:LOCKED_NS] = user.zone, user.status, user.since, user.blocks, user.strokes
        at[NR_LOCKS] = 0
        why, now_ns, who = run_strokes(world, at, self._locks, self._told, until_ns)
        user.zone, user.status, user.since, user.blocks, user.strokes = at[ZONE:LOCKED_NS].tolist()
        user.to_settle = [user.zone]
        self.strokes.locks.frombytes(self._locks[: at[NR_LOCKS]].tobytes())
        if why < IN_ZONE:
            return why, now_ns, who
        self._go_on(why, now_ns, *at[LOCKED_NS:NR_LOCKS].tolist())
        return NOTHING_LEFT, now_ns, who

    def _go_on(self, why: int, now_ns: int, since_ns: int, answer: int) -> None:
        """Go on with a stroke in Python, after a verb was called."""
        strokes, user = self.strokes, self.user
        if why == IN_ZONE:
            user.whole_zone(user.zone)
            strokes.begin_in_zone(user, now_ns)
        elif why == LOCKED:
            strokes.choose(user, since_ns, now_ns)
        elif why == FILLED:
            n = user.accepted((answer, user.status), user.capacity)
            strokes.publish(user, since_ns, n, self._current.world.report[user.number])
        else:
            user.whole("drain", answer, 0, len(user.memory.links) // 2)


def drivable(user) -> bool:
    """Can the driver call the user's verbs, and does it do all that Python does around them?"""
    policy = user.policy
    verbs = [policy.fill, policy.drain, policy.next_zone]
    return (
        all(isinstance(verb, Kernel) for verb in verbs if verb)
        and isinstance(user.pinned_state, Pinned)
        and user.capacity > 0
        and not (user.checked or user.guarded or user.clears or policy.zeroes)
    )
