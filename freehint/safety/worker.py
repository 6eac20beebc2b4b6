"""The worker's strokes and walks in the small guest, around the policy's own verbs.

``Strokes`` and ``Commands`` of the engine decide these in Python; here they are written once more
for one user and one zone, and tests/safety holds both against each other.  docs/safety.md lists
what is left out.
"""

from freehint.engine.host.device import notify_host
from freehint.engine.stroke_kernels import begin_rows, finish_stroke, lock_for_drain, lock_zone
from freehint.engine.worker import STROKE_BEGINS, STROKE_ENDS, worker_event
from freehint.engine.world.clock import schedule, suspend
from freehint.engine.world.records import HINT_REQUESTED, HINT_START, HINT_STOP, IDLE, WAIT_RING
from freehint.engine.world.ring import ADDED
from freehint.jit import kernel
from freehint.mm.memory import EMPTIED, HEADS, NR_ORDERS, WATCH_EMPTY
from freehint.policies.policy import Outcome, Stroke
from freehint.policies.walk_state import forget_user_nodes
from freehint.safety.bugs import WALK_WITHOUT_LOCK
from freehint.safety.guest import (
    ASKED,
    BUG,
    KEEPS_STATE,
    START_DUE,
    STATE_BEGINS,
    STATE_ENDS,
    STATUS,
    WALKING,
    ZONE,
)
from freehint.safety.walk.unlocked import drop_lock_early, is_looking, look_on

TAKEN, USED = int(Outcome.TAKEN), int(Outcome.USED)
_, ZONE_DONE, STOPPED, _ = map(int, Stroke)


@kernel(inline=True)
def worker_actor(world):
    """The number of the worker among the actors."""
    return world.cpu.shape[0] + 2


@kernel(inline=True)
def renew_state(guest):
    """Let the policy's state be that before a walk."""
    state = guest.words[guest.span[STATE_BEGINS] : guest.span[STATE_ENDS]]
    for i in range(state.shape[0]):
        state[i] = guest.fresh[i]


@kernel(inline=True)
def begin_walk(guest, verbs):
    """A walk begins.  Source: Strokes._begin_walk()."""
    world, own = guest.world, guest.own
    own[WALKING], own[ASKED], own[ZONE] = 1, 0, 0
    record = world.user[0]
    record.stop = 0
    if record.hinting == HINT_REQUESTED:
        record.hinting = HINT_START
        record.valid_from = world.ring.count[0, ADDED]
    if verbs.watches:
        world.memory.notify[WATCH_EMPTY] = 1
    if not guest.rule[KEEPS_STATE]:
        forget_user_nodes(world.memory, 0)
        renew_state(guest)


@kernel(inline=True)
def end_walk(guest, verbs):
    """A walk is over; another follows if it was asked for.  Source: Strokes._end_walk()."""
    world, own = guest.world, guest.own
    actor = worker_actor(world)
    verbs.end_walk(world.memory, guest.state)
    own[WALKING] = 0
    world.memory.notify[WATCH_EMPTY] = 0
    world.user[0].mode = IDLE
    suspend(world, actor)
    notify_host(world, actor - 1, 0)
    if own[ASKED]:
        schedule(world, actor, 0)


@kernel(inline=True)
def begin_stroke(guest, verbs):
    """Lock the zone, let the policy choose, begin to publish.  Source: Strokes.begin()."""
    world, own = guest.world, guest.own
    if not own[WALKING]:
        begin_walk(guest, verbs)
    if world.user[0].stop:
        end_walk(guest, verbs)
        return
    if guest.rule[BUG] == WALK_WITHOUT_LOCK:
        look_on(guest, verbs, worker_actor(world))
        return
    if lock_zone(world, 0, 0, 0) < 0:
        return
    report = world.report[0, : verbs.capacity + 1]
    report[:] = 0
    n, own[STATUS] = verbs.fill(world.memory, guest.state, 0, report, verbs.capacity)
    begin_rows(world, 0, 0, 0, n, False)


@kernel(inline=True)
def settle_rows(guest, verbs, n):
    """Tell the policy the outcome of its rows.  Source: Strokes._drain()."""
    world = guest.world
    outcome = world.outcome[0, :n]
    if verbs.acknowledged:
        for row in range(n):
            if outcome[row] == TAKEN:
                outcome[row] = USED
    return verbs.drain(world.memory, guest.state, 0, world.report[0, : n + 1], n, outcome)


@kernel(inline=True)
def end_stroke(guest, verbs):
    """Settle the rows, release the lock, plan the next stroke.  Source: Strokes.end()."""
    world, own = guest.world, guest.own
    record = world.user[0]
    n, moved, refused = record.filled, 0, False
    if record.under_lock or n == 0:
        if n > 0:
            moved = settle_rows(guest, verbs, n)
        _, refused = finish_stroke(world, 0, n, moved, False, 0)
    else:
        if lock_for_drain(world, 0, 0) < 0:
            return
        moved = settle_rows(guest, verbs, n)
        _, refused = finish_stroke(world, 0, n, moved, False, 0)
    world.user[0].filled = 0
    if own[STATUS] == ZONE_DONE and not refused:
        own[ZONE] += 1
    if own[STATUS] == STOPPED or world.user[0].stop or own[ZONE] == 1:
        end_walk(guest, verbs)
    else:
        schedule(world, worker_actor(world), 0)


@kernel
def worker_turn(guest):
    """Let the worker publish a row, or tell what is due.  The result is worker_event()'s."""
    return worker_event(guest.world, 0, worker_actor(guest.world), 0)


@kernel
def worker_step(guest, verbs):
    """The worker's next turn."""
    if is_looking(guest):
        look_on(guest, verbs, worker_actor(guest.world))
        return
    due = worker_turn(guest)
    drop_lock_early(guest)
    if due == STROKE_BEGINS:
        begin_stroke(guest, verbs)
    elif due == STROKE_ENDS:
        end_stroke(guest, verbs)


@kernel(inline=True)
def call_back(guest, verbs):
    """A free list ran empty: tell the policy if it watches.  Source: Engine.call_back()."""
    world = guest.world
    which = world.memory.notify[EMPTIED] - 1
    world.memory.notify[EMPTIED] = 0
    if guest.own[WALKING]:
        order, migratetype = which // HEADS % NR_ORDERS, which % HEADS
        if verbs.on_empty(world.memory, guest.state, 0, order, migratetype):
            record = world.user[0]
            record.rows = min(record.rows, record.row)


# Commands of the host.


@kernel(inline=True)
def start_hints(guest):
    """A new command id goes out.  Source: Migration._start_hints()."""
    guest.world.user[0].hinting = HINT_REQUESTED
    guest.own[START_DUE] = 1


@kernel(inline=True)
def start(guest):
    """The guest sees the command id.  Source: Commands.start()."""
    guest.own[START_DUE] = 0
    if guest.own[WALKING]:
        guest.own[ASKED] = 1
    else:
        schedule(guest.world, worker_actor(guest.world), 0)


@kernel(inline=True)
def stop(guest):
    """The walk is to end at its next block.  Source: Commands.stop()."""
    world, own = guest.world, guest.own
    own[ASKED] = 0
    if not own[WALKING]:
        suspend(world, worker_actor(world))
        return
    world.user[0].stop = 1
    if world.user[0].mode == WAIT_RING:
        schedule(world, worker_actor(world), 0)


@kernel(inline=True)
def stop_hints(guest):
    """Send STOP before a sync.  Source: Migration._stop_hints()."""
    guest.world.user[0].hinting = HINT_STOP
    guest.own[START_DUE] = 0
    stop(guest)


@kernel(inline=True)
def done(guest, verbs):
    """Send DONE: all held blocks are given back.  Source: Commands.done()."""
    stop(guest)
    verbs.release(guest.world.memory, guest.state)
