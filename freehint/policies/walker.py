"""The walker as a policy: rotate x resume x lock x order, each knob on its own.

Idea: report free blocks where they stand, under the zone lock, without taking them.
Source: THREAD.txt (Wang's v24, Tsirkin's objections); the machinery is freehint/walk.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

from freehint.config import InputError, one_of, whole
from freehint.mm.memory import MAX_ORDER
from freehint.policy import Policy
from freehint.walk import drain, end_walk, fill, new_walk_state

ROTATE = ("never", "each_report", "on_exit")
RESUME = ("restart", "scan_for_first", "cursor", "host_feedback")
LOCK = ("per_list", "per_batch", "whole_walk")
ORDER = ("high_first", "low_first")


def new_state(memory, policy):
    """The walk's state, from the policy's knobs."""
    return new_walk_state(
        ROTATE.index(policy.rotate),
        RESUME.index(policy.resume),
        LOCK.index(policy.lock),
        ORDER.index(policy.order),
        policy.min_order,
        policy.user,
    )


@dataclass(frozen=True)
class Walker(Policy):
    """The debate's walker; DESIGN section 4 and docs/model.md say what each word means.

    Attributes
    ----------
    rotate : "never", "each_report", "on_exit"
    resume : "restart", "scan_for_first", "cursor", "host_feedback"
    lock : "per_list", "per_batch", "whole_walk"
    order : "high_first", "low_first"
    min_order : int
        Smallest order walked, 0..10.

    ``capacity`` counts only with ``lock="per_batch"``.
    """

    fill: Callable = fill
    drain: Callable = drain
    new_state: Callable = new_state
    end_walk: Callable = end_walk
    rotate: str = "never"
    resume: str = "cursor"
    lock: str = "per_batch"
    order: str = "high_first"
    min_order: int = 0

    def __post_init__(self):
        super().__post_init__()
        for name, choices in (
            ("rotate", ROTATE),
            ("resume", RESUME),
            ("lock", LOCK),
            ("order", ORDER),
        ):
            one_of(f"policy.{name}", getattr(self, name), choices)
        whole("policy.min_order", self.min_order, 0, MAX_ORDER - 1)
        if self.lock == "per_batch":
            whole("policy.capacity", self.capacity, 1)
        self._refuse_contradictions()

    def _refuse_contradictions(self):
        if self.resume == "scan_for_first" and self.rotate == "never":
            raise InputError(
                "policy.resume 'scan_for_first' cannot go with policy.rotate 'never':"
                " without rotation the first block reported is met at once, at the head"
            )
        if self.lock == "whole_walk" and self.on_full == "stop":
            raise InputError(
                "policy.lock 'whole_walk' cannot go with policy.on_full 'stop':"
                " it holds the lock until the host has taken everything"
            )

    @property
    def stroke_capacity(self) -> int:
        """Blocks a stroke; 0: as many as there are."""
        return self.capacity if self.lock == "per_batch" else 0

    @property
    def holds_until_used(self) -> bool:
        """Does the lock stay held until the host has used everything?"""
        return self.lock == "whole_walk"

    @property
    def wants_feedback(self) -> bool:
        """Is ``drain`` to hear of the buffers that the host used?"""
        return self.resume == "host_feedback"
