"""One step of one actor of the small guest, chosen by a number.

A step is ``actor * 16 + choice``.  Each is what one turn of the engine's event loop does, at time
0 and with costs of 0, so that any actor may be next; ``take_step`` does it if it can be done.
"""

from freehint.engine.host.device import host_event
from freehint.engine.host.migration import lost_writes
from freehint.engine.host.precopy import COMPLETION as ENGINE_COMPLETION
from freehint.engine.host.precopy import OFF, read_page, take_page
from freehint.engine.host.precopy import PRECOPY as ENGINE_PRECOPY
from freehint.engine.world.clock import NEVER
from freehint.engine.world.content import write_page
from freehint.engine.world.dirty import LOGGING, next_dirty, sync_bitmap
from freehint.jit import kernel
from freehint.mm.callback import NEEDS_CALLBACK
from freehint.mm.memory import EMPTIED, MOVABLE
from freehint.mm.zone import NO_PAGE, alloc_pages, free_pages, mark_lru
from freehint.safety.guest import (
    BLOCKS,
    COMPLETION,
    ENDED,
    FRAMES,
    HINTS_STOPPED,
    INITIALLY_SET,
    MOST_ORDER,
    NOT_YET,
    OPERATIONS,
    PHASE,
    PRECOPY,
    READING,
    ROUNDS,
    START_DUE,
    SYNCED,
    VCPUS,
)
from freehint.safety.worker import (
    call_back,
    done,
    start,
    start_hints,
    stop_hints,
    worker_actor,
    worker_step,
)

# Actors, and the choices of those that have some.
ACTORS = 6
VCPU_0, VCPU_1, WORKER, HOST, MIGRATION, COMMAND = range(ACTORS)
CHOICES = 16
ALLOC, WRITE, FREE = 0, 3, 11  # + order; + 4 * block + page; + block
PAGES_OF_BLOCK = 1 << MOST_ORDER
GO_ON, TURN, CANCEL = range(3)  # of the migration
NR_STEPS = ACTORS * CHOICES
# What a step comes to.
SPOILED, IMPOSSIBLE, FINE, LOST_WRITE, DISCARDED = range(-2, 3)
ALL_FRAMES = sum(1 << page for page in FRAMES)
SHRINK_PAGES = 128  # SHRINK_BATCH


@kernel(inline=True)
def may_operate(guest, cpu):
    """May a vCPU do something?  Not after the migration, whose end is the end of a schedule."""
    if cpu >= guest.rule[VCPUS] or guest.own[OPERATIONS] == 0:
        return False
    return guest.own[PHASE] < COMPLETION


@kernel(inline=True)
def try_to_alloc(guest, verbs, cpu, order):
    """Allocate a block, with the policy's callback; ``node`` is as in alloc_pages()."""
    world = guest.world
    locked = world.state[0].locked_zones
    node, _, _ = alloc_pages(world.memory, cpu, order, MOVABLE, locked)
    if world.memory.notify[EMPTIED] != 0:
        call_back(guest, verbs)
    if node == NEEDS_CALLBACK:
        node, _, _ = alloc_pages(world.memory, cpu, order, MOVABLE, locked)
        if world.memory.notify[EMPTIED] != 0:
            call_back(guest, verbs)
    return node


@kernel
def alloc_step(guest, verbs, cpu, order):
    """Allocate a block; its pages have no content yet.  Before it fails, the shrinker is called."""
    world = guest.world
    held = world.cpu[cpu].nr_blocks
    if held == guest.rule[BLOCKS]:
        return IMPOSSIBLE
    node = try_to_alloc(guest, verbs, cpu, order)
    if node == NO_PAGE and verbs.shrink(world.memory, guest.state, SHRINK_PAGES) > 0:
        node = try_to_alloc(guest, verbs, cpu, order)
    if node < NO_PAGE:
        return SPOILED
    if node >= 0:
        mark_lru(world.memory, node, order)
        world.held[cpu, held] = (node << 4) | order
        world.cpu[cpu].nr_blocks = held + 1
    return FINE


@kernel(inline=True)
def write_step(guest, cpu, block, page):
    """Write a page of a block."""
    world = guest.world
    if block >= world.cpu[cpu].nr_blocks:
        return IMPOSSIBLE
    entry = world.held[cpu, block]
    if page >> (entry & 15):
        return IMPOSSIBLE
    write_page(world, (entry >> 4) + page)
    return FINE


@kernel
def free_step(guest, cpu, block):
    """Free a block.  What free pages hold matters to nobody, so it counts as zero."""
    world = guest.world
    last = world.cpu[cpu].nr_blocks - 1
    if block > last:
        return IMPOSSIBLE
    node, order = world.held[cpu, block] >> 4, world.held[cpu, block] & 15
    freed, _, _ = free_pages(world.memory, node, cpu, order, world.state[0].locked_zones)
    if not freed:
        return IMPOSSIBLE
    for page in range(node, node + (1 << order)):
        world.version[page] = world.copy[page] = 0
    world.held[cpu, block] = world.held[cpu, last]
    world.held[cpu, last] = 0
    world.cpu[cpu].nr_blocks = last
    return FINE


@kernel(inline=True)
def vcpu_step(guest, verbs, cpu, choice):
    """One operation of a vCPU."""
    if not may_operate(guest, cpu):
        return IMPOSSIBLE
    if choice < WRITE:
        came_to = alloc_step(guest, verbs, cpu, choice)
    elif choice < FREE:
        place = choice - WRITE
        came_to = write_step(guest, cpu, place // PAGES_OF_BLOCK, place % PAGES_OF_BLOCK)
    else:
        came_to = free_step(guest, cpu, choice - FREE)
    if came_to >= FINE and guest.own[OPERATIONS] > 0:
        guest.own[OPERATIONS] -= 1
    return came_to


@kernel(inline=True)
def pages_with_content(world):
    """Number of pages that the guest has written and not freed."""
    written = 0
    for page in FRAMES:
        written += world.version[page] > 0
    return written


@kernel
def host_step(guest):
    """Use the next buffer, or go to sleep."""
    world = guest.world
    before = pages_with_content(world)
    host_event(world, worker_actor(world) - 1, 0)
    return DISCARDED if pages_with_content(world) < before else FINE


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
    """Compare what the destination has with the guest.  Source: Migration._complete()."""
    came_to = LOST_WRITE if lost_writes(guest.world) > 0 else FINE
    end_migration(guest, verbs)
    return came_to


@kernel(inline=True)
def turn_step(guest):
    """Before, at and after a sync.  Source: Migration.turn()."""
    world, own = guest.world, guest.own
    phase = own[PHASE]
    if phase == PRECOPY:
        stop_hints(guest)
        own[PHASE] = HINTS_STOPPED
    elif phase == HINTS_STOPPED:
        sync_bitmap(world.dirty)
        own[PHASE] = SYNCED
    elif phase == SYNCED:  # the guest is stopped
        sync_bitmap(world.dirty)
        world.migration[0].phase = ENGINE_COMPLETION
        own[PHASE] = COMPLETION
    else:
        return IMPOSSIBLE
    return FINE


@kernel
def migration_step(guest, verbs, choice):
    """One step of the migration's thread.

    GO_ON begins, takes a page out of the bitmap, reads it, or begins another round; TURN goes on
    to the next sync; CANCEL ends it.
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
        return FINE
    if choice == TURN:
        return turn_step(guest)
    if choice == CANCEL:
        if phase == COMPLETION:
            return IMPOSSIBLE
        stop_hints(guest)
        end_migration(guest, verbs)
        return FINE
    if phase == NOT_YET:
        begin_migration(guest)
    elif phase == SYNCED and own[ROUNDS] > 0:
        own[ROUNDS] -= 1
        own[PHASE] = PRECOPY
        start_hints(guest)
    elif phase == PRECOPY or phase == COMPLETION:
        if take_next(guest) < 0:
            return complete(guest, verbs) if phase == COMPLETION else IMPOSSIBLE
    else:
        return IMPOSSIBLE
    return FINE


@kernel
def take_step(guest, verbs, step):
    """Do a step if it can be done.

    Returns
    -------
    int
        IMPOSSIBLE, if nothing has changed; SPOILED, if it is impossible too, and the guest is to be
        unpacked again; FINE; or the violation that it is, LOST_WRITE or DISCARDED.
    """
    world, own = guest.world, guest.own
    actor, choice = step // CHOICES, step % CHOICES
    if actor == MIGRATION:
        return migration_step(guest, verbs, choice) if choice <= CANCEL else IMPOSSIBLE
    if actor <= VCPU_1:
        if choice > FREE + 1:
            return IMPOSSIBLE
        return vcpu_step(guest, verbs, actor, choice)
    if choice > 0 or own[PHASE] == COMPLETION:  # the VM is stopped
        return IMPOSSIBLE
    if actor == COMMAND:
        if own[START_DUE] == 0:
            return IMPOSSIBLE
        start(guest)
    elif actor == WORKER:
        if world.key[worker_actor(world)] == NEVER:
            return IMPOSSIBLE
        worker_step(guest, verbs)
    else:
        if world.key[worker_actor(world) - 1] == NEVER:
            return IMPOSSIBLE
        return host_step(guest)
    return FINE
