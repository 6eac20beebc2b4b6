"""Free page reporting (Linux 5.7 and later): isolate, report and put back, for as long as it runs.

A pass begins 2 s after a free made a large block, and 2 s after the previous pass if work was
left.  Zone by zone, smallest order first, blocks that the host does not know are isolated until a
scatterlist of 32 is full.  Then they are reported and put back with a Reported flag, which lasts
until the block leaves its list.  The five-step scheme has a callback for lists that run empty;
this policy has small batches, two watermark tests, and a budget per pass of a sixteenth of a list.

The scatterlist is filled from its end and drained from its start, so the block that was isolated
last is put back first.

Source: mm/page_reporting.c of 6.1, if no other is named; the budget came in 5.9.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np

from freehint.config import require
from freehint.inputs.rules import OneOf, Whole
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_SKIP_REPORT_NOTIFY, FPI_TO_TAIL, page_is_buddy
from freehint.mm.isolate import isolate_free_page, putback_page
from freehint.mm.list import list_next, list_prev, list_turn
from freehint.mm.memory import (
    ISOLATE,
    NR_ORDERS,
    REPORT_REQUESTED,
    REPORTED,
    WMARK_LOW,
    frame_order,
    free_list_head,
    nr_types,
)
from freehint.mm.zone import zone_watermark_ok
from freehint.policies.policy import Outcome, Policy, Stroke
from freehint.policies.promise import ONCE, Promise
from freehint.units import NS_PER_S

PUTBACK = ("tail", "head")
USED = int(Outcome.USED)
MORE, ZONE_DONE, STOPPED, _ = map(int, Stroke)


class ReportingState(NamedTuple):
    """The progress of a pass.

    knob : int64[5]   K_USER, K_ORDER, K_CAPACITY, K_PUTBACK (fpi flags), K_SHARE
    at : int64[4]     AT_ZONE: the current zone, or -1 between zones; AT_LIST: its current list,
                      ascending; AT_BUDGET: reports left for the list, or NOT_BEGUN; AT_FAILED: 1
                      if a report was refused
    """

    knob: np.ndarray
    at: np.ndarray


K_USER, K_ORDER, K_CAPACITY, K_PUTBACK, K_SHARE = range(5)
AT_ZONE, AT_LIST, AT_BUDGET, AT_FAILED = range(4)
NOT_BEGUN = -2


def new_state(memory, policy):
    """The state of a pass that has not begun."""
    to_tail = FPI_TO_TAIL if policy.putback == "tail" else FPI_NONE
    flags = FPI_SKIP_REPORT_NOTIFY | to_tail
    return ReportingState(
        knob=np.array(
            [policy.user, policy.report_order, policy.capacity, flags, policy.share], np.int64
        ),
        at=np.array([-1, 0, NOT_BEGUN, 0], np.int64),
    )


@kernel(inline=True)
def zone_has_plenty(memory, state, zone):
    """Would the zone stay above its low watermark without a whole scatterlist of blocks?

    The lowmem reserve does not count.  Source: page_reporting_process_zone().
    """
    batch = state.knob[K_CAPACITY] << state.knob[K_ORDER]
    return zone_watermark_ok(memory, zone, 0, WMARK_LOW, batch, 0, 0)


@kernel(inline=True)
def begin_list(memory, state, zone, order):
    """Set the budget of a list: the number of reports that it may fill.

    It may use one report more, for the blocks that the previous list left in the scatterlist.  The
    order's free blocks of all types count, reported or not.
    """
    free = 0
    for migratetype in range(nr_types(memory)):
        free += memory.nr_free[zone, order, migratetype]
    share = state.knob[K_CAPACITY] * state.knob[K_SHARE]
    state.at[AT_BUDGET] = (free + share - 1) // share


@kernel(inline=True)
def rotate_to_front(memory, head, node):
    """Rotate a list so that ``node`` is its first.  Source: list_rotate_to_front()."""
    before = list_prev(memory.links, node)
    if before != head:
        list_turn(memory.links, head, before)


@kernel(inline=True)
def take_block(memory, state, node, report, n):
    """Isolate a block into the scatterlist; return False if the zone is too low for that."""
    order = frame_order(memory.frame[node])
    if not isolate_free_page(memory, node, state.knob[K_USER]):
        return False
    report[n, 0] = node
    report[n, 1] = order
    return True


@kernel
def scan_list(memory, state, head, report, n):
    """Isolate the unreported blocks of one list into the scatterlist.

    Returns
    -------
    n : int
        Rows in the scatterlist.
    done : bool
        False if the scatterlist is full and the list has more blocks.  The next of them is then
        the list's first, and the scatterlist has to be reported.

    Source: page_reporting_cycle().
    """
    node = list_next(memory.links, head)
    while node != head:
        after = list_next(memory.links, node)
        if node < memory.nr_pages:  # Another node is a bookmark, which is skipped.
            report[n, 2] += 1
            if memory.frame[node] & REPORTED == 0:
                if state.at[AT_BUDGET] < 0:
                    memory.notify[REPORT_REQUESTED] = 1  # The next pass does the rest.
                    rotate_to_front(memory, head, node)
                    return n, True
                if n == state.knob[K_CAPACITY]:
                    rotate_to_front(memory, head, node)
                    state.at[AT_BUDGET] -= 1
                    return n, False
                if not take_block(memory, state, node, report, n):
                    rotate_to_front(memory, head, node)
                    return n, True
                n += 1
        node = after
    return n, True


@kernel
def fill(memory, state, zone, report, capacity):
    """Isolate blocks until the scatterlist is full and more are left, or the zone is done."""
    if state.at[AT_FAILED]:
        return 0, STOPPED
    if state.at[AT_ZONE] != zone:
        if not zone_has_plenty(memory, state, zone):
            return 0, ZONE_DONE
        state.at[AT_ZONE] = zone
        state.at[AT_LIST] = state.knob[K_ORDER] * nr_types(memory)
        state.at[AT_BUDGET] = NOT_BEGUN
    n = 0
    types = nr_types(memory)
    while state.at[AT_LIST] < NR_ORDERS * types:
        order, migratetype = state.at[AT_LIST] // types, state.at[AT_LIST] % types
        if migratetype != ISOLATE and memory.nr_free[zone, order, migratetype] > 0:
            if state.at[AT_BUDGET] == NOT_BEGUN:
                begin_list(memory, state, zone, order)
            head = free_list_head(memory, zone, order, migratetype)
            n, done = scan_list(memory, state, head, report, n)
            if not done:
                return n, MORE
        state.at[AT_LIST] += 1
        state.at[AT_BUDGET] = NOT_BEGUN
    state.at[AT_ZONE] = -1
    return n, ZONE_DONE


@kernel
def drain(memory, state, zone, report, n, outcome):
    """Put all blocks back, the last first; flag those that the host used and that did not merge.

    A report that the host did not get ends the pass.  Source: page_reporting_drain().
    """
    for row in range(n - 1, -1, -1):
        node = report[row, 0]
        order = report[row, 1]
        putback_page(memory, node, state.knob[K_PUTBACK])
        if outcome[row] != USED:
            state.at[AT_FAILED] = 1
        elif page_is_buddy(memory, node, order):
            memory.frame[node] |= REPORTED
    return n


@dataclass(frozen=True)
class PageReporting(Policy):
    """Free page reporting as in Linux 5.7 and later.

    Attributes
    ----------
    report_order : int
        Smallest order reported: page_reporting_order, by default the order of a pageblock.
    delay_ns : int
        The time from a free, or from the end of a pass, to the next pass; in 7.3 it is the module
        parameter page_reporting_delay_ms.
    capacity : int
        Blocks per report: PAGE_REPORTING_CAPACITY; in 7.3 no more than the ring has.
    putback : "tail" or "head"
        The end of the list to which blocks are put back.  "head" is what 5.7 to 5.9 did: they put
        a block back like any freed block, so it was reused first.
    share : int
        A pass reports this part of a list: a sixteenth from 5.9 on; 1 reports all of it.
    """

    name: str = "page_reporting"
    fill: Callable = fill
    drain: Callable = drain
    new_state: Callable = new_state
    capacity: int = 32
    on_full: str = "wait"
    report: str = "acknowledged"
    one_buffer: bool = True
    pause_ns: int = 0
    delay_ns: int | None = 2 * NS_PER_S
    report_order: int = 9
    putback: Annotated[str, OneOf(PUTBACK)] = "tail"
    share: Annotated[int, Whole(1, 1 << 10)] = 16
    colour: str = "green"
    mark: str = "s"
    promise: Promise = ONCE  # No more: a pass reports only a sixteenth of a list.
    host_discards: bool = True

    def __post_init__(self):
        super().__post_init__()
        require(self.capacity > 0, "policy.capacity", "be above 0", self.capacity)
        require(self.delay_ns is not None, "policy.delay_ns", "be a time", self.delay_ns)
        one = self.one_buffer
        require(one, "policy.one_buffer", "be true for page_reporting", one)

    def fitted(self, ring_size: int) -> "PageReporting":
        """The policy with reports no larger than the ring, as from 7.3 on.

        Source: virtballoon_probe() and page_reporting_register() of 7.3.
        """
        return replace(self, capacity=min(self.capacity, ring_size))

    @property
    def smallest_order(self) -> int:
        """The smallest order reported."""
        return self.report_order
