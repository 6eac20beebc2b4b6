"""A policy's worker: it offers the blocks that a stroke chose to the ring, row by row.

:func:`worker_event` is a turn of it in the event loop.  Where a stroke begins and ends the policy
decides, in Python; what must be done around that is here: :func:`lock_zone`,
:func:`begin_rows`, :func:`lock_for_drain`, :func:`finish_stroke` and :func:`take_used`.
"""

from freehint.host.device import notify_host
from freehint.jit import kernel
from freehint.mm.memory import (
    BUDDY,
    HINTED,
    ISOLATED,
    NR_ORDERS,
    frame_order,
    frame_type,
    page_zone,
)
from freehint.policy import ON_FULL, Outcome
from freehint.ring import SCATTERLIST, ring_add, ring_full, ring_half_full, ring_in_flight
from freehint.world import (
    DRAINING,
    IDLE,
    NEVER,
    PUBLISHED,
    PUBLISHING,
    WAIT_LOCK,
    WAIT_RING,
    WAIT_USED,
    pages_hinted,
    schedule,
    suspend,
)

NOTHING, STROKE_BEGINS, STROKE_ENDS = range(3)  # what Python has to do
LOSE, STOP, WAIT = range(len(ON_FULL))
REFUSED, TAKEN, LOST, USED = map(int, Outcome)

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


@kernel(inline=True)
def offer_block(world, user, node, order):
    """Offer one block to the ring: (taken, duplicate)."""
    frame = world.memory.frame[node]
    record = world.user[user]
    pages = 1 << order
    record.offered += pages
    if not record.one_buffer:
        if ring_full(world.ring, user, record.reserved):
            record.lost += pages
            return False, False
        ring_add(world.ring, user, node, order)
    record.hinted += pages
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
    world.reports[at, 3] = record.zone
    world.reports[at, 4] = order
    world.reports[at, 5] = frame_type(world.memory.frame[node])
    world.reports[at, 6] = node + world.memory.base_pfn
    world.reports[at, 7] = 1 << order
    world.reports[at, 8] = taken
    world.reports[at, 9] = duplicate
    state.nr_reports = at + 1


@kernel(inline=True)
def next_row(world, user, actor, now_ns):
    """When the worker will have walked to the next row's block and made its report.

    Behind the last row: when it has looked at what is left of the list in vain.  A stroke that
    dropped the lock has walked already.
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
    """Everything is offered: a scatterlist goes to the ring now, in one buffer."""
    record = world.user[user]
    record.rows = record.row
    record.mode = WAIT_USED if record.wait_used else PUBLISHED
    if record.one_buffer and record.row > 0:
        ring_add(world.ring, user, record.row, SCATTERLIST)
        notify_host(world, host, now_ns)


@kernel(inline=True)
def kick(world, user, host, now_ns):
    """Notify the host after a buffer was added, or not; what it costs the worker."""
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
        # A full ring is a reason to notify, whatever the habit.
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
    """The worker's turn; what Python has to do."""
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


# Around the verbs.


@kernel(inline=True)
def get_lock(world, user, mode, now_ns):
    """Lock the user's zone; since when, or -1: its worker sleeps until another's stroke ends."""
    record, state = world.user[user], world.state[0]
    zone = record.zone
    if state.locked_zones >> zone & 1:
        if record.mode != mode:
            record.wait_since = now_ns
        record.mode = mode
        suspend(world, world.cpu.shape[0] + 2 + user)
        return -1
    state.locked_zones |= 1 << zone
    return max(now_ns, world.lock_until[zone])


@kernel
def lock_zone(world, user, zone, now_ns):
    """A stroke wants the lock of a zone; since when it has it, or -1: later."""
    world.user[user].zone = zone
    return get_lock(world, user, WAIT_LOCK, now_ns)


@kernel(inline=True)
def asleep_since(world, actor):
    """Since when somebody waits for a zone lock; -2: it does not sleep, or for something else.

    CPUs and kernel threads look again by themselves whether they may go on.
    """
    kthreads = world.cpu.shape[0]
    user = actor - kthreads - 2
    if world.key[actor] != NEVER:
        return -2
    if actor < kthreads:
        return world.cpu[actor].wait_since
    if actor == kthreads:
        return world.state[0].kthreads_since
    if user < 0 or user >= world.user.shape[0]:
        return -2
    mode = world.user[user].mode
    return world.user[user].wait_since if mode == WAIT_LOCK or mode == DRAINING else -2


@kernel(inline=True)
def release_lock(world, zone, end_ns):
    """Hand the lock over; who waited gets it in the order of asking."""
    world.state[0].locked_zones &= ~(1 << zone)
    world.lock_until[zone] = end_ns
    for place in range(world.key.shape[0]):
        first, since = -1, 0
        for actor in range(world.key.shape[0]):
            asleep = asleep_since(world, actor)
            if asleep > -2 and (first < 0 or asleep < since):
                first, since = actor, asleep
        if first < 0:
            return
        schedule(world, first, end_ns + place)


@kernel(inline=True)
def row_is_sound(world, user, row):
    """Does a row name a block that is free, or that the policy holds?"""
    node = world.report[user, row, 0]
    order = world.report[user, row, 1]
    if node < 0 or node >= world.memory.nr_pages or order < 0 or order >= NR_ORDERS:
        return False
    frame = world.memory.frame[node]
    return frame & (BUDDY | ISOLATED) != 0 and frame_order(frame) == order


@kernel
def begin_rows(world, user, since_ns, n):
    """The policy has chosen ``n`` rows under the lock that it got at ``since_ns``.

    A stroke that reports without the lock has walked and taken its blocks when it drops it.

    Returns
    -------
    (int, int)
        The first row that names no block, or -1; when the lock was dropped.
    """
    record = world.user[user]
    for row in range(n):
        if not row_is_sound(world, user, row):
            return row, since_ns
        world.outcome[user, row] = REFUSED
    record.row = 0
    record.rows = n
    record.filled = n
    record.mode = PUBLISHING
    begin_ns = since_ns
    if not record.under_lock:
        walked = 0
        for row in range(n + 1):
            walked += world.report[user, row, 2]
        begin_ns += walked * world.cost[0].walk_block_ns + n * world.cost[0].buddy_ns
        release_lock(world, record.zone, begin_ns)
    next_row(world, user, world.cpu.shape[0] + 2 + user, begin_ns)
    return -1, begin_ns


@kernel
def lock_for_drain(world, user, now_ns):
    """Rows reported without the lock are settled under it; since when, or -1: later."""
    return get_lock(world, user, DRAINING, now_ns)


@kernel
def finish_stroke(world, user, n, moved, now_ns):
    """The policy has moved so many nodes as it settled ``n`` rows: the lock goes to others.

    Returns
    -------
    (int, bool)
        When the stroke ended; did a full ring refuse its last row?
    """
    record = world.user[user]
    cost_ns = moved * world.cost[0].rotate_ns
    end_ns = now_ns
    if record.under_lock:
        end_ns += cost_ns
        release_lock(world, record.zone, end_ns)
    elif n > 0:
        until_ns = world.lock_until[record.zone]
        if cost_ns != 0:
            until_ns = end_ns = max(now_ns, until_ns) + cost_ns
        release_lock(world, record.zone, until_ns)
    record.mode = IDLE
    return end_ns, n > 0 and world.outcome[user, n - 1] == REFUSED


@kernel
def take_used(world, user, table):
    """Forget which blocks of this user the host has used.

    Those in the zone of its stroke are noted first, in ``table``, as rows of a report, if it has
    rows; how many.
    """
    state, zone = world.state[0], world.user[user].zone
    kept = noted = 0
    for row in range(state.nr_used):
        node = world.used[row, 1]
        if world.used[row, 0] != user:
            for column in range(world.used.shape[1]):
                world.used[kept, column] = world.used[row, column]
            kept += 1
        elif table.shape[0] > 0 and page_zone(world.memory, node) == zone:
            table[noted, 0] = node
            table[noted, 1] = world.used[row, 2]
            noted += 1
    state.nr_used = kept
    return noted
