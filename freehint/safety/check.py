"""What must hold in every state of the small guest."""

from freehint.jit import kernel
from freehint.mm.damage import OK, pages_at_hand, pages_held, recount
from freehint.safety.guest import (
    ALL,
    DISCARDED,
    ENDED,
    ENDLESS,
    FINE,
    LOST_WRITE,
    NO_EFFECT,
    PHASE,
    SPEC,
    UNSERVED,
    WRONG_SNAPSHOT,
)
from freehint.safety.paragraphs import PARAGRAPHS, broken_at_end

DAMAGED, STILL_HELD, STUCK = range(DISCARDED + 1, DISCARDED + 4)
PROPERTIES = {
    LOST_WRITE: "P1: the destination lacks a write of the guest",
    DISCARDED: "P3: the host discarded a page that the guest had written",
    DAMAGED: "P2: a page is in two places, or nobody's",
    STILL_HELD: "P5: all is over, and a block or a lock is still held",
    STUCK: "no actor can go on, and the migration has not ended",
    ENDLESS: "P6: a walk goes on without end, though nobody else acts",
    WRONG_SNAPSHOT: "P7: the snapshot lacks what the guest had as its vCPUs were paused",
    UNSERVED: "P8: a page that the guest needs at the destination is never sent",
    NO_EFFECT: "P9: a page is sent whose hint counted, and that stayed free and unwritten",
} | PARAGRAPHS


@kernel
def check_owners(guest):
    """Has every page one place: a list, or a block of one vCPU?"""
    world = guest.world
    guest.listed[:] = False
    if recount(world.memory, guest.listed, guest.where) != OK:
        return DAMAGED
    owned = pages = 0
    for cpu in range(world.cpu.shape[0]):
        for block in range(world.cpu[cpu].nr_blocks):
            node, order = world.held[cpu, block] >> 4, world.held[cpu, block] & 15
            for page in range(node, node + (1 << order)):
                mine = guest.rule[ALL] >> page & 1
                if not mine or owned >> page & 1 or guest.listed[page]:
                    return DAMAGED
                owned |= 1 << page
                pages += 1
    return FINE if pages + pages_at_hand(world.memory) == guest.frames.shape[0] else DAMAGED


@kernel
def check_end(guest):
    """Is all over in a state in which nobody can do anything?"""
    if guest.own[PHASE] != ENDED:
        return STUCK
    held = pages_held(guest.world.memory) > 0 or guest.world.state[0].locked_zones != 0
    if held:
        return STILL_HELD
    return broken_at_end(guest) if guest.rule[SPEC] else FINE
