"""Walks without end: cycles among the states of a search in which only worker and host act.

A search whose case checks P6 keeps, for each state of a walk, what the worker's and the host's
next steps lead to.  A walk is without end if it can go round in a *component*, states that all
lead to each other by such steps.  Some step in it is the worker's, and

* "alone": every step is;
* "fair": the host is not left out for ever, so it acts in the component, or one of its states has
  nothing for it to do.

Both are exact: every such walk is found in the states that were searched.
"""

from collections import deque

import numpy as np

from freehint.jit import kernel
from freehint.safety.guest import WALKING, pages_of_nobody
from freehint.safety.steps import CHOICES, HOST, WORKER

OWN, BY_WORKER, BY_HOST = range(3)  # columns of Search.edges: hashes of states, or 0
STEPS = (WORKER * CHOICES, HOST * CHOICES)


@kernel(allocates=True)
def components(after, low, name):
    """Give states that lead to each other the same name (Tarjan's algorithm, without recursion).

    Parameters
    ----------
    after : int64[n, 2]
        Where each state leads to, or -1.
    low, name : int64[n]
        All 0, and all -1; ``name`` becomes the state's component.
    """
    n = after.shape[0]
    path, open_ = np.zeros(n, np.int64), np.zeros(n, np.int64)
    index, turn = np.zeros(n, np.int64), np.zeros(n, np.uint8)
    seen = 0
    for first in range(n):
        if index[first] > 0:
            continue
        path[0], depth, waiting = first, 1, 0
        while depth > 0:
            at = path[depth - 1]
            if index[at] == 0:
                seen += 1
                index[at] = low[at] = seen
                open_[waiting] = at
                waiting += 1
            if turn[at] < 2:
                following = after[at, turn[at]]
                turn[at] += 1
                if following >= 0 and index[following] == 0:
                    path[depth] = following
                    depth += 1
                elif following >= 0 and name[following] < 0:
                    low[at] = min(low[at], index[following])
                continue
            depth -= 1
            if depth > 0:
                low[path[depth - 1]] = min(low[path[depth - 1]], low[at])
            while low[at] == index[at] and name[at] < 0:
                waiting -= 1
                name[open_[waiting]] = at


def places_of(edges: np.ndarray) -> np.ndarray:
    """Where each state's steps lead to: int64[n, 2], -1 for nowhere.

    Parameters
    ----------
    edges : uint64[n, 3]
        OWN, BY_WORKER and BY_HOST.
    """
    own = edges[:, OWN]
    by_hash = np.argsort(own, kind="stable")
    at = np.searchsorted(own[by_hash], edges[:, 1:])
    places = by_hash[np.minimum(at, len(own) - 1)]
    places[own[places] != edges[:, 1:]] = -1
    return places


def endless(edges: np.ndarray, alone: bool) -> tuple[int, tuple]:
    """The earliest state from which a walk comes back to it, and the steps until then.

    Parameters
    ----------
    edges : uint64[n, 3]
        Of all states, in the order in which they were found.
    alone : bool
        Whether the host stands still.

    Returns
    -------
    (int, tuple of int)
        (-1, ()) if every walk ends.
    """
    after = places_of(edges)
    if alone:
        after[:, 1] = -1
    name = np.full(len(after), -1, np.int64)
    components(after, np.zeros(len(after), np.int64), name)
    inside = (after >= 0) & (name[after] == name[:, None])
    round_ = np.unique(name[inside[:, 0]])
    if not alone:
        content = inside[:, 1] | (edges[:, BY_HOST] == 0)
        round_ = np.intersect1d(round_, name[content])
    found = np.flatnonzero(np.isin(name, round_))
    if not len(found):
        return -1, ()
    begin = int(found[0])
    within = name == name[begin]
    if alone or not inside[within, 1].any():
        return begin, _way(after, within, begin, begin, True)
    # Some step of the host is on the way, if one is possible.
    by_host = np.flatnonzero(within & inside[:, 1])
    first = _way(after, within, begin, int(by_host[0]), False)
    end = int(after[by_host[0], 1])
    return begin, (*first, STEPS[1], *_way(after, within, end, begin, False))


def _way(after: np.ndarray, within: np.ndarray, begin: int, end: int, moves: bool) -> tuple:
    """The shortest steps from one state of a component to another; at least one if it ``moves``."""
    if begin == end and not moves:
        return ()
    came, queue = {}, deque([begin])
    while queue:
        at = queue.popleft()
        for choice in (0, 1):
            following = int(after[at, choice])
            if following < 0 or not within[following] or following in came:
                continue
            came[following] = (at, STEPS[choice])
            queue.append(following)
    steps, at = [], end
    while not steps or at != begin:
        at, step = came[at]
        steps.append(step)
    return tuple(reversed(steps))


class Past:
    """What a schedule went through, so that a state is known when it comes again in a walk.

    Parameters
    ----------
    player : Player
        Before its first step.
    """

    def __init__(self, player):
        self.player = player
        self.alone = player.case.ends == "alone"
        self.matters = ~pages_of_nobody(player.guest)
        self.states, self.steps = [], []
        self.note(None)

    def note(self, step) -> None:
        """Note a step that was taken, and the state after it."""
        guest = self.player.guest
        walks, rests = bool(guest.own[WALKING]), STEPS[1] not in self.player.possible()
        self.states.append((guest.arena[self.matters].tobytes(), walks, rests))
        self.steps.append(step)

    def goes_round(self) -> bool:
        """Has the walk come back to where it was, as :func:`endless` understands it?"""
        last, rests = self.states[-1][0], False
        acted = set()
        for (state, walks, rests_here), step in zip(reversed(self.states), reversed(self.steps)):
            if acted and state == last:
                served = self.alone or rests or STEPS[1] in acted
                only = not (self.alone and STEPS[1] in acted)
                return walks and served and only and STEPS[0] in acted
            if not walks or step not in STEPS:
                return False
            acted.add(step)
            rests = rests or rests_here
        return False
