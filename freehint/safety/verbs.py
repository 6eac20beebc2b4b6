"""A policy's verbs as the explorer's steps call them: by their addresses.

So the explorer's kernels are compiled once, whatever policy is explored.  Addresses stand in
``Guest.state`` as the kernels see it: :func:`freehint.safety.own.bound.bound`.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.jit.apart import NOTHING, NUMBER, PAIR, TRIPLE, calling, lying_at
from freehint.mm.memory import EMPTIED, HEADS, NR_ORDERS
from freehint.policies.policy import Stroke
from freehint.safety.guest import STATE_BEGINS, WALKING

STOPPED = int(Stroke.STOPPED)

# Entries of Called.at: the policy's verbs; what the explorer has of its own for a policy; its
# state.  SCAN is one of the kernel's own reclaim; FORGET zeroes what decides nothing of the state;
# CHOOSE sets the next stroke where it is the explorer's choice: freehint.safety.core; LOOK is
# ``fill`` in pieces, for a bug: freehint.safety.walk.unlocked.  STEP and SETTLE are take_step()
# and settle(), which are all of the guest: every kind of search has them from here.
NR_PLACES = 14
FILL, DRAIN, NEXT_ZONE, ON_EMPTY, END_WALK, RELEASE, SHRINK, *OTHERS = range(NR_PLACES)
SCAN, FORGET, CHOOSE, LOOK, STATE, STEP, SETTLE = OTHERS
ROWS, BYTES = np.zeros((1, 3), np.int64), np.zeros(1, np.uint8)
# Place: (name, what it returns, examples of what it takes after memory and state).
VERBS = {
    FILL: ("fill", PAIR, (0, ROWS, 0)),
    DRAIN: ("drain", NUMBER, (0, ROWS, 0, BYTES)),
    NEXT_ZONE: ("next_zone", NUMBER, ()),
    ON_EMPTY: ("on_empty", NUMBER, (0, 0, 0)),
    END_WALK: ("end_walk", NOTHING, ()),
    RELEASE: ("release", NUMBER, ()),
    SHRINK: ("shrink", NUMBER, (0,)),
    SCAN: ("scan", NUMBER, (0,)),
    FORGET: ("forget", NOTHING, ()),
    CHOOSE: ("choose", NOTHING, (0,)),
    LOOK: ("look", TRIPLE, (0, 0, ROWS, 0, 0)),
}
to_nothing, to_number, to_pair, to_triple = map(calling, (NOTHING, NUMBER, PAIR, TRIPLE))


class Called(NamedTuple):
    """What the kernels know of a policy's verbs and state.

    at : int64[NR_PLACES]   where they lie; 0 where the policy has no such verb
    words : int64[n]        the state, as in Pinned
    """

    at: np.ndarray
    words: np.ndarray


@kernel
def call_fill(memory, state, zone, report, capacity):
    """The policy's ``fill``; one without never walks."""
    if state.at[FILL] == 0:
        return 0, STOPPED
    about = memory, lying_at(state.at[STATE]), zone, report, capacity
    return to_pair(state.at[FILL], about)


@kernel
def call_drain(memory, state, zone, report, n, outcome):
    """The policy's ``drain``; one without moves nothing."""
    if state.at[DRAIN] == 0:
        return 0
    about = memory, lying_at(state.at[STATE]), zone, report, n, outcome
    return to_number(state.at[DRAIN], about)


@kernel
def call_next_zone(memory, state):
    """The policy's ``next_zone``, which it must have."""
    return to_number(state.at[NEXT_ZONE], (memory, lying_at(state.at[STATE])))


@kernel
def call_on_empty(memory, state, zone, order, migratetype):
    """The policy's ``on_empty``, which it must have."""
    about = memory, lying_at(state.at[STATE]), zone, order, migratetype
    return to_number(state.at[ON_EMPTY], about)


@kernel
def call_end_walk(memory, state):
    """The policy's ``end_walk``, if it has one."""
    if state.at[END_WALK] != 0:
        to_nothing(state.at[END_WALK], (memory, lying_at(state.at[STATE])))


@kernel
def call_release(memory, state):
    """The policy's ``release``, if it has one."""
    if state.at[RELEASE] != 0:
        to_number(state.at[RELEASE], (memory, lying_at(state.at[STATE])))


@kernel
def call_shrink(memory, state, nr_pages):
    """The policy's ``shrink``; one without gives back nothing."""
    if state.at[SHRINK] == 0:
        return 0
    return to_number(state.at[SHRINK], (memory, lying_at(state.at[STATE]), nr_pages))


@kernel
def call_scan(memory, state, nr_to_scan):
    """The kernel's reclaim scans what the policy holds; of most it knows nothing."""
    if state.at[SCAN] == 0:
        return 0
    return to_number(state.at[SCAN], (memory, lying_at(state.at[STATE]), nr_to_scan))


@kernel
def call_forget(memory, state):
    """Zero what decides nothing, if the policy's state has such."""
    if state.at[FORGET] != 0:
        to_nothing(state.at[FORGET], (memory, lying_at(state.at[STATE])))


@kernel
def call_choose(memory, state, choice):
    """Let the next stroke be the explorer's choice, if it is not the policy's own."""
    if state.at[CHOOSE] != 0:
        to_nothing(state.at[CHOOSE], (memory, lying_at(state.at[STATE]), choice))


@kernel
def call_step(guest, step):
    """:func:`freehint.safety.steps.take_step`."""
    return to_number(guest.state.at[STEP], (guest, step))


@kernel
def call_settle(guest):
    """:func:`freehint.safety.pack.settle`."""
    to_nothing(guest.state.at[SETTLE], (guest,))


@kernel(inline=True)
def renew_state(guest):
    """Let the policy's state be that before a walk."""
    for i in range(guest.fresh.shape[0]):
        guest.words[guest.span[STATE_BEGINS] + i] = guest.fresh[i]


@kernel(inline=True)
def call_back(guest):
    """A free list ran empty: tell the policy if it watches.  Source: Engine.call_back()."""
    world = guest.world
    which = world.memory.notify[EMPTIED] - 1
    world.memory.notify[EMPTIED] = 0
    if guest.own[WALKING]:
        order, migratetype = which // HEADS % NR_ORDERS, which % HEADS
        if call_on_empty(world.memory, guest.state, 0, order, migratetype):
            record = world.user[0]
            record.rows = min(record.rows, record.row)
