"""The tables of a breadth-first search, and its loop over the states of a level.

A state is known by a 64-bit hash of its canonical bytes.  Parents and steps of all states are kept,
packed states only of two levels, so the first violation has a shortest schedule.
"""

import numpy as np

from freehint.jit import kernel
from freehint.jit.pinned import pinned
from freehint.safety.check import check_end, check_owners
from freehint.safety.exhaust.lasso import BY_WORKER, OWN, endless
from freehint.safety.guest import (
    ENDLESS,
    MEMORY_ENDS,
    WALKING,
    Case,
    new_guest,
    pages_of_nobody,
)
from freehint.safety.migrating import FINE, IMPOSSIBLE
from freehint.safety.pack import (
    digest,
    enter,
    enter_all,
    is_changed,
    is_new,
    keep_words,
    pack,
    restore_words,
    settle,
    unpack,
)
from freehint.safety.steps import CHOICES, HOST, WORKER, choices_of, take_step
from freehint.safety.verbs import verbs_of

# Entries of ``count``.  MEMORY is the number of changing words that are the allocator's.
ROW, NEXT, STATES, FIRST, TRANSITIONS, VIOLATION, BY_STATE, BY_STEP, MEMORY, NR_COUNT = range(10)
LEVEL_DONE, NEED_ROOM, VIOLATED, NOT_PACKED, PART_DONE = range(5)
PART = 1 << 16  # states of a level between two looks at the limits
FIRST_SLOTS = 1 << 16
FIRST_ROWS = 1 << 12


@kernel(inline=True)
def all_packed(words, first, bits, runs):
    """Do all bits outside of the packed bytes have their first values?

    ``bits`` are set outside of them; ``runs``, an int64[n, 2], says which words to look at.
    """
    changed = np.uint64(0)
    for run in range(runs.shape[0]):
        begin, end = runs[run, 0], runs[run, 1]
        now, before, where = words[begin:end], first[begin:end], bits[begin:end]
        for i in range(now.shape[0]):  # from 0, so that it becomes vector code
            changed |= (now[i] ^ before[i]) & where[i]
    return changed == 0


@kernel(inline=True)
def is_hinting(step):
    """Is a step the worker's or the host's?"""
    return step // CHOICES == WORKER or step // CHOICES == HOST


@kernel
def expand(guest, verbs, cells, watch, level, tables, count):
    """Do every step in every state of a level, and note the new states.

    ``watch``: (words of the arena, their first values, bits and runs for all_packed(), the words
    that change, room for their values); ``level``: this level's states, the next level's;
    ``tables``: hashes, parents, steps, the steps that are possible at all, and edges, which are
    empty if P6 is not checked: :mod:`freehint.safety.exhaust.lasso`.
    """
    states, following = level
    words, first, bits, runs, at, base = watch
    table, parents, steps, choices, edges = tables
    keeps_edges = edges.shape[0] > 0
    room = choices.shape[0]
    while count[ROW] < states.shape[0]:
        full = count[NEXT] + room > following.shape[0]
        full = full or count[STATES] + room > parents.shape[0]
        if full or 2 * (count[STATES] + room) > table.shape[0]:
            return NEED_ROOM
        parent = count[FIRST] + count[ROW]
        unpack(guest, cells, states[count[ROW]])
        keep_words(words, at, base)
        walks = guest.own[WALKING] != 0
        possible = 0
        for step in choices:
            came_to = take_step(guest, verbs, step)
            if came_to == IMPOSSIBLE:
                continue
            if came_to >= FINE:
                possible += 1
                count[TRANSITIONS] += 1
                settle(guest, verbs)
                if not all_packed(words, first, bits, runs):
                    return NOT_PACKED
                fine = came_to == FINE
                key = digest(words, at)
                if keeps_edges and walks and guest.own[WALKING] and is_hinting(step):
                    edges[parent, BY_WORKER + step // CHOICES - WORKER] = key
                if not fine or is_new(table, key):
                    if fine and is_changed(words, at, base, count[MEMORY]):
                        came_to = check_owners(guest)
                    if came_to != FINE:
                        count[VIOLATION], count[BY_STATE], count[BY_STEP] = came_to, parent, step
                        return VIOLATED
                    pack(guest, cells, following[count[NEXT]])
                    count[NEXT] += 1
                    parents[count[STATES]] = parent
                    steps[count[STATES]] = step
                    if keeps_edges:
                        edges[count[STATES], OWN] = key
                    count[STATES] += 1
            restore_words(words, at, base)
        if possible == 0:
            came_to = check_end(guest)
            if came_to != FINE:
                count[VIOLATION], count[BY_STATE], count[BY_STEP] = came_to, parent, -1
                return VIOLATED
        count[ROW] += 1
    return LEVEL_DONE


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
    """

    def __init__(self, case: Case, cells, symmetric: bool = True):
        self.case, self.cells = case, np.array(sorted(cells), np.int64)
        self.symmetric = symmetric
        guest, policy = new_guest(case, symmetric)
        self.guest, self.verbs = guest, verbs_of(policy, guest.state)
        self.pinned = pinned(guest)
        settle(self.pinned, self.verbs)
        self.words = guest.words
        self.first = self.words.copy()
        self.at = np.unique(self.cells // 8)
        self.base = np.zeros(len(self.at), np.uint64)
        self.choices = choices_of(case)
        self.table = np.zeros(FIRST_SLOTS, np.uint64)
        first = enter(self.table, self.words, self.at)
        self.parents = np.zeros(FIRST_SLOTS, np.uint32)
        self.steps = np.zeros(FIRST_SLOTS, np.uint8)
        self.edges = np.zeros((len(self.steps) if case.ends != "unchecked" else 0, 3), np.uint64)
        self.edges[:1, OWN] = first
        self.count = np.zeros(NR_COUNT, np.int64)
        self.count[STATES] = 1
        self.count[MEMORY] = np.searchsorted(self.at, guest.span[MEMORY_ENDS])
        self.level = guest.arena[self.cells][None].copy()
        self.following = np.zeros((FIRST_ROWS, len(self.cells)), np.uint8)
        self.bits = self._bits()
        self.runs = runs_of(self.bits != 0)
        self.depth, self.round = 0, ()

    def _bits(self) -> np.ndarray:
        """The bits of the arena that are not packed, and may belong to something: uint64[n]."""
        bits = np.full(len(self.words), ~np.uint64(0))
        bits.view(np.uint8)[self.cells] = 0
        bits.view(np.uint8)[pages_of_nobody(self.guest)] = 0
        return bits

    def changed(self) -> set:
        """Places of the bytes that differ from the first state."""
        return set(np.flatnonzero(self.guest.arena != self.first.view(np.uint8)).tolist())

    def expand(self, most_bytes: int) -> int:
        """Go on with this level, a part of it at a time.

        Parameters
        ----------
        most_bytes : int
            Of the tables, and of a copy while one of them grows.

        Returns
        -------
        int
            LEVEL_DONE, PART_DONE, VIOLATED, NOT_PACKED; or NEED_ROOM, if it would take more bytes.
        """
        end = min(len(self.level), int(self.count[ROW]) + PART)
        while True:
            came_to = expand(
                self.pinned,
                self.verbs,
                self.cells,
                (self.words, self.first, self.bits, self.runs, self.at, self.base),
                (self.level[:end], self.following),
                (self.table, self.parents, self.steps, self.choices, self.edges),
                self.count,
            )
            if came_to == LEVEL_DONE and end < len(self.level):
                return PART_DONE
            if came_to != NEED_ROOM or not self._make_room(most_bytes):
                return came_to

    def _make_room(self, most_bytes: int) -> bool:
        """Let each table that is full be twice as large; False if there is no room for it."""
        count, room = self.count, len(self.choices)
        full = {
            "following": count[NEXT] + room > len(self.following),
            "parents": count[STATES] + room > len(self.parents),
            "steps": count[STATES] + room > len(self.steps),
            "edges": 0 < len(self.edges) < count[STATES] + room,
            "table": 2 * (count[STATES] + room) > len(self.table),
        }
        for name in (name for name, is_full in full.items() if is_full):
            old = getattr(self, name)
            if self.bytes + 2 * old.nbytes > most_bytes:
                return False
            new = np.zeros((2 * len(old), *old.shape[1:]), old.dtype)
            if name == "table":
                enter_all(new, old)
            else:
                new[: len(old)] = old
            setattr(self, name, new)
        return True

    def next_level(self) -> None:
        """Let the new states be the level."""
        count = self.count
        count[FIRST] = count[STATES] - count[NEXT]
        self.level = self.following[: count[NEXT]]
        self.following = np.zeros((FIRST_ROWS, len(self.cells)), np.uint8)
        count[ROW] = count[NEXT] = 0
        self.depth += 1

    @property
    def bytes(self) -> int:
        """Memory that the tables take."""
        level = self.level if self.level.base is None else self.level.base
        tables = (self.table, self.parents, self.steps, self.edges, level, self.following)
        return sum(one.nbytes for one in tables)

    def look_for_rounds(self) -> bool:
        """Is there a walk without end among the states so far?  It is the violation then."""
        known = self.edges[: self.count[STATES]]
        begin, self.round = endless(known, self.case.ends == "alone")
        if begin >= 0:
            self.count[VIOLATION], self.count[BY_STATE], self.count[BY_STEP] = ENDLESS, begin, -1
        return begin >= 0

    def schedule(self) -> tuple:
        """The steps to the violation."""
        at, taken = int(self.count[BY_STATE]), list(reversed(self.round))
        if self.count[BY_STEP] >= 0:
            taken.append(int(self.count[BY_STEP]))
        while at > 0:
            taken.append(int(self.steps[at]))
            at = int(self.parents[at])
        return tuple(reversed(taken))
