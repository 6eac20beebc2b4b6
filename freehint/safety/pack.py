"""The canonical form of a small guest, and its bytes.

What decides nothing is brought to one value, so that two states that behave alike are one: counts,
the times of actors, rows and descriptors that are done with, links of blocks that stand on no list,
which write a page holds.
"""

import numpy as np

from freehint.engine.world.clock import NEVER
from freehint.engine.world.dirty import G1, GENERATION, SHIFT
from freehint.engine.world.records import HINT_START, IDLE, WAIT_LOCK
from freehint.engine.world.ring import ADDED, USED
from freehint.jit import kernel
from freehint.mm.list import init_list_head
from freehint.mm.memory import BUDDY, HINTED, ISOLATED, PCP, REPORTED
from freehint.safety.guest import (
    ASKED,
    AT_DESTINATION,
    ENDED,
    FIRST_PASS,
    FRAMES,
    KEEPS_STATE,
    OPERATIONS,
    PHASE,
    RECEIVED,
    REENTER,
    ROUNDS,
    STATUS,
    WALKING,
    WITHOUT_SENDING,
    ZONE,
)

ON_A_LIST = BUDDY | PCP | ISOLATED
STILL_MATTERS = 0xFFFF ^ (HINTED | REPORTED)


@kernel(inline=True)
def settle_pages(guest):
    """Versions: 0 is zero, 1 the copy's content, 2 another; links of what stands on no list."""
    world = guest.world
    memory = world.memory
    ended = guest.own[PHASE] == ENDED
    for page in FRAMES:
        version, copy = world.version[page], world.copy[page]
        if ended:
            copy = version
        world.version[page] = version > 0
        world.copy[page] = 0 if copy == 0 else (1 if copy == version else 2)
        memory.frame[page] &= STILL_MATTERS
        if memory.frame[page] & ON_A_LIST == 0:
            init_list_head(memory.links, page)


@kernel(inline=True)
def settle_ring(guest):
    """Counts begin again once a ring's length is used; what was used is forgotten."""
    world = guest.world
    ring, record = world.ring, world.user[0]
    size = ring.blocks.shape[1]
    added, used = ring.count[0, ADDED], ring.count[0, USED]
    matters = record.hinting == HINT_START or guest.own[REENTER] != 0
    if not matters or record.valid_from < used:
        record.valid_from = used
    laps = used // size * size
    ring.count[0, ADDED] -= laps
    ring.count[0, USED] -= laps
    record.valid_from -= laps
    for i in range(size):
        if (i - used) % size >= added - used:
            ring.blocks[0, i, 0] = ring.blocks[0, i, 1] = 0


@kernel(inline=True)
def settle_worker(guest, verbs):
    """Rows that are settled are forgotten, and so is the state of a walk that is over."""
    world, own = guest.world, guest.own
    record = world.user[0]
    record.wait_since = record.stroke = 0
    # The monitor's own ids and stamps judge, but decide nothing.
    record.id = record.id_stamp = record.id_sent = record.id_from = record.sent_stamp = 0
    record.offered = record.hinted = record.lost = record.duplicate = record.retried = 0
    if record.mode == IDLE or record.mode == WAIT_LOCK:
        record.row = record.rows = record.filled = 0
        own[STATUS] = 0
    for row in range(world.report.shape[1]):
        world.report[0, row, 2] = 0
        if row >= record.filled:
            world.report[0, row, 0] = world.report[0, row, 1] = 0
    for row in range(record.filled, world.outcome.shape[1]):
        world.outcome[0, row] = 0
    if not own[WALKING]:
        record.stop = own[ZONE] = own[ASKED] = 0
        if not guest.rule[KEEPS_STATE]:
            for at in range(guest.fresh.shape[0]):
                guest.arena[guest.span[0] + at] = guest.fresh[at]
    verbs.forget(guest.state)


@kernel(inline=True)
def settle_log(guest):
    """Bitmaps hold only what may still be read."""
    world = guest.world
    dirty, record = world.dirty, world.migration[0]
    record.stamp = 2
    record.hinted = record.normal = record.zero = record.sent_bytes = record.pages_left = 0
    if record.at > FRAMES[-1]:
        record.at = 0
    if guest.own[PHASE] == ENDED:
        dirty.bitmap[0] = dirty.log[0] = 0
        dirty.unclear[:] = False
        record.at = 0
        guest.own[ROUNDS] = guest.own[OPERATIONS] = 0
        guest.own[FIRST_PASS] = guest.own[WITHOUT_SENDING] = guest.own[RECEIVED] = 0
    if guest.own[PHASE] == AT_DESTINATION:
        dirty.log[0] = 0
        dirty.unclear[:] = False
    if dirty.rule[GENERATION] == G1:
        dirty.unclear[:] = False
    shift = dirty.rule[SHIFT]
    lasting = np.uint64(0)
    for page in FRAMES:
        if dirty.unclear[page >> shift]:
            lasting |= np.uint64(1) << np.uint64(page)
    dirty.seen[0] &= lasting
    for chunk in range((FRAMES[-1] >> shift) + 1, dirty.unclear.shape[0]):
        dirty.unclear[chunk] = False


@kernel(inline=True)
def settle_vcpus(guest):
    """The blocks of a vCPU in ascending order."""
    world = guest.world
    for cpu in range(world.cpu.shape[0]):
        if world.held[cpu, 0] > world.held[cpu, 1] > 0:
            first = world.held[cpu, 0]
            world.held[cpu, 0] = world.held[cpu, 1]
            world.held[cpu, 1] = first


@kernel
def settle(guest, verbs):
    """Bring a guest to its canonical form."""
    world = guest.world
    for actor in range(world.key.shape[0]):
        if world.key[actor] != NEVER:
            world.key[actor] = actor
    world.lock_until[0] = 0
    world.memory.zones[0].bookmark_steps = 0
    state = world.state[0]
    state.nr_reports = state.nr_waits = state.nr_used = state.turn = 0
    settle_pages(guest)
    settle_ring(guest)
    settle_worker(guest, verbs)
    settle_log(guest)
    settle_vcpus(guest)


@kernel(inline=True)
def pack(guest, cells, packed):
    """Copy the bytes that change to ``packed``, a uint8[n]."""
    for i in range(cells.shape[0]):
        packed[i] = guest.arena[cells[i]]


@kernel(inline=True)
def unpack(guest, cells, packed):
    """The reverse."""
    for i in range(cells.shape[0]):
        guest.arena[cells[i]] = packed[i]


@kernel(inline=True)
def digest(words):
    """A hash of 64 bits of a packed state, a uint64[n]; never 0."""
    value = np.uint64(0x9E3779B97F4A7C15)
    for word in words:
        value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
        value ^= value >> np.uint64(32)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(29)
    return value if value != 0 else np.uint64(1)


@kernel(inline=True)
def is_new(table, key):
    """Enter a hash into the table; was it not there?"""
    mask = np.uint64(table.shape[0] - 1)
    slot = key & mask
    while table[slot] != 0:
        if table[slot] == key:
            return False
        slot = (slot + np.uint64(1)) & mask
    table[slot] = key
    return True


@kernel
def enter(table, words):
    """Enter a packed state into a table."""
    is_new(table, digest(words))


@kernel
def enter_all(table, old):
    """Enter the hashes of one table into another."""
    for key in old:
        if key != 0:
            is_new(table, key)
