"""The steps of the migration's thread in the small guest, or of one that takes a snapshot.

``Migration`` of the engine decides these in Python, a whole turn at once; here a turn is three
steps, between which the guest goes on: STOP, sync, and what follows it.
"""

from freehint.engine.host.migration import lost_writes
from freehint.engine.host.precopy import COMPLETION as ENGINE_COMPLETION
from freehint.engine.host.precopy import PRECOPY as ENGINE_PRECOPY
from freehint.engine.host.precopy import read_page, take_page
from freehint.engine.world.dirty import LOGGING, SHIFT, next_dirty, sync_bitmap
from freehint.engine.world.records import HINT_REQUESTED
from freehint.engine.world.ring import ring_in_flight
from freehint.jit import kernel
from freehint.safety.bugs import BULK_STAGE, ID_WITHOUT_LOCK, NO_BITMAP_MUTEX
from freehint.safety.guest import (
    ALL,
    ASKED_FOR,
    AT_DESTINATION,
    BUG,
    DISCARDED,
    DRAIN,
    ENDED,
    FINE,
    FIRST_PASS,
    HINTS_STOPPED,
    IMPOSSIBLE,
    INITIALLY_SET,
    LOST_WRITE,
    MATE,
    NO_EFFECT,
    NOT_YET,
    PHASE,
    POSTCOPY,
    PRECOPY,
    READING,
    REENTER,
    ROUNDS,
    SENDER_SAW,
    SENDER_WORD,
    SNAPSHOT,
    START_DUE,
    SYNCED,
    WATCHED,
    WRONG_SNAPSHOT,
)
from freehint.safety.host.device import (
    CANNOT,
    ID_CHANGES,
    NOT_POPPED,
    holds_device,
    in_vain,
    new_id,
    send_stop,
)
from freehint.safety.host.early import send_page, switch_early
from freehint.safety.host.ending import cancel, end_migration
from freehint.safety.host.mutex import clear_what_it_saw, look_at_chunk
from freehint.safety.paragraphs import id_issued

GO_ON, TURN, CANCEL, SWITCH, SEND_MATE = range(5)


@kernel(inline=True)
def begin_migration(guest):
    """Set up the bitmaps, sync, ask for hints.  Source: Migration.begin()."""
    world, own = guest.world, guest.own
    own[PHASE] = PRECOPY
    own[ROUNDS] -= 1
    if guest.rule[SNAPSHOT] == 0:
        world.dirty.rule[LOGGING] = 1
        world.dirty.log[0] = guest.rule[ALL] if guest.rule[INITIALLY_SET] else 0
        world.dirty.bitmap[0] = guest.rule[ALL]
        world.migration[0].phase = ENGINE_PRECOPY
        world.migration[0].at = 0
        own[FIRST_PASS] = guest.rule[BUG] == BULK_STAGE
        sync_bitmap(world.dirty)
    new_id(guest)


@kernel(inline=True)
def next_to_send(guest):
    """The next page that the migration takes; -1 if none is left.  Source: migration_event()."""
    world = guest.world
    at = world.migration[0].at
    if guest.own[FIRST_PASS]:
        for page in guest.frames:
            if page >= at:
                guest.own[FIRST_PASS] = guest.rule[ALL] >> (page + 1) != 0
                return page
    page = next_dirty(world.dirty, at)
    return page if page >= 0 else next_dirty(world.dirty, 0)


@kernel(inline=True)
def take_next(guest):
    """Take the next page out of the bitmap; -1 if none is left."""
    page = next_to_send(guest)
    if page >= 0:
        guest.own[READING] = 1 + page
        if guest.rule[BUG] == NO_BITMAP_MUTEX and guest.own[PHASE] == PRECOPY:
            guest.own[SENDER_WORD] = 1 + int(guest.world.dirty.bitmap[0])
        else:
            look_at_chunk(guest, page)
            take_page(guest.world, page)
    return page


@kernel
def complete(guest):
    """Stop the guest, sync, send the rest and compare what the destination has with the guest.

    Nobody else acts meanwhile, so all of it is one step.
    Source: Migration.turn(), migration_event(), Migration._complete().
    """
    world = guest.world
    sync_bitmap(world.dirty)
    world.migration[0].phase = ENGINE_COMPLETION
    guest.own[PHASE] = ENDED
    came_to = FINE
    page = take_next(guest)
    while page >= 0:
        if in_vain(guest, page):
            came_to = NO_EFFECT
        read_page(world, page)
        page = take_next(guest)
    guest.own[READING] = 0
    if lost_writes(world) > 0 and guest.rule[ASKED_FOR] != DISCARDED:
        came_to = LOST_WRITE
    end_migration(guest)
    return came_to


@kernel(inline=True)
def send_behind(guest):
    """Send the next page to the guest that is at the destination, or end if it has all."""
    page = take_next(guest)
    if page >= 0:
        send_page(guest, page)
        guest.own[READING] = 0
        return FINE
    came_to = LOST_WRITE if lost_writes(guest.world) > 0 else FINE
    end_migration(guest)
    return came_to


@kernel(inline=True)
def snapshot_step(guest):
    """Pause the vCPUs; then take the snapshot, compare it with what they had, and resume."""
    world = guest.world
    if guest.own[PHASE] == PRECOPY:
        if guest.rule[DRAIN] and ring_in_flight(world.ring, 0) > 0:
            return IMPOSSIBLE
        for page in guest.frames:
            world.copy[page] = world.version[page]
        guest.own[PHASE] = HINTS_STOPPED
        return FINE
    came_to = WRONG_SNAPSHOT if lost_writes(world) > 0 else FINE
    for page in guest.frames:
        world.copy[page] = 0
    end_migration(guest)
    return came_to


@kernel(inline=True)
def turn_step(guest):
    """Before, at and after a sync.  Source: Migration.turn()."""
    own = guest.own
    if guest.rule[SNAPSHOT]:
        return snapshot_step(guest)
    if own[PHASE] == PRECOPY:
        send_stop(guest)
        own[PHASE] = HINTS_STOPPED
        return FINE
    if own[PHASE] == HINTS_STOPPED:
        sync_bitmap(guest.world.dirty)
        own[PHASE] = SYNCED
        return FINE
    return complete(guest)


@kernel(inline=True)
def leave_chunk(guest):
    """Send a page of another chunk than the watched one, which only moves the cursor out of it."""
    record = guest.world.migration[0]
    if record.at == 0 or next_dirty(guest.world.dirty, record.at) >= 0:
        return IMPOSSIBLE
    record.at = 0
    return FINE


@kernel(inline=True)
def send_mate(guest):
    """Take and send a page that is not watched, in what that changes of the slice.

    A page of the watched page's chunk clears the chunk; where all of a chunk is watched, a page
    of another one moves the cursor.
    """
    world, mate = guest.world, guest.rule[MATE]
    if guest.own[PHASE] != PRECOPY or guest.rule[WATCHED] == guest.rule[ALL]:
        return IMPOSSIBLE
    if mate < 0:
        return leave_chunk(guest)
    if not world.dirty.unclear[mate >> world.dirty.rule[SHIFT]]:
        return IMPOSSIBLE  # It would change nothing.
    look_at_chunk(guest, mate)
    guest.own[READING] = 1 + mate if guest.own[SENDER_SAW] else 0
    take_page(world, mate)
    return FINE


@kernel(inline=True)
def ask_again(guest):
    """Give out a new id after a sync; without the lock, first the state changes, then the id."""
    own = guest.own
    if guest.rule[BUG] == ID_WITHOUT_LOCK and own[REENTER] != CANNOT:
        if own[REENTER] == NOT_POPPED:
            guest.world.user[0].hinting = HINT_REQUESTED
            own[REENTER] = ID_CHANGES
            return
        own[REENTER] = CANNOT
        own[START_DUE] = 1
        id_issued(guest)
    else:
        new_id(guest)
    own[ROUNDS] -= 1
    own[PHASE] = PRECOPY


@kernel(inline=True)
def go_on(guest):
    """Begin, take a page out of the bitmap, read it, or begin another round."""
    own = guest.own
    phase = own[PHASE]
    if own[SENDER_WORD] > 0:
        guest.world.dirty.bitmap[0] = own[SENDER_WORD] - 1
        own[SENDER_WORD] = 0
        take_page(guest.world, own[READING] - 1)
    elif clear_what_it_saw(guest):
        pass
    elif own[READING] > 0:
        send_page(guest, own[READING] - 1)
        own[READING] = 0
    elif phase == NOT_YET:
        begin_migration(guest)
    elif phase == PRECOPY:
        page = take_next(guest)
        came_to = NO_EFFECT if in_vain(guest, page) else FINE
        return came_to if page >= 0 else IMPOSSIBLE
    elif phase == AT_DESTINATION:
        return send_behind(guest)
    elif phase == SYNCED and own[ROUNDS] > 0:
        if holds_device(guest):
            return IMPOSSIBLE
        ask_again(guest)
    else:
        return IMPOSSIBLE
    return FINE


@kernel
def migration_step(guest, choice):
    """One step of the migration's thread.

    GO_ON begins, takes a page out of the bitmap, reads it, or begins another round; TURN goes on
    to the next sync, and to the end; CANCEL ends it; SWITCH lets the guest go on at the
    destination early; SEND_MATE, in a slice, sends a page of the watched page's chunk.
    """
    own = guest.own
    phase = own[PHASE]
    if phase == ENDED:
        return IMPOSSIBLE
    if choice == GO_ON:
        return go_on(guest)
    if phase == NOT_YET or phase == AT_DESTINATION or own[READING] > 0:
        return IMPOSSIBLE
    if choice == SEND_MATE:
        return send_mate(guest)
    if holds_device(guest):
        return IMPOSSIBLE
    if own[REENTER] >= ID_CHANGES:
        return IMPOSSIBLE
    if choice == TURN:
        return turn_step(guest)
    if choice == CANCEL:
        cancel(guest)
        return FINE
    if guest.rule[POSTCOPY] == 0 or phase != PRECOPY:
        return IMPOSSIBLE
    return switch_early(guest)
