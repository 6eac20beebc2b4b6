"""What a policy is: compiled verbs and named parameters.

A policy acts in bounded *strokes*, each under one hold of one zone's lock::

    fill(memory, state, zone, report, capacity) -> (n, status)
        choose up to ``capacity`` blocks; row i of ``report`` is (node, order, blocks looked at
        to get there); after the last row, ``report[n, 2]`` may count blocks looked at in vain.
    drain(memory, state, zone, report, n, outcome) -> nodes moved
        under the same hold, when the ring took or refused each row; or at a later stroke, with
        outcome USED, for blocks whose buffers the host has used since.

``node`` is ``pfn - memory.base_pfn``.  The engine takes the locks, goes through the zones,
feeds the ring and charges the costs; the verbs only look at lists and move blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from freehint.config import one_of, require, whole


class Stroke(IntEnum):
    """What ``fill`` says about the walk over this zone."""

    MORE = 0  # come back for another stroke
    ZONE_DONE = 1
    STOPPED = 2  # the walk is over


class Outcome(IntEnum):
    """What became of a reported block."""

    REFUSED = 0  # not offered: the stroke ended before it
    TAKEN = 1  # the ring has it
    LOST = 2  # the ring was full and the hint was dropped
    USED = 3  # the host has used the buffer


ON_FULL = ("lose", "stop", "wait")


@dataclass(frozen=True)
class Policy:
    """A policy for :func:`freehint.simulate`.

    Attributes
    ----------
    name : str
    fill, drain : callable or None
        The verbs above, usually compiled by ``freehint.kernel``; ``fill=None`` never walks.
    new_state : callable or None
        ``new_state(memory, policy)`` makes what the verbs get as ``state``; None: an
        int64[64] of zeros.
    capacity : int
        Blocks a stroke; 0: as many as there are.
    on_full : str
        What a full ring does: "lose" the hint and go on (v24), "stop" the stroke, or "wait".
    hold_until_used : bool
        Keep the lock until the host has used everything.
    pause_ns : int
        From the end of a stroke to the wish for the next: the caller's "something slow".
    feedback : bool
        Call ``drain`` with outcome USED for blocks whose buffers the host has used.
    """

    name: str
    fill: Callable | None = None
    drain: Callable | None = None
    new_state: Callable | None = None
    capacity: int = 32
    on_full: str = "lose"
    hold_until_used: bool = False
    pause_ns: int = 50_000
    feedback: bool = False

    def __post_init__(self):
        whole("policy.capacity", self.capacity, 0, 1 << 24)
        one_of("policy.on_full", self.on_full, ON_FULL)
        whole("policy.pause_ns", self.pause_ns, 0)
        both = (self.fill is None) == (self.drain is None)
        require(both, "policy.drain", "be given together with fill", self.drain)

    @property
    def stroke_capacity(self) -> int:
        """Blocks a stroke; 0: as many as there are."""
        return self.capacity

    @property
    def holds_until_used(self) -> bool:
        """Does the lock stay held until the host has used everything?"""
        return self.hold_until_used

    @property
    def wants_feedback(self) -> bool:
        """Is ``drain`` to hear of the buffers that the host used?"""
        return self.feedback
