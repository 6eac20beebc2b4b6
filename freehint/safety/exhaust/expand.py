"""One level of a breadth-first search: every step in every state of it."""

import numpy as np

from freehint.jit import kernel
from freehint.safety.check import check_end
from freehint.safety.exhaust.lasso import BY_WORKER
from freehint.safety.exhaust.late import (
    BY_STATE,
    BY_STEP,
    FIRST,
    LOOKED_UP,
    LOST_BYTE,
    NEXT,
    PUT,
    ROW,
    STATES,
    TRANSITIONS,
    VIOLATION,
    WAITING,
    look_up,
    put_off,
)
from freehint.safety.exhaust.together import take_together
from freehint.safety.guest import FINE, IMPOSSIBLE, WALKING
from freehint.safety.pack import keep_words, restore_words, unpack
from freehint.safety.steps import CHOICES, HOST, WORKER
from freehint.safety.verbs import call_settle

LEVEL_DONE, NEED_ROOM, VIOLATED, NOT_PACKED, PART_DONE = range(5)
EACH_STEP = 16


@kernel(inline=True)
def is_kept(words, before, runs):
    """Are all words of ``runs``, an int64[n, 2], what they were before the step?"""
    changed = np.uint64(0)
    for run in range(runs.shape[0]):
        begin, end = runs[run, 0], runs[run, 1]
        now, then = words[begin:end], before[begin:end]
        for i in range(now.shape[0]):  # from 0, so that it becomes vector code
            changed |= now[i] ^ then[i]
    return changed == 0


@kernel(inline=True)
def outcome(came_to, watch):
    """What look_up() came to, as expand() returns it."""
    words, at, base, before, runs = watch
    if came_to == LOST_BYTE:
        return NOT_PACKED
    restore_words(words, at, base)
    return VIOLATED if is_kept(words, before, runs) else NOT_PACKED


@kernel(inline=True)
def is_hinting(step):
    """Is a step the worker's or the host's?"""
    return step // CHOICES == WORKER or step // CHOICES == HOST


@kernel
def expand(guest, cells, watch, late, level, tables, count):
    """Do every step in every state of a level, and note the new states.

    ``watch``: (words of the arena; places of those that change; room for their values; room for
    all words as they were; the runs of them that is_kept() looks at); ``late``: the states that
    wait; ``level``: this level's states, the next level's; ``tables``: (hashes, parents, steps,
    edges, which are empty if P6 is not checked: :mod:`freehint.safety.exhaust.lasso`); the steps
    that are possible at all; which are taken together.

    No other byte may change.  In the words that change, this is checked in each new state.  The
    other words are not restored, so they are checked after all steps in a state; but at once after
    those of vCPUs and worker, because no step is to find lists that are half restored, and after
    any step in every 16th state, because another step may undo a change.
    """
    states, following = level
    words, at, base, before, runs = watch
    noted, choices, together = tables
    table, parents, _, edges = noted
    keeps_edges = edges.shape[0] > 0
    room = choices.shape[0] + WAITING
    while count[ROW] < states.shape[0]:
        full = count[NEXT] + room > following.shape[0]
        full = full or count[STATES] + room > parents.shape[0]
        if full or 2 * (count[STATES] + room) > table.shape[0]:
            came_to = look_up(guest, words, late, following, noted, count, 0)
            return NEED_ROOM if came_to == FINE else outcome(came_to, watch)
        parent = count[FIRST] + count[ROW]
        unpack(guest, cells, states[count[ROW]])
        keep_words(words, at, base)
        restore_words(before, at, base)
        walks = guest.own[WALKING] != 0
        possible = 0
        for step in choices:
            came_to = take_together(guest, step, together)
            if came_to == IMPOSSIBLE:
                continue
            if came_to >= FINE:
                possible += 1
                count[TRANSITIONS] += 1
                call_settle(guest)
                if came_to != FINE:
                    earlier = look_up(guest, words, late, following, noted, count, 0)
                    if earlier != FINE:
                        return outcome(earlier, watch)
                    count[VIOLATION], count[BY_STATE], count[BY_STEP] = came_to, parent, step
                    return outcome(came_to, watch)
                walks_on = keeps_edges and walks and guest.own[WALKING] != 0
                key = put_off(words, late, base, table, count, parent, step)
                if walks_on and is_hinting(step):
                    edges[parent, BY_WORKER + step // CHOICES - WORKER] = key
                if count[PUT] - count[LOOKED_UP] == WAITING:
                    came_to = look_up(guest, words, late, following, noted, count, WAITING // 2)
                    if came_to != FINE:
                        return outcome(came_to, watch)
            restore_words(words, at, base)
            each = step < HOST * CHOICES or count[ROW] % EACH_STEP == 0
            if each and not is_kept(words, before, runs):
                return NOT_PACKED
        if not is_kept(words, before, runs):
            return NOT_PACKED
        if possible == 0:
            came_to = check_end(guest)
            earlier = FINE
            if came_to != FINE:
                earlier = look_up(guest, words, late, following, noted, count, 0)
            if earlier != FINE:
                return outcome(earlier, watch)
            if came_to != FINE:
                count[VIOLATION], count[BY_STATE], count[BY_STEP] = came_to, parent, -1
                return VIOLATED
        count[ROW] += 1
    came_to = look_up(guest, words, late, following, noted, count, 0)
    return LEVEL_DONE if came_to == FINE else outcome(came_to, watch)
