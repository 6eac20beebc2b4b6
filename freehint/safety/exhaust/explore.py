"""Breadth first through every state of the small guest: ``explore``."""

import time
from dataclasses import dataclass
from html import escape

import pandas as pd

from freehint.config import InputError, require, whole
from freehint.safety.check import PROPERTIES
from freehint.safety.exhaust.expand import LEVEL_DONE, NEED_ROOM, NOT_PACKED, VIOLATED
from freehint.safety.exhaust.late import STATES, TRANSITIONS, VIOLATION
from freehint.safety.exhaust.search import Search
from freehint.safety.exhaust.store import keep_search, kept_search
from freehint.safety.exhaust.together import APART
from freehint.safety.guest import Case
from freehint.safety.own.case import OwnCase, case_of
from freehint.safety.own.verbs import verbs_may_fail
from freehint.safety.told.bounds import bounds_in_words, number
from freehint.safety.trace import replay, schedule_string
from freehint.safety.verdicts import EXHAUSTED, UNFINISHED
from freehint.safety.verdicts import VIOLATED as FOUND_VIOLATED

KEEP_EVERY_S = 60
OPERATIONS = 3  # of a policy that is explored with no bound of its own: some seconds


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
        With the time to compile kernels, if they were not.
    hinted : bool
        Whether a hint was on the ring in any state.
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
    hinted: bool

    @property
    def verdict(self) -> str:
        """EXHAUSTED, VIOLATED or UNFINISHED of :mod:`freehint.safety.verdicts`."""
        if self.violation:
            return FOUND_VIOLATED
        return EXHAUSTED if self.exhausted else UNFINISHED

    @property
    def schedule(self) -> str:
        """The shortest schedule to the violation, for ``--replay``; empty without one."""
        return schedule_string(self.case, self.steps) if self.violation else ""

    @property
    def bounds(self) -> dict:
        """What was explored, in words: label -> text."""
        return bounds_in_words(self.case)

    def trace(self) -> pd.DataFrame:
        """The schedule in words.

        Returns
        -------
        DataFrame
            A row for each step, numbered from 1: ``step``, a sentence; ``breaks``, the property
            that does not hold after it, or "".  Without a violation it has no row.
        """
        policy = self.case.chosen
        told = list(replay(self.schedule, policy)) if self.violation else []
        rows = [(sentence, PROPERTIES.get(came_to, "")) for sentence, came_to in told]
        index = pd.RangeIndex(1, len(rows) + 1)
        return pd.DataFrame(rows, index, ["step", "breaks"], dtype=str)

    def _said(self) -> str:
        """What was found, in a sentence or two."""
        seen = f"{self.states:,} states and {self.transitions:,} steps in {self.seconds:.1f} s"
        if self.violation:
            n = number(len(self.steps), "step")
            return f"After {n} one property does not hold. {PROPERTIES[self.violation]}. ({seen})"
        said = "The search stopped at its limit, and no schedule so far breaks a property."
        if self.exhausted:
            said = "Every schedule within these bounds was searched, and none breaks a property."
        if not self.hinted:
            said += " No hint was ever on the ring: blocks of this guest have order 0 to 2."
        return f"{said} ({seen})"

    def _facts(self) -> dict:
        """The bounds, and the schedule if there is one."""
        return self.bounds | ({"schedule": self.schedule} if self.violation else {})

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(map(len, facts))
        lines = [f"  {label:{width}}  {value}" for label, value in facts.items()]
        head = f"Exploration of {self.case.chosen.name}: {self.verdict.upper()}"
        return "\n".join([head, f"  {self._said()}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'>{label}</td>"
            f"<td style='text-align:left;overflow-wrap:anywhere'>{escape(value)}</td></tr>"
            for label, value in self._facts().items()
        )
        head = f"policy <b>{escape(self.case.chosen.name)}</b>: <b>{self.verdict.upper()}</b>. "
        return f"<div><p>{head}{escape(self._said())}</p><table>{rows}</table></div>"


def explore(
    policy,
    most_states=100_000_000,
    most_bytes=2 << 30,
    progress=None,
    checkpoint=None,
    symmetric=True,
    reduced=False,
    **bounds,
) -> Exploration:
    """Every schedule of a small guest, the shortest first, up to the first violation.

    Parameters
    ----------
    policy : str, Policy or Case
        A name in ``fh.POLICIES``; any policy, also a user's own, whose verbs must be kernels and
        find blocks of order 0 to 2, because the guest has no larger ones; or a whole case.
    most_states, most_bytes : int
        The search stops there, also within a level, and says that it is not exhausted.  Bytes are
        those of its tables, with the copy while one of them grows.
    progress : callable, optional
        It is called after each level with its number and the numbers of states so far and of this
        level.
    checkpoint : path, optional
        The search is kept there about every minute and when it stops at a limit, and goes on from
        there if the file exists and was written by the same code.  Not for a user's own policy.
    symmetric : bool
        Whether states that differ only in the names of the vCPUs count as one.
    reduced : bool
        Whether some steps are taken together, where that is shown to change no verdict:
        :mod:`freehint.safety.exhaust.together`.  A violation is then looked for again in every
        order, so its schedule is the shortest, unless that search stops at a limit.
    bounds
        Fields of :class:`freehint.safety.case.Case`, as ``generation="G2"``, ``chunk=1`` or
        ``vcpus=2``.  Without ``operations`` the guest has 3; -1 is any number.

    Returns
    -------
    Exploration

    Raises
    ------
    InputError
        A bound cannot be used, the policy cannot work so, a verb of it cannot be compiled or fails,
        or the checkpoint is of another search or of other code.

    Examples
    --------
    >>> import freehint as fh
    >>> found = fh.explore("v24", generation="G3", initially_set=True)
    >>> found.verdict, len(found.steps)
    ('violated', 12)
    >>> print(found.trace()["step"].iloc[-1])
    the migration stops the guest, syncs and sends the rest: the guest goes on at the destination
    """
    case = policy
    if not isinstance(case, Case):
        case = case_of(policy, **{"operations": OPERATIONS} | bounds)
    elif bounds:
        require(False, "explore", "take bounds with a policy, and a case without", [*bounds])
    whole("explore.most_states", most_states, 1)
    whole("explore.most_bytes", most_bytes, 1)
    if checkpoint is not None and isinstance(case, OwnCase):
        raise InputError("explore.checkpoint must be None for a policy that is not in POLICIES")
    began = time.perf_counter()
    with verbs_may_fail(case.chosen):
        limits = (most_states, most_bytes, progress)
        search, came_to = search_all(case, *limits, checkpoint, symmetric, reduced)
        if came_to == VIOLATED and search.together != APART:
            in_every_order, again = search_all(case, *limits, None, symmetric)
            search = in_every_order if again == VIOLATED else search
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
        hinted=_ever_changed(search, search.guest.world.ring.blocks),
    )


def _ever_changed(search: Search, array) -> bool:
    """Did a byte of an array of the guest differ in any state from the first one?"""
    begin = array.ctypes.data - search.guest.arena.ctypes.data
    return bool(((search.cells >= begin) & (search.cells < begin + array.nbytes)).any())


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

    The arguments are those of :func:`explore`, with a case.

    Returns
    -------
    (Search, int)
        The search that packs all that changed; LEVEL_DONE, VIOLATED, or NEED_ROOM at a limit.
    """
    search = kept_search(case, checkpoint, symmetric, reduced)
    search = search or Search(case, set(), symmetric, reduced)
    while True:
        came_to = _search(search, most_states, most_bytes, progress, checkpoint)
        seen = came_to in (LEVEL_DONE, NEED_ROOM)
        if seen and case.ends != "unchecked" and search.look_for_rounds():
            came_to = VIOLATED
        if came_to != NOT_PACKED:
            return search, came_to
        cells = set(search.cells.tolist()) | search.changed()
        search = Search(case, cells, symmetric, reduced, search)


def _search(search: Search, most_states: int, most_bytes: int, progress, checkpoint) -> int:
    """Level after level, until the end, a limit, a violation, or a byte that is not packed."""
    kept = time.monotonic()
    while len(search.level):
        came_to = search.expand(most_bytes)
        if came_to in (VIOLATED, NOT_PACKED):
            return came_to
        if came_to == LEVEL_DONE:
            search.next_level()
            if progress:
                progress(search.depth, int(search.count[STATES]), len(search.level))
        at_limit = came_to == NEED_ROOM or search.count[STATES] > most_states
        if checkpoint and (at_limit or time.monotonic() - kept > KEEP_EVERY_S):
            keep_search(search, checkpoint)
            kept = time.monotonic()
        if at_limit:
            return NEED_ROOM
    return LEVEL_DONE
