"""The steps of the migration's thread in the small guest.

``Migration`` of the engine decides these in Python, a whole turn at once; here a turn is three
steps, between which the guest goes on: STOP, sync, and what follows it.
"""

from freehint.engine.host.migration import lost_writes
from freehint.engine.host.precopy import COMPLETION as ENGINE_COMPLETION
from freehint.engine.host.precopy import OFF, read_page, take_page
from freehint.engine.host.precopy import PRECOPY as ENGINE_PRECOPY
from freehint.engine.world.dirty import LOGGING, SHIFT, next_dirty, sync_bitmap
from freehint.jit import kernel
from freehint.safety.guest import (
    ENDED,
    FRAMES,
    HINTS_STOPPED,
    INITIALLY_SET,
    MATE,
    NOT_YET,
    PHASE,
    PRECOPY,
    READING,
    ROUNDS,
    SYNCED,
)
from freehint.safety.worker import done, start_hints, stop_hints

# What a step of any actor comes to.
SPOILED, IMPOSSIBLE, FINE, LOST_WRITE, DISCARDED = range(-2, 3)
GO_ON, TURN, CANCEL, SEND_MATE = range(4)
ALL_FRAMES = sum(1 << page for page in FRAMES)


@kernel(inline=True)
def begin_migration(guest):
    """Set up the bitmaps, sync, ask for hints.  Source: Migration.begin()."""
    world, own = guest.world, guest.own
    world.dirty.rule[LOGGING] = 1
    world.dirty.log[0] = ALL_FRAMES if guest.rule[INITIALLY_SET] else 0
    world.dirty.bitmap[0] = ALL_FRAMES
    world.migration[0].phase = ENGINE_PRECOPY
    world.migration[0].at = 0
    sync_bitmap(world.dirty)
    own[PHASE] = PRECOPY
    own[ROUNDS] -= 1
    start_hints(guest)


@kernel(inline=True)
def take_next(guest):
    """Take the next page out of the bitmap; -1 if none is left.  Source: migration_event()."""
    world = guest.world
    page = next_dirty(world.dirty, world.migration[0].at)
    if page < 0:
        page = next_dirty(world.dirty, 0)
    if page >= 0:
        take_page(world, page)
        guest.own[READING] = 1 + page
    return page


@kernel
def end_migration(guest, verbs):
    """Stop logging and send DONE.  Source: Migration._end()."""
    guest.world.migration[0].phase = OFF
    guest.world.dirty.rule[LOGGING] = 0
    guest.own[PHASE] = ENDED
    done(guest, verbs)


@kernel
def complete(guest, verbs):
    """Stop the guest, sync, send the rest and compare what the destination has with the guest.

    Nobody else acts meanwhile, so all of it is one step.
    Source: Migration.turn(), migration_event(), Migration._complete().
    """
    world = guest.world
    sync_bitmap(world.dirty)
    world.migration[0].phase = ENGINE_COMPLETION
    page = take_next(guest)
    while page >= 0:
        read_page(world, page)
        page = take_next(guest)
    guest.own[READING] = 0
    came_to = LOST_WRITE if lost_writes(world) > 0 else FINE
    end_migration(guest, verbs)
    return came_to


@kernel(inline=True)
def turn_step(guest, verbs):
    """Before, at and after a sync.  Source: Migration.turn()."""
    own = guest.own
    if own[PHASE] == PRECOPY:
        stop_hints(guest)
        own[PHASE] = HINTS_STOPPED
        return FINE
    if own[PHASE] == HINTS_STOPPED:
        sync_bitmap(guest.world.dirty)
        own[PHASE] = SYNCED
        return FINE
    return complete(guest, verbs)


@kernel(inline=True)
def send_mate(guest):
    """Take and send another page of the watched page's chunk, which only clears the chunk."""
    world, mate = guest.world, guest.rule[MATE]
    if mate < 0 or guest.own[PHASE] != PRECOPY:
        return IMPOSSIBLE
    if not world.dirty.unclear[mate >> world.dirty.rule[SHIFT]]:
        return IMPOSSIBLE  # It would change nothing.
    take_page(world, mate)
    return FINE


@kernel
def migration_step(guest, verbs, choice):
    """One step of the migration's thread.

    GO_ON begins, takes a page out of the bitmap, reads it, or begins another round; TURN goes on
    to the next sync, and to the end; CANCEL ends it; SEND_MATE, in a slice, sends a page of the
    watched page's chunk.
    """
    own = guest.own
    phase = own[PHASE]
    if phase == ENDED or (phase == NOT_YET and choice != GO_ON):
        return IMPOSSIBLE
    if own[READING] > 0:
        if choice != GO_ON:
            return IMPOSSIBLE
        read_page(guest.world, own[READING] - 1)
        own[READING] = 0
    elif choice == TURN:
        return turn_step(guest, verbs)
    elif choice == SEND_MATE:
        return send_mate(guest)
    elif choice == CANCEL:
        stop_hints(guest)
        end_migration(guest, verbs)
    elif phase == NOT_YET:
        begin_migration(guest)
    elif phase == PRECOPY:
        return FINE if take_next(guest) >= 0 else IMPOSSIBLE
    elif phase == SYNCED and own[ROUNDS] > 0:
        own[ROUNDS] -= 1
        own[PHASE] = PRECOPY
        start_hints(guest)
    else:
        return IMPOSSIBLE
    return FINE
