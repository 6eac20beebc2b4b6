"""Schedules of a small guest at random, compiled.

Uniform: at each step every actor that can do something is next with the same chance.

PCT: each actor has a priority at random, and the one with the highest that can do something is
next.  At ``d - 1`` steps, drawn from the first ``k``, the one that was to be next falls below all
others.  A bug that needs ``d`` orderings of n actors is found by one schedule with a chance of at
least 1 / (n k^(d-1)).  Source: Burckhardt et al., A randomized scheduler with probabilistic
guarantees of finding bugs, ASPLOS 2010.

In both, an actor's operation is drawn from those it can do; syncs are seldom, cancels more so.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.safety.chance.draw import begin_stream, below
from freehint.safety.check import check_end, check_owners
from freehint.safety.guest import FINE, IMPOSSIBLE, MEMORY_ENDS, SPOILED
from freehint.safety.migrating import CANCEL, TURN
from freehint.safety.steps import ACTORS, CHOICES, MIGRATION, VCPU_0, VCPU_1
from freehint.safety.verbs import call_settle, call_step

SELDOM = MIGRATION * CHOICES + TURN, MIGRATION * CHOICES + CANCEL
ONE_IN = 4, 16  # of the times when something else can be done too
NR_ENDS = 32  # more than there are properties
NOTHING, ONLY_THE_SAME = IMPOSSIBLE - 100, IMPOSSIBLE - 101  # no actor can; none changes anything


class Room(NamedTuple):
    """What one thread needs to run schedules.

    first, base : uint64[n]     the guest's words before the first step, and before this one
    plain, choices : int64[m]   the steps possible at all, by actor; choices change their order
    begins : int64[ACTORS + 1]  where an actor's steps begin in ``choices``
    order, priority : int64[ACTORS]   actors, the next one first; by actor
    change : int64[d - 1]       steps before which a priority falls
    swapped : int64[1]          1: the last step has exchanged the names of the vCPUs
    stream : uint64[1], taken : uint8[k]   random numbers; the steps of the schedule
    """

    first: np.ndarray
    base: np.ndarray
    plain: np.ndarray
    choices: np.ndarray
    begins: np.ndarray
    order: np.ndarray
    priority: np.ndarray
    change: np.ndarray
    swapped: np.ndarray
    stream: np.ndarray
    taken: np.ndarray


@kernel(inline=True)
def same_words(one, other):
    """Do two uint64[n] have the same values?"""
    differ = np.uint64(0)
    for i in range(one.shape[0]):
        differ |= one[i] ^ other[i]
    return differ == 0


@kernel(inline=True)
def copy(values, others):
    """Copy ``others`` to ``values``, which is as long or longer."""
    for i in range(others.shape[0]):
        values[i] = others[i]


@kernel(inline=True)
def shuffle(values, n, stream):
    """Bring the first n values into a random order."""
    for i in range(n - 1):
        other = i + below(stream, n - i)
        value = values[i]
        values[i] = values[other]
        values[other] = value


@kernel(inline=True)
def draw_priorities(room, depth):
    """Priorities at random, all above 0, and the steps at which one falls to -1, -2, .."""
    for actor in range(ACTORS):
        room.priority[actor] = 1 + actor
    shuffle(room.priority, ACTORS, room.stream)
    for point in range(depth - 1):
        room.change[point] = below(room.stream, room.taken.shape[0])


@kernel(inline=True)
def put_in_order(room, by_priority):
    """Say which actor is asked first: by priority, or at random."""
    for actor in range(ACTORS):
        room.order[actor] = actor
    if not by_priority:
        shuffle(room.order, ACTORS, room.stream)
        return
    for i in range(1, ACTORS):
        actor, at = room.order[i], i
        while at > 0 and room.priority[room.order[at - 1]] < room.priority[actor]:
            room.order[at] = room.order[at - 1]
            at -= 1
        room.order[at] = actor


@kernel(inline=True)
def blocks_of_first(world):
    """What tells vCPU 0 from vCPU 1: the number of its blocks and the greatest."""
    return world.cpu[0].nr_blocks, max(world.held[0, 0], world.held[0, 1])


@kernel(inline=True)
def follow_names(room):
    """The vCPUs' priorities change places if their names have done."""
    if room.swapped[0]:
        priority = room.priority[VCPU_0]
        room.priority[VCPU_0] = room.priority[VCPU_1]
        room.priority[VCPU_1] = priority


@kernel(cold=True)  # all of the guest is in it, and four places call it
def try_step(guest, room, step):
    """Do a step that can be done and changes something, and check the guest after it.

    Returns
    -------
    int
        FINE or a violation; or else, with nothing changed, IMPOSSIBLE, or ONLY_THE_SAME.
    """
    came_to = call_step(guest, step)
    if came_to == IMPOSSIBLE:
        return IMPOSSIBLE
    words, base = guest.words, room.base
    if came_to == SPOILED:
        copy(words, base)
        return IMPOSSIBLE
    before = blocks_of_first(guest.world)
    call_settle(guest)
    if came_to == FINE and same_words(words, base):
        return ONLY_THE_SAME
    memory = guest.span[MEMORY_ENDS]
    if came_to == FINE and not same_words(words[:memory], base[:memory]):
        came_to = check_owners(guest)
    if guest.world.cpu.shape[0] == 2:
        room.swapped[0] = before != blocks_of_first(guest.world)
    return came_to


@kernel(inline=True)
def is_seldom(stream, step):
    """A bit for a step that is to come only if the actor can do nothing else; or 0."""
    for which in range(len(SELDOM)):
        if step == SELDOM[which] and below(stream, ONE_IN[which]) > 0:
            return 1 << which
    return 0


@kernel
def try_actor(guest, room, actor):
    """Let an actor do one of its operations; returns the step and what it came to."""
    steps = room.choices[room.begins[actor] : room.begins[actor + 1]]
    found, late = IMPOSSIBLE, 0
    for i in range(steps.shape[0]):
        other = i + below(room.stream, steps.shape[0] - i)
        step = steps[other]
        steps[other] = steps[i]
        steps[i] = step
        which = is_seldom(room.stream, step)
        if which:
            late |= which
            continue
        came_to = try_step(guest, room, step)
        if came_to >= FINE:
            return step, came_to
        found = ONLY_THE_SAME if came_to == ONLY_THE_SAME else found
    for which in range(len(SELDOM)):
        if late >> which & 1:
            came_to = try_step(guest, room, SELDOM[which])
            if came_to >= FINE:
                return SELDOM[which], came_to
            found = ONLY_THE_SAME if came_to == ONLY_THE_SAME else found
    return 0, found


@kernel
def next_step(guest, room, by_priority):
    """Let the next actor that can do something do it.

    Returns
    -------
    (int, int)
        The step and FINE or a violation; or NOTHING, or ONLY_THE_SAME if all that can be done
        changes nothing.
    """
    put_in_order(room, by_priority)
    copy(room.base, guest.words)
    found = NOTHING
    for actor in room.order:
        step, came_to = try_actor(guest, room, actor)
        if came_to >= FINE:
            return step, came_to
        if came_to == ONLY_THE_SAME:
            found = ONLY_THE_SAME
    return 0, found


@kernel
def run_one(guest, room, depth):
    """One schedule from the first state; PCT of a depth, or uniform if it is 0.

    Returns
    -------
    (int, int)
        FINE or a violation, and the number of steps in ``room.taken``.
    """
    copy(guest.words, room.first)
    copy(room.choices, room.plain)  # so that no schedule depends on the one before
    draw_priorities(room, depth)
    for at in range(room.taken.shape[0]):
        for point in range(depth - 1):
            if room.change[point] == at:
                step, came_to = next_step(guest, room, True)
                if came_to >= FINE:
                    room.priority[step // CHOICES] = -1 - point
                copy(guest.words, room.base)
        step, came_to = next_step(guest, room, depth > 0)
        if came_to == NOTHING:
            return check_end(guest), at
        if came_to == ONLY_THE_SAME:
            return FINE, at
        room.taken[at] = step
        follow_names(room)
        if came_to != FINE:
            return came_to, at + 1
    return FINE, room.taken.shape[0]


@kernel
def run_many(guest, room, numbers, how, ends, best):
    """Run the schedules of some numbers.

    Parameters
    ----------
    numbers : (int, int)    the first, and the one after the last
    how : (int, int)        seed; depth
    ends : int64[NR_ENDS, 2]    for each violation, and FINE: schedules, and the first's number
    best : uint8[k]         the steps of the first schedule with a violation

    Returns
    -------
    (int, int, int)
        The first violation's number or -1, its number of steps, and all steps taken.
    """
    seed, depth = how
    found, length, steps = -1, 0, 0
    for number in range(numbers[0], numbers[1]):
        begin_stream(room.stream, seed, number)
        came_to, taken = run_one(guest, room, depth)
        steps += taken
        if ends[came_to, 0] == 0:
            ends[came_to, 1] = number
        ends[came_to, 0] += 1
        if came_to != FINE and found < 0:
            found, length = number, taken
            copy(best, room.taken)
    return found, length, steps


@kernel
def play_some(guest, room, wanted, kept):
    """Play the steps that can be done, and leave out the others.

    Parameters
    ----------
    wanted : uint8[n]
    kept : uint8[n]     the steps that were done

    Returns
    -------
    (int, int)
        FINE or the violation, and the number of steps in ``kept``.
    """
    copy(guest.words, room.first)
    n = 0
    for step in wanted:
        copy(room.base, guest.words)
        came_to = try_step(guest, room, np.int64(step))
        if came_to >= FINE:
            kept[n] = step
            n += 1
        if came_to > FINE:
            return came_to, n
    for step in room.choices:
        copy(room.base, guest.words)
        if try_step(guest, room, step) != IMPOSSIBLE:
            return FINE, n
    return check_end(guest), n
