"""A small guest as the explorer's kernels take it, with its policy's verbs."""

import numpy as np
from numba.core import config as numba_config

from freehint.engine.user import is_foreign
from freehint.jit import kernel
from freehint.jit.apart import NOTHING, NUMBER, address_of
from freehint.jit.foreign import Alone
from freehint.jit.pinned import pinned
from freehint.mm.reclaim.shrinker import scan_objects
from freehint.policies.balloon_alloc import ALLOC_FLAGS, BalloonState
from freehint.policies.five_step_state import AT_INTERRUPTS, FiveStepState
from freehint.policies.policy import Policy
from freehint.policies.walk_state import AT_END, AT_NODE, AT_ZONE, WalkState
from freehint.safety.bugs import WALK_WITHOUT_LOCK
from freehint.safety.guest import BUG, Guest
from freehint.safety.own.verbs import OWN, own_address, require_known_verbs
from freehint.safety.pack import settle
from freehint.safety.steps import take_step
from freehint.safety.verbs import FORGET, LOOK, NR_PLACES, SCAN, SETTLE, STATE, STEP, VERBS, Called
from freehint.safety.walk.unlocked import look


@kernel
def scan(memory, state, nr_to_scan):
    """Let the kernel's reclaim scan the blocks that the only user holds."""
    return scan_objects(memory, 0, nr_to_scan)


@kernel
def forget_in_walk(memory, state):
    """Zero what a walker of the thread only writes, and what it set of lists that it left."""
    state.at[AT_NODE] = state.at[AT_END] = state.at[AT_ZONE] = 0
    begun, first, visited, lap = state.begun, state.first, state.visited, state.lap
    for i in range(begun.shape[0]):  # without branches, so that it becomes vector code
        kept = -np.int64(begun[i])
        first[i] |= ~kept
        visited[i] &= kept
        lap[i] &= kept


@kernel
def forget_in_five_step(memory, state):
    """Zero the count of callbacks."""
    state.at[AT_INTERRUPTS] = 0


@kernel
def forget_in_balloon(memory, state):
    """Zero the flags of an allocation, which next_zone() sets before each."""
    state.at[ALLOC_FLAGS] = 0


# None of them changes a state before its walk, so such a one needs no call.
FORGET_IN = {
    WalkState: forget_in_walk,
    FiveStepState: forget_in_five_step,
    BalloonState: forget_in_balloon,
}


def verbs_of(guest: Guest, policy: Policy, foreign: bool) -> dict:
    """What is called of a policy, place by place; of a user's own its verbs alone."""
    found = {place: getattr(policy, name, None) for place, (name, _, _) in VERBS.items()}
    found[SCAN] = scan if policy.has_shrinker else None
    if not foreign:
        looks = isinstance(guest.state, WalkState) and guest.rule[BUG] == WALK_WITHOUT_LOCK
        found[FORGET], found[LOOK] = FORGET_IN.get(type(guest.state)), look if looks else None
    return {place: verb for place, verb in found.items() if verb is not None}


def bound(guest: Guest, policy: Policy):
    """The guest as kernels take it: its state is a Called.

    Parameters
    ----------
    guest : Guest
        Its arrays must stay where they lie.
    policy : Policy
        As :func:`freehint.safety.guest.new_guest` gives both.

    Raises
    ------
    InputError
        A verb of a user's own cannot be compiled, or the explorer lacks what the policy needs.
    """
    foreign = is_foreign(policy)
    verbs = verbs_of(guest, policy, foreign)
    if numba_config.DISABLE_JIT:
        at = [verbs.get(place, 0) for place in range(NR_PLACES)]
        at[STATE], at[STEP], at[SETTLE] = guest.state, take_step, settle
        return guest._replace(state=Called(at, None))
    if foreign:
        require_known_verbs(policy)
    memory = pinned(guest.world.memory)
    state = pinned(guest.state if isinstance(guest.state, tuple) else Alone(guest.state))
    at = np.zeros(NR_PLACES, np.int64)
    at[STATE] = state.address
    for place, verb in verbs.items():
        _, returned, taken = VERBS[place]
        if foreign and place in OWN:
            at[place] = own_address(policy, place, memory, state)
        else:
            at[place] = address_of(verb, returned, memory, state, *taken)
    whole = pinned(guest._replace(state=Called(at, state.words)))
    at[STEP] = address_of(take_step, NUMBER, whole, 0)
    at[SETTLE] = address_of(settle, NOTHING, whole)
    return whole
