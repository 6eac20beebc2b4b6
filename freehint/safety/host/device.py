"""The host's thread in the small guest: how it uses a buffer, at once or piece by piece.

At once is the engine's own ``host_event``.  Piece by piece (``Case.fine_host``) its kernels are
called one at a time, and the guest may act between any two:

    pop and check   the device's state is looked at under its lock, free_page_lock, which is held
                    until the buffer is used: STOP, a new command id and DONE wait for it
    discard         if the host does so
    take            the hint leaves the bitmaps, under bitmap_mutex: no page is taken out and no
                    sync is done meanwhile
    use             the buffer is given back, and the worker woken

Within "take" the guest may run too, but sees no difference: its writes set bits of K alone, and a
write before or after K is cleared is one before or after "take".

Source: virtio_balloon_get_free_page_hints() and qemu_guest_free_page_hint() of QEMU 5.1.
"""

from freehint.engine.host.device import (
    discard_block,
    host_event,
    next_user,
    pages_used,
    take_hint,
    wake_worker,
)
from freehint.engine.world.clock import suspend
from freehint.engine.world.dirty import G1, G3, GENERATION, clear_chunk
from freehint.engine.world.records import HINT_REQUESTED, HINT_START, HINT_STOP
from freehint.engine.world.ring import SCATTERLIST, USED
from freehint.jit import kernel
from freehint.safety.bugs import (
    FIRST_CHUNK,
    HINT_AFTER_PAUSE,
    ID_WITHOUT_LOCK,
    NO_BITMAP_MUTEX,
    NO_CHUNK,
    POSTCOPY_HINTS,
    REPEATED_ID,
    STOP_WITHOUT_LOCK,
)
from freehint.safety.chance.behind import host_catches_up
from freehint.safety.core import forget_destroyed
from freehint.safety.guest import (
    ASKED_FOR,
    BUG,
    DISCARDED,
    EFFECT,
    FINE,
    FINE_HOST,
    HINTS_STOPPED,
    HOST_AT,
    HOST_WORD,
    LOST_WRITE,
    PHASE,
    POSTCOPY,
    REENTER,
    SNAPSHOT,
    WITHOUT_SENDING,
)
from freehint.safety.worker import start_hints, stop_hints, worker_actor

# How far the host is with the oldest buffer.
IDLE, TO_DISCARD, TO_TAKE, TO_USE = range(4)
COUNTED = 4  # added if the device took hints when the buffer was popped
ROW = 8  # added for each block of a report that is discarded

# How the last walk's command id, whose buffer was not popped before STOP, may start the device.
CANNOT, NOT_POPPED, ID_CHANGES, REENTERED = range(4)


@kernel(inline=True)
def is_paused(guest):
    """Are the vCPUs paused for a snapshot?"""
    return guest.rule[SNAPSHOT] != 0 and guest.own[PHASE] == HINTS_STOPPED


@kernel(inline=True)
def holds_device(guest):
    """Does the host hold free_page_lock, for which STOP, a new id and DONE wait?"""
    busy = guest.own[HOST_AT] != IDLE and not guest.world.user[0].reports  # which need no lock
    return busy and guest.rule[BUG] != STOP_WITHOUT_LOCK


@kernel(inline=True)
def pages_with_content(guest):
    """Number of pages that the guest has written and not freed."""
    written = 0
    for page in guest.frames:
        written += guest.world.version[page] > 0
    return written


@kernel(inline=True)
def reenter(guest):
    """Pop the last walk's command id, which lies before the next buffer; it may start the device.

    Only if a bug lets it.  The device is to start from HINT_REQUESTED alone, and only by the id
    that it has just given out.
    """
    own, record = guest.own, guest.world.user[0]
    if own[REENTER] == CANNOT or guest.world.ring.count[0, USED] < record.valid_from:
        return
    if guest.rule[BUG] == ID_WITHOUT_LOCK:
        if own[REENTER] == ID_CHANGES and record.hinting == HINT_REQUESTED:
            record.hinting = HINT_START
            own[REENTER] = REENTERED
        elif own[REENTER] == NOT_POPPED:
            own[REENTER] = CANNOT  # popped too early to do harm
    elif record.hinting == HINT_STOP:
        record.hinting = HINT_START
        own[REENTER] = CANNOT


@kernel(inline=True)
def pages_in_use(world):
    """The pages of all blocks of the vCPUs, as bits."""
    pages = 0
    for cpu in range(world.cpu.shape[0]):
        for block in range(world.cpu[cpu].nr_blocks):
            node, order = world.held[cpu, block] >> 4, world.held[cpu, block] & 15
            pages |= ((1 << (1 << order)) - 1) << node
    return pages


@kernel(inline=True)
def expect_effect(guest, node, order):
    """Note the pages that need not be sent any more: free, and not written since the last sync."""
    world = guest.world
    if guest.rule[EFFECT] == 0:
        return
    written = int(world.dirty.log[0] & ~world.dirty.seen[0])
    pages = ((1 << (1 << order)) - 1) << node
    guest.own[WITHOUT_SENDING] |= pages & ~(pages_in_use(world) | written)


@kernel(inline=True)
def in_vain(guest, page):
    """Is a page sent that a hint was to save?"""
    return page >= 0 and guest.rule[EFFECT] != 0 and guest.own[WITHOUT_SENDING] >> page & 1 != 0


@kernel(inline=True)
def take_popped(guest, node, order):
    """Take a popped buffer's hint out of the bitmaps, by the device's state when it was popped.

    ``take_hint`` reads the state itself.  It is what it was unless a bug has let STOP through.
    """
    world, dirty = guest.world, guest.world.dirty
    record, generation = world.user[0], world.dirty.rule[GENERATION]
    hinting, valid_from = record.hinting, record.valid_from
    record.hinting, record.valid_from = HINT_START, world.ring.count[0, USED]
    expect_effect(guest, node, order)
    if guest.rule[BUG] == FIRST_CHUNK and generation == G3:
        clear_chunk(dirty, node)
    if guest.rule[BUG] == FIRST_CHUNK or guest.rule[BUG] == NO_CHUNK:
        dirty.rule[GENERATION] = G1  # clear no other
    world.ring.count[0, USED] += 1  # the device counts it as it pops it
    take_hint(world, 0, node, order)
    world.ring.count[0, USED] -= 1
    dirty.rule[GENERATION] = generation
    record.hinting, record.valid_from = hinting, valid_from


@kernel(inline=True)
def take_piece(guest, node, order):
    """The piece "take"; returns whether it is done.

    Without bitmap_mutex it is two: the bitmap's word is read, and what was read is written back.
    """
    own, dirty = guest.own, guest.world.dirty
    if guest.rule[BUG] == NO_BITMAP_MUTEX:
        if own[HOST_WORD] == 0:
            own[HOST_WORD] = 1 + int(dirty.bitmap[0])
            return False
        dirty.bitmap[0] = own[HOST_WORD] - 1
        own[HOST_WORD] = 0
    take_popped(guest, node, order)
    return True


@kernel(inline=True)
def pop(guest):
    """Pop the oldest buffer and look at the device's state; or sleep if there is none."""
    world, own = guest.world, guest.own
    if next_user(world) < 0:
        world.state[0].asleep = 1
        suspend(world, worker_actor(world) - 1)
        return
    record = world.user[0]
    own[HOST_AT] = TO_DISCARD if world.host[0].discards else TO_TAKE
    if record.hinting == HINT_START and world.ring.count[0, USED] >= record.valid_from:
        own[HOST_AT] += COUNTED
    elif not world.host[0].discards:
        own[HOST_AT] = TO_USE


@kernel(inline=True)
def next_piece_of_report(guest, blocks):
    """The host's next piece of a report, each of whose blocks is discarded in a piece of its own.

    Source: virtio_balloon_handle_report() of QEMU.
    """
    world, own = guest.world, guest.own
    if own[HOST_AT] == TO_USE:
        own[HOST_AT] = IDLE
        for row in range(blocks):
            pages_used(world, 0, world.report[0, row, 0], world.report[0, row, 1])
        world.ring.count[0, USED] += 1
        wake_worker(world, 0, worker_actor(world), 0)
        return
    row = own[HOST_AT] // ROW
    discard_block(world, 0, world.report[0, row, 0], world.report[0, row, 1])
    own[HOST_AT] = TO_USE if row + 1 == blocks else own[HOST_AT] + ROW


@kernel(inline=True)
def next_piece(guest):
    """The host's next piece of a buffer."""
    world, own = guest.world, guest.own
    if own[HOST_AT] == IDLE:
        pop(guest)
        return
    at = world.ring.count[0, USED] % world.ring.blocks.shape[1]
    node, order = world.ring.blocks[0, at, 0], world.ring.blocks[0, at, 1]
    piece, counted = own[HOST_AT] & 3, own[HOST_AT] & COUNTED
    if order == SCATTERLIST:
        next_piece_of_report(guest, node)
    elif piece == TO_DISCARD:
        world.ring.count[0, USED] += 1  # as below: the buffer counts as popped
        discard_block(world, 0, node, order)
        world.ring.count[0, USED] -= 1
        own[HOST_AT] = TO_TAKE + counted if counted else TO_USE
    elif piece == TO_TAKE:
        if take_piece(guest, node, order):
            own[HOST_AT] = TO_USE
    else:
        own[HOST_AT] = IDLE
        pages_used(world, 0, node, order)
        world.ring.count[0, USED] += 1
        wake_worker(world, 0, worker_actor(world), 0)


@kernel(inline=True)
def use_at_once(guest):
    """Use the next buffer, or go to sleep, in one step."""
    world = guest.world
    at = world.ring.count[0, USED] % world.ring.blocks.shape[1]
    if guest.rule[EFFECT] and next_user(world) >= 0:
        record = world.user[0]
        if record.hinting == HINT_START and world.ring.count[0, USED] >= record.valid_from:
            expect_effect(guest, world.ring.blocks[0, at, 0], world.ring.blocks[0, at, 1])
    host_event(world, worker_actor(world) - 1, 0)


@kernel
def host_step(guest):
    """Go on with the oldest buffer, or go to sleep."""
    world = guest.world
    before = pages_with_content(guest)
    if guest.rule[BUG] and guest.own[HOST_AT] == IDLE and next_user(world) >= 0:
        reenter(guest)
    host_catches_up(guest)
    if guest.rule[FINE_HOST]:
        next_piece(guest)
    else:
        use_at_once(guest)
    # In a case with a snapshot, P7 is what is asked; without one P3 is.
    lost = pages_with_content(guest) < before and guest.rule[SNAPSHOT] == 0
    if guest.rule[ASKED_FOR] == LOST_WRITE:
        lost = False
        forget_destroyed(guest)
    return DISCARDED if lost else FINE


@kernel(inline=True)
def host_rests(guest):
    """Does the host leave the ring alone?  While the vCPUs are paused, unless by a bug."""
    return is_paused(guest) and guest.rule[BUG] != HINT_AFTER_PAUSE


@kernel(inline=True)
def new_id(guest):
    """A new command id goes out, unless the guest may be needed at the destination early."""
    guest.own[REENTER] = CANNOT
    if guest.rule[POSTCOPY] == 0 or guest.rule[BUG] == POSTCOPY_HINTS:
        start_hints(guest)


@kernel(inline=True)
def send_stop(guest):
    """Send STOP; with a bug, the buffer of the command id may still be on the ring and count."""
    record = guest.world.user[0]
    if guest.rule[BUG] == REPEATED_ID or guest.rule[BUG] == ID_WITHOUT_LOCK:
        waits = guest.world.ring.count[0, USED] <= record.valid_from
        if record.hinting == HINT_START and waits:
            guest.own[REENTER] = NOT_POPPED
    stop_hints(guest)
