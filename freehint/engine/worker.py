"""A policy's worker: it offers the blocks that a stroke chose to the ring, row by row.

:func:`worker_event` is the worker's turn in the event loop.  At the begin and end of a stroke
Python calls the policy, with the kernels of :mod:`freehint.engine.stroke_kernels` around it.
"""

from freehint.engine.host.device import notify_host
from freehint.engine.world.clock import schedule, suspend
from freehint.engine.world.hints import FATE_BITS, LOST_THIS_WALK, pages_hinted
from freehint.engine.world.records import (
    DRAINING,
    IDLE,
    PUBLISHED,
    PUBLISHING,
    WAIT_LOCK,
    WAIT_RING,
    WAIT_USED,
)
from freehint.engine.world.ring import (
    SCATTERLIST,
    ring_add,
    ring_full,
    ring_half_full,
    ring_in_flight,
)
from freehint.engine.world.violations import note_hint
from freehint.jit import apart, kernel
from freehint.mm.memory import (
    BUDDY,
    HINTED,
    frame_order,
    frame_type,
    page_zone,
)
from freehint.policies.policy import ON_FULL, Outcome

NOTHING, STROKE_BEGINS, STROKE_ENDS = range(3)  # what Python has to do
LOSE, STOP, WAIT = range(len(ON_FULL))
TAKEN, LOST = int(Outcome.TAKEN), int(Outcome.LOST)

REPORT_COLUMNS = (
    "time_ns",
    "user",
    "stroke",
    "zone",
    "order",
    "migratetype",
    "pfn",
    "nr_pages",
    "taken",
    "duplicate",
)


@kernel(cold=True, late=apart.NOTHING)
def forget_lost_block(world, user, node, pages):
    """Count a block that was lost before in this walk as offered once, and as a retry."""
    record, lost = world.user[user], LOST_THIS_WALK << user
    if world.fate[node] & lost:
        world.fate[node] &= FATE_BITS ^ lost
        record.offered -= pages
        record.lost -= pages
        record.retried += pages


@kernel(inline=True)
def offer_block(world, user, node, order):
    """Offer one block to the ring.

    Returns
    -------
    taken, duplicate : bool
        Whether the ring took the block; whether it had a hint from the same stay on its list.
    """
    frame = world.memory.frame[node]
    record = world.user[user]
    pages = 1 << order
    record.offered += pages
    if record.allocates:
        forget_lost_block(world, user, node, pages)
    if not record.one_buffer:
        if ring_full(world.ring, user, record.reserved):
            record.lost += pages
            if record.allocates:
                world.fate[node] |= LOST_THIS_WALK << user
            return False, False
        ring_add(world.ring, user, node, order)
    record.hinted += pages
    if record.id_sent != record.id:
        note_hint(world, user, node)
    pages_hinted(world, user, node, order)
    on_list = frame & BUDDY != 0 and frame_order(frame) == order
    duplicate = on_list and frame & HINTED != 0
    if duplicate:
        record.duplicate += pages
    elif on_list:
        world.memory.frame[node] = frame | HINTED
    return True, duplicate


@kernel(inline=True)
def report_row(world, user, row, now_ns):
    """Offer the block of one row, and write it to the table of reports."""
    state, record = world.state[0], world.user[user]
    node = world.report[user, row, 0]
    order = world.report[user, row, 1]
    taken, duplicate = offer_block(world, user, node, order)
    world.outcome[user, row] = TAKEN if taken else LOST
    at = state.nr_reports
    world.reports[at, 0] = now_ns
    world.reports[at, 1] = user
    world.reports[at, 2] = record.stroke
    world.reports[at, 3] = page_zone(world.memory, node)
    world.reports[at, 4] = order
    world.reports[at, 5] = frame_type(world.memory.frame[node])
    world.reports[at, 6] = node + world.memory.base_pfn
    world.reports[at, 7] = 1 << order
    world.reports[at, 8] = taken
    world.reports[at, 9] = duplicate
    state.nr_reports = at + 1


@kernel(inline=True)
def next_row(world, user, actor, now_ns):
    """Schedule the worker after the time to walk to the next row's block and report it.

    After the last row, this is the time to walk the rest of the list and find nothing.  A stroke
    that dropped the lock has done its walk already.
    """
    record = world.user[user]
    walked = world.report[user, record.row, 2] if record.under_lock else 0
    if record.row < record.rows:
        looked = max(1, walked) if record.under_lock else 0
        cost = looked * world.cost[0].walk_block_ns + world.cost[0].report_ns
        cost += record.block_ns << world.report[user, record.row, 1]
    else:
        cost = walked * world.cost[0].walk_block_ns
        end_rows(world, user, actor - 1 - user, now_ns + cost)
    schedule(world, actor, now_ns + cost)


@kernel(inline=True)
def end_rows(world, user, host, now_ns):
    """Stop offering rows.  A scatterlist goes to the ring now, in one buffer."""
    record = world.user[user]
    record.rows = record.row
    record.mode = WAIT_USED if record.wait_used else PUBLISHED
    if record.one_buffer and record.row > 0:
        ring_add(world.ring, user, record.row, SCATTERLIST)
        notify_host(world, host, now_ns)


@kernel(inline=True)
def kick(world, user, host, now_ns):
    """Notify the host after a buffer was added, if the policy does; return the cost in ns."""
    record = world.user[user]
    if record.one_buffer:
        return 0
    if record.kick_half_full and not ring_half_full(world.ring, user):
        return 0
    return world.cost[0].notify_ns if notify_host(world, host, now_ns) else 0


@kernel(inline=True)
def publish_row(world, user, actor, now_ns):
    """Deal with the row that is due: offer it, wait for a descriptor, or end the stroke."""
    record = world.user[user]
    record.mode = PUBLISHING
    left = record.row < record.rows
    full = left and not record.one_buffer and ring_full(world.ring, user, record.reserved)
    if record.stop or (full and record.on_full == STOP):
        end_rows(world, user, actor - 1 - user, now_ns)
        schedule(world, actor, now_ns)
    elif full and record.on_full == WAIT:
        record.mode = WAIT_RING
        # A full ring is always a reason to notify the host.
        notify_host(world, actor - 1 - user, now_ns)
        suspend(world, actor)
    else:
        if left:
            report_row(world, user, record.row, now_ns)
            now_ns += kick(world, user, actor - 1 - user, now_ns)
            record.row += 1
        next_row(world, user, actor, now_ns)


@kernel(inline=True)
def worker_event(world, user, actor, now_ns):
    """Take the worker's turn.

    Returns
    -------
    int
        What Python has to do: NOTHING, STROKE_BEGINS or STROKE_ENDS.
    """
    mode = world.user[user].mode
    if mode == IDLE or mode == WAIT_LOCK:
        return STROKE_BEGINS
    if mode == PUBLISHED or mode == DRAINING:
        return STROKE_ENDS
    if mode == WAIT_USED:
        if ring_in_flight(world.ring, user) == 0:
            return STROKE_ENDS
        notify_host(world, actor - 1 - user, now_ns)
        suspend(world, actor)
    else:
        publish_row(world, user, actor, now_ns)
    return NOTHING
