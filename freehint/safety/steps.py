"""One step of one actor of the small guest, chosen by a number.

A step is ``actor * 16 + choice``.  Each is what one turn of the engine's event loop does, at time
0 and with costs of 0, so that any actor may be next; ``take_step`` does it if it can be done.
"""

import numpy as np

from freehint.engine.world.clock import NEVER
from freehint.engine.world.content import write_page
from freehint.jit import kernel
from freehint.mm.callback import NEEDS_CALLBACK
from freehint.mm.memory import EMPTIED, MOVABLE
from freehint.mm.reclaim.shrinker import SHRINK_BATCH
from freehint.mm.zone import NO_PAGE, alloc_pages, free_pages, mark_lru
from freehint.safety.case import MOST_ORDER
from freehint.safety.chance.behind import guest_goes_on
from freehint.safety.core import bring_to_front, may_choose
from freehint.safety.guest import (
    AT_DESTINATION,
    BLOCK_ORDER,
    BLOCKS,
    CORE,
    ENDED,
    FINE,
    IMPOSSIBLE,
    OPERATIONS,
    PHASE,
    POSTCOPY,
    SPEC,
    SPOILED,
    START_DUE,
    SWITCH_TURNS,
    UNSERVED,
    VCPUS,
    WATCHED,
    WITHOUT_SENDING,
)
from freehint.safety.host.device import host_rests, host_step, is_paused
from freehint.safety.host.early import arrives
from freehint.safety.migrating import SEND_MATE, SWITCH, migration_step
from freehint.safety.paragraphs import broken_rule, note_use
from freehint.safety.verbs import call_back, call_choose, call_scan, call_shrink
from freehint.safety.walk.bookmark import takes_bookmark
from freehint.safety.worker import (
    start,
    turn_switch,
    want_report,
    worker_actor,
    worker_step,
)

# Actors, and the choices of those that have some.
ACTORS = 6
VCPU_0, VCPU_1, WORKER, HOST, MIGRATION, COMMAND = range(ACTORS)
CHOICES = 16
ALLOC, WRITE, FREE = 0, 3, 11  # + order; + 4 * block + page; + block
START, SHRINK, TURN_SWITCH = range(3)  # of COMMAND
PAGES_OF_BLOCK = 1 << MOST_ORDER
NR_STEPS = ACTORS * CHOICES


@kernel(inline=True)
def may_operate(guest, cpu):
    """May a vCPU do something?  Not after the migration, whose end is the end of a schedule."""
    if cpu >= guest.rule[VCPUS] or guest.own[OPERATIONS] == 0 or is_paused(guest):
        return False
    return guest.own[PHASE] != ENDED


@kernel(cold=True)  # one copy of the allocator: more take a minute to compile
def try_to_alloc(guest, cpu, order):
    """Allocate a block, with the policy's callback; ``node`` is as in alloc_pages()."""
    world = guest.world
    locked, node = world.state[0].locked_zones, NEEDS_CALLBACK
    for _ in range(2):
        node, _, _ = alloc_pages(world.memory, cpu, order, MOVABLE, locked)
        if world.memory.notify[EMPTIED] != 0:
            call_back(guest)
        if node != NEEDS_CALLBACK:
            break
    return node


@kernel
def alloc_step(guest, cpu, order):
    """Allocate a block; its pages have no content yet.  Before it fails, the shrinker is called."""
    world = guest.world
    held = world.cpu[cpu].nr_blocks
    if held == guest.rule[BLOCKS]:
        return IMPOSSIBLE
    if takes_bookmark(guest, order):
        return FINE
    node = try_to_alloc(guest, cpu, order)
    if node == NO_PAGE and call_shrink(world.memory, guest.state, SHRINK_BATCH) > 0:
        node = try_to_alloc(guest, cpu, order)
    if node < NO_PAGE:
        return SPOILED
    if node >= 0:
        note_use(guest, node, order)
        mark_lru(world.memory, node, order)
        guest.own[WITHOUT_SENDING] &= ~(((1 << (1 << order)) - 1) << node)
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
    page += entry >> 4
    if guest.rule[WATCHED] >> page & 1 == 0:
        return IMPOSSIBLE
    away = guest.own[PHASE] == AT_DESTINATION
    if away and not arrives(guest, page):
        return UNSERVED
    write_page(world, page)
    if away:
        world.copy[page] = world.version[page]
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
def vcpu_step(guest, cpu, choice):
    """One operation of a vCPU."""
    if not may_operate(guest, cpu):
        return IMPOSSIBLE
    if choice < WRITE:
        order = choice
        if guest.rule[CORE]:
            order = guest.rule[BLOCK_ORDER]
            if not bring_to_front(guest, choice):
                return IMPOSSIBLE
        came_to = alloc_step(guest, cpu, order)
    elif choice < FREE:
        place = choice - WRITE
        came_to = write_step(guest, cpu, place // PAGES_OF_BLOCK, place % PAGES_OF_BLOCK)
    else:
        came_to = free_step(guest, cpu, choice - FREE)
    if came_to >= FINE:
        want_report(guest)
        guest_goes_on(guest)
        if guest.own[OPERATIONS] > 0:
            guest.own[OPERATIONS] -= 1
    return came_to


@kernel(inline=True)
def shrink_step(guest):
    """The reclaim of another task asks the kernel's shrinker, which frees one block.

    With blocks of order 10 that is a scan of SHRINK_BATCH pages.  Not after the migration: like
    the vCPUs, other tasks do nothing more.
    """
    if guest.own[PHASE] == ENDED:
        return IMPOSSIBLE
    if guest.world.state[0].locked_zones != 0:
        return IMPOSSIBLE
    return FINE if call_scan(guest.world.memory, guest.state, 1) > 0 else IMPOSSIBLE


def choices_of(case) -> np.ndarray:
    """The steps that are possible at all in a case, in ascending order: int64[n]."""
    choices = {actor: [0] for actor in (WORKER, HOST)}
    pages = range(WRITE, WRITE + PAGES_OF_BLOCK * case.blocks)
    operations = [*range(MOST_ORDER + 1), *pages, *range(FREE, FREE + case.blocks)]
    if case.is_core:
        choices[WORKER] = case.strokes()
        operations = [*range(case.blocks), *operations[MOST_ORDER + 1 :]]
    choices |= dict.fromkeys(range(case.vcpus), operations)
    choices[MIGRATION] = range(SEND_MATE + 1)
    shrinks = [SHRINK] * case.made_policy().has_shrinker
    choices[COMMAND] = [START, *shrinks, *[TURN_SWITCH] * case.switch]
    return np.array([a * CHOICES + one for a in sorted(choices) for one in choices[a]], np.int64)


@kernel
def act(guest, step):
    """Do a step if it can be done.  The result is take_step()'s, but for the rules of P4."""
    world, own = guest.world, guest.own
    actor, choice = step // CHOICES, step % CHOICES
    if actor == MIGRATION:
        if choice == SWITCH and not guest.rule[POSTCOPY]:
            return IMPOSSIBLE
        return migration_step(guest, choice) if choice <= SEND_MATE else IMPOSSIBLE
    if actor <= VCPU_1:
        if choice > FREE + 1:
            return IMPOSSIBLE
        return vcpu_step(guest, actor, choice)
    if actor == COMMAND and choice == TURN_SWITCH:
        if not guest.rule[SWITCH_TURNS] or own[PHASE] == ENDED or is_paused(guest):
            return IMPOSSIBLE
        turn_switch(guest)
        return FINE
    chosen = (guest.rule[CORE] and actor == WORKER) or (actor == COMMAND and choice == SHRINK)
    if (choice > 0 and not chosen) or (actor != HOST and is_paused(guest)):
        return IMPOSSIBLE
    if actor == COMMAND:
        if choice == SHRINK:
            return shrink_step(guest)
        if own[START_DUE] == 0:
            return IMPOSSIBLE
        start(guest)
    elif actor == WORKER:
        if world.key[worker_actor(world)] == NEVER:
            return IMPOSSIBLE
        if choice > 0 and not may_choose(guest, choice):
            return IMPOSSIBLE
        call_choose(world.memory, guest.state, choice)
        worker_step(guest)
    else:
        if world.key[worker_actor(world) - 1] == NEVER or host_rests(guest):
            return IMPOSSIBLE
        return host_step(guest)
    return FINE


@kernel(cold=True)
def take_step(guest, step):
    """Do a step if it can be done.

    Returns
    -------
    int
        IMPOSSIBLE, if nothing has changed; SPOILED, if it is impossible too, and the guest is to be
        unpacked again; FINE; or the violation that it is, as LOST_WRITE.
    """
    came_to = act(guest, step)
    return broken_rule(guest, came_to) if guest.rule[SPEC] else came_to
