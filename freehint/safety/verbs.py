"""A policy's verbs as the explorer's steps call them."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.policies.five_step_state import AT_INTERRUPTS, FiveStepState
from freehint.policies.policy import Policy, Stroke
from freehint.policies.walk_state import AT_END, AT_NODE, AT_ZONE, WalkState
from freehint.safety.guest import ROWS

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
def no_end(memory, state):
    """Give back nothing."""
    return 0


@kernel
def no_shrink(memory, state, nr_pages):
    """Give back nothing."""
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


class Verbs(NamedTuple):
    """The kernels of a policy, or kernels that do nothing, and what the engine asks of it.

    ``forget`` zeroes what decides nothing of the policy's state; ``choose`` sets the next stroke
    where it is the explorer's choice: :mod:`freehint.safety.core`.

    capacity : int
    watches, acknowledged : bool
    """

    fill: object
    drain: object
    on_empty: object
    end_walk: object
    release: object
    shrink: object
    forget: object
    choose: object
    capacity: int
    watches: bool
    acknowledged: bool


def verbs_of(policy: Policy, state) -> Verbs:
    """The verbs of a policy, and what of its state they never read again."""
    forget = forget_nothing
    if isinstance(state, WalkState):
        forget = forget_in_walk
    elif isinstance(state, FiveStepState):
        forget = forget_in_five_step
    return Verbs(
        policy.fill or no_fill,
        policy.drain or no_drain,
        policy.on_empty or no_callback,
        policy.end_walk or no_end,
        policy.release or no_end,
        policy.shrink or no_shrink,
        forget,
        getattr(policy, "choose", no_choice),
        min(policy.stroke_capacity or ROWS, ROWS),
        policy.on_empty is not None,
        policy.report == "acknowledged",
    )
