"""The event loop: guest CPUs, kernel threads, the host and the policies' workers, in exact order.

:func:`advance` is compiled and runs until something needs Python: a stroke of a policy (its
verbs may be anybody's), more random words, or more room for rows.  :mod:`freehint.engine` answers.
"""

from freehint.guest.kthreads import kthreads_event
from freehint.guest.vcpu import cpu_event
from freehint.host.device import host_event, notify_host
from freehint.host.migration import migration_event
from freehint.jit import kernel
from freehint.mm.memory import (
    BUDDY,
    EMPTIED,
    HINTED,
    ISOLATED,
    REPORT_REQUESTED,
    frame_order,
    frame_type,
)
from freehint.paging import FREE, MIN
from freehint.policy import Outcome
from freehint.ring import SCATTERLIST, ring_add, ring_full, ring_half_full, ring_in_flight
from freehint.world import (
    ACTOR_BITS,
    DRAINING,
    FREE_THROUGHOUT,
    HINTED_THIS_WALK,
    IDLE,
    PAGE_BITS,
    PUBLISHED,
    PUBLISHING,
    WAIT_LOCK,
    WAIT_RING,
    WAIT_USED,
    pages_hinted,
    schedule,
    suspend,
)

# What advance() came back for.
(
    TIME_IS_UP,
    NEED_WORDS,
    NEED_GAPS,
    NEED_ROOM,
    STROKE_DUE,
    STROKE_PUBLISHED,
    LIST_EMPTIED,
    REPORT_WANTED,
    NEED_PAGES,
    MIGRATION_TURN,
    HOST_SHORT,
) = range(11)
LOSE, STOP, WAIT = range(3)
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
WAIT_COLUMNS = ("since_ns", "cpu", "zone", "kind", "wait_ns")


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
    """The worker's turn; what to tell Python, or -1."""
    mode = world.user[user].mode
    if mode == IDLE or mode == WAIT_LOCK:
        return STROKE_DUE
    if mode == PUBLISHED or mode == DRAINING:
        return STROKE_PUBLISHED
    if mode == WAIT_USED:
        if ring_in_flight(world.ring, user) == 0:
            return STROKE_PUBLISHED
        notify_host(world, actor - 1 - user, now_ns)
        suspend(world, actor)
    else:
        publish_row(world, user, actor, now_ns)
    return -1


@kernel(inline=True)
def somebody_is_called(world):
    """Did the event before empty a list, ask for a report, or fail for want of pages?  -1: no."""
    notify, state = world.memory.notify, world.state[0]
    if notify[EMPTIED] != 0:
        return LIST_EMPTIED
    if notify[REPORT_REQUESTED] != 0 and state.reporters > 0:
        return REPORT_WANTED
    if state.starving > 0:
        return NEED_PAGES
    return -1


@kernel(inline=True)
def no_room(world):
    """Is one of the tables full?"""
    state = world.state[0]
    return (
        state.nr_waits == world.waits.shape[0]
        or state.nr_reports == world.reports.shape[0]
        or state.nr_used == world.used.shape[0]
    )


@kernel(inline=True)
def next_actor(world):
    """Who has the smallest key."""
    actor = 0
    for other in range(1, world.key.shape[0]):
        if world.key[other] < world.key[actor]:
            actor = other
    return actor


@kernel
def advance(world, until_ns):
    """Run events before ``until_ns``; why it stopped, and when.

    Returns
    -------
    (int, int, int)
        TIME_IS_UP .. HOST_SHORT, the time in ns of the event that comes next, and the CPU or the
        user that it is about.
    """
    host = world.cpu.shape[0] + 1
    users = world.user.shape[0]
    while True:
        actor = next_actor(world)
        now_ns = world.key[actor] >> ACTOR_BITS
        if world.paging.host[FREE] < world.paging.host[MIN]:
            return HOST_SHORT, now_ns, -1
        if now_ns >= until_ns:
            return TIME_IS_UP, until_ns, -1
        if no_room(world):
            return NEED_ROOM, now_ns, -1
        if actor < host:
            if actor == host - 1:
                kthreads_event(world, actor, now_ns)
            elif world.cpu[actor].word_at == world.words.shape[1]:
                return NEED_WORDS, now_ns, actor
            else:
                cpu_event(world, actor, now_ns)
            why = somebody_is_called(world)
            if why >= 0:
                return why, now_ns, actor
        elif actor == host:
            if world.state[0].gap_row + 1 == world.gaps.shape[0]:
                return NEED_GAPS, now_ns, -1
            host_event(world, host, now_ns)
        elif actor > host + users:
            if migration_event(world, actor, now_ns):
                return MIGRATION_TURN, now_ns, -1
        else:
            user = actor - host - 1
            why = worker_event(world, user, actor, now_ns)
            if why >= 0:
                return why, now_ns, user


@kernel(inline=True)
def is_free_block(frame):
    """Free, or held for the host: nobody's in either case."""
    return frame & (BUDDY | ISOLATED) != 0


@kernel
def mark_free_pages(world, user):
    """A walk begins: note every page on the free lists, forget the user's walk before."""
    memory = world.memory
    free = FREE_THROUGHOUT << user
    for page in range(memory.nr_pages):
        world.page[page] &= PAGE_BITS ^ (free | HINTED_THIS_WALK << user)
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame):
            for page in range(node, node + (1 << frame_order(frame))):
                world.page[page] |= free


@kernel
def count_covered(world, user, min_order):
    """A walk ends: pages free throughout, and how many of them were hinted in it.

    Pages of free blocks below ``min_order`` do not count; returns (walkable, hinted).
    """
    memory = world.memory
    walkable = hinted = 0
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame) and frame_order(frame) >= min_order:
            for page in range(node, node + (1 << frame_order(frame))):
                if world.page[page] & FREE_THROUGHOUT << user:
                    walkable += 1
                    if world.page[page] & HINTED_THIS_WALK << user:
                        hinted += 1
    return walkable, hinted
