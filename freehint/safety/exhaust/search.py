"""The tables of a breadth-first search, and its loop over the states of a level.

A state is known by a 64-bit hash of its canonical bytes.  Parents and steps of all states are kept,
packed states only of two levels, so the first violation has a shortest schedule.
"""

import numpy as np

from freehint.jit import kernel
from freehint.jit.pinned import pinned
from freehint.safety.check import check_end
from freehint.safety.exhaust.late import (
    BY_STATE,
    BY_STEP,
    FIRST,
    LOOKED_UP,
    LOST_BYTE,
    MEMORY,
    NEXT,
    NR_COUNT,
    PUT,
    ROW,
    STATES,
    TRANSITIONS,
    VIOLATION,
    WAITING,
    look_up,
    no_states,
    put_off,
)
from freehint.safety.exhaust.room import doubled, zeros
from freehint.safety.exhaust.together import (
    APART,
    in_single_steps,
    take_together,
    taken_together,
)
from freehint.safety.guest import FINE, IMPOSSIBLE, MEMORY_ENDS, Case, new_guest, pages_of_nobody
from freehint.safety.pack import enter, enter_all, keep_words, restore_words, settle, unpack
from freehint.safety.steps import CHOICES, HOST, choices_of
from freehint.safety.verbs import verbs_of

LEVEL_DONE, NEED_ROOM, VIOLATED, NOT_PACKED = range(4)
FIRST_SLOTS = 1 << 16
FIRST_ROWS = 1 << 12
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


@kernel
def expand(guest, verbs, cells, watch, late, level, tables, count):
    """Do every step in every state of a level, and note the new states.

    ``watch``: (words of the arena; places of those that change; room for their values; room for
    all words as they were; the runs of them that is_kept() looks at); ``late``: the states that
    wait; ``level``: this level's states, the next level's; ``tables``: (hashes, parents, steps);
    the steps that are possible at all; which are taken together.

    No other byte may change.  In the words that change, this is checked in each new state.  The
    other words are not restored, so they are checked after all steps in a state; but at once after
    those of vCPUs and worker, because no step is to find lists that are half restored, and after
    any step in every 16th state, because another step may undo a change.
    """
    states, following = level
    words, at, base, before, runs = watch
    noted, choices, together = tables
    table, parents, _ = noted
    room = choices.shape[0] + WAITING
    while count[ROW] < states.shape[0]:
        full = count[NEXT] + room > following.shape[0]
        full = full or count[STATES] + room > parents.shape[0]
        if full or 2 * (count[STATES] + room) > table.shape[0]:
            return NEED_ROOM
        parent = count[FIRST] + count[ROW]
        unpack(guest, cells, states[count[ROW]])
        keep_words(words, at, base)
        restore_words(before, at, base)
        possible = 0
        for step in choices:
            came_to = take_together(guest, verbs, step, together)
            if came_to == IMPOSSIBLE:
                continue
            if came_to >= FINE:
                possible += 1
                count[TRANSITIONS] += 1
                settle(guest, verbs)
                if came_to != FINE:
                    earlier = look_up(guest, words, late, following, noted, count, 0)
                    if earlier != FINE:
                        return outcome(earlier, watch)
                    count[VIOLATION], count[BY_STATE], count[BY_STEP] = came_to, parent, step
                    return outcome(came_to, watch)
                put_off(words, late, base, table, count, parent, step)
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


def runs_of(wanted: np.ndarray) -> np.ndarray:
    """Begins and ends of the runs that hold all True entries; short gaps belong to them.

    Parameters
    ----------
    wanted : bool[n]

    Returns
    -------
    int64[m, 2]
    """
    at = np.flatnonzero(wanted)
    far = np.flatnonzero(np.diff(at) > 16)
    begins, ends = at[np.r_[0, far + 1]], at[np.r_[far, len(at) - 1]] + 1
    return np.ascontiguousarray(np.stack([begins, ends], axis=1))


class Search:
    """The tables of a breadth-first search from a guest's first state.

    Parameters
    ----------
    case : Case
    cells : sorted list of int
        Places in the arena of the bytes that are packed.
    symmetric : bool
        Whether states that differ only in the names of the vCPUs count as one.
    reduced : bool
        Whether some steps are taken together where that is shown to be enough:
        :mod:`freehint.safety.exhaust.together`.
    """

    def __init__(self, case: Case, cells, symmetric: bool = True, reduced: bool = False):
        self.case, self.cells = case, np.array(sorted(cells), np.uint64)
        self.symmetric = symmetric
        self.together = taken_together(case) if reduced else APART
        guest, policy = new_guest(case, symmetric)
        self.guest, self.verbs = guest, verbs_of(policy, guest.state)
        self.pinned = pinned(guest)
        settle(self.pinned, self.verbs)
        self.words = guest.words
        self.first = self.words.copy()
        self.before = self.words.copy()
        bits = self._bits()
        self.runs = runs_of(bits != 0)
        self.late = no_states(self.cells, self.words, bits)
        self.base = np.zeros_like(self.late.first)
        self.choices = choices_of(case)
        self.table = np.zeros(FIRST_SLOTS, np.uint64)
        enter(self.table, self.late.first)
        self.parents = np.zeros(FIRST_SLOTS, np.uint32)
        self.steps = np.zeros(FIRST_SLOTS, np.uint8)
        self.count = np.zeros(NR_COUNT, np.int64)
        self.count[STATES] = 1
        self.count[MEMORY] = np.count_nonzero(self.late.at < guest.span[MEMORY_ENDS])
        self.level = guest.arena[self.cells][None].copy()
        self.following = np.zeros((FIRST_ROWS, len(self.cells)), np.uint8)
        self.spare = np.zeros_like(self.following)
        self.depth = 0

    def _bits(self) -> np.ndarray:
        """The bits of the arena that are not packed, and may belong to something: uint64[n]."""
        bits = np.full(len(self.words), ~np.uint64(0))
        bits.view(np.uint8)[self.cells] = 0
        bits.view(np.uint8)[pages_of_nobody(self.guest)] = 0
        return bits

    def changed(self) -> set:
        """Places of the bytes that differ from the first state."""
        return set(np.flatnonzero(self.guest.arena != self.first.view(np.uint8)).tolist())

    def expand(self) -> int:
        """Go on with this level; returns LEVEL_DONE, VIOLATED or NOT_PACKED."""
        while True:
            came_to = expand(
                self.pinned,
                self.verbs,
                self.cells,
                (self.words, self.late.at, self.base, self.before, self.runs),
                self.late,
                (self.level, self.following),
                ((self.table, self.parents, self.steps), self.choices, self.together),
                self.count,
            )
            if came_to != NEED_ROOM:
                return came_to
            self._make_room()

    def _make_room(self) -> None:
        count, room = self.count, len(self.choices) + WAITING
        if count[NEXT] + room > len(self.following):
            self.following = doubled(self.following)
        if count[STATES] + room > len(self.parents):
            self.parents, self.steps = doubled(self.parents), doubled(self.steps)
        if 2 * (count[STATES] + room) > len(self.table):
            old, self.table = self.table, zeros((2 * len(self.table),), np.uint64)
            enter_all(self.table, old)

    def next_level(self) -> None:
        """Let the new states be the level."""
        count = self.count
        count[FIRST] = count[STATES] - count[NEXT]
        self.level = self.following[: count[NEXT]]
        self.following, self.spare = self.spare, self.following
        count[ROW] = count[NEXT] = 0
        self.depth += 1

    @property
    def bytes(self) -> int:
        """Memory that the tables take."""
        tables = (self.table, self.parents, self.steps, self.spare, self.following)
        return sum(one.nbytes for one in tables)

    def schedule(self) -> tuple:
        """The steps to the violation."""
        at, taken = int(self.count[BY_STATE]), []
        if self.count[BY_STEP] >= 0:
            taken.append(int(self.count[BY_STEP]))
        while at > 0:
            taken.append(int(self.steps[at]))
            at = int(self.parents[at])
        taken.reverse()
        if self.together != APART:
            self.words[:] = self.first
            own = self.guest.own
            taken = in_single_steps(self.pinned, own, self.verbs, self.together, taken)
        return tuple(taken)
