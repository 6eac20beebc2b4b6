"""The state of a walk of the five steps that are done in calls."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import (
    MARK_SHIFT,
    NR_ORDERS,
    nr_types,
)
from freehint.policies.walk_state import forget_user_nodes, list_at
from freehint.policies.walker import ORDER

# How a list ended: at its end, at the capacity, at a watermark, at a block that must stay.
AT_ITS_END, AT_CAPACITY, AT_WATERMARK, AT_KEPT_BLOCK = range(4)


class CallFiveStepState(NamedTuple):
    """The state of a walk; ``Z`` zones, ``L`` = 55 lists of a zone (66 with CMA).

    knob : int64[7]      K_USER .. K_STROKES
    at : int64[11]       AT_ZONE, AT_LIST: the next list; AT_HELD: blocks taken in this call;
                         AT_CALL_OVER: 1 if it is over before all lists are walked; AT_WALKED: the
                         list of the last stroke, AT_END: how it ended there, and AT_REFUSED: the
                         block refused at a watermark; AT_EMPTY and AT_MISSED: the order of the
                         list for which step 5 came last, and its blocks that were held then;
                         AT_INTERRUPTS: how often step 5 came; AT_CALLS: calls that are over
    held : int64[Z, L]   blocks on the private list, by the list that they were taken from
    merged : bool[nr_pages]  whether a block merged when it was put back last
    """

    knob: np.ndarray
    at: np.ndarray
    held: np.ndarray
    merged: np.ndarray


K_USER, K_ORDER, K_MIN_ORDER, K_CAPACITY, K_KEEP, K_SPAN, K_STROKES = range(7)
(
    AT_ZONE,
    AT_LIST,
    AT_HELD,
    AT_CALL_OVER,
    AT_WALKED,
    AT_END,
    AT_REFUSED,
    AT_EMPTY,
    AT_MISSED,
    AT_INTERRUPTS,
    AT_CALLS,
) = range(11)


def new_call_state(memory, policy):
    """The state of a walk that has not begun; marks of an earlier walk stay."""
    forget_user_nodes(memory, policy.user)
    knobs = [policy.user, ORDER.index(policy.order), policy.min_order, policy.capacity]
    return CallFiveStepState(
        knob=np.array([*knobs, policy.keep, policy.span, policy.strokes], np.int64),
        at=np.zeros(11, np.int64),
        held=np.zeros((len(memory.zones), NR_ORDERS * nr_types(memory)), np.int64),
        merged=np.zeros(memory.nr_pages, np.bool_),
    )


@kernel(inline=True)
def called_list(state, i):
    """(order, migratetype) of the i-th list of a zone in walking order."""
    types = state.held.shape[1] // NR_ORDERS
    return list_at(state.knob[K_ORDER], state.knob[K_MIN_ORDER], i, types)


@kernel(inline=True)
def held_mark(state):
    """The bit for blocks that the host has used."""
    return 1 << (MARK_SHIFT + state.knob[K_USER])
