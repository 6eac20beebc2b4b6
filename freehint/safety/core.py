"""The guest of the protocol core: the oracle's memory, and a hinter that may hint any free block.

The oracle's model (docs/safety_oracle.md) has no allocator and no policy: any free block can be
allocated, and any can be hinted.  This guest is the explorer's own with the same freedom, so that
both can be asked the same: ring, host, dirty log and migration are the engine's kernels as ever.

* *Memory*: two blocks of two pages that cannot merge, or one block of four; the vCPU has them all
  at first.  It allocates, writes and frees whole blocks, any of those that are free.
* *Hinter*: each of its strokes is a choice of the explorer: one free block, or both in either
  order, or the end of the walk.  Without acknowledgement the block stays on its free list; with it
  the block is isolated until the host has used its hint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from freehint.engine.world.records import IDLE
from freehint.engine.world.ring import ring_in_flight
from freehint.inputs.rules import Checked, OneOf, Switch, Whole
from freehint.jit import kernel
from freehint.mm.isolate import isolate_free_page, putback_isolated_page
from freehint.mm.list import list_move
from freehint.mm.memory import (
    BUDDY,
    MOVABLE,
    frame_order,
    frame_type,
    free_list_head,
)
from freehint.mm.zone import alloc_pages, mark_lru
from freehint.policies.policy import REPORT, Policy, Stroke
from freehint.safety.case import Case
from freehint.safety.guest import BLOCK_ORDER, BLOCKS, DISCARDED, LOST_WRITE

MORE, _, STOPPED, _ = map(int, Stroke)
NAME = "core"
UNLOCKED, ACKNOWLEDGED = REPORT[1:]
VIOLATIONS = {"lost": LOST_WRITE, "destroyed": DISCARDED}
FRAMES = {1: (0, 1, 2, 3), 2: (0, 1, 8, 9)}  # by the number of blocks
# Choices of a stroke: 0 ends the walk; 1 and 2 hint one block; 3 and 4 both, in either order.

CHOICE, ORDER, ISOLATES, FIRST = range(4)  # FIRST + block: its first page


class HinterState(NamedTuple):
    """The hinter's state.

    at : int64[FIRST + number of blocks]
    """

    at: np.ndarray


def new_state(memory, policy):
    """The hinter's state before a walk."""
    first = policy.frames[:: 1 << policy.order]
    isolates = policy.report == ACKNOWLEDGED
    return HinterState(np.array([0, policy.order, isolates, *first], np.int64))


@kernel(inline=True)
def blocks_chosen(choice):
    """How many blocks a choice hints."""
    return min(choice, 1) + (choice > 2)


@kernel(inline=True)
def block_chosen(choice, row):
    """The block that a choice hints as number ``row``."""
    return (choice - 1 + row) % 2


@kernel
def choose(memory, state, choice):
    """Let the next stroke be the explorer's choice."""
    state.at[CHOICE] = choice


@kernel
def fill(memory, state, zone, report, capacity):
    """Report the chosen blocks; isolate them if the host is to acknowledge them."""
    choice, state.at[CHOICE] = state.at[CHOICE], 0
    for row in range(blocks_chosen(choice)):
        node = state.at[FIRST + block_chosen(choice, row)]
        if state.at[ISOLATES]:
            isolate_free_page(memory, node, 0)
        report[row, 0], report[row, 1] = node, state.at[ORDER]
    return blocks_chosen(choice), MORE if choice > 0 else STOPPED


@kernel
def drain(memory, state, zone, report, n, outcome):
    """Put back what was isolated."""
    for row in range(n if state.at[ISOLATES] else 0):
        putback_isolated_page(memory, report[row, 0])
    return n


@kernel
def release(memory, state):
    """Hold nothing until DONE: an isolated block waits for the host to use its hint alone."""
    return 0


@dataclass(frozen=True)
class Hinter(Policy):
    """A policy whose strokes are chosen from outside.

    Attributes
    ----------
    frames : tuple of int
        All pages, block after block.
    order : int
        Of all blocks.
    choose : callable
        ``choose(memory, state, choice)`` sets the next stroke.
    """

    frames: tuple = FRAMES[2]
    order: int = 1
    choose: Callable = choose


@dataclass(frozen=True)
class CoreCase(Case):
    """A cell of the core as the explorer's case.

    Attributes
    ----------
    policy : str
        NAME; the hinter is no policy of POLICIES.
    report : "unlocked", "acknowledged"
        Whether a block can be allocated before the host has used its hint.
    blocks : int
        Two blocks of two pages, or one of four.
    loses : "lost", "destroyed"
        The only loss that is looked for; P2 and P5 are checked too.
    """

    policy: Annotated[str, OneOf((NAME,))] = NAME
    report: Annotated[str, OneOf((UNLOCKED, ACKNOWLEDGED))] = UNLOCKED
    vcpus: Annotated[int, Whole(1, 1)] = 1
    blocks: Annotated[int, Whole(1, 2)] = 2
    ring: Annotated[int, Whole(2, 2)] = 2
    fine_host: Switch = True
    loses: Annotated[str, OneOf(tuple(VIOLATIONS))] = "lost"

    is_core = True

    def __post_init__(self):
        Checked.__post_init__(self)

    @property
    def frames(self) -> tuple:
        """All pages, block after block."""
        return FRAMES[self.blocks]

    @property
    def block_order(self) -> int:
        """The order of all blocks."""
        return 3 - self.blocks

    @property
    def asked_for(self) -> int:
        """The violation that is looked for."""
        return VIOLATIONS[self.loses]

    @property
    def chosen(self) -> Hinter:
        """The hinter; a case of the core changes nothing of it."""
        return self.made_policy()

    def made_policy(self) -> Hinter:
        """The hinter."""
        return Hinter(
            name=NAME,
            fill=fill,
            drain=drain,
            new_state=new_state,
            release=release,
            report=self.report,
            on_full="wait",
            capacity=self.blocks,
            frames=self.frames,
            order=self.block_order,
        )

    def strokes(self) -> range:
        """The choices of a stroke; without acknowledgement, two strokes of one block say it all."""
        both = 2 if self.report == ACKNOWLEDGED and self.blocks == 2 else 0
        return range(1 + self.blocks + both)

    def prepare(self, world) -> None:
        """Let the vCPU have all blocks; and let the last free block be isolated too."""
        world.memory.zones.watermark[:] = -1
        for block in range(self.blocks):
            node, _, _ = alloc_pages(world.memory, 0, self.block_order, MOVABLE, 0)
            mark_lru(world.memory, node, self.block_order)
            world.held[0, block] = node << 4 | self.block_order
        world.cpu[0].nr_blocks = self.blocks


@kernel(inline=True)
def is_free(guest, block):
    """Is a block on its free list?"""
    order = guest.rule[BLOCK_ORDER]
    frame = guest.world.memory.frame[guest.frames[block << order]]
    return frame & BUDDY != 0 and frame_order(frame) == order


@kernel(inline=True)
def bring_to_front(guest, block):
    """Let the next allocation take this block, as in the core any free block can be taken.

    Returns
    -------
    bool
        False, and nothing has changed, if it is not free.
    """
    if block >= guest.rule[BLOCKS] or not is_free(guest, block):
        return False
    memory, order = guest.world.memory, guest.rule[BLOCK_ORDER]
    node = guest.frames[block << order]
    head = free_list_head(memory, 0, order, frame_type(memory.frame[node]))
    list_move(memory.links, node, head)
    return True


@kernel(inline=True)
def may_choose(guest, choice):
    """May the worker's step be a stroke with these blocks?

    It must be about to begin one and not told to stop, the blocks free, and the ring have room.
    """
    world = guest.world
    record, n = world.user[0], blocks_chosen(choice)
    if record.mode != IDLE or record.stop:
        return False
    if ring_in_flight(world.ring, 0) + n > world.ring.blocks.shape[1]:
        return False
    for row in range(n):
        if not is_free(guest, block_chosen(choice, row)):
            return False
    return True


@kernel(inline=True)
def forget_destroyed(guest):
    """Where a discard has hit, no write is left that the destination could lack."""
    world = guest.world
    for page in guest.frames:
        if world.version[page] == 0:
            world.copy[page] = 0
