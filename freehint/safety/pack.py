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
    KEEPS_STATE,
    OPERATIONS,
    PHASE,
    RECEIVED,
    REENTER,
    ROUNDS,
    SPEC,
    STATUS,
    SYMMETRIC,
    WALKING,
    WATCHED,
    WITHOUT_SENDING,
    ZONE,
)
from freehint.safety.paragraphs import settle_ids
from freehint.safety.verbs import call_forget, renew_state

ON_A_LIST = BUDDY | PCP | ISOLATED
NEVER_MATTERS = HINTED | REPORTED  # but what was reported matters to a policy that reports


@kernel(inline=True)
def settle_pages(guest):
    """Is a page written, and does the copy have the last write?  Links of what is on no list."""
    world, watched = guest.world, guest.rule[WATCHED]
    memory = world.memory
    ended = guest.own[PHASE] == ENDED
    matters = 0xFFFF ^ (HINTED if world.user[0].reports else NEVER_MATTERS)
    for page in guest.frames:
        version, copy = world.version[page], world.copy[page]
        if ended:
            copy = version
        if watched >> page & 1 == 0:
            version = copy = 0
        world.version[page] = version > 0
        world.copy[page] = copy == version if version > 0 else copy > 0
        memory.frame[page] &= matters
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
    settle_ids(guest, used)
    laps = used // size * size
    ring.count[0, ADDED] -= laps
    ring.count[0, USED] -= laps
    record.valid_from -= laps
    record.id_from -= laps if guest.rule[SPEC] else 0
    for i in range(size):
        if (i - used) % size >= added - used:
            ring.blocks[0, i, 0] = ring.blocks[0, i, 1] = 0


@kernel(inline=True)
def settle_worker(guest):
    """Rows that are settled are forgotten, and so is the state of a walk that is over."""
    world, own = guest.world, guest.own
    record = world.user[0]
    record.wait_since = record.stroke = 0
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
    if own[WALKING] or guest.rule[KEEPS_STATE]:
        call_forget(world.memory, guest.state)
    else:
        renew_state(guest)


@kernel(inline=True)
def settle_log(guest):
    """Bitmaps hold only what may still be read."""
    world = guest.world
    dirty, record = world.dirty, world.migration[0]
    record.stamp = 2
    record.hinted = record.normal = record.zero = record.sent_bytes = record.pages_left = 0
    watched = guest.rule[WATCHED]
    if watched >> record.at == 0 or watched & ((1 << record.at) - 1) == 0:
        record.at = 0  # Behind all watched pages is as before them.
    dirty.bitmap[0] &= np.uint64(watched)
    dirty.log[0] &= np.uint64(watched)
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
    lasting, pages_of_chunk = np.uint64(0), np.uint64((1 << (1 << shift)) - 1)
    seen = dirty.seen[0] & np.uint64(watched)
    for chunk in range(dirty.unclear.shape[0]):
        if dirty.unclear[chunk]:
            bits = seen & pages_of_chunk << np.uint64(chunk << shift)
            dirty.unclear[chunk] = bits != 0  # To clear nothing is no step.
            lasting |= bits
    dirty.seen[0] = lasting


@kernel(inline=True)
def settle_vcpus(guest):
    """The blocks of a vCPU in ascending order, and then the vCPUs, which are alike."""
    world = guest.world
    for cpu in range(world.cpu.shape[0]):
        if world.held[cpu, 0] > world.held[cpu, 1] > 0:
            first = world.held[cpu, 0]
            world.held[cpu, 0] = world.held[cpu, 1]
            world.held[cpu, 1] = first
    if guest.rule[SYMMETRIC] and world.cpu.shape[0] == 2:
        one, other = world.cpu[0].nr_blocks, world.cpu[1].nr_blocks
        if one < other or (one == other and world.held[0, 0] < world.held[1, 0]):
            world.cpu[0].nr_blocks, world.cpu[1].nr_blocks = other, one
            for block in range(world.held.shape[1]):
                entry = world.held[0, block]
                world.held[0, block] = world.held[1, block]
                world.held[1, block] = entry


@kernel(cold=True)
def settle(guest):
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
    settle_worker(guest)
    settle_log(guest)
    settle_vcpus(guest)


@kernel(inline=True)
def pack(values, places, packed):
    """Copy the bytes that change to ``packed``, a uint8[n].

    ``places`` says where they are among the bytes of the words that change, ``values``.
    """
    for i in range(places.shape[0]):
        packed[i] = values[places[i]]


@kernel(inline=True)
def unpack(guest, cells, packed):
    """Put them back into the arena."""
    for i in range(cells.shape[0]):
        guest.arena[cells[i]] = packed[i]


@kernel(inline=True)
def keep_words(words, at, base):
    """Copy the words of the arena that change to ``base``, a uint64[n]."""
    for i in range(at.shape[0]):
        base[i] = words[at[i]]


@kernel(inline=True)
def restore_words(words, at, base):
    """The reverse."""
    for i in range(at.shape[0]):
        words[at[i]] = base[i]


@kernel(inline=True)
def is_changed(values, base, n):
    """Does one of the first ``n`` words differ?"""
    changed = np.uint64(0)
    for i in range(n):
        changed |= values[i] ^ base[i]
    return changed != 0


@kernel(inline=True)
def mixed(value, word):
    """Bring a word into a lane of a hash."""
    value = (value ^ word) * np.uint64(0xFF51AFD7ED558CCD)
    return value ^ value >> np.uint64(32)


@kernel(inline=True)
def digest(values):
    """A hash of 64 bits of the words that change, ``values``, a uint64[n]; never 0.

    Four lanes, because a multiplication waits for the one before it.
    """
    a, b = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)
    c, d = np.uint64(0xABC98388FB8FAC03), np.uint64(0x8CB92BA72F3D8DD7)
    whole = values.shape[0] & ~3
    for i in range(0, whole, 4):
        a, b = mixed(a, values[i]), mixed(b, values[i + 1])
        c, d = mixed(c, values[i + 2]), mixed(d, values[i + 3])
    for i in range(whole, values.shape[0]):
        a = mixed(a, values[i])
    value = mixed(mixed(mixed(a, b), c), d) * np.uint64(0xC4CEB9FE1A85EC53)
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
def enter(table, values):
    """Enter a state into a table, and return its hash."""
    key = digest(values)
    is_new(table, key)
    return key


@kernel
def enter_all(table, old):
    """Enter the hashes of one table into another."""
    for key in old:
        if key != 0:
            is_new(table, key)
