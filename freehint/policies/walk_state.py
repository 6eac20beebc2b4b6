"""The state of a walk, and the nodes and marks that the walker puts on the lists."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.list import list_del_init
from freehint.mm.memory import (
    MARK_SHIFT,
    MAX_ORDER,
    NODES_PER_USER,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
    USER_BOOKMARK,
    USER_END,
    WITHOUT_CMA,
    user_node,
)

NEVER_ROTATE, EACH_REPORT, ON_EXIT = range(3)
RESTART, SCAN_FOR_FIRST, CURSOR, HOST_FEEDBACK, SCAN_FOR_MARK, NEWEST_REPORT = range(6)
PER_LIST, PER_BATCH, WHOLE_WALK, PER_ZONE, LIST_BY_LIST = range(5)
HIGH_FIRST, LOW_FIRST = range(2)
IF_FIRST_IS_GONE, ALWAYS, SHRINKS = range(3)
# How a stroke's last list ended: at its end, at the capacity, at a block that a full ring refused,
# at A (or at a block that is marked), after its lap.
AT_ITS_END, AT_CAPACITY, AT_A_FULL_RING, AT_FIRST, AFTER_LAP = range(5)


class WalkState(NamedTuple):
    """The progress of a walk.  ``L`` = 55 lists of a zone (66 with CMA), in walking order.

    knob : int64[11]     K_ROTATE .. K_STROKES
    at : int64[12]       AT_LIST: the current list; AT_SETTLED: lists before it are finished;
                         AT_REFUSED: 1 if a full ring ended the last stroke.  Of calls
                         (LIST_BY_LIST): AT_ZONE: the current zone; AT_OFFERED: blocks offered in
                         this call; AT_CALL_OVER: 1 if it is over before all lists are walked;
                         AT_WALKED: the list of the last stroke, AT_END: how it ended there, and
                         AT_NODE: at which node; AT_CURSOR: the newest report behind which the
                         stroke began, -1 if it began at the head; AT_GONE: newer reports of the
                         list that are not on it any more; AT_CALLS: calls that are over
    begun : bool[L]      whether a stroke has walked on this list before
    first : int64[L]     node of A, the first block that the ring took; -1 if none
    visited : int64[L]   blocks reported
    lap : int64[L]       the list's length at its first stroke
    taken : int64[L]     blocks that the ring took; only LIST_BY_LIST
    length : int64[L]    the list's length at its last stroke; only LIST_BY_LIST
    place : int32[nr_pages or 0]  L * (its number among the blocks that the ring took from its
                         list) + that list, for blocks with the user's mark; only NEWEST_REPORT
    gathered : int32[1, nr_pages / 512 or 0]  room for the links (only next) of a list of order
                         9 or 10
    """

    knob: np.ndarray
    at: np.ndarray
    begun: np.ndarray
    first: np.ndarray
    visited: np.ndarray
    lap: np.ndarray
    taken: np.ndarray
    length: np.ndarray
    place: np.ndarray
    gathered: np.ndarray


(
    K_ROTATE,
    K_RESUME,
    K_LOCK,
    K_ORDER,
    K_MIN_ORDER,
    K_USER,
    K_STOPS_AT_EMPTY,
    K_CAPACITY,
    K_SPAN,
    K_LAP,
    K_STROKES,
) = range(11)
(
    AT_LIST,
    AT_SETTLED,
    AT_REFUSED,
    AT_ZONE,
    AT_OFFERED,
    AT_CALL_OVER,
    AT_WALKED,
    AT_END,
    AT_NODE,
    AT_CURSOR,
    AT_GONE,
    AT_CALLS,
) = range(12)


def new_walk_state(
    rotate,
    resume,
    lock,
    order,
    min_order,
    user,
    stops_at_empty,
    nr_pages=0,
    capacity=0,
    span=True,
    lap=IF_FIRST_IS_GONE,
    strokes=0,
    types=WITHOUT_CMA,
) -> WalkState:
    """The state of a walk that has not begun; the arguments are the constants above.

    ``nr_pages`` is the number of pages of the memory; 0 leaves no room for gathered links.
    ``types`` is its number of migratetypes.  The four before it are for LIST_BY_LIST alone, where
    ``capacity`` is that of a call.
    """
    lists = NR_ORDERS * types
    knobs = [rotate, resume, lock, order, min_order, user, stops_at_empty, capacity, span, lap]
    return WalkState(
        knob=np.array([*knobs, strokes], np.int64),
        at=np.zeros(12, np.int64),
        begun=np.zeros(lists, np.bool_),
        first=np.full(lists, -1, np.int64),
        visited=np.zeros(lists, np.int64),
        lap=np.zeros(lists, np.int64),
        taken=np.zeros(lists, np.int64),
        length=np.zeros(lists, np.int64),
        place=np.zeros(nr_pages if resume == NEWEST_REPORT else 0, np.int32),
        gathered=np.empty((1, nr_pages >> PAGEBLOCK_ORDER), np.int32),
    )


@kernel(inline=True)
def forget_user_nodes(memory, user):
    """Take a user's bookmark and ENDs off the lists."""
    for which in range(USER_BOOKMARK, NODES_PER_USER):
        list_del_init(memory.links, user_node(memory, user, which))


@kernel
def forget_user_marks(memory, user):
    """Take a user's marks off all blocks."""
    for node in range(memory.nr_pages):
        memory.frame[node] &= ~(1 << (MARK_SHIFT + user))


@kernel(inline=True)
def walked_types(state):
    """The number of migratetypes of the guest that is walked."""
    return state.begun.shape[0] // NR_ORDERS


@kernel(inline=True)
def nr_lists(state):
    """The number of lists of a zone that are walked."""
    return (NR_ORDERS - state.knob[K_MIN_ORDER]) * walked_types(state)


@kernel(inline=True)
def list_at(direction, min_order, i, types):
    """(order, migratetype) of the i-th list of a zone, HIGH_FIRST or LOW_FIRST."""
    step = i // types
    order = MAX_ORDER - 1 - step if direction == HIGH_FIRST else min_order + step
    return order, i % types


@kernel(inline=True)
def walked_list(state, i):
    """(order, migratetype) of the i-th list of a zone in walking order."""
    return list_at(state.knob[K_ORDER], state.knob[K_MIN_ORDER], i, walked_types(state))


@kernel(inline=True)
def list_index(state, order, migratetype):
    """The place of a list in walking order: the inverse of walked_list()."""
    high_first = state.knob[K_ORDER] == HIGH_FIRST
    step = MAX_ORDER - 1 - order if high_first else order - state.knob[K_MIN_ORDER]
    return step * walked_types(state) + migratetype


@kernel(inline=True)
def user_mark(state):
    """The bit that marks A for this user; it is cleared when the block leaves its list."""
    return 1 << (MARK_SHIFT + state.knob[K_USER])


@kernel(inline=True)
def end_node(memory, state, i):
    """The END of the i-th list; rotation puts the list's reported blocks after it."""
    return user_node(memory, state.knob[K_USER], USER_END + i)
