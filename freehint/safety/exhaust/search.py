"""The tables of a breadth-first search.

A state is known by a 64-bit hash of its canonical bytes.  Parents and steps of all states are kept,
packed states only of two levels, so the first violation has a shortest schedule.
"""

import numpy as np

from freehint.safety.exhaust.expand import LEVEL_DONE, NEED_ROOM, PART_DONE, expand
from freehint.safety.exhaust.lasso import OWN, endless
from freehint.safety.exhaust.late import (
    BY_STATE,
    BY_STEP,
    FIRST,
    MEMORY,
    NEXT,
    NR_COUNT,
    ROW,
    STATES,
    VIOLATION,
    WAITING,
    no_states,
)
from freehint.safety.exhaust.room import zeros
from freehint.safety.exhaust.together import APART, in_single_steps, taken_together
from freehint.safety.guest import ENDLESS, MEMORY_ENDS, Case, new_guest, pages_of_nobody
from freehint.safety.own.bound import bound
from freehint.safety.pack import enter, enter_all, settle
from freehint.safety.steps import choices_of

PART = 1 << 16  # states of a level between two looks at the limits
FIRST_SLOTS = 1 << 16
FIRST_ROWS = 1 << 12


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
    before : Search, optional
        A search of the same case, which is over: this one goes on with its guest.
    """

    def __init__(
        self, case: Case, cells, symmetric: bool = True, reduced: bool = False, before=None
    ):
        self.case, self.cells = case, np.array(sorted(cells), np.uint64)
        self.symmetric = symmetric
        self.together = taken_together(case) if reduced else APART
        if before is None:
            guest, policy = new_guest(case, symmetric)
            self.guest, self.pinned = guest, bound(guest, policy)
            settle(self.pinned)
        else:
            guest = self.guest = before.guest
            self.pinned = before.pinned
            guest.words[:] = before.first
        self.words = guest.words
        self.first = self.words.copy()
        self.before = self.words.copy()
        bits = self._bits()
        self.runs = runs_of(bits != 0)
        self.late = no_states(self.cells, self.words, bits)
        self.base = np.zeros_like(self.late.first)
        self.choices = choices_of(case)
        self.table = np.zeros(FIRST_SLOTS, np.uint64)
        first = enter(self.table, self.late.first)
        self.parents = np.zeros(FIRST_SLOTS, np.uint32)
        self.steps = np.zeros(FIRST_SLOTS, np.uint8)
        self.edges = np.zeros((len(self.steps) if case.ends != "unchecked" else 0, 3), np.uint64)
        self.edges[:1, OWN] = first
        self.count = np.zeros(NR_COUNT, np.int64)
        self.count[STATES] = 1
        self.count[MEMORY] = np.count_nonzero(self.late.at < guest.span[MEMORY_ENDS])
        self.level = guest.arena[self.cells][None].copy()
        self.following = np.zeros((FIRST_ROWS, len(self.cells)), np.uint8)
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
            noted = (self.table, self.parents, self.steps, self.edges)
            came_to = expand(
                self.pinned,
                self.cells,
                (self.words, self.late.at, self.base, self.before, self.runs),
                self.late,
                (self.level[:end], self.following),
                (noted, self.choices, self.together),
                self.count,
            )
            if came_to == LEVEL_DONE and end < len(self.level):
                return PART_DONE
            if came_to != NEED_ROOM or not self._make_room(most_bytes):
                return came_to

    def _make_room(self, most_bytes: int) -> bool:
        """Let each table that is full be twice as large; False if there is no room for it."""
        count, room = self.count, len(self.choices) + WAITING
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
            new = zeros((2 * len(old), *old.shape[1:]), old.dtype)
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
        taken.reverse()
        if self.together != APART:
            self.words[:] = self.first
            own = self.guest.own
            taken = in_single_steps(self.pinned, own, self.together, taken)
        return tuple(taken)
