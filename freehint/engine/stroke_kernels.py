"""The compiled work around a policy's verbs: the zone lock, the rows, the end of a stroke.

:mod:`freehint.engine.strokes` calls these kernels, each of which takes a microsecond, and the
verbs between them: lock_zone(), ``fill``, begin_rows(); then the event loop publishes the rows;
then lock_for_drain() if the lock was dropped, ``drain``, finish_stroke().
"""

from freehint.engine.worker import next_row
from freehint.engine.world.clock import NEVER, schedule, suspend
from freehint.engine.world.records import DRAINING, IDLE, PUBLISHING, WAIT_LOCK
from freehint.jit import kernel
from freehint.mm.memory import BUDDY, ISOLATED, NR_ORDERS, frame_order, page_zone
from freehint.policies.policy import Outcome

REFUSED = int(Outcome.REFUSED)


@kernel(inline=True)
def zones_to_lock(world, user):
    """The zones whose locks the user's stroke takes, as bits."""
    record = world.user[user]
    return (1 << world.lock_until.shape[0]) - 1 if record.all_zones else 1 << record.zone


@kernel(inline=True)
def get_lock(world, user, mode, now_ns):
    """Lock the user's zones.  If another's stroke holds one, the worker sleeps until that ends.

    Returns
    -------
    int
        The time in ns from which the lock is held; -1 if the worker sleeps.
    """
    record, state = world.user[user], world.state[0]
    if record.holds:
        return now_ns
    zones = zones_to_lock(world, user)
    if state.locked_zones & zones:
        if record.mode != mode:
            record.wait_since = now_ns
        record.mode = mode
        suspend(world, world.cpu.shape[0] + 2 + user)
        return -1
    state.locked_zones |= zones
    since_ns = now_ns
    for zone in range(world.lock_until.shape[0]):
        if zones >> zone & 1:
            since_ns = max(since_ns, world.lock_until[zone])
    return since_ns


@kernel
def lock_zone(world, user, zone, now_ns):
    """Lock a zone for a stroke.  The result is that of :func:`get_lock`."""
    world.user[user].zone = zone
    return get_lock(world, user, WAIT_LOCK, now_ns)


@kernel(inline=True)
def asleep_since(world, actor):
    """The time since which an actor sleeps until a zone lock is released, in ns.

    It is -2 if the actor does not sleep or waits for something else.  CPUs and kernel threads
    are woken in any case: they test by themselves whether they may go on.
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
def release_lock(world, user, end_ns):
    """Release the locks, and wake the actors that wait in the order in which they asked."""
    zones = zones_to_lock(world, user)
    world.user[user].holds = 0
    world.state[0].locked_zones &= ~zones
    for zone in range(world.lock_until.shape[0]):
        if zones >> zone & 1:
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
    """Does a row name a block of the zone that is free or held, and a number of blocks?"""
    node = world.report[user, row, 0]
    order = world.report[user, row, 1]
    if node < 0 or node >= world.memory.nr_pages or order < 0 or order >= NR_ORDERS:
        return False
    frame = world.memory.frame[node]
    if frame & (BUDDY | ISOLATED) == 0 or frame_order(frame) != order:
        return False
    return page_zone(world.memory, node) == world.user[user].zone


@kernel(inline=True)
def count_is_sound(world, user, row):
    """Can a row's blocks have been looked at?  No list is longer than all nodes."""
    return 0 <= world.report[user, row, 2] <= world.memory.links.shape[0] // 2


@kernel
def let_go(world, user, now_ns):
    """Release the locks that a call has kept from its last stroke."""
    release_lock(world, user, now_ns)


@kernel
def begin_rows(world, user, since_ns, first, n, gathers):
    """Begin to publish the rows before ``first + n``, if the call does not gather more.

    The policy chose the last ``n`` of them under the lock held since ``since_ns``.  A stroke that
    reports without the lock drops it after it has walked and taken its blocks.

    Returns
    -------
    (int, int)
        The first row that is not sound, or -1; the time in ns at which the lock was dropped.
    """
    record = world.user[user]
    last = first + n
    for row in range(first, last + 1):
        if not count_is_sound(world, user, row):
            return row, since_ns
        if row < last and not row_is_sound(world, user, row):
            return row, since_ns
    begin_ns = since_ns
    if not record.under_lock:
        walked = 0
        for row in range(first, last + 1):
            walked += world.report[user, row, 2]
        begin_ns += walked * world.cost[0].walk_block_ns + n * world.cost[0].buddy_ns
        release_lock(world, user, begin_ns)
    actor = world.cpu.shape[0] + 2 + user
    if gathers:
        record.mode = IDLE
        schedule(world, actor, begin_ns)
        return -1, begin_ns
    publish_rows(world, user, last, last)
    next_row(world, user, actor, begin_ns)
    return -1, begin_ns


@kernel
def publish_rows(world, user, filled, rows):
    """Let the worker publish the first ``rows`` of the ``filled`` rows."""
    record = world.user[user]
    for row in range(filled):
        world.outcome[user, row] = REFUSED
    record.row = 0
    record.rows = rows
    record.filled = filled
    record.mode = PUBLISHING


@kernel
def lock_for_drain(world, user, now_ns):
    """Lock the zone again to settle rows that were reported without the lock.

    The result is that of :func:`get_lock`.
    """
    return get_lock(world, user, DRAINING, now_ns)


@kernel
def finish_stroke(world, user, n, moved, goes_on, now_ns):
    """Release the lock, after the policy has moved ``moved`` nodes and settled ``n`` rows.

    A call that goes on keeps the locks of all zones.

    Returns
    -------
    (int, bool)
        The time in ns at which the stroke ended; whether a full ring refused its last row.
    """
    record = world.user[user]
    cost_ns = moved * world.cost[0].rotate_ns
    end_ns = now_ns
    refused = n > 0 and world.outcome[user, n - 1] == REFUSED
    if record.under_lock:
        end_ns += cost_ns
        record.holds = record.all_zones and goes_on and not refused
        if not record.holds:
            release_lock(world, user, end_ns)
    elif n > 0:
        until_ns = world.lock_until[record.zone]
        if cost_ns != 0:
            until_ns = end_ns = max(now_ns, until_ns) + cost_ns
        release_lock(world, user, until_ns)
    record.mode = IDLE
    return end_ns, refused


@kernel
def take_used(world, user, table):
    """Remove the blocks of this user from the table of blocks that the host has used.

    If ``table`` has rows, blocks in the zone of the user's stroke are first copied to it as rows
    of a report.

    Returns
    -------
    int
        Number of rows copied.
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
