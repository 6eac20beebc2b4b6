"""What a walker remembers between strokes, and the numbers of its knobs."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.list import (
    list_del_init,
)
from freehint.mm.memory import (
    MIGRATE_TYPES,
    NODES_PER_USER,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
    USER_BOOKMARK,
    user_node,
)

NEVER_ROTATE, EACH_REPORT, ON_EXIT = range(3)
RESTART, SCAN_FOR_FIRST, CURSOR, HOST_FEEDBACK = range(4)
PER_LIST, PER_BATCH, WHOLE_WALK, PER_ZONE = range(4)
HIGH_FIRST, LOW_FIRST = range(2)


class WalkState(NamedTuple):
    """Where a walk stands.  ``L`` = 55 lists of a zone, in walking order.

    knob : int64[7]      K_ROTATE .. K_STOPS_AT_EMPTY
    at : int64[3]        AT_LIST: the list to go on with; AT_SETTLED: lists before it are done
                         with; AT_REFUSED: the last stroke was cut short by a full ring
    begun : bool[L]      a stroke was on this list before
    first : int64[L]     node of A, the first block that the ring took, or -1
    visited : int64[L]   blocks reported
    lap : int64[L]       the list's length at its first stroke
    gathered : int32[1, nr_pages / 512 or 0]  room for the links, next alone, of a list of
                         order 9 or 10
    """

    knob: np.ndarray
    at: np.ndarray
    begun: np.ndarray
    first: np.ndarray
    visited: np.ndarray
    lap: np.ndarray
    gathered: np.ndarray


K_ROTATE, K_RESUME, K_LOCK, K_ORDER, K_MIN_ORDER, K_USER, K_STOPS_AT_EMPTY = range(7)
AT_LIST, AT_SETTLED, AT_REFUSED = range(3)


def new_walk_state(
    rotate, resume, lock, order, min_order, user, stops_at_empty, nr_pages=0
) -> WalkState:
    """State of a walk that has not begun; arguments are the constants above.

    ``nr_pages``: of the memory that is walked; 0 leaves no room for gathered links.
    """
    lists = NR_ORDERS * MIGRATE_TYPES
    knobs = [rotate, resume, lock, order, min_order, user, stops_at_empty]
    return WalkState(
        knob=np.array(knobs, np.int64),
        at=np.zeros(3, np.int64),
        begun=np.zeros(lists, np.bool_),
        first=np.full(lists, -1, np.int64),
        visited=np.zeros(lists, np.int64),
        lap=np.zeros(lists, np.int64),
        gathered=np.empty((1, nr_pages >> PAGEBLOCK_ORDER), np.int32),
    )


@kernel
def forget_user_nodes(memory, user):
    """Take a user's bookmark and ENDs off the lists."""
    for which in range(USER_BOOKMARK, NODES_PER_USER):
        list_del_init(memory.links, user_node(memory, user, which))
