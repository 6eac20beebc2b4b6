"""Allocate the largest blocks and hold them: what Linux merged in 4.20.

The balloon never looks at a free list.  It allocates block after block of order 10, tells the
host of each, and keeps them until the host says DONE: freed earlier, they would be written to
faster than the migration sends.  So the allocator's own rules decide what is hinted: watermarks
and lowmem_reserve bound it, nothing below order 10 ever is, and a block from another type's list
takes its pageblocks along: they become UNMOVABLE, and stay so.

Source: drivers/virtio/virtio_balloon.c of 6.1 (get_free_page_and_send(), shrink_free_pages()).
To allocate was Torvalds' idea, June 2018: <20180627220402-mutt-send-email-mst@kernel.org>.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freehint.config import require
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.list import list_add, list_del, list_empty, list_length, list_next
from freehint.mm.memory import (
    ISOLATED,
    MAX_ORDER,
    UNMOVABLE,
    USER_LIST,
    frame_order,
    page_zone,
    user_node,
)
from freehint.mm.zone import rmqueue_buddy, serving_zone
from freehint.policies.policy import FULL_RING, Outcome, Policy, Stroke
from freehint.policies.promise import ONCE, Promise

HINT_ORDER = MAX_ORDER - 1  # VIRTIO_BALLOON_HINT_BLOCK_ORDER
SHRINK_BATCH = 128  # mm/vmscan.c: pages that a shrinker is asked for at a time
REFUSED, TAKEN, LOST, USED = map(int, Outcome)
MORE = int(Stroke.MORE)


class BalloonState(NamedTuple):
    """What the balloon remembers.

    at : int64[3]   USER; ALLOC_FLAGS of the allocation that next_zone() found room for; HELD
                    blocks, of passes before too
    """

    at: np.ndarray


USER, ALLOC_FLAGS, HELD = range(3)


def new_state(memory, policy):
    """A pass begins; blocks of passes before stay held until DONE."""
    held = list_length(memory.links, user_node(memory, policy.user, USER_LIST))
    return BalloonState(np.array([policy.user, 0, held], np.int64))


@kernel(inline=True)
def held_list(memory, state):
    """Head of the blocks held.  Source: free_page_list."""
    return user_node(memory, state.at[USER], USER_LIST)


@kernel
def next_zone(memory, state):
    """The zone that the next allocation is served from; -1: it fails, which ends the pass.

    gfp NORETRY, NOWARN, NOMEMALLOC and nothing else: type UNMOVABLE, no reclaim, no kswapd, no
    reserves; the slow path looks at the min watermark alone.
    """
    zone, flags = serving_zone(memory, HINT_ORDER, UNMOVABLE)
    state.at[ALLOC_FLAGS] = flags
    return zone


@kernel
def fill(memory, state, zone, report, capacity):
    """Allocate one block.  Source: get_free_page_and_send()."""
    node = rmqueue_buddy(memory, zone, HINT_ORDER, UNMOVABLE, state.at[ALLOC_FLAGS])
    if node < 0:  # taken by others while the lock was waited for
        return 0, MORE
    memory.frame[node] = ISOLATED | HINT_ORDER
    list_add(memory.links, node, held_list(memory, state))
    state.at[HELD] += 1
    report[0, 0] = node
    report[0, 1] = HINT_ORDER
    report[0, 2] = 1
    return 1, MORE


@kernel
def drain(memory, state, zone, report, n, outcome):
    """Keep what the ring took; free at once what it had no room for.

    Unless DONE or the shrinker came before and freed it: the block taken last is the list's first.
    """
    freed = 0
    for row in range(n):
        refused = outcome[row] == LOST or outcome[row] == REFUSED
        if refused and list_next(memory.links, held_list(memory, state)) == report[row, 0]:
            free_held(memory, state, report[row, 0])
            freed += 1
    return freed


@kernel(inline=True)
def free_held(memory, state, node):
    """Free a held block as any allocated one: order 10 goes to its list's head."""
    order = frame_order(memory.frame[node])
    list_del(memory.links, node)
    memory.frame[node] = 0
    free_block(memory, node, page_zone(memory, node), order, FPI_NONE)
    state.at[HELD] -= 1


@kernel
def return_free_pages_to_mm(memory, state, most):
    """Free up to ``most`` blocks, those taken last first; blocks freed.  Source: the same name."""
    head = held_list(memory, state)
    freed = 0
    while freed < most and not list_empty(memory.links, head):
        free_held(memory, state, list_next(memory.links, head))
        freed += 1
    return freed


@kernel
def release(memory, state):
    """DONE: all blocks, in the reverse of the order they were taken in."""
    return return_free_pages_to_mm(memory, state, state.at[HELD])


@kernel
def shrink(memory, state, nr_pages):
    """The shrinker: up to eight times what was asked for.

    Each scan for at most SHRINK_BATCH pages frees a block of 1024 and leaves nr_scanned as it
    was, so that only SHRINK_BATCH count as done.  What is left below a batch waits for the next
    call.  Source: do_shrink_slab() of mm/vmscan.c, virtio_balloon_shrinker_scan().
    """
    freeable = state.at[HELD] << HINT_ORDER
    left = nr_pages
    freed = 0
    while left > 0 and (left >= SHRINK_BATCH or left >= freeable):
        blocks = return_free_pages_to_mm(memory, state, 1)
        if blocks == 0:
            break
        freed += blocks << HINT_ORDER
        left -= min(left, SHRINK_BATCH)
    return freed


@dataclass(frozen=True)
class BalloonAlloc(Policy):
    """Allocate order-10 blocks, hint and hold them, as merged in Linux 4.20.

    A stroke is one allocation, so ``capacity`` is 1.  ``report="acknowledged"`` is
    VIRTIO_BALLOON_F_HINT_WAIT_ON_ACK as proposed in January 2026: a block is held only when the
    host has used its hint.

    Attributes
    ----------
    zeroes : bool
        init_on_alloc=1, Debian's default: every hinted page is written.
    """

    name: str = "balloon_alloc"
    fill: Callable = fill
    drain: Callable = drain
    new_state: Callable = new_state
    next_zone: Callable = next_zone
    release: Callable = release
    shrink: Callable = shrink
    capacity: int = 1
    on_full: str = "lose"
    report: str = "unlocked"
    reserved_descriptors: int = 1
    pause_ns: int = 0
    colour: str = "blue"
    mark: str = "D"
    promise: Promise = ONCE  # order 10, and only while watermarks allow
    knobs: tuple = (FULL_RING,)

    def __post_init__(self):
        super().__post_init__()
        require(self.capacity == 1, "policy.capacity", "be 1 for balloon_alloc", self.capacity)
        late = self.report != "under_lock"
        require(late, "policy.report", "be unlocked or acknowledged for balloon_alloc", self.report)

    @property
    def allocates(self) -> bool:
        """Through alloc_pages() and free_pages()."""
        return True

    @property
    def smallest_order(self) -> int:
        """Only blocks of the largest order are hinted."""
        return HINT_ORDER
