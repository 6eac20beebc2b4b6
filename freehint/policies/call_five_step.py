"""Tsirkin's five steps as a kernel can be called: list by list, with nothing foreign on the lists.

As in freehint/policies/call_walker.py, a *call* goes over the lists of all zones from the first
one on, and takes and drops the zone's lock once a list, until ``capacity`` blocks are held.  Then
they are reported all together, and when the host has used them they are put back zone by zone in
the order in which they were taken.  What differs from freehint/policies/five_step.py:

* There is no END on a list.  A block that the host has used gets the policy's mark when it is put
  back, unless it merges; later calls skip it until it leaves the free lists, also in later walks.
* With ``keep`` the last block of each list stays, so that only the allocator empties a list.
* A watermark ends a list, and the call goes on with the next one.
* Step 5 comes if blocks are held of a list of the allocation's type that is empty now, whatever
  emptied it.  It interrupts the call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from freehint.inputs.rules import OneOf, Switch
from freehint.jit import kernel
from freehint.mm.buddy import page_is_buddy
from freehint.mm.isolate import isolate_free_page
from freehint.mm.list import list_next
from freehint.mm.memory import (
    ISOLATE,
    MAX_ORDER,
    NR_ORDERS,
    USER_LIST,
    frame_order,
    free_list_head,
    nr_types,
    page_zone,
    user_node,
)
from freehint.policies.call_five_step_state import (
    AT_CALL_OVER,
    AT_CALLS,
    AT_CAPACITY,
    AT_EMPTY,
    AT_END,
    AT_HELD,
    AT_INTERRUPTS,
    AT_ITS_END,
    AT_KEPT_BLOCK,
    AT_LIST,
    AT_MISSED,
    AT_REFUSED,
    AT_WALKED,
    AT_WATERMARK,
    AT_ZONE,
    K_CAPACITY,
    K_KEEP,
    K_MIN_ORDER,
    K_SPAN,
    K_STROKES,
    K_USER,
    called_list,
    held_mark,
    new_call_state,
)
from freehint.policies.call_walker import Strokes
from freehint.policies.five_step import FiveStep, readd
from freehint.policies.five_step_state import list_index
from freehint.policies.policy import CAPACITY, MIN_ORDER, Knob, Outcome, Stroke
from freehint.policies.walker import ORDER

USED = int(Outcome.USED)
MORE, _, _, AT_ONCE = map(int, Stroke)


@kernel
def next_zone(memory, state):
    """The zone of the next stroke, in a new call if the last one is over; -1 ends the walk."""
    if state.at[AT_CALL_OVER]:
        state.at[AT_CALLS] += 1
        if 0 < state.knob[K_STROKES] <= state.at[AT_CALLS]:
            return -1
        state.at[AT_CALL_OVER] = 0
        state.at[AT_ZONE] = 0
        state.at[AT_LIST] = 0
        state.at[AT_HELD] = 0
    return state.at[AT_ZONE] if state.at[AT_ZONE] < len(memory.zones) else -1


@kernel
def take_from_list(memory, state, zone, report, capacity):
    """Step 2: take blocks of the call's next list."""
    if state.knob[K_CAPACITY] > 0:
        capacity = min(capacity, state.knob[K_CAPACITY] - state.at[AT_HELD])
    i = state.at[AT_LIST]
    state.at[AT_WALKED] = i
    order, migratetype = called_list(state, i)
    n = take_blocks(memory, state, zone, order, migratetype, report, capacity)
    state.at[AT_HELD] += n
    if state.at[AT_END] == AT_CAPACITY or (state.at[AT_HELD] > 0 and not state.knob[K_SPAN]):
        state.at[AT_CALL_OVER] = 1
        return n, MORE
    state.at[AT_LIST] += 1
    if state.at[AT_LIST] % nr_types(memory) == ISOLATE:
        state.at[AT_LIST] += 1
    if state.at[AT_LIST] == (MAX_ORDER - state.knob[K_MIN_ORDER]) * nr_types(memory):
        state.at[AT_ZONE] += 1
        state.at[AT_LIST] = 0
    return n, AT_ONCE if state.at[AT_ZONE] < len(memory.zones) else MORE


@kernel
def take_blocks(memory, state, zone, order, migratetype, report, capacity):
    """Isolate blocks of one list, and return the rows of the report; AT_END says how it ended."""
    head = free_list_head(memory, zone, order, migratetype)
    node = list_next(memory.links, head)
    n = 0
    state.at[AT_END] = AT_ITS_END
    while node != head:
        after = list_next(memory.links, node)
        if node < memory.nr_pages:  # Another node is a bookmark, which is skipped.
            report[n, 2] += 1
            if memory.frame[node] & held_mark(state) == 0:
                if state.knob[K_KEEP] and memory.nr_free[zone, order, migratetype] == 1:
                    state.at[AT_END] = AT_KEPT_BLOCK
                    return n
                if n == capacity:
                    state.at[AT_END] = AT_CAPACITY
                    return n
                if not isolate_free_page(memory, node, state.knob[K_USER]):
                    state.at[AT_END] = AT_WATERMARK
                    state.at[AT_REFUSED] = node
                    return n
                report[n, 0] = node
                report[n, 1] = order
                state.held[zone, list_index(memory, order, migratetype)] += 1
                n += 1
        node = after
    return n


@kernel
def note_used(memory, state, node):
    """The host has used a block that is held."""
    memory.frame[node] |= held_mark(state)


@kernel
def readd_marked(memory, state, node):
    """Add a block again at the tail; it keeps its mark if it does not merge."""
    frame = memory.frame[node]
    order = frame_order(frame)
    readd(memory, node)
    state.merged[node] = not page_is_buddy(memory, node, order)
    if frame & held_mark(state) and not state.merged[node]:
        note_used(memory, state, node)


@kernel
def readd_of_zone(memory, state, zone):
    """Add all held blocks of a zone again, oldest first, and return their number."""
    head = user_node(memory, state.knob[K_USER], USER_LIST)
    node = list_next(memory.links, head)
    moved = 0
    while node != head:
        after = list_next(memory.links, node)
        if page_zone(memory, node) == zone:
            readd_marked(memory, state, node)
            moved += 1
        node = after
    state.held[zone] = 0
    return moved


@kernel
def drain_of_zone(memory, state, zone, report, n, outcome):
    """Step 4: add all held blocks of the zone again, unless step 5 has added them before."""
    if not state.held[zone].any():
        return 0
    for row in range(n):
        if outcome[row] == USED:
            note_used(memory, state, report[row, 0])
    return readd_of_zone(memory, state, zone)


@kernel
def on_allocation(memory, state, zone, order, migratetype):
    """Step 5: if the type has an empty list of which blocks are held, add the zone's again.

    Returns
    -------
    int
        Blocks moved.
    """
    for empty in range(NR_ORDERS):
        missed = state.held[zone, list_index(memory, empty, migratetype)]
        if missed > 0 and memory.nr_free[zone, empty, migratetype] == 0:
            state.at[AT_EMPTY] = empty
            state.at[AT_MISSED] = missed
            state.at[AT_INTERRUPTS] += 1
            state.at[AT_CALL_OVER] = 1
            return readd_of_zone(memory, state, zone)
    return 0


@kernel
def release(memory, state):
    """Add all held blocks again, and return their number."""
    moved = 0
    for zone in range(state.held.shape[0]):
        moved += readd_of_zone(memory, state, zone)
    return moved


@kernel
def end_walk(memory, state):
    """Let the next walk begin at the first list; the marks of used blocks stay."""
    state.at[AT_CALL_OVER] = 0
    state.at[AT_CALLS] = 0
    state.at[AT_ZONE] = 0
    state.at[AT_LIST] = 0
    state.at[AT_HELD] = 0


@kernel
def shrink(memory, state, nr_pages):
    """Do step 5 for every zone, for a guest short of memory, and return the number of pages."""
    pages = 0
    for zone in range(state.held.shape[0]):
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                pages += state.held[zone, list_index(memory, order, migratetype)] << order
    if pages > 0:
        state.at[AT_INTERRUPTS] += 1
        state.at[AT_CALL_OVER] = 1
        release(memory, state)
    return pages


@dataclass(frozen=True)
class CallFiveStep(FiveStep):
    """The five steps as a kernel can be called.

    Attributes
    ----------
    order : "high_first", "low_first"
    capacity : int
        The most blocks that a call holds; 0 if there is no limit.
    keep : bool
        Whether the last block of each list stays.
    span : bool
        Whether a call goes on to the next list; otherwise it ends with the first that gave a block.
    strokes : int
        The most calls in a walk; 0 if there is no limit.
    """

    name: str = "call_five_step"
    fill: Callable = take_from_list
    drain: Callable = drain_of_zone
    new_state: Callable = new_call_state
    next_zone: Callable = next_zone
    on_empty: Callable = on_allocation
    end_walk: Callable = end_walk
    release: Callable = release
    shrink: Callable = shrink
    order: Annotated[str, OneOf(ORDER)] = "high_first"
    keep: Switch = True
    span: Switch = True
    strokes: Strokes = 0
    knobs: tuple = (
        Knob("order", ORDER),
        MIN_ORDER,
        CAPACITY,
        Knob("keep", (True, False)),
        Knob("span", (True, False)),
    )
