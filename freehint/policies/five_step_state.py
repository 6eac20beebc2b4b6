"""The state of a walk of the five-step scheme."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import (
    MAX_ORDER,
    NR_ORDERS,
    USER_END,
    nr_types,
    user_node,
)
from freehint.policies.walk_state import forget_user_nodes


class FiveStepState(NamedTuple):
    """The state of a walk; ``Z`` zones, ``L`` = 55 lists of a zone (66 with CMA) in walking order.

    at : int64[5]        AT_USER; AT_NR_LISTS: lists to walk; AT_ZONE: the current zone, -1 before
                         the first; AT_LIST: the current list; AT_INTERRUPTS: how often step 5 came
    left : int64[L]      blocks that may still be taken from each list of the zone
    held : int64[Z, L]   blocks on the private list, by the list that they were taken from
    """

    at: np.ndarray
    left: np.ndarray
    held: np.ndarray


AT_USER, AT_NR_LISTS, AT_ZONE, AT_LIST, AT_INTERRUPTS = range(5)


def new_state(memory, policy):
    """The state of a walk that has not begun."""
    forget_user_nodes(memory, policy.user)
    lists = NR_ORDERS * nr_types(memory)
    walked = (MAX_ORDER - policy.min_order) * nr_types(memory)
    return FiveStepState(
        at=np.array([policy.user, walked, -1, 0, 0], np.int64),
        left=np.zeros(lists, np.int64),
        held=np.zeros((len(memory.zones), lists), np.int64),
    )


@kernel(inline=True)
def order_of(memory, i):
    """The order of the i-th list in walking order, largest orders first."""
    return MAX_ORDER - 1 - i // nr_types(memory)


@kernel(inline=True)
def list_index(memory, order, migratetype):
    """The place of a list in walking order."""
    return (MAX_ORDER - 1 - order) * nr_types(memory) + migratetype


@kernel(inline=True)
def end_node(memory, state, i):
    """The END of the i-th list; blocks after it came there during the walk."""
    return user_node(memory, state.at[AT_USER], USER_END + i)


@kernel(inline=True)
def nr_held(state, zone):
    """The number of a zone's blocks on the private list."""
    held = 0
    for i in range(state.held.shape[1]):
        held += state.held[zone, i]
    return held
