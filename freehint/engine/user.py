"""A user of the interface: a policy at work, and how its verbs are called."""

import numpy as np

from freehint.config import InputError
from freehint.engine.guest.mapping import freed_blocks_cleared
from freehint.engine.world.world import World
from freehint.jit import Kernel, as_python
from freehint.jit.pinned import pinned
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.damage import pages_held
from freehint.mm.memory import NR_ORDERS, Memory
from freehint.policies.policy import Policy, Stroke

STATUSES = tuple(map(int, Stroke))
PAGE_COUNTS = ("offered", "hinted", "lost", "duplicate")


def pages_at_hand(memory: Memory) -> int:
    """Pages that nobody uses: free, on pcp lists, or held; no verb changes their sum."""
    free = int((memory.nr_free.sum(axis=(0, 2)) << np.arange(NR_ORDERS)).sum())
    return free + int(memory.pcp["count"].sum()) + int(pages_held(memory))


def require_whole(memory: Memory, where: str) -> None:
    """Check the whole memory.

    Raises
    ------
    InvariantError
        Saying ``where`` it was found broken.
    """
    try:
        check_memory(memory)
    except InvariantError as error:
        raise InvariantError(f"{where}: {error}") from None


class User:
    """One policy at work: its worker, its walks, and the rows of its tables.

    ``walks`` holds [begin_ns, end_ns or -1, completed, walkable, covered, offered, hinted, lost,
    duplicate]; the last four are the user's counts at the beginning while the walk runs.

    Parameters
    ----------
    number, actor : int
    policy : Policy
    strokes : Strokes
        Whose world it is in.
    check : bool or None
        As in :class:`freehint.engine.engine.Engine`.
    """

    def __init__(self, number: int, actor: int, policy: Policy, strokes, check):
        self.number, self.actor, self.policy = number, actor, policy
        self.memory, self.pinned_memory = strokes.world.memory, strokes.pinned_memory
        self.walks = []
        self.zone = 0
        self.status = int(Stroke.MORE)
        self.since = 0  # of the stroke
        self.asked = False  # to walk, once the walk that runs is over
        module = getattr(as_python(policy.fill), "__module__", "")
        self.is_foreign = not module.startswith("freehint.")
        self.checked = self.is_foreign if check is None else check
        self.clears = policy.allocates and bool(strokes.state.init_on_free[0])
        self.capacity = policy.stroke_capacity
        self.set_state()

    @property
    def walking(self) -> bool:
        """Does a walk run?"""
        return bool(self.walks) and self.walks[-1][1] < 0

    @property
    def by_itself(self) -> bool:
        """Does it walk when the allocator asks, not when the host does?"""
        return self.policy.delay_ns is not None

    def set_state(self) -> None:
        """The state of a walk that has not begun."""
        make = self.policy.new_state
        self.state = make(self.memory, self.policy) if make else np.zeros(64, np.int64)
        ours = not self.is_foreign and isinstance(self.state, tuple)
        self.pinned_state = pinned(self.state) if ours else self.state

    def call(self, verb, *arguments):
        """What a verb answers; kernels find memory and state in one piece."""
        if isinstance(verb, Kernel):
            return verb(self.pinned_memory, self.pinned_state, *arguments)
        return verb(self.memory, self.state, *arguments)

    def call_checked(self, name: str, *arguments):
        """What a verb answers, checked: are the lists whole, and the pages all there?"""
        if not self.checked:
            return self.call(getattr(self.policy, name), *arguments)
        before = pages_at_hand(self.memory)
        answer = self.call(getattr(self.policy, name), *arguments)
        self.check(name, before)
        return answer

    def check(self, verb: str, pages_before: int) -> None:
        """Has a verb left the memory as it must be?"""
        where = f"policy {self.policy.name}: {verb}"
        require_whole(self.memory, where)
        pages = pages_at_hand(self.memory)
        if pages != pages_before:
            raise InvariantError(
                f"{where}: {pages_before} pages were free, on pcp lists or held, now {pages} are"
            )

    def call_that_frees(self, world: World, name: str, *arguments):
        """The same; with init_on_free=1 blocks that it frees are cleared."""
        if not self.clears:
            return self.call_checked(name, *arguments)
        with freed_blocks_cleared(world, self.policy):
            return self.call_checked(name, *arguments)

    def fill(self, report: np.ndarray, capacity: int) -> int:
        """The rows of the next stroke, which end up in ``report``; how many.

        Raises
        ------
        InputError
            That is no answer.
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
        """A row of ``fill`` names no block.

        Raises
        ------
        InputError
        """
        raise InputError(
            f"policy {self.policy.name}: fill: row {row} (node {node}, order {order})"
            " is neither a free block nor one held"
        )
