"""Free page reporting, Linux 5.7 on: isolate, report, put back, a few at a time, for ever.

A pass runs 2 s after a free made a large block, and 2 s after the pass before if there is more to
do.  Zone by zone, smallest order first, blocks that the host does not know are isolated until a
scatterlist of 32 is full, reported, and put back with a Reported flag that lasts until the block
leaves its list.  Where the five-step scheme has a callback for lists that run empty, this has
small batches, two watermark tests and a budget of a sixteenth of a list a pass.

The scatterlist is filled from its end and drained from its start: what was isolated last is put
back first.

Source: mm/page_reporting.c of 6.1, where no other is named; its budget came in 5.9.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freehint.config import one_of, require, whole
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_SKIP_REPORT_NOTIFY, FPI_TO_TAIL, page_is_buddy
from freehint.mm.isolate import isolate_free_page, putback_page
from freehint.mm.list import list_next, list_prev, list_turn
from freehint.mm.memory import (
    ISOLATE,
    MAX_ORDER,
    MIGRATE_TYPES,
    NR_ORDERS,
    REPORT_REQUESTED,
    REPORTED,
    WMARK_LOW,
    frame_order,
    free_list_head,
)
from freehint.mm.zone import zone_watermark_ok
from freehint.policies.policy import Outcome, Policy, Stroke
from freehint.policies.promise import ONCE, Promise
from freehint.units import NS_PER_S

SHARE_OF_LIST = 16  # a pass reports a sixteenth of a list
PUTBACK = ("tail", "head")
USED = int(Outcome.USED)
MORE, ZONE_DONE, STOPPED = map(int, Stroke)


class ReportingState(NamedTuple):
    """Where a pass stands.

    knob : int64[4]   K_USER, K_ORDER, K_CAPACITY, K_PUTBACK (fpi flags)
    at : int64[4]     AT_ZONE, or -1 between zones; AT_LIST of it, ascending; AT_BUDGET: reports
                      that the list may still take, or NOT_BEGUN; AT_FAILED: a report was refused
    """

    knob: np.ndarray
    at: np.ndarray


K_USER, K_ORDER, K_CAPACITY, K_PUTBACK = range(4)
AT_ZONE, AT_LIST, AT_BUDGET, AT_FAILED = range(4)
NOT_BEGUN = -2


def new_state(memory, policy):
    """A pass that has not begun."""
    to_tail = FPI_TO_TAIL if policy.putback == "tail" else FPI_NONE
    flags = FPI_SKIP_REPORT_NOTIFY | to_tail
    return ReportingState(
        knob=np.array([policy.user, policy.report_order, policy.capacity, flags], np.int64),
        at=np.array([-1, 0, NOT_BEGUN, 0], np.int64),
    )


@kernel(inline=True)
def zone_has_plenty(memory, state, zone):
    """Would a whole scatterlist leave the low watermark?  No lowmem reserve counts.

    Source: page_reporting_process_zone().
    """
    batch = state.knob[K_CAPACITY] << state.knob[K_ORDER]
    return zone_watermark_ok(memory, zone, 0, WMARK_LOW, batch, 0, 0)


@kernel(inline=True)
def begin_list(memory, state, zone, order):
    """Reports that this list may take: it takes one more, for what the list before left over.

    The order's free blocks of all types count, reported or not.
    """
    free = 0
    for migratetype in range(MIGRATE_TYPES):
        free += memory.nr_free[zone, order, migratetype]
    share = state.knob[K_CAPACITY] * SHARE_OF_LIST
    state.at[AT_BUDGET] = (free + share - 1) // share


@kernel(inline=True)
def rotate_to_front(memory, head, node):
    """Make ``node`` its list's first.  Source: list_rotate_to_front()."""
    before = list_prev(memory.links, node)
    if before != head:
        list_turn(memory.links, head, before)


@kernel(inline=True)
def take_block(memory, state, node, report, n):
    """Isolate a block into the scatterlist; False if the zone is too low."""
    order = frame_order(memory.frame[node])
    if not isolate_free_page(memory, node, state.knob[K_USER]):
        return False
    report[n, 0] = node
    report[n, 1] = order
    return True


@kernel
def scan_list(memory, state, head, report, n):
    """Isolate what one list has to report: (rows, is the list done?).

    It is not where the scatterlist is full and the list has more: that block becomes its first,
    and all is reported.  Source: page_reporting_cycle().
    """
    node = list_next(memory.links, head)
    while node != head:
        after = list_next(memory.links, node)
        if node < memory.nr_pages:  # else a bookmark: step over it
            report[n, 2] += 1
            if memory.frame[node] & REPORTED == 0:
                if state.at[AT_BUDGET] < 0:
                    memory.notify[REPORT_REQUESTED] = 1  # the rest is for the next pass
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
    """Isolate blocks until the scatterlist is full and there is more, or the zone is done."""
    if state.at[AT_FAILED]:
        return 0, STOPPED
    if state.at[AT_ZONE] != zone:
        if not zone_has_plenty(memory, state, zone):
            return 0, ZONE_DONE
        state.at[AT_ZONE] = zone
        state.at[AT_LIST] = state.knob[K_ORDER] * MIGRATE_TYPES
        state.at[AT_BUDGET] = NOT_BEGUN
    n = 0
    while state.at[AT_LIST] < NR_ORDERS * MIGRATE_TYPES:
        order, migratetype = state.at[AT_LIST] // MIGRATE_TYPES, state.at[AT_LIST] % MIGRATE_TYPES
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
    """Put all back, the last first; flag what the host has used and what did not merge.

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
        Smallest order reported: page_reporting_order, the pageblock's by default.
    delay_ns : int
        From a free, or from the end of a pass, to the next pass.
    capacity : int
        Blocks a report: PAGE_REPORTING_CAPACITY.
    putback : "tail" or "head"
        "head": 5.7 to 5.9, where a block was put back like any freed one, to be reused first.
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
    putback: str = "tail"
    colour: str = "green"
    mark: str = "s"
    promise: Promise = ONCE  # a sixteenth of a list in a pass
    host_discards: bool = True

    def __post_init__(self):
        super().__post_init__()
        whole("policy.capacity", self.capacity, 1)
        one_of("policy.putback", self.putback, PUTBACK)
        require(self.delay_ns is not None, "policy.delay_ns", "be a time", self.delay_ns)
        whole("policy.report_order", self.report_order, 0, MAX_ORDER - 1)
        one = self.one_buffer
        require(one, "policy.one_buffer", "be true for page_reporting", one)

    @property
    def smallest_order(self) -> int:
        """Smaller blocks are not reported."""
        return self.report_order
