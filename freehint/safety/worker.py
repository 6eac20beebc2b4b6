"""The worker's strokes and walks in the small guest, around the policy's own verbs.

``Strokes`` and ``Commands`` of the engine decide these in Python; here they are written once more
for one user and one zone, held against the engine by tests; docs/safety.md has what is left out.
"""

from freehint.engine.host.device import notify_host
from freehint.engine.stroke_kernels import begin_rows, finish_stroke, lock_for_drain, lock_zone
from freehint.engine.worker import STROKE_BEGINS, STROKE_ENDS, worker_event
from freehint.engine.world.clock import NEVER, schedule, suspend
from freehint.engine.world.records import (
    HINT_REQUESTED,
    HINT_START,
    HINT_STOP,
    IDLE,
    WAIT_RING,
    WAIT_USED,
)
from freehint.engine.world.ring import ADDED
from freehint.jit import kernel
from freehint.mm.memory import REPORT_REQUESTED, WATCH_EMPTY
from freehint.policies.policy import Outcome, Stroke
from freehint.policies.walk_state import forget_user_nodes
from freehint.safety.bugs import (
    DEAF_TO_STOP,
    EARLY_PUTBACK,
    SHRINKS_ITSELF,
    WALK_AT_SWITCH,
    WALK_WITHOUT_LOCK,
)
from freehint.safety.guest import (
    ACKNOWLEDGED,
    ASKED,
    BUG,
    CAPACITY,
    KEEPS_STATE,
    PUT_BACK,
    START_DUE,
    STATUS,
    SWITCHED_OFF,
    WALKING,
    ZONE,
)
from freehint.safety.paragraphs import id_issued, not_supplied, says_done, says_stop, sends_id
from freehint.safety.verbs import (
    NEXT_ZONE,
    ON_EMPTY,
    call_drain,
    call_end_walk,
    call_fill,
    call_next_zone,
    call_release,
    call_scan,
    renew_state,
)
from freehint.safety.walk.unlocked import drop_lock_early, is_looking, look_on

TAKEN, USED = int(Outcome.TAKEN), int(Outcome.USED)
_, ZONE_DONE, STOPPED, _ = map(int, Stroke)


@kernel(inline=True)
def worker_actor(world):
    """The number of the worker among the actors."""
    return world.cpu.shape[0] + 2


@kernel(inline=True)
def begin_walk(guest):
    """A walk begins.  Source: Strokes._begin_walk()."""
    world, own = guest.world, guest.own
    own[WALKING], own[ASKED], own[ZONE] = 1, 0, 0
    record = world.user[0]
    record.stop = 0
    if record.hinting == HINT_REQUESTED:
        record.hinting = HINT_START
        record.valid_from = world.ring.count[0, ADDED]
    if record.reports:
        world.memory.notify[REPORT_REQUESTED] = 0
    else:
        sends_id(guest)
    if guest.state.at[ON_EMPTY] != 0:
        world.memory.notify[WATCH_EMPTY] = 1
    if not guest.rule[KEEPS_STATE]:
        forget_user_nodes(world.memory, 0)
        renew_state(guest)


@kernel(cold=True)
def end_walk(guest):
    """A walk is over; another follows if it was asked for.  Source: Strokes._end_walk()."""
    world, own = guest.world, guest.own
    actor = worker_actor(world)
    call_end_walk(world.memory, guest.state)
    own[WALKING] = 0
    world.memory.notify[WATCH_EMPTY] = 0
    world.user[0].mode = IDLE
    suspend(world, actor)
    if not world.user[0].reports:
        notify_host(world, actor - 1, 0)
        if own[ASKED] and not own[SWITCHED_OFF]:
            schedule(world, actor, 0)
    elif world.memory.notify[REPORT_REQUESTED]:
        schedule(world, actor, 0)
    else:
        world.state[0].reporters = 1


@kernel(inline=True)
def choose_zone(guest):
    """Let the policy choose a zone, or -1; by a bug reclaim first gives it a block of its own."""
    memory, own = guest.world.memory, guest.own
    own[ZONE] = call_next_zone(memory, guest.state)
    if own[ZONE] < 0 and guest.rule[BUG] == SHRINKS_ITSELF:
        if call_scan(memory, guest.state, 1) > 0:
            own[ZONE] = call_next_zone(memory, guest.state)


@kernel(inline=True)
def begin_stroke(guest):
    """Lock the zone, let the policy choose, begin to publish.  Source: Strokes.begin()."""
    world, own = guest.world, guest.own
    if not own[WALKING]:
        if own[SWITCHED_OFF]:
            suspend(world, worker_actor(world))
            return
        begin_walk(guest)
    if guest.state.at[NEXT_ZONE] != 0:
        choose_zone(guest)
    if own[ZONE] < 0 or world.user[0].stop:
        end_walk(guest)
        return
    if guest.rule[BUG] == WALK_WITHOUT_LOCK:
        look_on(guest, worker_actor(world))
        return
    if lock_zone(world, 0, 0, 0) < 0:
        return
    capacity = guest.rule[CAPACITY]
    report = world.report[0, : capacity + 1]
    report[:] = 0
    n, own[STATUS] = call_fill(world.memory, guest.state, 0, report, capacity)
    begin_rows(world, 0, 0, 0, n, False)


@kernel(cold=True)
def settle_rows(guest, n):
    """Tell the policy the outcome of its rows.  Source: Strokes._drain()."""
    world = guest.world
    outcome = world.outcome[0, :n]
    if guest.rule[ACKNOWLEDGED]:
        for row in range(n):
            if outcome[row] == TAKEN:
                outcome[row] = USED
    return call_drain(world.memory, guest.state, 0, world.report[0, : n + 1], n, outcome)


@kernel(inline=True)
def end_stroke(guest):
    """Settle the rows, release the lock, plan the next stroke.  Source: Strokes.end()."""
    world, own = guest.world, guest.own
    record = world.user[0]
    n, moved, refused = record.filled, 0, False
    if record.under_lock or n == 0:
        if n > 0:
            moved = settle_rows(guest, n)
        _, refused = finish_stroke(world, 0, n, moved, False, 0)
    else:
        if lock_for_drain(world, 0, 0) < 0:
            return
        if not own[PUT_BACK]:
            moved = settle_rows(guest, n)
        own[PUT_BACK] = 0
        _, refused = finish_stroke(world, 0, n, moved, False, 0)
    world.user[0].filled = 0
    if own[STATUS] == ZONE_DONE and not refused:
        own[ZONE] += 1
    if own[STATUS] == STOPPED or world.user[0].stop or own[ZONE] == 1:
        end_walk(guest)
    else:
        schedule(world, worker_actor(world), 0)


@kernel
def worker_turn(guest):
    """Let the worker publish a row, or tell what is due.  The result is worker_event()'s."""
    return worker_event(guest.world, 0, worker_actor(guest.world), 0)


@kernel
def worker_step(guest):
    """The worker's next turn."""
    own, record = guest.own, guest.world.user[0]
    if guest.rule[BUG] == EARLY_PUTBACK and record.mode == WAIT_USED and not own[PUT_BACK]:
        own[PUT_BACK] = settle_rows(guest, record.filled) > 0
    if is_looking(guest):
        look_on(guest, worker_actor(guest.world))
        return
    due = worker_turn(guest)
    drop_lock_early(guest)
    if due == STROKE_BEGINS:
        begin_stroke(guest)
    elif due == STROKE_ENDS:
        end_stroke(guest)


@kernel(inline=True)
def wake_reporter(guest):
    """Plan a pass of a policy that walks by itself.  Source: Strokes.wake_reporters()."""
    world = guest.world
    actor = worker_actor(world)
    if world.user[0].reports and not guest.own[WALKING] and world.key[actor] == NEVER:
        schedule(world, actor, 0)


@kernel(inline=True)
def want_report(guest):
    """Plan a pass if a free asked for one.  Source: Engine._want_report()."""
    world = guest.world
    if world.memory.notify[REPORT_REQUESTED] != 0 and world.state[0].reporters > 0:
        wake_reporter(guest)
        world.state[0].reporters = 0


# Commands of the host and of the enable switch.


@kernel(inline=True)
def start_hints(guest):
    """A new command id goes out, to a policy that hints.  Source: Migration._start_hints()."""
    if guest.world.user[0].reports:
        return
    guest.world.user[0].hinting = HINT_REQUESTED
    guest.own[START_DUE] = 1
    id_issued(guest)


@kernel(inline=True)
def start(guest):
    """The guest sees the command id.  Source: Commands.start()."""
    guest.own[START_DUE] = 0
    if guest.own[WALKING]:
        guest.own[ASKED] = 1
    elif not guest.own[SWITCHED_OFF]:
        schedule(guest.world, worker_actor(guest.world), 0)
    else:
        not_supplied(guest)


@kernel(inline=True)
def turn_switch(guest):
    """Turn the enable switch off, or on again.  Source: Commands.off(), on()."""
    guest.own[SWITCHED_OFF] ^= 1
    if not guest.own[SWITCHED_OFF]:
        wake_reporter(guest)
        if guest.rule[BUG] == WALK_AT_SWITCH and not guest.own[WALKING]:
            schedule(guest.world, worker_actor(guest.world), 0)


@kernel(inline=True)
def stop(guest):
    """The walk is to end at its next block.  Source: Commands.stop()."""
    world, own = guest.world, guest.own
    if world.user[0].reports:
        return
    says_stop(guest)
    own[ASKED] = 0
    if not own[WALKING]:
        suspend(world, worker_actor(world))
        return
    if guest.rule[BUG] == DEAF_TO_STOP:
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


@kernel(cold=True)
def done(guest):
    """Send DONE: all held blocks are given back.  Source: Commands.done()."""
    stop(guest)
    call_release(guest.world.memory, guest.state)
    if not guest.world.user[0].reports:
        says_done(guest, guest.rule[KEEPS_STATE])
