"""A user of the interface: a policy at work, and the calls of its verbs."""

import math
from contextlib import contextmanager

import numpy as np

from freehint.config import InputError, shown, whole
from freehint.engine import watchdog
from freehint.engine.guest.mapping import freed_blocks_cleared
from freehint.engine.watchdog import Guarded
from freehint.jit import Kernel, is_ours
from freehint.jit.pinned import pinned
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.damage import pages_at_hand
from freehint.mm.memory import (
    BUDDY,
    ISOLATED,
    Memory,
    frame_order,
    page_zone,
    zone_name,
)
from freehint.policies.policy import VERBS, Policy, Stroke

STATUSES = tuple(map(int, Stroke))
PAGE_COUNTS = ("offered", "hinted", "lost", "duplicate")
LEAST_STROKE_NS = 1
WHOLE = (int, np.integer)


def is_whole(value) -> bool:
    """Is this a whole number, of Python or of numpy?"""
    return type(value) is int or (isinstance(value, WHOLE) and not isinstance(value, bool))


def is_foreign(policy: Policy) -> bool:
    """Is any verb of the policy, or its kind, not freehint's own?"""
    verbs = [getattr(policy, name) for name in VERBS]
    kind = type(policy).__module__.partition(".")[0]
    return kind != "freehint" or not all(is_ours(verb) for verb in verbs if verb)


def _plain(value) -> str:
    """A value in a message; an integer of numpy's, or a text, as it prints."""
    try:
        return f"{value!s:.80}"
    except Exception:  # a stranger's __str__; a whole number of more than 4300 digits
        return shown(value)


def require_whole(memory: Memory, where: str, reclaim=None) -> None:
    """Check the whole memory, and the LRU lists if a Reclaim is given.

    Raises
    ------
    InvariantError
        The message begins with ``where``.
    """
    try:
        check_memory(memory, reclaim)
    except InvariantError as error:
        raise InvariantError(f"{where}: {error}") from None


class CheckPlan:
    """After which verbs of a stranger the whole memory is checked.

    After the first few, and then so seldom that checks take a fifth of the time: a check takes
    6 ns a node, a verb with its stroke 20 µs.  Verbs are counted and no time is measured, so the
    same run is checked at the same places and names the same verb.
    """

    FREE, SHARE, CHECK_NS_A_NODE, VERB_NS = 4, 0.2, 6, 20_000

    def __init__(self, nr_nodes: int):
        self.period = math.ceil(nr_nodes * self.CHECK_NS_A_NODE / (self.SHARE * self.VERB_NS))
        self.verbs = self.unchecked = 0

    def due(self) -> bool:
        """Count a verb; is the memory checked after it?"""
        self.verbs += 1
        self.unchecked += 1
        return self.verbs <= self.FREE or self.verbs % self.period == 0

    def since(self) -> str:
        """What an error of this check adds to the name of the verb."""
        before, self.unchecked = self.unchecked - 1, 0
        return f" or one of the {before} verbs before it" if before else ""


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
        self.current = current
        self.memory, self.pinned_memory = current.world.memory, current.pinned_memory
        self.walks = []
        self.strokes = 0  # of the walk
        self.zone = 0
        self.status = int(Stroke.MORE)
        self.since = 0  # ns since when the stroke has its lock
        self.blocks = 0  # blocks offered since then
        self.gathered = 0  # rows that the call has gathered for its report
        self.interrupted = False  # True: what the call has gathered was given back
        self.mixed = False  # True: the rows of the report lie in several zones
        self.to_settle = []  # zones in which they are still to be settled
        self.asked = False  # True: a walk is to follow the one that runs
        self.compacted = False  # True: compact_memory was asked for before the next walk
        self.before = None  # pages moved and ns spent when it was
        self.compactions = []  # pages moved and ns spent before each walk
        self.is_foreign = is_foreign(policy)
        self.guarded = self.is_foreign and not policy.trusted
        self.checked = self.guarded if check is None else check
        self.always = check is not None
        self.verbs = {}  # of those called so far, what is called and whether it takes pins
        self.plan = CheckPlan(len(self.memory.links) // 2)
        self.extents = self._extents()
        self.clears = policy.allocates and bool(current.state.init_on_free[0])
        whole("policy.stroke_capacity", policy.stroke_capacity, 0, 1 << 24)
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

    @property
    def may_hold(self) -> bool:
        """Can the policy hold blocks for the host?"""
        policy = self.policy
        return bool(policy.release or policy.shrink or policy.report != "under_lock")

    def set_state(self) -> None:
        """Make the policy's state anew, for a walk that has not begun."""
        make = self.policy.new_state
        self.state = np.zeros(64, np.int64)
        if make:
            with self.named("new_state"):
                self.state = make(self.memory, self.policy)
        ours = make is not None and is_ours(make) and isinstance(self.state, tuple)
        self.pinned_state = pinned(self.state) if ours else self.state

    @contextmanager
    def named(self, verb: str):
        """Let an error of a verb name the policy and the verb; the verb's own is its cause."""
        if not self.guarded:
            yield
            return
        watchdog.begin(f"policy {self.policy.name}: {verb}")
        try:
            yield
        except (Exception, SystemExit) as error:
            lines = str(error).strip().splitlines() or [""]
            raise InputError(
                f"policy {self.policy.name}: {verb} failed with {type(error).__name__}: {lines[0]}"
            ) from error
        finally:
            watchdog.end()

    def call(self, name: str, *arguments):
        """Call a verb and return its answer.

        A kernel gets memory and state in pinned form; a foreign verb gets copies of the arrays
        among the arguments, and only ``fill`` may change its own.
        """
        if not self.guarded:
            return self._call(name, *arguments)
        guards = [Guarded(one) if isinstance(one, np.ndarray) else None for one in arguments]
        inside = [guard.inside if guard else one for guard, one in zip(guards, arguments)]
        with self.named(name):
            answer = self._call(name, *inside)
        for guard, one in zip(guards, arguments):
            if guard and not guard.untouched:
                raise InputError(f"policy {self.policy.name}: {name} wrote outside its arrays")
            if guard and name == "fill":
                one[:] = guard.inside
        return answer

    def _call(self, name: str, *arguments):
        if name not in self.verbs:
            verb = getattr(self.policy, name)
            if isinstance(verb, Kernel):
                self.verbs[name] = verb.call_checked if self.guarded else verb.python_entry(), True
            else:
                self.verbs[name] = verb, False
        verb, pinned_takes = self.verbs[name]
        if pinned_takes:
            return verb(self.pinned_memory, self.pinned_state, *arguments)
        return verb(self.memory, self.state, *arguments)

    def whole(self, name: str, answer, low: int, high: int) -> int:
        """The answer of a verb.

        Raises
        ------
        InputError
            It is not a whole number in ``low..high``.
        """
        if not is_whole(answer) or not low <= answer <= high:
            raise InputError(
                f"policy {self.policy.name}: {name} must return a whole number in {low}..{high},"
                f" got {shown(answer, 80)}"
            )
        return int(answer)

    def count(self, name: str, *arguments) -> int:
        """Call a verb that moves blocks and return its number of pages or nodes; None is 0."""
        answer = self.call_that_frees(name, *arguments)
        return 0 if answer is None else self.whole(name, answer, 0, len(self.memory.links) // 2)

    def next_zone(self) -> int:
        """The zone of the next stroke as the policy chooses it, or -1."""
        return self.whole_zone(self.call_checked("next_zone"))

    def whole_zone(self, answer) -> int:
        """The answer of ``next_zone``; errors as :meth:`whole`."""
        return self.whole("next_zone", answer, -1, len(self.memory.nr_free) - 1)

    def call_checked(self, name: str, *arguments):
        """Call a verb, check that the lists are whole and no page is lost, return its answer."""
        if not self.checked:
            return self.call(name, *arguments)
        before = pages_at_hand(self.pinned_memory)
        answer = self.call(name, *arguments)
        self.check(name, before)
        return answer

    def _extents(self) -> bytes:
        zones = self.memory.zones
        return zones["start_pfn"].tobytes() + zones["spanned"].tobytes()

    def check(self, verb: str, pages_before: int) -> None:
        """Check the memory and its number of pages after a verb."""
        where = f"policy {self.policy.name}: {verb}"
        if self._extents() != self.extents:
            raise InvariantError(f"{where}: it changed where a zone begins or how far it spans")
        if self.plan.due() or self.always:
            require_whole(self.memory, where + self.plan.since())
        pages = pages_at_hand(self.pinned_memory)
        if pages != pages_before:
            raise InvariantError(
                f"{where}: {pages_before} pages were free, on pcp lists or held, now {pages} are"
            )

    def call_that_frees(self, name: str, *arguments):
        """Like :meth:`call_checked`; blocks that the verb frees are cleared with init_on_free=1."""
        if not self.clears:
            return self.call_checked(name, *arguments)
        with freed_blocks_cleared(self.current.world, self.policy):
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
            The policy's answer is no number of rows and a Stroke, or its call has gathered more
            rows than there are page frames.
        """
        return self.accepted(self.call("fill", self.zone, report, capacity), capacity)

    def accepted(self, answer, capacity: int) -> int:
        """The number of rows in an answer of ``fill``, whose status is noted; errors as there."""
        pair = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, None)
        n, status = pair
        good = is_whole(n) and is_whole(status) and 0 <= n <= capacity and status in STATUSES
        if not good:
            got = f"({_plain(n)}, {_plain(status)})" if pair is answer else shown(answer, 80)
            raise InputError(
                f"policy {self.policy.name}: fill must return (0..{capacity}, a Stroke), got {got}"
            )
        self.status = int(status)
        if self.gathered + n > self.memory.nr_pages:
            raise InputError(
                f"policy {self.policy.name}: fill: its call has gathered {self.gathered + n} rows,"
                f" but there are only {self.memory.nr_pages} page frames"
            )
        return int(n)

    def get_on(self, now_ns: int) -> None:
        """Count a stroke of the walk, and refuse a walk that does not get on.

        Raises
        ------
        InputError
            The walk has had more strokes than the memory has nodes, and time stands still.
        """
        self.strokes += 1
        if self.strokes > len(self.memory.links) // 2:
            passed_ns = now_ns - self.walks[-1][0]
            if passed_ns < self.strokes * LEAST_STROKE_NS:
                raise InputError(
                    f"policy {self.policy.name}: fill: its walk does not get on: {self.strokes}"
                    f" strokes in {passed_ns} ns, and the last returned Stroke {self.status}"
                )

    def refuse_row(self, row: int, values) -> None:
        """Refuse a row of ``fill`` that is not sound.

        Raises
        ------
        InputError
        """
        node, order, looked = map(int, values)
        most = len(self.memory.links) // 2
        if not 0 <= looked <= most:
            wrong = f"counts {looked} blocks looked at, not 0..{most}"
        elif self._is_block(node, order):
            zone = zone_name(self.memory, page_zone(self.memory, node))
            held = zone_name(self.memory, self.zone)
            wrong = f"lies in zone {zone}, but the lock is that of zone {held}"
        else:
            wrong = "is neither a free block nor one held"
        raise InputError(
            f"policy {self.policy.name}: fill: row {row} (node {node}, order {order}) {wrong}"
        )

    def _is_block(self, node: int, order: int) -> bool:
        frame = int(self.memory.frame[node]) if 0 <= node < self.memory.nr_pages else 0
        return bool(frame & (BUDDY | ISOLATED)) and frame_order(frame) == order
