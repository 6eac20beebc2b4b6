"""What a policy is: compiled verbs and named parameters.

A policy walks over the free lists, in *strokes*, each on one zone::

    fill(memory, state, zone, report, capacity) -> (n, status)
        under the zone's lock: choose up to ``capacity`` blocks; row i of ``report`` is (node,
        order, blocks looked at to get there); after the last row, ``report[n, 2]`` may count
        blocks looked at in vain.
    drain(memory, state, zone, report, n, outcome) -> nodes moved
        under the zone's lock: the ring took or refused each row, or the host has used them.

and, if it needs them::

    next_zone(memory, state) -> zone
        where the next stroke is wanted; -1: the walk is over.  Else zones are walked ascending.
    on_empty(memory, state, zone, order, migratetype) -> nodes moved
        a free list of the allocator ran empty (under its zone's lock).
    release(memory, state) -> blocks
        the host says DONE: give back what is held for it.
    end_walk(memory, state)
        the walk is over, or the host stopped it: leave no bookmark behind.
    shrink(memory, state, nr_pages) -> pages
        the guest is short of memory: give back about so many of the pages held.

``node`` is ``pfn - memory.base_pfn``.  The engine takes the locks, goes through the zones,
feeds the ring and charges the costs; the verbs only look at lists and move blocks.

A policy also says how it is to be shown, judged and turned: its colour and mark in figures, its
promise, whether its host discards, and its knobs.  No file outside of this folder asks for the
name of a policy to find these out.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from enum import IntEnum
from typing import NamedTuple

from freehint.config import Named, one_of, require, whole
from freehint.mm.memory import MAX_ORDER, NR_USERS
from freehint.policies.promise import NOTHING_MORE, Promise, check_promise


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


VERBS = ("fill", "drain", "new_state", "next_zone", "on_empty", "end_walk", "release", "shrink")
ON_FULL = ("lose", "stop", "wait")
REPORT = ("under_lock", "unlocked", "acknowledged")
KICK = ("each", "half_full")
DESCRIPTION = ("colour", "mark", "promise", "host_discards", "knobs")
# Names of the palette's colours; their values stand in freehint/figures/drawing/palette.py.
COLOURS = ("black", "orange", "sky", "green", "yellow", "blue", "vermilion", "purple", "grey")
MARKS = ("o", "s", "D", "^", "v", "<", ">", "P", "X", "p", "*", "h")  # Matplotlib's filled ones


class Knob(NamedTuple):
    """A field of a policy that people turn, and the positions that widgets offer."""

    name: str
    positions: tuple


CAPACITY = Knob("capacity", tuple(1 << k for k in range(2, 13)))
FULL_RING = Knob("on_full", ON_FULL)
MIN_ORDER = Knob("min_order", tuple(range(MAX_ORDER)))


@dataclass(frozen=True)
class Policy(Named):
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
    report : str
        Blocks go to the ring "under_lock"; or "unlocked", after the lock was dropped; or
        "acknowledged": unlocked, and ``drain`` comes when the host has used them all.
    hold_until_used : bool
        Keep the lock until the host has used everything.
    one_buffer : bool
        The blocks of a stroke share one buffer (a scatterlist), so one descriptor of the ring.
    reserved_descriptors : int
        Descriptors kept for the command id: v24's driver adds no block where only one is left.
    kick : str
        The host is notified of "each" buffer, if it sleeps; or when the ring is "half_full"
        (v24), and at the end of a walk.
    zeroes : bool
        Blocks are zeroed when they are taken (init_on_alloc=1).
    pause_ns : int
        From the end of a stroke to the wish for the next: the caller's "something slow".
    feedback : bool
        Call ``drain`` at a later stroke, with outcome USED, for blocks whose buffers the host has
        used since.
    delay_ns : int or None
        None: it walks when the host asks.  Else it walks by itself, so long after a free of
        ``report_order`` or more pages asked for it, and not sooner than that after the walk before.
    report_order : int
        See ``delay_ns``.
    user : int
        Whose private list, bookmark and marks in Memory; :func:`freehint.simulate` numbers the
        users of a scenario.
    colour, mark : str
        How figures draw it: one of COLOURS and one of MARKS.
    promise : Promise
        What it promises beside what every policy does; a copy with other knobs keeps it.
    host_discards : bool
        Experiments that compare policies give it a host that discards what it is told, since
        without one its reports have nothing to do with a migration.
    knobs : tuple of Knob
        Fields that the lab and the widgets let people turn.

    Notes
    -----
    The last five describe a policy and change nothing in a run.  So they take no part in ``==``,
    and neither a run's provenance nor a file of its scenario names them.
    """

    name: str
    fill: Callable | None = None
    drain: Callable | None = None
    new_state: Callable | None = None
    next_zone: Callable | None = None
    on_empty: Callable | None = None
    end_walk: Callable | None = None
    release: Callable | None = None
    shrink: Callable | None = None
    capacity: int = 32
    on_full: str = "lose"
    report: str = "under_lock"
    hold_until_used: bool = False
    one_buffer: bool = False
    reserved_descriptors: int = 0
    kick: str = "each"
    zeroes: bool = False
    pause_ns: int = 50_000
    feedback: bool = False
    delay_ns: int | None = None
    report_order: int = 9
    user: int = 0
    colour: str = field(default="vermilion", compare=False)
    mark: str = field(default="^", compare=False)
    promise: Promise = field(default=NOTHING_MORE, compare=False)
    host_discards: bool = field(default=False, compare=False)
    knobs: tuple = field(default=(CAPACITY, FULL_RING), compare=False)

    def __init_subclass__(cls):
        """Another default of what describes a policy takes no part in ``==`` either."""
        super().__init_subclass__()
        for name in DESCRIPTION:
            default = vars(cls).get(name)
            if default is not None and not isinstance(default, Field):
                setattr(cls, name, field(default=default, compare=False))

    def __post_init__(self):
        whole("policy.capacity", self.capacity, 0, 1 << 24)
        one_of("policy.on_full", self.on_full, ON_FULL)
        one_of("policy.report", self.report, REPORT)
        one_of("policy.kick", self.kick, KICK)
        whole("policy.reserved_descriptors", self.reserved_descriptors, 0, 1 << 10)
        acknowledged = not self.one_buffer or self.report == "acknowledged"
        require(acknowledged, "policy.one_buffer", "go with report 'acknowledged'", self.report)
        whole("policy.pause_ns", self.pause_ns, 0)
        if self.delay_ns is not None:
            whole("policy.delay_ns", self.delay_ns, 1)
        whole("policy.report_order", self.report_order, 0, MAX_ORDER - 1)
        whole("policy.user", self.user, 0, NR_USERS - 1)
        alone = not (self.hold_until_used and self.report != "under_lock")
        require(alone, "policy.hold_until_used", "go with report 'under_lock'", self.report)
        for verb in VERBS:
            value = getattr(self, verb)
            require(value is None or callable(value), f"policy.{verb}", "be callable", value)
        both = (self.fill is None) == (self.drain is None)
        require(both, "policy.drain", "be given together with fill", self.drain)
        self._check_description()

    def _check_description(self):
        one_of("policy.colour", self.colour, COLOURS)
        one_of("policy.mark", self.mark, MARKS)
        check_promise(self.promise)
        good = isinstance(self.host_discards, bool)
        require(good, "policy.host_discards", "be a bool", self.host_discards)
        for knob in self.knobs:
            require(isinstance(knob, Knob), "policy.knobs", "hold Knobs", knob)
            require(hasattr(self, knob.name), "policy.knobs", "name fields of it", knob.name)

    def knobs_that_count(self, values: dict) -> tuple:
        """Names of its knobs that change something while the knobs stand at ``values``.

        Parameters
        ----------
        values : dict
            Field -> value.

        Returns
        -------
        tuple
            Of str; a policy that never walks has none.
        """
        return tuple(knob.name for knob in self.knobs) if self.fill is not None else ()

    @property
    def stroke_capacity(self) -> int:
        """Blocks a stroke; 0: as many as there are."""
        return self.capacity

    @property
    def holds_until_used(self) -> bool:
        """Does the lock stay held until the host has used everything?"""
        return self.hold_until_used

    @property
    def smallest_order(self) -> int:
        """Smaller blocks are none of its business, so they do not count in its coverage."""
        return getattr(self, "min_order", 0)

    @property
    def allocates(self) -> bool:
        """Are its blocks allocated and freed, not only taken off their lists and put back?"""
        return False

    @property
    def wants_feedback(self) -> bool:
        """Is ``drain`` to hear of the buffers that the host used?"""
        return self.feedback
