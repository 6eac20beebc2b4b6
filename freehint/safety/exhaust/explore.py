"""Breadth first through every state of the small guest: ``explore``."""

import time
from dataclasses import dataclass

from freehint.config import whole
from freehint.safety.exhaust.search import (
    LEVEL_DONE,
    NOT_PACKED,
    STATES,
    TRANSITIONS,
    VIOLATED,
    VIOLATION,
    Search,
)
from freehint.safety.exhaust.store import keep_search, kept_search
from freehint.safety.exhaust.together import APART
from freehint.safety.guest import Case

KEEP_EVERY_S = 60


@dataclass(frozen=True)
class Exploration:
    """What an exploration came to.

    Attributes
    ----------
    case : Case
    states, transitions, depth : int
        Numbers of different states and of steps done, and the number of the last level.
    exhausted : bool
        Whether every state within the bounds was seen.
    violation : int
        0, or one of :data:`freehint.safety.check.PROPERTIES`.
    steps : tuple of int
        The shortest schedule to the violation.
    state_bytes : int
        Bytes of a packed state.
    seconds : float
    """

    case: Case
    states: int
    transitions: int
    depth: int
    exhausted: bool
    violation: int
    steps: tuple
    state_bytes: int
    seconds: float


def explore(
    case: Case,
    most_states=100_000_000,
    most_bytes=2 << 30,
    progress=None,
    checkpoint=None,
    symmetric=True,
    reduced=False,
) -> Exploration:
    """Every schedule of a small guest, the shortest first, up to the first violation.

    Parameters
    ----------
    case : Case
    most_states, most_bytes : int
        The search stops there, and says that it is not exhausted.
    progress : callable, optional
        It is called after each level with its number and the numbers of states so far and of this
        level.
    checkpoint : path, optional
        The search is kept there about every minute and when it stops at a limit, and goes on from
        there if the file exists.
    symmetric : bool
        Whether states that differ only in the names of the vCPUs count as one.
    reduced : bool
        Whether some steps are taken together, where that is shown to change no verdict:
        :mod:`freehint.safety.exhaust.together`.  A violation is then looked for again in every
        order, so its schedule is the shortest, unless that search stops at a limit.

    Returns
    -------
    Exploration

    Raises
    ------
    InputError
        A bound cannot be used, the policy cannot work so, or the checkpoint is of another search.
    """
    whole("explore.most_states", most_states, 1)
    whole("explore.most_bytes", most_bytes, 1)
    began = time.perf_counter()
    bounds = (case, most_states, most_bytes, progress)
    search, came_to = search_all(*bounds, checkpoint, symmetric, reduced)
    if came_to == VIOLATED and search.together != APART:
        in_every_order, again = search_all(*bounds, None, symmetric)
        if again == VIOLATED:
            search = in_every_order
    return Exploration(
        case=case,
        states=int(search.count[STATES]),
        transitions=int(search.count[TRANSITIONS]),
        depth=search.depth,
        exhausted=came_to == LEVEL_DONE and not len(search.level),
        violation=int(search.count[VIOLATION]),
        steps=search.schedule() if came_to == VIOLATED else (),
        state_bytes=len(search.cells),
        seconds=time.perf_counter() - began,
    )


def search_all(
    case: Case,
    most_states: int,
    most_bytes: int,
    progress=None,
    checkpoint=None,
    symmetric=True,
    reduced=False,
) -> tuple[Search, int]:
    """Search a case, anew whenever a byte changes that was never seen to change before.

    The arguments are those of :func:`explore`.

    Returns
    -------
    (Search, int)
        The search that packs all that changed; LEVEL_DONE or VIOLATED.
    """
    search = kept_search(case, checkpoint, symmetric, reduced)
    search = search or Search(case, set(), symmetric, reduced)
    while True:
        came_to = _search(search, most_states, most_bytes, progress, checkpoint)
        if came_to != NOT_PACKED:
            return search, came_to
        cells = set(search.cells.tolist()) | search.changed()
        search = Search(case, cells, symmetric, reduced)


def _search(search: Search, most_states: int, most_bytes: int, progress, checkpoint) -> int:
    """Level after level, until the end, a limit, a violation, or a byte that is not packed."""
    kept = time.monotonic()
    while len(search.level):
        came_to = search.expand()
        if came_to != LEVEL_DONE:
            return came_to
        search.next_level()
        if progress:
            progress(search.depth, int(search.count[STATES]), len(search.level))
        at_limit = search.count[STATES] > most_states or search.bytes > most_bytes
        if checkpoint and (at_limit or time.monotonic() - kept > KEEP_EVERY_S):
            keep_search(search, checkpoint)
            kept = time.monotonic()
        if at_limit:
            break
    return LEVEL_DONE
