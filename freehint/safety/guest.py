"""The small guest of the explorer: 8 frames, a ring, a host and a migration, in one block of bytes.

The World is the engine's own.  All arrays that a step may change lie one after the other in
``arena``, so a state of the guest is the bytes of it that ever change.
"""

from typing import NamedTuple

import numpy as np

from freehint.engine.current import Current
from freehint.engine.host.migration import GENERATIONS
from freehint.engine.strokes import Strokes
from freehint.engine.world.backing import new_backing
from freehint.engine.world.balloon import new_balloon
from freehint.engine.world.clock import NEVER
from freehint.engine.world.dirty import GENERATION, new_dirty_log
from freehint.engine.world.jobs import new_jobs, no_reclaim
from freehint.engine.world.paging import no_paging
from freehint.engine.world.records import (
    COST_DTYPE,
    CPU_DTYPE,
    HOST_DTYPE,
    MIGRATION_DTYPE,
    NR_RARE,
    STATE_DTYPE,
    TALLY_DTYPE,
    USER_DTYPE,
    new_record,
)
from freehint.engine.world.ring import new_ring
from freehint.engine.world.violations import NR_COLUMNS, NR_KINDS
from freehint.engine.world.world import World
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.compact.proactive import new_compact_control
from freehint.mm.memory import (
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    WITHOUT_CMA,
    ZONE_NORMAL,
    new_memory,
    new_zones,
)
from freehint.mm.profile import LINUX_6_1
from freehint.policies.policy import Policy
from freehint.safety.arena import Arena
from freehint.safety.bugs import bug_number
from freehint.safety.case import Case, require_state
from freehint.safety.exhaust.slice import watched_pages

SPAN = 64  # nodes that are pages, and pages that the bitmaps cover
ROWS = 12  # more blocks than the guest can have

# Entries of Guest.own: what the engine keeps in Python.
(
    PHASE,  # of the migration: NOT_YET .. ENDED
    READING,  # 1 + the page that was taken out of the bitmap and is now read, or 0
    ROUNDS,  # rounds of hints that may still begin
    START_DUE,  # 1: the command "start" is under way
    WALKING,
    ASKED,  # 1: a walk is to follow the one that runs
    STATUS,  # what ``fill`` returned
    ZONE,
    OPERATIONS,  # operations that the vCPUs may still do; -1: any number
    HOST_AT,  # how far the host is with the oldest buffer; freehint/safety/host/device.py
    HOST_WORD,  # 1 + the bitmap as the host read it, or 0
    SENDER_WORD,  # 1 + the bitmap as the migration read it, or 0
    SENDER_SAW,  # 1 + what the migration is to clear of the log by a bug, or 0
    REENTER,  # how the last walk's command id may start the device again
    FIRST_PASS,  # 1: the migration has not yet walked all pages once
    WITHOUT_SENDING,  # pages whose hint is to have its effect: they are not sent
    RECEIVED,  # pages that the destination has
    BEHIND,  # operations of the guest that the host is behind; freehint/safety/chance/behind.py
    SWITCHED_OFF,  # 1: the enable switch is off
    PUT_BACK,  # 1: by a bug, the blocks of a report that is not used yet are put back
    LOOKS_AT,  # where a walk without the lock stands, or 0; freehint/safety/walk/unlocked.py
    NR_OWN,
) = range(22)
NOT_YET, PRECOPY, HINTS_STOPPED, SYNCED, ENDED, AT_DESTINATION = range(6)

# What a step of any actor comes to: no step, no violation, or the violation of a property.
SPOILED, IMPOSSIBLE, FINE, LOST_WRITE, DISCARDED = range(-2, 3)
WRONG_SNAPSHOT, UNSERVED, NO_EFFECT = range(11, 14)
ENDLESS = 21  # of no single step: freehint/safety/exhaust/lasso.py
FIRST_RULE = 40  # + a kind of freehint.engine.world.violations: freehint.safety.paragraphs


class Guest(NamedTuple):
    """The world of a small guest, and what the explorer keeps beside it.

    world : World
    state : the policy's state; to kernels a Called: freehint.safety.verbs
    own : int64[NR_OWN]     PHASE .. OPERATIONS
    frames : int64[n]       its pages, ascending
    rule : int64[21]        VCPUS, BLOCKS (that a vCPU may hold), INITIALLY_SET, .. SNAPSHOT;
                            WATCHED (bits of pages), MATE (a page beside them in their chunk, or
                            -1): freehint.safety.exhaust.slice; SYMMETRIC (1: vCPUs may
                            change names); DRAIN (1: the pause waits for an empty ring); ALL
                            (bits of its pages); BLOCK_ORDER, CORE (1: the guest of
                            freehint.safety.core), ASKED_FOR (0, or the only loss that is looked
                            for), SWITCH_TURNS (1: the enable switch may be turned), SPEC
                            (bits of the violations that P4 asks for); CAPACITY of a stroke;
                            ACKNOWLEDGED (1: the worker waits for the host)
    arena : uint8[n]        the bytes of all arrays that steps change
    words : uint64[n / 8]   the same
    fresh : uint64[m]       the policy's state before a walk
    span : int64[3]         where in ``words`` it begins and ends, and where the memory's end
    listed : bool[nr_pages], where : int64[8]   room for check_owners()
    """

    world: World
    state: tuple
    own: np.ndarray
    frames: np.ndarray
    rule: np.ndarray
    arena: np.ndarray
    words: np.ndarray
    fresh: np.ndarray
    span: np.ndarray
    listed: np.ndarray
    where: np.ndarray


STATE_BEGINS, STATE_ENDS, MEMORY_ENDS = range(3)  # entries of Guest.span
(
    VCPUS,
    BLOCKS,
    INITIALLY_SET,
    KEEPS_STATE,
    BUG,
    FINE_HOST,
    EFFECT,
    POSTCOPY,
    SNAPSHOT,
    WATCHED,
    MATE,
    SYMMETRIC,
    DRAIN,
    ALL,
    BLOCK_ORDER,
    CORE,
    ASKED_FOR,
    SWITCH_TURNS,
    SPEC,
    CAPACITY,
    ACKNOWLEDGED,
) = range(21)


def small_memory(vcpus: int, frames: tuple, block_order: int):
    """A zone with the frames of a few blocks, all free; pcp lists keep nothing, as during boot."""
    zones = new_zones(
        start_pfn=np.array([0]),
        spanned=np.array([PAGEBLOCK_NR_PAGES]),
        present=np.array([len(frames)]),
        managed=np.array([len(frames)]),
        index=np.array([ZONE_NORMAL]),
    )
    memory = new_memory(zones, vcpus, LINUX_6_1, types=WITHOUT_CMA)
    nr_nodes = SPAN + len(memory.links) // 2 - memory.nr_pages
    memory = memory._replace(  # Fewer nodes, so that a state is compared faster.
        links=np.repeat(np.arange(nr_nodes, dtype=np.int32), 2),
        frame=memory.frame[:SPAN].copy(),
        pageblock=memory.pageblock[:1].copy(),
        nr_pages=SPAN,
    )
    memory.zones.spanned[:] = SPAN
    memory.links[: 2 * SPAN] = 0
    memory.pageblock[0] = MOVABLE
    memory.pcp.batch[:] = 1
    for first in frames[:: 1 << block_order]:
        free_block(memory, first, 0, block_order, FPI_NONE)
    return memory


def new_guest(case: Case, symmetric: bool = True) -> tuple[Guest, Policy]:
    """The guest of a case before its first step, and its policy.

    Parameters
    ----------
    case : Case
    symmetric : bool
        Whether states that differ only in the names of the vCPUs count as one.
    """
    policy = case.made_policy()
    world = _new_world(case, policy)
    if policy.fill is not None:
        Strokes(Current(world), (policy,), None, None, None)
    make = policy.new_state
    state = make(world.memory, policy) if make else np.zeros(64, np.int64)
    require_state(policy, state)
    case.prepare(world)
    own = np.zeros(NR_OWN, np.int64)
    own[ROUNDS], own[OPERATIONS] = case.rounds, case.operations
    rule = [case.vcpus, case.blocks, case.initially_set, policy.release is not None]
    rule += [bug_number(case.bug), case.fine_host, case.effect, case.postcopy, case.snapshot]
    rule += [*watched_pages(case.watched, case.chunk, case.frames), symmetric, case.drain]
    rule += [sum(1 << page for page in case.frames), case.block_order]
    rule += [case.is_core, case.asked_for, case.switch, case.rules]
    rule += [min(policy.stroke_capacity or ROWS, ROWS), policy.report == "acknowledged"]
    arena = Arena()
    memory = arena.of(world.memory, ("links", "frame", "nr_free", "zones", "pcp", "notify"))
    memory_ends = arena.size
    laid_world = world._replace(
        memory=memory,
        dirty=arena.of(world.dirty, ("bitmap", "log", "seen", "unclear", "rule")),
        ring=arena.of(world.ring, ("blocks", "count")),
    )
    names = ("key", "lock_until", "state", "user", "cpu", "held", "report", "outcome")
    laid_world = arena.of(laid_world, (*names, "migration", "version", "copy"))
    own = arena.place(own)
    begin = arena.size
    laid_state = arena.of(state, state._fields) if isinstance(state, tuple) else arena.place(state)
    fresh_end = arena.size
    arena.settle()
    guest = Guest(
        world=arena.final(laid_world),
        state=arena.final(laid_state),
        own=arena.final(own),
        frames=np.array(case.frames, np.int64),
        rule=np.array(rule, np.int64),
        arena=arena.bytes,
        words=arena.bytes.view(np.uint64),
        fresh=arena.bytes[begin:fresh_end].view(np.uint64).copy(),
        span=np.array([begin, fresh_end, memory_ends], np.int64) // 8,
        listed=np.zeros(world.memory.nr_pages, np.bool_),
        where=np.zeros(8, np.int64),
    )
    return guest, policy


def _new_world(case: Case, policy: Policy) -> World:
    """The engine's world for a case: nothing costs time, and no actor acts before its choice."""
    memory = small_memory(case.vcpus, case.frames, case.block_order)
    users = int(policy.fill is not None)
    frames = memory.nr_pages
    dirty = new_dirty_log(SPAN, chunk_shift=case.chunk)
    dirty.rule[GENERATION] = GENERATIONS.index(case.generation)
    nothing = np.zeros(0, np.int64)
    rows = np.zeros((2 * ROWS, 10), np.int64)
    return World(
        memory=memory,
        key=np.full(case.vcpus + 2 + max(users, 1), NEVER, np.int64),
        lock_until=np.zeros(1, np.int64),
        cost=new_record(COST_DTYPE),
        state=new_record(STATE_DTYPE, compact_zone=-1, gap_at=NEVER, asleep=1),
        tally=new_record(TALLY_DTYPE),
        user=new_record(USER_DTYPE, max(users, 1)),
        cpu=new_record(CPU_DTYPE, case.vcpus, wait_since=-1),
        words=np.zeros((case.vcpus, 1), np.int64),
        held=np.zeros((case.vcpus, case.blocks + 1), np.int64),
        pages=nothing,
        pieces=np.zeros((0, 3), np.int64),
        background=nothing,
        trace=np.zeros((0, 8), np.int64),
        mem_map=nothing,
        owner=np.zeros(0, np.int32),
        control=new_compact_control(),
        wish=np.zeros((2, 1), np.uint8),
        gaps=np.zeros((2, 2), np.int64),
        ring=new_ring(case.ring, max(users, 1)),
        report=np.zeros((max(users, 1), ROWS + 1, 3), np.int64),
        outcome=np.zeros((max(users, 1), ROWS), np.uint8),
        fate=np.zeros(frames, np.uint16),
        migration=new_record(MIGRATION_DTYPE),
        host=new_record(HOST_DTYPE, discards=case.discard),
        dirty=dirty,
        version=np.zeros(frames, np.uint32),
        copy=np.zeros(frames, np.uint32),
        present=np.zeros(frames // 64, np.uint64),
        backing=new_backing(),
        paging=no_paging(),
        balloon=new_balloon(0),
        reclaim=no_reclaim(),
        jobs=new_jobs(),
        reports=rows,
        waits=rows.copy(),
        used=np.zeros((2 * ROWS, 3), np.int64),
        apart=np.zeros(NR_RARE, np.int64),
        violations=np.zeros((max(users, 1), NR_KINDS, NR_COLUMNS), np.int64),
    )


def pages_of_nobody(guest: Guest) -> np.ndarray:
    """Which bytes of the arena belong to pages that the guest does not have: bool[n]."""
    begin, memory = guest.arena.ctypes.data, guest.world.memory
    nobodys = np.ones(memory.nr_pages, np.bool_)
    nobodys[guest.frames] = False
    found = np.zeros(len(guest.arena), np.bool_)
    for array in (memory.links, memory.frame, guest.world.version, guest.world.copy):
        nodes = len(memory.links) // 2 if array is memory.links else memory.nr_pages
        of_node = np.zeros(nodes, np.bool_)
        of_node[: memory.nr_pages] = nobodys
        at = array.ctypes.data - begin
        found[at : at + array.nbytes] = np.repeat(of_node, array.nbytes // nodes)
    return found
