"""What is explored: a policy in a small guest, its host, and the bounds."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from freehint.config import InputError, require
from freehint.engine.host.migration import GENERATIONS
from freehint.engine.monitor import MUST, RULES
from freehint.inputs.rules import Checked, OneOf, Switch, Whole
from freehint.mm.memory import WMARK_LOW
from freehint.policies import POLICIES
from freehint.policies.policy import ON_FULL, REPORT, Policy
from freehint.safety.bugs import BUGS

# Frames of the guest.  Pages between the two blocks of order 2 belong to nobody, so nothing merges
# beyond that order.
FRAMES = (0, 1, 2, 3, 8, 9, 10, 11)
MOST_ORDER = 2  # of FRAMES' two blocks
LARGE_ONLY = ("min_order", "block_order")  # fields of policies of large blocks; a case lowers them


@dataclass(frozen=True)
class Case(Checked):
    """What is explored: a policy in a small guest, and the bounds.

    Attributes
    ----------
    policy : str
        One of POLICIES.
    report : str
        "own": as the policy reports; or one of "under_lock", "unlocked" and "acknowledged".
    generation : "G1", "G2", "G3"
        How the dirty log is cleared; see :mod:`freehint.engine.world.dirty`.
    chunk : int
        It is cleared ``2^chunk`` pages at a time; 1 is smaller than a block, 4 holds all frames.
    initially_set : bool
        Whether the log begins with every page dirty.
    discard : bool
        Whether the host discards the pages of a used hint.
    vcpus, blocks : int
        Number of vCPUs, and of blocks that each may hold at once.
    ring : int
        Number of descriptors.
    rounds : int
        Rounds of hints; a migration syncs at most twice more.
    capacity : int
        Blocks in a stroke, for policies that have a capacity.
    operations : int
        The vCPUs' operations in all; -1 for any number.
    watched : int
        -1 for the whole guest; or the only page whose content and dirty bits are kept, so that all
        that the others may do is taken for possible: :mod:`freehint.safety.exhaust.slice`.
    bug : str
        A bug that is put back, one of :data:`freehint.safety.bugs.BUGS`, or "none".
    fine_host : bool
        Whether the guest may act while the host uses a buffer, not only between two buffers.
    effect : bool
        Whether property P9 is checked: a hint that counts has its effect.
    postcopy : bool
        Whether the guest may go on at the destination before it has all pages.
    full_ring : str
        "own": what the policy does if the ring is full; or one of "lose", "stop" and "wait".
    ends : str
        Whether property P6 is checked, that a walk ends though only the worker and the host act:
        "fair", if the host takes its turns too; "alone", even if it stands still; or "unchecked".
    snapshot : bool
        Whether the vCPUs are paused and a snapshot is taken, in place of a migration.
    drain : bool
        Whether the pause waits until the host has used all hints on the ring.
    switch : bool
        Whether the enable switch may be turned, off and on again, until the migration has ended.
    spec : bool
        Whether property P4 is checked: no MUST of the virtio specification is broken.
    shoulds : bool
        Whether its SHOULDs are checked too.
    report_order : int
        Smallest order that a policy reports that walks by itself, as page_reporting.
    gate : int
        Such a policy's pass does nothing unless more pages than this are free.  In a kernel that is
        the low watermark and a whole scatterlist of blocks; most small guests have not so much.
    """

    policy: Annotated[str, OneOf(tuple(POLICIES))] = "v24"
    report: Annotated[str, OneOf(("own", *REPORT))] = "own"
    generation: Annotated[str, OneOf(GENERATIONS)] = "G3"
    chunk: Annotated[int, Whole(0, 5)] = 4
    initially_set: Switch = False
    discard: Switch = False
    vcpus: Annotated[int, Whole(1, 2)] = 1
    blocks: Annotated[int, Whole(1, 2)] = 1
    ring: Annotated[int, Whole(1, 4)] = 2
    rounds: Annotated[int, Whole(1, 3)] = 2
    capacity: Annotated[int, Whole(1, 4)] = 2
    operations: Annotated[int, Whole(-1, 100)] = -1
    watched: Annotated[int, Whole(-1, FRAMES[-1])] = -1
    bug: Annotated[str, OneOf(("none", *BUGS))] = "none"
    fine_host: Switch = False
    effect: Switch = False
    postcopy: Switch = False
    full_ring: Annotated[str, OneOf(("own", *ON_FULL))] = "own"
    ends: Annotated[str, OneOf(("unchecked", "fair", "alone"))] = "unchecked"
    snapshot: Switch = False
    drain: Switch = False
    switch: Switch = False
    spec: Switch = False
    shoulds: Switch = False
    report_order: Annotated[int, Whole(0, MOST_ORDER)] = 0
    gate: Annotated[int, Whole(0, len(FRAMES))] = 0

    where = "explore."
    # Another guest than that of FRAMES: freehint.safety.core.
    frames, block_order = FRAMES, MOST_ORDER
    is_core, asked_for = False, 0

    def __post_init__(self):
        super().__post_init__()
        if why := why_not(self.chosen):
            raise InputError(f"policy {self.chosen.name!r} cannot be explored in 8 frames: {why}")
        known = self.watched < 0 or self.watched in FRAMES
        require(known, "explore.watched", f"be -1 or one of {FRAMES}", self.watched)
        whole = self.watched < 0 or not (self.postcopy or self.effect)
        require(whole, "explore.watched", "be -1 with postcopy or effect", self.watched)
        require(self.ring & (self.ring - 1) == 0, "explore.ring", "be a power of two", self.ring)
        for field in BUGS[self.bug].needs if self.bug in BUGS else ():
            require(getattr(self, field), f"explore.{field}", f"be on for bug {self.bug}", False)
        if self.bug in BUGS and (knob := BUGS[self.bug].knob):
            value = getattr(self.chosen, knob[0], None)
            having = " or ".join(str(one) for one in knob[1])
            need = f"have {knob[0]} {having} for bug {self.bug}"
            require(value in knob[1], "explore.policy", need, f"{self.policy} ({value})")
        both = self.postcopy and self.snapshot
        require(not both, "explore.postcopy", "be off in a case with a snapshot", self.postcopy)
        vain = self.drain and not self.snapshot
        require(not vain, "explore.drain", "be off in a case without a snapshot", self.drain)
        both = self.spec and self.snapshot
        require(not both, "explore.spec", "be off in a case with a snapshot", self.spec)
        require(self.spec or not self.shoulds, "explore.shoulds", "go with spec", self.shoulds)
        if self.chosen.delay_ns is None:
            for field in ("report_order", "gate"):
                value = getattr(self, field)
                require(value == 0, f"explore.{field}", "be 0: the host asks for hints", value)

    def prepare(self, world) -> None:
        """Change the world before the first step: set the low watermark by ``gate``."""
        policy = self.made_policy()
        if policy.delay_ns is not None:
            low = self.gate - (policy.capacity << policy.report_order)
            world.memory.zones.watermark[:, WMARK_LOW] = low

    @property
    def rules(self) -> int:
        """The rules of the virtio specification that are asked for, as bits."""
        asked = [kind for kind, one in RULES.items() if self.shoulds or one.rule == MUST]
        return sum(1 << kind for kind in asked) if self.spec else 0

    @property
    def chosen(self) -> Policy:
        """The policy before the case changes its report and capacity."""
        return POLICIES[self.policy]

    def made_policy(self) -> Policy:
        """The policy with the case's report and capacity; a walker of large blocks walks all.

        Raises
        ------
        InputError
            The policy cannot report so.
        """
        policy = self.chosen
        changes = {"capacity": min(self.capacity, policy.capacity)} if policy.capacity else {}
        if self.report != "own":
            changes["report"] = self.report
        if self.full_ring != "own":
            changes["on_full"] = self.full_ring
        if self.bug == "take_and_free":
            changes["on_full"] = "lose"
        if policy.smallest_order > MOST_ORDER:
            changes |= dict.fromkeys(_lowered(policy), MOST_ORDER)
        if policy.delay_ns is not None:
            changes["report_order"] = self.report_order
        return replace(policy, **changes)


def _lowered(policy: Policy) -> list:
    """The fields that are lowered in a policy of large blocks."""
    return [field for field in LARGE_ONLY if isinstance(getattr(policy, field, None), int)]


def why_not(policy: Policy) -> str:
    """Why a policy cannot work in a guest of 8 frames; empty if it can."""
    if policy.wants_feedback or policy.compacts:
        return "the explorer has no feedback and no compaction"
    by_itself = policy.delay_ns is not None  # Then the case sets the order.
    if policy.smallest_order > MOST_ORDER and not (by_itself or _lowered(policy)):
        return f"it takes only blocks of order {policy.smallest_order}"
    return ""


def is_array(value) -> bool:
    """Is this an array of plain numbers?"""
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def require_state(policy: Policy, state) -> None:
    """Refuse a state that the explorer cannot lay out.

    Raises
    ------
    InputError
        It is neither an array nor a NamedTuple of arrays.
    """
    members = state if isinstance(state, tuple) and hasattr(state, "_fields") else (state,)
    if not all(map(is_array, members)):
        raise InputError(
            f"policy {policy.name}: to be explored, new_state must return an array of numbers or a"
            f" NamedTuple of such arrays, got a {type(state).__name__}"
        )
