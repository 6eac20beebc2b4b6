"""What the five-step scheme remembers of a walk."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import MAX_ORDER, MIGRATE_TYPES, NR_ORDERS, USER_END, user_node
from freehint.policies.walk_state import forget_user_nodes


class FiveStepState(NamedTuple):
    """What the scheme remembers; ``Z`` zones, ``L`` = 55 lists of a zone in walking order.

    at : int64[5]        AT_USER; AT_NR_LISTS that are walked; AT_ZONE, or -1 before the first;
                         AT_LIST: the list to go on with; AT_INTERRUPTS: times that step 5 came
    left : int64[L]      blocks that each list of the zone may still give
    held : int64[Z, L]   blocks on the private list, by the list they were taken from
    """

    at: np.ndarray
    left: np.ndarray
    held: np.ndarray


AT_USER, AT_NR_LISTS, AT_ZONE, AT_LIST, AT_INTERRUPTS = range(5)


def new_state(memory, policy):
    """A walk that has not begun."""
    forget_user_nodes(memory, policy.user)
    lists = NR_ORDERS * MIGRATE_TYPES
    walked = (MAX_ORDER - policy.min_order) * MIGRATE_TYPES
    return FiveStepState(
        at=np.array([policy.user, walked, -1, 0, 0], np.int64),
        left=np.zeros(lists, np.int64),
        held=np.zeros((len(memory.zones), lists), np.int64),
    )


@kernel(inline=True)
def order_of(i):
    """Order of the i-th list: the largest first."""
    return MAX_ORDER - 1 - i // MIGRATE_TYPES


@kernel(inline=True)
def list_index(order, migratetype):
    """Place of a list in walking order."""
    return (MAX_ORDER - 1 - order) * MIGRATE_TYPES + migratetype


@kernel(inline=True)
def end_node(memory, state, i):
    """What stands behind this on the i-th list came there during the walk."""
    return user_node(memory, state.at[AT_USER], USER_END + i)


@kernel(inline=True)
def nr_held(state, zone):
    """Blocks of a zone on the private list."""
    held = 0
    for i in range(state.held.shape[1]):
        held += state.held[zone, i]
    return held
