"""A user of the interface: a policy at work, and the calls of its verbs."""

import numpy as np

from freehint.config import InputError
from freehint.engine.guest.mapping import freed_blocks_cleared
from freehint.engine.world.world import World
from freehint.jit import Kernel, is_ours
from freehint.jit.pinned import pinned
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.damage import pages_held
from freehint.mm.memory import NR_ORDERS, Memory
from freehint.policies.policy import VERBS, Policy, Stroke

STATUSES = tuple(map(int, Stroke))
PAGE_COUNTS = ("offered", "hinted", "lost", "duplicate")


def is_foreign(policy: Policy) -> bool:
    """Is any verb of the policy, or its kind, not freehint's own?"""
    verbs = [getattr(policy, name) for name in VERBS]
    kind = type(policy).__module__.partition(".")[0]
    return kind != "freehint" or not all(is_ours(verb) for verb in verbs if verb)


def pages_at_hand(memory: Memory) -> int:
    """Number of pages that are free, on pcp lists or held; no verb changes this sum."""
    free = int((memory.nr_free.sum(axis=(0, 2)) << np.arange(NR_ORDERS)).sum())
    return free + int(memory.pcp["count"].sum()) + int(pages_held(memory))


def require_whole(memory: Memory, where: str) -> None:
    """Check the whole memory.

    Raises
    ------
    InvariantError
        The message begins with ``where``.
    """
    try:
        check_memory(memory)
    except InvariantError as error:
        raise InvariantError(f"{where}: {error}") from None


class User:
    """One policy at work: its worker, its walks, and the rows of its tables.

    ``walks`` has a row for each walk: [begin_ns, end_ns or -1, completed, walkable, covered,
    offered, hinted, lost, duplicate].  While the walk runs, the last four are the user's counts
    at its beginning.

    Parameters
    ----------
    number, actor : int
    policy : Policy
    current : Current
        The world of the user.
    check : bool or None
        As in :class:`freehint.engine.engine.Engine`.
    """

    def __init__(self, number: int, actor: int, policy: Policy, current, check):
        self.number, self.actor, self.policy = number, actor, policy
        self.memory, self.pinned_memory = current.world.memory, current.pinned_memory
        self.walks = []
        self.zone = 0
        self.status = int(Stroke.MORE)
        self.since = 0  # ns since when the stroke has its lock
        self.asked = False  # True: a walk is to follow the one that runs
        self.is_foreign = is_foreign(policy)
        self.checked = self.is_foreign if check is None else check
        self.clears = policy.allocates and bool(current.state.init_on_free[0])
        self.capacity = policy.stroke_capacity
        self.set_state()

    @property
    def walking(self) -> bool:
        """Is a walk running?"""
        return bool(self.walks) and self.walks[-1][1] < 0

    @property
    def by_itself(self) -> bool:
        """Does the user walk when the allocator asks, not when the host does?"""
        return self.policy.delay_ns is not None

    def set_state(self) -> None:
        """Make the policy's state anew, for a walk that has not begun."""
        make = self.policy.new_state
        self.state = make(self.memory, self.policy) if make else np.zeros(64, np.int64)
        ours = make is not None and is_ours(make) and isinstance(self.state, tuple)
        self.pinned_state = pinned(self.state) if ours else self.state

    def call(self, verb, *arguments):
        """Call a verb and return its answer.  A kernel gets memory and state in pinned form."""
        if isinstance(verb, Kernel):
            return verb(self.pinned_memory, self.pinned_state, *arguments)
        return verb(self.memory, self.state, *arguments)

    def call_checked(self, name: str, *arguments):
        """Call a verb, check that the lists are whole and no page is lost, return its answer."""
        if not self.checked:
            return self.call(getattr(self.policy, name), *arguments)
        before = pages_at_hand(self.memory)
        answer = self.call(getattr(self.policy, name), *arguments)
        self.check(name, before)
        return answer

    def check(self, verb: str, pages_before: int) -> None:
        """Check the memory and its number of pages after a verb."""
        where = f"policy {self.policy.name}: {verb}"
        require_whole(self.memory, where)
        pages = pages_at_hand(self.memory)
        if pages != pages_before:
            raise InvariantError(
                f"{where}: {pages_before} pages were free, on pcp lists or held, now {pages} are"
            )

    def call_that_frees(self, world: World, name: str, *arguments):
        """Like :meth:`call_checked`; blocks that the verb frees are cleared with init_on_free=1."""
        if not self.clears:
            return self.call_checked(name, *arguments)
        with freed_blocks_cleared(world, self.policy):
            return self.call_checked(name, *arguments)

    def fill(self, report: np.ndarray, capacity: int) -> int:
        """Let the policy write the rows of its next stroke to ``report``.

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        InputError
            The policy's answer is no number of rows and a Stroke.
        """
        n, status = self.call(self.policy.fill, self.zone, report, capacity)
        if not 0 <= n <= capacity or status not in STATUSES:
            raise InputError(
                f"policy {self.policy.name}: fill must return (0..{capacity}, a Stroke),"
                f" got ({n}, {status})"
            )
        self.status = status
        return int(n)

    def refuse_row(self, row: int, node: int, order: int) -> None:
        """Refuse a row of ``fill`` that names no block.

        Raises
        ------
        InputError
        """
        raise InputError(
            f"policy {self.policy.name}: fill: row {row} (node {node}, order {order})"
            " is neither a free block nor one held"
        )
