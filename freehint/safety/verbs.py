"""A policy's verbs as the explorer's steps call them."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.reclaim.shrinker import scan_objects
from freehint.policies.balloon_alloc import ALLOC_FLAGS, BalloonState
from freehint.policies.five_step_state import AT_INTERRUPTS, FiveStepState
from freehint.policies.policy import Policy, Stroke
from freehint.policies.walk_state import AT_END, AT_NODE, AT_ZONE, WalkState
from freehint.safety.guest import ROWS
from freehint.safety.own.verbs import (
    OwnState,
    own_drain,
    own_end_walk,
    own_fill,
    own_on_empty,
    own_release,
    own_shrink,
)
from freehint.safety.walk.unlocked import look, look_nowhere

STOPPED = int(Stroke.STOPPED)


@kernel
def no_fill(memory, state, zone, report, capacity):
    """The stroke of a policy that never walks."""
    return 0, STOPPED


@kernel
def no_drain(memory, state, zone, report, n, outcome):
    """Move nothing."""
    return 0


@kernel
def no_callback(memory, state, zone, order, migratetype):
    """Move nothing."""
    return 0


@kernel
def no_zone(memory, state):
    """Zones are walked ascending."""
    return 0


@kernel
def no_end(memory, state):
    """Give back nothing."""
    return 0


@kernel
def no_shrink(memory, state, nr_pages):
    """Give back nothing."""
    return 0


@kernel
def no_scan(memory, user, nr_to_scan):
    """The kernel's reclaim knows nothing of the policy."""
    return 0


@kernel
def no_choice(state, choice):
    """A policy's strokes are its own."""


@kernel
def forget_nothing(state):
    """All of a state decides something, or never changes."""


@kernel
def forget_in_walk(state):
    """Zero what a walker of the thread only writes, and what it set of lists that it left."""
    state.at[AT_NODE] = state.at[AT_END] = state.at[AT_ZONE] = 0
    begun, first, visited, lap = state.begun, state.first, state.visited, state.lap
    for i in range(begun.shape[0]):  # without branches, so that it becomes vector code
        kept = -np.int64(begun[i])
        first[i] |= ~kept
        visited[i] &= kept
        lap[i] &= kept


@kernel
def forget_in_five_step(state):
    """Zero the count of callbacks."""
    state.at[AT_INTERRUPTS] = 0


@kernel
def forget_in_balloon(state):
    """Zero the flags of an allocation, which next_zone() sets before each."""
    state.at[ALLOC_FLAGS] = 0


class Verbs(NamedTuple):
    """The kernels of a policy, or kernels that do nothing, and what the engine asks of it.

    ``scan`` is one of the kernel's own reclaim; ``forget`` zeroes what decides nothing of the
    policy's state; ``choose`` sets the next stroke where it is the explorer's choice:
    :mod:`freehint.safety.core`; ``look`` is ``fill`` in pieces, for a bug:
    :mod:`freehint.safety.walk.unlocked`.

    capacity : int
    watches, acknowledged, chooses_zone : bool
    """

    fill: object
    drain: object
    next_zone: object
    on_empty: object
    end_walk: object
    release: object
    shrink: object
    scan: object
    forget: object
    choose: object
    look: object
    capacity: int
    watches: bool
    acknowledged: bool
    chooses_zone: bool


def verbs_of(policy: Policy, state) -> Verbs:
    """The verbs of a policy, and what of its state they never read again."""
    forget = forget_nothing
    verbs = (
        policy.fill or no_fill,
        policy.drain or no_drain,
        policy.next_zone or no_zone,
        policy.on_empty or no_callback,
        policy.end_walk or no_end,
        policy.release or no_end,
        policy.shrink or no_shrink,
    )
    if isinstance(state, OwnState):
        verbs = (own_fill, own_drain, no_zone, own_on_empty, own_end_walk, own_release, own_shrink)
    elif isinstance(state, WalkState):
        forget = forget_in_walk
    elif isinstance(state, FiveStepState):
        forget = forget_in_five_step
    elif isinstance(state, BalloonState):
        forget = forget_in_balloon
    return Verbs(
        *verbs,
        scan_objects if policy.has_shrinker else no_scan,
        forget,
        getattr(policy, "choose", no_choice),
        look if isinstance(state, WalkState) else look_nowhere,
        min(policy.stroke_capacity or ROWS, ROWS),
        policy.on_empty is not None,
        policy.report == "acknowledged",
        policy.next_zone is not None,
    )
