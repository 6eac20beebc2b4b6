"""Tsirkin's five steps: hold blocks while they are reported; give them back early if needed.

1. register a callback for free lists that run empty: on_empty();
2. take blocks off the free lists, onto a private list: fill();
3. report them to the host, without the lock;
4. add them to the free lists again, at the tail: drain();
5. if the callback comes meanwhile, interrupt that, and add them again at the tail.

No kernel has had steps 1 and 5; the other three became free page reporting.  The mail leaves some
points open; they are decided here:

* Isolation keeps its gate: no block is taken that would leave the zone below its min watermark.
* A walk ends.  At the beginning of a zone an END node is added to the tail of each list, and
  blocks that come back go after it.  A list is walked to its END, or until as many blocks were
  taken as it had at the beginning.  So a block is reported once unless it left its list in between;
  blocks that come to the tail during the walk are not reported.  Each walk needs a new state.
* Blocks that a full ring refused go back to the head, to be next; a lost hint goes to the tail.
* Isolation makes pageblocks MOVABLE, so blocks of other types come back on the MOVABLE lists.
* Only an allocation that empties a list makes the callback.  Isolation that empties a list does
  not; then shrink() gets the blocks back for the guest.

Source: Tsirkin, "How about the following scheme", answering v24 2/2 on linux-mm, January 2018.
"""

from collections.abc import Callable
from dataclasses import dataclass

from freehint.config import require
from freehint.jit import kernel
from freehint.mm.buddy import page_is_buddy
from freehint.mm.callback import has_block
from freehint.mm.isolate import isolate_free_page, putback_isolated_page
from freehint.mm.list import (
    list_add,
    list_add_tail,
    list_empty,
    list_move,
    list_move_tail,
    list_next,
)
from freehint.mm.memory import (
    ISOLATE,
    NR_ORDERS,
    USER_LIST,
    frame_order,
    frame_type,
    free_list_head,
    nr_types,
    page_zone,
    user_node,
)
from freehint.policies.five_step_state import (
    AT_INTERRUPTS,
    AT_LIST,
    AT_NR_LISTS,
    AT_USER,
    AT_ZONE,
    end_node,
    list_index,
    new_state,
    nr_held,
    order_of,
)
from freehint.policies.policy import CAPACITY, FULL_RING, MIN_ORDER, Order, Outcome, Policy, Stroke
from freehint.policies.promise import ONCE, Promise
from freehint.policies.walk_state import forget_user_nodes

REFUSED = int(Outcome.REFUSED)
MORE, ZONE_DONE, *_ = map(int, Stroke)


@kernel(inline=True)
def begin_zone(memory, state, zone):
    """Add an END to the tail of each list."""
    forget_user_nodes(memory, state.at[AT_USER])
    for i in range(state.at[AT_NR_LISTS]):
        order, migratetype = order_of(memory, i), i % nr_types(memory)
        state.left[i] = memory.nr_free[zone, order, migratetype]
        if state.left[i] > 0:
            head = free_list_head(memory, zone, order, migratetype)
            list_add_tail(memory.links, end_node(memory, state, i), head)
    state.at[AT_ZONE] = zone
    state.at[AT_LIST] = 0


@kernel
def take_list(memory, state, zone, i, report, n, capacity):
    """Isolate blocks of one list, after ``n`` rows of the report.

    Returns
    -------
    n : int
        Rows of the report.
    done : bool
        Whether the walk is done with this list.
    """
    end = end_node(memory, state, i)
    head = free_list_head(memory, zone, order_of(memory, i), i % nr_types(memory))
    node = list_next(memory.links, head)
    while node != end and node != head and state.left[i] > 0:
        after = list_next(memory.links, node)
        if node < memory.nr_pages:  # Another node is a bookmark, which is skipped.
            if n == capacity:
                return n, False
            report[n, 2] += 1
            if not isolate_free_page(memory, node, state.at[AT_USER]):
                return n, n == 0  # The zone is too low: give the held blocks back, then try again.
            report[n, 0] = node
            report[n, 1] = order_of(memory, i)
            state.left[i] -= 1
            state.held[zone, i] += 1
            n += 1
        node = after
    return n, True


@kernel
def fill(memory, state, zone, report, capacity):
    """Step 2: take up to ``capacity`` blocks, the largest first."""
    if state.at[AT_ZONE] != zone:
        begin_zone(memory, state, zone)
    n = 0
    while state.at[AT_LIST] < state.at[AT_NR_LISTS]:
        i = state.at[AT_LIST]
        if i % nr_types(memory) != ISOLATE:
            n, done = take_list(memory, state, zone, i, report, n, capacity)
            if not done:
                return n, MORE
        state.at[AT_LIST] += 1
    if n == 0:
        forget_user_nodes(memory, state.at[AT_USER])
    return n, ZONE_DONE


@kernel
def drain(memory, state, zone, report, n, outcome):
    """Step 4: add the blocks again at the tail, or at the head if the ring refused them.

    If step 5 came before, there is nothing to do: it has added all blocks of the zone again.
    """
    moved = 0
    if nr_held(state, zone) > 0:
        for row in range(n):
            if outcome[row] != REFUSED:
                readd(memory, report[row, 0])
        for row in range(n - 1, -1, -1):
            if outcome[row] == REFUSED:
                put_first(memory, state, zone, report[row, 0])
        state.held[zone] = 0
        moved = n
    if state.at[AT_LIST] == state.at[AT_NR_LISTS]:
        forget_user_nodes(memory, state.at[AT_USER])
    return moved


@kernel
def readd(memory, node):
    """Add a block again at the tail, wherever the kernel's own putback adds it."""
    order = frame_order(memory.frame[node])
    putback_isolated_page(memory, node)
    if page_is_buddy(memory, node, order):  # A block that merged stays where the merge put it.
        migratetype = frame_type(memory.frame[node])
        head = free_list_head(memory, page_zone(memory, node), order, migratetype)
        list_move_tail(memory.links, node, head)


@kernel
def put_first(memory, state, zone, node):
    """Add a block again as the first of its list, and let the walk go back to that list."""
    order = frame_order(memory.frame[node])
    putback_isolated_page(memory, node)
    if not page_is_buddy(memory, node, order):
        return  # It merged, and the larger block is another one.
    migratetype = frame_type(memory.frame[node])
    i = list_index(memory, order, migratetype)
    list_move(memory.links, node, free_list_head(memory, zone, order, migratetype))
    end = end_node(memory, state, i)
    if list_empty(memory.links, end):
        list_add(memory.links, end, node)
    state.left[i] += 1
    state.at[AT_LIST] = min(state.at[AT_LIST], i)


@kernel
def readd_zone(memory, state, zone):
    """Add all held blocks of a zone again at the tail, and return their number."""
    head = user_node(memory, state.at[AT_USER], USER_LIST)
    node = list_next(memory.links, head)
    moved = 0
    while node != head:
        after = list_next(memory.links, node)
        if page_zone(memory, node) == zone:
            readd(memory, node)
            moved += 1
        node = after
    state.held[zone] = 0
    return moved


@kernel
def on_empty(memory, state, zone, order, migratetype):
    """Step 5: add all held blocks of the zone again at the tail if the allocator needs them.

    It needs them if blocks of the empty list are held.  It also does if the type has no free block
    of this or a higher order, and a block that could have served the order is held.

    Returns
    -------
    int
        Blocks moved.
    """
    missed = state.held[zone, list_index(memory, order, migratetype)] > 0
    if not missed and not has_block(memory, zone, order, migratetype):
        for larger in range(order, NR_ORDERS):
            missed = missed or state.held[zone, list_index(memory, larger, migratetype)] > 0
    if not missed:
        return 0
    state.at[AT_INTERRUPTS] += 1
    return readd_zone(memory, state, zone)


@kernel
def release(memory, state):
    """Add all held blocks again, and return their number."""
    moved = 0
    for zone in range(state.held.shape[0]):
        moved += readd_zone(memory, state, zone)
    return moved


@kernel
def end_walk(memory, state):
    """Take all ENDs off the lists, wherever the walk was stopped; the next begins its zone anew."""
    forget_user_nodes(memory, state.at[AT_USER])
    state.at[AT_ZONE] = -1


@kernel
def shrink(memory, state, nr_pages):
    """Do step 5 for every zone, for a guest short of memory, and return the number of pages."""
    pages = 0
    for zone in range(state.held.shape[0]):
        for i in range(state.held.shape[1]):
            pages += state.held[zone, i] << order_of(memory, i)
    if pages > 0:
        state.at[AT_INTERRUPTS] += 1
        release(memory, state)
    return pages


@dataclass(frozen=True)
class FiveStep(Policy):
    """The five-step scheme of the thread.

    Attributes
    ----------
    min_order : int
        Smallest order taken, 0..10.
    report : "acknowledged" or "unlocked"
        Blocks are held until the host has used them ("acknowledged"), or only until the ring took
        them ("unlocked").
    """

    name: str = "five_step"
    fill: Callable = fill
    drain: Callable = drain
    new_state: Callable = new_state
    on_empty: Callable = on_empty
    end_walk: Callable = end_walk
    release: Callable = release
    shrink: Callable = shrink
    report: str = "acknowledged"
    min_order: Order = 0
    colour: str = "black"
    mark: str = "p"
    # No more: watermarks forbid to take some blocks, and a callback ends a stroke and puts its
    # blocks after the END.
    promise: Promise = ONCE
    knobs: tuple = (MIN_ORDER, CAPACITY, FULL_RING)

    def __post_init__(self):
        super().__post_init__()
        late = self.report != "under_lock"
        require(late, "policy.report", "be unlocked or acknowledged for five_step", self.report)
