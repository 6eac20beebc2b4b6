"""The walker as a policy with independent knobs: rotate x resume x lock x order.

It reports free blocks in their places, under the zone lock, without taking them off their lists.
Source: Wang's v24 2/2 on linux-mm and Tsirkin's answers to it, January 2018;
freehint/policies/walk.py has the kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

from freehint.config import InputError, parameters, require
from freehint.inputs.rules import OneOf, Switch
from freehint.mm.memory import nr_types
from freehint.policies.policy import CAPACITY, FULL_RING, MIN_ORDER, Knob, Order, Policy
from freehint.policies.walk import drain, end_walk, fill
from freehint.policies.walk_state import forget_user_nodes, new_walk_state

ROTATE = ("never", "each_report", "on_exit")
RESUME = ("restart", "scan_for_first", "cursor", "host_feedback")
LOCK = ("per_list", "per_batch", "whole_walk", "per_zone")
ORDER = ("high_first", "low_first")
KNOBS = (
    Knob("rotate", ROTATE),
    Knob("resume", RESUME),
    Knob("lock", LOCK),
    Knob("order", ORDER),
    MIN_ORDER,
    CAPACITY,
    FULL_RING,
)
V24 = ("per_list", "lose", "never", "restart")


def new_state(memory, policy):
    """The state of a new walk; bookmarks and ENDs of a previous walk leave the lists."""
    forget_user_nodes(memory, policy.user)
    return new_walk_state(
        ROTATE.index(policy.rotate),
        RESUME.index(policy.resume),
        LOCK.index(policy.lock),
        ORDER.index(policy.order),
        policy.min_order,
        policy.user,
        policy.stops_at_empty_list,
        memory.nr_pages,
        types=nr_types(memory),
    )


@dataclass(frozen=True)
class Walker(Policy):
    """The walker of the 2018 debate; docs/model.md explains the values of the knobs.

    ``capacity`` has an effect only with ``lock="per_batch"``.

    Attributes
    ----------
    rotate : "never", "each_report", "on_exit"
        When the blocks that the ring took move to the tail of their list.
    resume : "restart", "scan_for_first", "cursor", "host_feedback"
        How a stroke finds the place where the last one ended.
    lock : "per_list", "per_batch", "whole_walk", "per_zone"
        How much is walked under one hold of the zone lock.
    order : "high_first", "low_first"
        Whether the lists of large or of small blocks are walked first.
    min_order : int
        Smallest order walked, 0..10.
    stops_at_empty_list : bool
        In v24 as posted, the result for an empty list was never set, so the walk might end at the
        first such list.  If True, it does.
    """

    fill: Callable = fill
    drain: Callable = drain
    new_state: Callable = new_state
    end_walk: Callable = end_walk
    rotate: Annotated[str, OneOf(ROTATE)] = "never"
    resume: Annotated[str, OneOf(RESUME)] = "cursor"
    lock: Annotated[str, OneOf(LOCK)] = "per_batch"
    order: Annotated[str, OneOf(ORDER)] = "high_first"
    min_order: Order = 0
    stops_at_empty_list: Switch = False
    knobs: tuple = KNOBS

    def __post_init__(self):
        super().__post_init__()
        if self.lock == "per_batch":
            above = "be above 0 with lock 'per_batch'"
            require(self.capacity > 0, "policy.capacity", above, self.capacity)
        self._refuse_contradictions()

    def _refuse_contradictions(self):
        if self.resume == "scan_for_first" and self.rotate == "never":
            raise InputError(
                "policy.resume 'scan_for_first' cannot go with policy.rotate 'never':"
                " without rotation the first block reported is still at the head and is met at once"
            )
        if self.lock == "whole_walk" and self.on_full == "stop":
            raise InputError(
                "policy.lock 'whole_walk' cannot go with policy.on_full 'stop':"
                " it holds the lock until the host has taken everything"
            )
        if self.report != "under_lock" and not self._only_looks():
            raise InputError(
                f"policy.report {self.report!r} needs policy.lock 'per_zone', policy.rotate"
                " 'never', policy.resume 'restart' and policy.on_full 'lose' or 'wait':"
                " without the lock a block may have left the list on which the walk would go on"
            )
        if self.stops_at_empty_list and (self.lock, self.on_full, *self._ways()) != V24:
            raise InputError(
                "policy.stops_at_empty_list goes only with v24: policy.lock 'per_list',"
                " policy.on_full 'lose', policy.rotate 'never' and policy.resume 'restart'"
            )

    def knobs_that_count(self, values: dict) -> tuple:
        """Names of the knobs that have an effect; the capacity only if ``lock`` is "per_batch"."""
        names = super().knobs_that_count(values)
        batches = values.get("lock", self.lock) == "per_batch"
        return names if batches else tuple(name for name in names if name != CAPACITY.name)

    def _ways(self):
        return self.rotate, self.resume

    def _only_looks(self) -> bool:
        """Are the lists independent of the outcome of reports?"""
        looks = self._ways() == ("never", "restart") and self.lock == "per_zone"
        return looks and self.on_full != "stop"

    @property
    def stroke_capacity(self) -> int:
        """The most blocks in a stroke; 0 if there is no limit."""
        return self.capacity if self.lock == "per_batch" else 0

    @property
    def holds_until_used(self) -> bool:
        """Is the lock held until the host has used everything?"""
        return self.lock == "whole_walk"

    @property
    def wants_feedback(self) -> bool:
        """Does ``drain`` have to be called for the buffers that the host used?"""
        return self.resume == "host_feedback"


def one_knob_pairs(policies) -> list:
    """Pairs of policies of the same kind that differ in one knob alone, their names left out.

    Parameters
    ----------
    policies : iterable of Policy

    Returns
    -------
    list
        Triples (Policy, Policy, name of the knob), in the order of ``policies``.
    """
    found = []
    for one, other in combinations(policies, 2):
        if type(one) is type(other):
            knobs = [own.name for own in parameters(one) if own.name != "name"]
            differ = [knob for knob in knobs if getattr(one, knob) != getattr(other, knob)]
            if len(differ) == 1:
                found.append((one, other, differ[0]))
    return found
