"""The base of all policies: compiled verbs and named parameters.

A policy walks over the free lists in *strokes*, each on one zone::

    fill(memory, state, zone, report, capacity) -> (n, status)
        Called under the zone's lock.  Choose up to ``capacity`` blocks.  Row i of ``report`` is
        (node, order, blocks looked at to find it); after the last row, ``report[n, 2]`` may count
        further blocks looked at.
    drain(memory, state, zone, report, n, outcome) -> nodes moved
        Called under the zone's lock, with the Outcome of each row.

A policy may have further verbs::

    next_zone(memory, state) -> zone
        Choose the zone of the next stroke; -1 ends the walk.  Without it zones are walked
        ascending.
    on_empty(memory, state, zone, order, migratetype) -> nodes moved
        Called under the zone's lock, while the policy's walk runs: a free list of the allocator has
        run empty, or an allocation of this order finds no block of its type and is about to take
        one of another type.  The allocation is repeated after the call.
    release(memory, state) -> blocks
        Give back all held blocks: the host has said DONE.
    end_walk(memory, state)
        Take bookmarks off the lists: the walk is over, or the host stopped it.
    shrink(memory, state, nr_pages) -> pages
        Give back about ``nr_pages`` of the held pages: the guest is short of memory.

``node`` is ``pfn - memory.base_pfn``.  The engine takes the locks, goes through the zones,
feeds the ring and charges the costs; the verbs only look at lists and move blocks.

A *call* of several strokes returns AT_ONCE until its last one, and ``pause_ns`` passes after that.
If it reports without the lock, its rows are gathered, reported all together after its last stroke,
and settled zone by zone.

A policy also describes itself: its colour and mark in figures, its promise, whether its host
discards, and its knobs.  So no file outside this folder has to know the names of policies.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from enum import IntEnum
from typing import Annotated, NamedTuple

from freehint.config import require
from freehint.inputs.rules import (
    MOST_NS,
    Checked,
    Kind,
    Maybe,
    OneOf,
    Switch,
    Text,
    Time,
    Whole,
)
from freehint.mm.memory import MAX_ORDER, NR_USERS
from freehint.policies.promise import NOTHING_MORE, Promise, check_promise


class Stroke(IntEnum):
    """The status that ``fill`` returns for the walk over a zone."""

    MORE = 0  # The zone needs another stroke.
    ZONE_DONE = 1
    STOPPED = 2  # The walk is over.
    AT_ONCE = 3  # The call needs another stroke without a pause; see below.


class Outcome(IntEnum):
    """What became of a reported block."""

    REFUSED = 0  # It was not offered, because a full ring ended the stroke before.
    TAKEN = 1  # The ring has it.
    LOST = 2  # The ring was full, and the hint was dropped.
    USED = 3  # The host has used its buffer.


VERBS = ("fill", "drain", "new_state", "next_zone", "on_empty", "end_walk", "release", "shrink")
ON_FULL = ("lose", "stop", "wait")
REPORT = ("under_lock", "unlocked", "acknowledged")
KICK = ("each", "half_full")
DESCRIPTION = ("colour", "mark", "promise", "host_discards", "knobs", "trusted")
# Names of the palette's colours; freehint/figures/drawing/palette.py has their values.
COLOURS = (
    *("black", "orange", "sky", "green", "yellow", "blue", "vermilion", "purple", "grey"),
    "wine",
)
MARKS = ("o", "s", "D", "^", "v", "<", ">", "P", "X", "p", "*", "h")  # Matplotlib's filled ones


class Knob(NamedTuple):
    """A field of a policy that users can change, and the positions that widgets offer."""

    name: str
    positions: tuple


CAPACITY = Knob("capacity", tuple(1 << k for k in range(2, 13)))
FULL_RING = Knob("on_full", ON_FULL)
MIN_ORDER = Knob("min_order", tuple(range(MAX_ORDER)))


Verb = Annotated[Callable | None, Maybe(Kind(Callable, "be callable"))]
Order = Annotated[int, Whole(0, MAX_ORDER - 1)]


@dataclass(frozen=True)
class Policy(Checked):
    """A policy for :func:`freehint.simulate`.

    Attributes
    ----------
    name : str
    fill, drain : callable or None
        The verbs above, usually compiled by ``freehint.kernel``; with ``fill=None`` it never walks.
    new_state : callable or None
        ``new_state(memory, policy)`` makes the ``state`` that the verbs get; if None, the state is
        an int64[64] of zeros.
    capacity : int
        The most blocks in a stroke; 0 if there is no limit.
    on_full : str
        If the ring is full, "lose" the hint and go on (v24), "stop" the stroke, or "wait".
    report : str
        Blocks go to the ring "under_lock", or "unlocked" after the lock was dropped.
        "acknowledged" is unlocked too, and ``drain`` comes when the host has used all blocks.
    hold_until_used : bool
        Whether the lock is held until the host has used everything.
    one_buffer : bool
        Whether the blocks of a stroke share one buffer (a scatterlist) and so one descriptor.
    reserved_descriptors : int
        Descriptors kept for the command id: v24's driver adds no block if only one is left.
    kick : str
        If the host sleeps, it is notified of "each" buffer; or when the ring is "half_full" (v24),
        and at the end of a walk.
    zeroes : bool
        Whether blocks are zeroed when they are taken (init_on_alloc=1).
    pause_ns : int
        The time from the end of a stroke, or of a call, to the next: the caller's "something slow".
    feedback : bool
        Whether ``drain`` is called at a later stroke, with outcome USED, for blocks whose buffers
        the host has used since.
    delay_ns : int or None
        None: the policy walks when the host asks.  Otherwise it walks by itself, ``delay_ns`` after
        a free of a block of ``report_order`` or more, and ``delay_ns`` or more after its last walk.
    report_order : int
        See ``delay_ns``.
    compacts : bool
        Whether each walk waits until the guest has compacted all its memory (compact_memory).
    user : int
        The number of the private list, bookmark and marks in Memory that the policy uses;
        :func:`freehint.simulate` numbers the users of a scenario.
    colour, mark : str
        Its colour and mark in figures: one of COLOURS and one of MARKS.
    promise : Promise
        Its promise beyond what every policy promises; a copy with other knobs keeps it.
    host_discards : bool
        Whether experiments that compare policies give it a host that discards the reported pages,
        because without one its reports have no effect on a migration.
    knobs : tuple of Knob
        Fields that users can change in the lab and the widgets.
    trusted : bool
        Whether verbs that are not freehint's own run unchecked: without copies of their arrays,
        a watchdog, and checks of the memory after them.

    Notes
    -----
    The last six describe a policy and change nothing in a run.  So ``==`` ignores them, and
    neither a run's provenance nor a file of its scenario names them.
    """

    name: Annotated[str, Text()]
    fill: Verb = None
    drain: Verb = None
    new_state: Verb = None
    next_zone: Verb = None
    on_empty: Verb = None
    end_walk: Verb = None
    release: Verb = None
    shrink: Verb = None
    capacity: Annotated[int, Whole(0, 1 << 24)] = 32
    on_full: Annotated[str, OneOf(ON_FULL)] = "lose"
    report: Annotated[str, OneOf(REPORT)] = "under_lock"
    hold_until_used: Switch = False
    one_buffer: Switch = False
    reserved_descriptors: Annotated[int, Whole(0, 1 << 10)] = 0
    kick: Annotated[str, OneOf(KICK)] = "each"
    zeroes: Switch = False
    pause_ns: Time = 50_000
    feedback: Switch = False
    delay_ns: Annotated[int | None, Maybe(Whole(1, MOST_NS))] = None
    report_order: Order = 9
    compacts: Switch = False
    user: Annotated[int, Whole(0, NR_USERS - 1)] = 0
    colour: Annotated[str, OneOf(COLOURS)] = field(default="vermilion", compare=False)
    mark: Annotated[str, OneOf(MARKS)] = field(default="^", compare=False)
    promise: Promise = field(default=NOTHING_MORE, compare=False)
    host_discards: Switch = field(default=False, compare=False)
    knobs: Annotated[tuple, Kind(tuple, "be a tuple of Knobs")] = field(
        default=(CAPACITY, FULL_RING), compare=False
    )
    trusted: Switch = field(default=False, compare=False)

    where = "policy."

    def __init_subclass__(cls):
        """Let ``==`` ignore a subclass's own defaults of the fields in DESCRIPTION too."""
        super().__init_subclass__()
        for name in DESCRIPTION:
            default = vars(cls).get(name)
            if default is not None and not isinstance(default, Field):
                setattr(cls, name, field(default=default, compare=False))

    def __post_init__(self):
        super().__post_init__()
        acknowledged = not self.one_buffer or self.report == "acknowledged"
        require(acknowledged, "policy.one_buffer", "go with report 'acknowledged'", self.report)
        alone = not (self.hold_until_used and self.report != "under_lock")
        require(alone, "policy.hold_until_used", "go with report 'under_lock'", self.report)
        both = (self.fill is None) == (self.drain is None)
        require(both, "policy.drain", "be given together with fill", self.drain)
        check_promise(self.promise)
        for knob in self.knobs:
            require(isinstance(knob, Knob), "policy.knobs", "hold Knobs", knob)
            require(hasattr(self, knob.name), "policy.knobs", "name fields of it", knob.name)

    def knobs_that_count(self, values: dict) -> tuple:
        """Names of the knobs that have an effect while the knobs have some values.

        Parameters
        ----------
        values : dict
            Field -> value.

        Returns
        -------
        tuple
            Their names; empty for a policy that never walks.
        """
        return tuple(knob.name for knob in self.knobs) if self.fill is not None else ()

    @property
    def has_shrinker(self) -> bool:
        """Do the kernel's own passes of reclaim free what it holds, without its verb?"""
        return False

    def fitted(self, ring_size: int) -> "Policy":
        """The policy as it works with a ring of that size; most take the ring as it is."""
        return self

    @property
    def stroke_capacity(self) -> int:
        """The most blocks in a stroke; 0 if there is no limit."""
        return self.capacity

    @property
    def holds_until_used(self) -> bool:
        """Is the lock held until the host has used everything?"""
        return self.hold_until_used

    @property
    def locks_all_zones(self) -> bool:
        """Are the locks of all zones held for a whole call?"""
        return False

    @property
    def smallest_order(self) -> int:
        """The smallest order that it reports; smaller blocks do not count in its coverage."""
        return getattr(self, "min_order", 0)

    @property
    def allocates(self) -> bool:
        """Are its blocks allocated and freed, not only taken off their lists and put back?"""
        return False

    @property
    def wants_feedback(self) -> bool:
        """Does ``drain`` have to be called for the buffers that the host used?"""
        return self.feedback
