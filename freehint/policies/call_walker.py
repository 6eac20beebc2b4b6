"""The walker as a kernel can be called: list by list, with nothing foreign on the lists.

A *call* fills the caller's buffer of ``capacity`` blocks.  It goes over the lists of all zones,
and takes and drops the zone's lock once a list, also for a list that is empty.  So one call is
many strokes, and between two of them others may change the lists.  A call is over at the block
that finds the buffer full, with the last list of the last zone, or at a full ring with
``on_full="stop"``; with ``span=False`` also with the first list that gave it a block.

What differs from the walker's other locks, because a kernel that drops the lock leaves nothing on
a list that the allocator could hand out:

resume  RESTART and HOST_FEEDBACK begin each call at the first list of the first zone, the others
        go on in their list.  SCAN_FOR_MARK: any block whose stay was first reported in this walk
        ends its list, not only A.  NEWEST_REPORT goes on behind the newest report of the list that
        is still on it; if all of them are gone it begins at the head.  That is the bookmark's
        place as long as one reported block is left, if nothing is rotated.
lap     ALWAYS: a list ends when the ring has taken as many blocks as it had at its first stroke,
        even if A is still on it.  IF_FIRST_IS_GONE: only then, as with the other locks.  SHRINKS:
        like ALWAYS, but as the list gets shorter, so does the lap: the allocator takes blocks from
        the head, and rotation has moved those that were reported to the tail.

A list is walked once in a walk, by verbs that are the walker's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from freehint.config import InputError
from freehint.inputs.rules import OneOf, Switch, Whole
from freehint.jit import kernel
from freehint.mm.list import list_next
from freehint.mm.memory import (
    HINTED,
    frame_order,
    frame_type,
    free_list_head,
    nr_types,
)
from freehint.policies.policy import CAPACITY, FULL_RING, MIN_ORDER, Knob
from freehint.policies.walk import (
    AT_ONCE,
    MORE,
    REFUSED,
    TAKEN,
    USED,
    begin_list,
    drain,
    go_back,
    settle,
    settle_taken,
    walk_list,
)
from freehint.policies.walk_state import (
    AT_A_FULL_RING,
    AT_CALL_OVER,
    AT_CALLS,
    AT_CURSOR,
    AT_END,
    AT_GONE,
    AT_LIST,
    AT_OFFERED,
    AT_SETTLED,
    AT_WALKED,
    AT_ZONE,
    HOST_FEEDBACK,
    K_CAPACITY,
    K_LAP,
    K_RESUME,
    K_SPAN,
    K_STROKES,
    LIST_BY_LIST,
    NEWEST_REPORT,
    RESTART,
    SCAN_FOR_MARK,
    SHRINKS,
    forget_user_marks,
    forget_user_nodes,
    list_index,
    new_walk_state,
    nr_lists,
    user_mark,
    walked_list,
)
from freehint.policies.walker import ORDER, RESUME, ROTATE, Walker

CALL_RESUME = ("restart", "scan_for_first", "host_feedback", "scan_for_mark", "newest_report")
CALL_LOCK = ("list_by_list", "whole_call")
LAP = ("if_first_is_gone", "always", "shrinks")
MOST_STROKES = 10**9  # as the recorder has
Strokes = Annotated[int, Whole(0, MOST_STROKES)]
# All values of the state's knob; "cursor" needs a bookmark node, which a call cannot leave.
RESUMES = (*RESUME, "scan_for_mark", "newest_report")


def new_call_state(memory, policy):
    """The state of a new walk, without calls yet; marks of a previous walk are forgotten."""
    forget_user_nodes(memory, policy.user)
    forget_user_marks(memory, policy.user)
    return new_walk_state(
        ROTATE.index(policy.rotate),
        RESUMES.index(policy.resume),
        LIST_BY_LIST,
        ORDER.index(policy.order),
        policy.min_order,
        policy.user,
        False,
        memory.nr_pages,
        policy.capacity,
        policy.span,
        LAP.index(policy.lap),
        policy.strokes,
        types=nr_types(memory),
    )


@kernel
def next_zone(memory, state):
    """The zone of the next stroke, in a new call if the last one is over; -1 ends the walk."""
    lists_done = state.at[AT_ZONE] >= len(memory.zones)
    if state.at[AT_CALL_OVER] or lists_done:
        strokes = state.knob[K_STROKES]
        restarts = state.knob[K_RESUME] == RESTART
        goes_on = state.at[AT_CALL_OVER] or (restarts and strokes > 0)
        state.at[AT_CALLS] += 1
        if not goes_on or 0 < strokes <= state.at[AT_CALLS]:
            return -1
        state.at[AT_CALL_OVER] = 0
        state.at[AT_OFFERED] = 0
        if restarts or state.knob[K_RESUME] == HOST_FEEDBACK:
            state.at[AT_ZONE] = 0
            state.at[AT_LIST] = 0
            state.begun[:] = False
    return state.at[AT_ZONE] if state.at[AT_ZONE] < len(memory.zones) else -1


@kernel
def fill_from_list(memory, state, zone, report, capacity):
    """Walk the call's next list, which may be empty."""
    if state.knob[K_CAPACITY] > 0:
        capacity = min(capacity, state.knob[K_CAPACITY] - state.at[AT_OFFERED])
    i = state.at[AT_LIST]
    state.at[AT_SETTLED] = i
    state.at[AT_WALKED] = i
    if not state.begun[i]:
        state.taken[i] = 0
    order, migratetype = walked_list(state, i)
    head = free_list_head(memory, zone, order, migratetype)
    length = memory.nr_free[zone, order, migratetype]
    if state.knob[K_LAP] == SHRINKS and state.begun[i]:
        state.lap[i] -= max(0, state.length[i] - length)
    state.length[i] = length
    node = begin_list(memory, state, i, head, length)
    state.visited[i] = state.taken[i]  # What the ring lost is no part of the lap.
    if state.knob[K_RESUME] == NEWEST_REPORT:
        node = behind_newest_report(memory, state, i, head)
    n, node = walk_list(memory, state, zone, i, head, node, report, 0, capacity)
    if state.knob[K_RESUME] == SCAN_FOR_MARK:
        for row in range(n):
            if memory.frame[report[row, 0]] & HINTED == 0:
                memory.frame[report[row, 0]] |= user_mark(state)
    state.at[AT_OFFERED] += n
    if node == head:
        state.at[AT_LIST] += 1
    if node != head or (n > 0 and not state.knob[K_SPAN]):
        state.at[AT_CALL_OVER] = 1
    lists_done = zone + (state.at[AT_LIST] == nr_lists(state)) == len(memory.zones)
    begins_again = state.knob[K_RESUME] == RESTART and state.knob[K_STROKES] > 0
    status = AT_ONCE
    if state.at[AT_CALL_OVER] or (lists_done and begins_again):
        status = MORE
    if n == 0:
        settle(memory, state)
    return n, status


@kernel
def behind_newest_report(memory, state, i, head):
    """The node behind the newest report of the i-th list that is still on it, or the first node.

    A block that left its list has lost its mark, even if it has come back since.
    """
    newest, number = head, 0
    node = list_next(memory.links, head)
    while node != head:
        if node < memory.nr_pages and memory.frame[node] & user_mark(state):
            place = state.place[node]
            if place % len(state.taken) == i and place // len(state.taken) > number:
                newest, number = node, place // len(state.taken)
        node = list_next(memory.links, node)
    state.at[AT_CURSOR] = -1 if newest == head else newest
    state.at[AT_GONE] = state.taken[i] - number
    return list_next(memory.links, newest)


@kernel
def drain_of_call(memory, state, zone, report, n, outcome):
    """Mark and rotate the blocks taken; a block that a full ring refused ends the call."""
    if n > 0 and outcome[0] == USED:
        return drain(memory, state, zone, report, n, outcome)
    moved = 0
    for row in range(n):
        node = report[row, 0]
        frame = memory.frame[node]
        i = list_index(state, frame_order(frame), frame_type(frame))
        if outcome[row] == TAKEN:
            state.taken[i] += 1
            if state.knob[K_RESUME] == NEWEST_REPORT:
                state.place[node] = state.taken[i] * len(state.taken) + i
                memory.frame[node] = frame | user_mark(state)
            moved += settle_taken(memory, state, zone, node)
        elif state.knob[K_RESUME] == SCAN_FOR_MARK:
            memory.frame[node] = frame & ~user_mark(state)
    for row in range(n):
        if outcome[row] == REFUSED:
            state.at[AT_OFFERED] -= n - row - 1
            state.at[AT_CALL_OVER] = 1
            state.at[AT_END] = AT_A_FULL_RING
            go_back(memory, state, zone, report, n, row)
            return moved
    settle(memory, state)
    return moved


@dataclass(frozen=True)
class CallWalker(Walker):
    """The walker as a kernel can be called; docs/model.md explains the values of the knobs.

    Attributes
    ----------
    resume : "restart", "scan_for_first", "host_feedback", "scan_for_mark", "newest_report"
    lock : "list_by_list", "whole_call"
        "whole_call" holds the locks of all zones for a whole call, and the host is polled under
        them until it has taken everything.
    capacity : int
        The caller's buffer in blocks; 0 if there is no limit.
    span : bool
        Whether a call goes on to the next list; otherwise it ends with the first that gave a block.
    strokes : int
        The most calls in a walk; 0 if there is no limit.  With a limit a walk that restarts begins
        again after the last list, until it has made so many calls.
    lap : "if_first_is_gone", "always", "shrinks"
        When a list ends after as many blocks as it had at its first stroke.
    """

    fill: Callable = fill_from_list
    drain: Callable = drain_of_call
    new_state: Callable = new_call_state
    next_zone: Callable = next_zone
    resume: Annotated[str, OneOf(CALL_RESUME)] = "newest_report"
    lock: Annotated[str, OneOf(CALL_LOCK)] = "list_by_list"
    span: Switch = True
    strokes: Strokes = 0
    lap: Annotated[str, OneOf(LAP)] = "always"
    knobs: tuple = (
        Knob("rotate", ROTATE),
        Knob("resume", CALL_RESUME),
        Knob("lock", CALL_LOCK),
        Knob("order", ORDER),
        MIN_ORDER,
        CAPACITY,
        FULL_RING,
        Knob("span", (True, False)),
        Knob("lap", LAP),
    )

    def _refuse_contradictions(self):
        super()._refuse_contradictions()
        if self.resume == "scan_for_mark" and self.rotate == "never":
            raise InputError(
                "policy.resume 'scan_for_mark' cannot go with policy.rotate 'never':"
                " without rotation the first block reported is still at the head and is met at once"
            )
        if self.lock == "whole_call" and self.on_full != "wait":
            raise InputError(
                f"policy.lock 'whole_call' needs policy.on_full 'wait', got {self.on_full!r}:"
                " it holds the locks until the host has taken everything"
            )

    def knobs_that_count(self, values: dict) -> tuple:
        """Names of the knobs that have an effect; ``lap`` only if ``resume`` scans for A."""
        names = tuple(knob.name for knob in self.knobs)
        scans = values.get("resume", self.resume) == "scan_for_first"
        return names if scans else tuple(name for name in names if name != "lap")

    @property
    def stroke_capacity(self) -> int:
        """The most blocks in a stroke; 0 if there is no limit."""
        return self.capacity

    @property
    def holds_until_used(self) -> bool:
        """Is the lock held until the host has used everything?"""
        return self.lock == "whole_call"

    @property
    def locks_all_zones(self) -> bool:
        """Are the locks of all zones held for a whole call?"""
        return self.lock == "whole_call"
