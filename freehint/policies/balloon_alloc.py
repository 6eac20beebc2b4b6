"""Allocate the largest blocks and hold them, as Linux has done since 4.20.

The balloon never looks at a free list.  It allocates block after block of order 10, reports each
to the host, and keeps them until the host says DONE: freed earlier, they would be written faster
than the migration sends.  So the allocator's own rules decide which blocks are hinted.  Watermarks
and lowmem_reserve limit them, blocks below order 10 are never hinted, and a block from another
type's list takes its pageblocks along: they become UNMOVABLE, and stay so.

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
SHRINK_BATCH = 128  # pages that mm/vmscan.c asks a shrinker for at a time
REFUSED, TAKEN, LOST, USED = map(int, Outcome)
MORE = int(Stroke.MORE)


class BalloonState(NamedTuple):
    """The state of a pass.

    at : int64[3]   USER; ALLOC_FLAGS of the allocation that next_zone() found a zone for; HELD:
                    blocks held, those of earlier passes included
    """

    at: np.ndarray


USER, ALLOC_FLAGS, HELD = range(3)


def new_state(memory, policy):
    """The state of a new pass; blocks of earlier passes stay held until DONE."""
    held = list_length(memory.links, user_node(memory, policy.user, USER_LIST))
    return BalloonState(np.array([policy.user, 0, held], np.int64))


@kernel(inline=True)
def held_list(memory, state):
    """The head of the list of held blocks.  Source: free_page_list."""
    return user_node(memory, state.at[USER], USER_LIST)


@kernel
def next_zone(memory, state):
    """The zone that will serve the next allocation; -1 if it would fail, which ends the pass.

    Its gfp flags are only NORETRY, NOWARN and NOMEMALLOC: type UNMOVABLE, no reclaim, no kswapd,
    no reserves.  The slow path looks only at the min watermark.
    """
    zone, flags = serving_zone(memory, HINT_ORDER, UNMOVABLE)
    state.at[ALLOC_FLAGS] = flags
    return zone


@kernel
def fill(memory, state, zone, report, capacity):
    """Allocate one block.  Source: get_free_page_and_send()."""
    node = rmqueue_buddy(memory, zone, HINT_ORDER, UNMOVABLE, state.at[ALLOC_FLAGS])
    if node < 0:  # Others took the blocks while this CPU waited for the lock.
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
    """Keep the blocks that the ring took; free at once those that it had no room for.

    DONE or the shrinker may have freed a block before.  It is still held if it is the first of the
    list, because the block taken last is the first.
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
    """Free a held block like any allocated block: order 10 goes to the head of its list."""
    order = frame_order(memory.frame[node])
    list_del(memory.links, node)
    memory.frame[node] = 0
    free_block(memory, node, page_zone(memory, node), order, FPI_NONE)
    state.at[HELD] -= 1


@kernel
def return_free_pages_to_mm(memory, state, most):
    """Free up to ``most`` blocks, the last taken first, and return how many.  Source: same name."""
    head = held_list(memory, state)
    freed = 0
    while freed < most and not list_empty(memory.links, head):
        free_held(memory, state, list_next(memory.links, head))
        freed += 1
    return freed


@kernel
def release(memory, state):
    """Free all blocks after DONE, the last taken first."""
    return return_free_pages_to_mm(memory, state, state.at[HELD])


@kernel
def shrink(memory, state, nr_pages):
    """Free blocks for the shrinker, up to eight times the pages that it asked for.

    Each scan for at most SHRINK_BATCH pages frees a block of 1024 pages but does not change
    nr_scanned, so that only SHRINK_BATCH pages count as done.  A rest below SHRINK_BATCH waits for
    the next call.  Source: do_shrink_slab() of mm/vmscan.c, virtio_balloon_shrinker_scan().

    Returns
    -------
    int
        Pages freed.
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
    VIRTIO_BALLOON_F_HINT_WAIT_ON_ACK as proposed in January 2026: the balloon goes on only when
    the host has used the hint.

    Attributes
    ----------
    zeroes : bool
        Whether every hinted page is written (init_on_alloc=1, Debian's default).
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
    promise: Promise = ONCE  # No more: it takes only order 10, and only while watermarks allow.
    knobs: tuple = (FULL_RING,)

    def __post_init__(self):
        super().__post_init__()
        require(self.capacity == 1, "policy.capacity", "be 1 for balloon_alloc", self.capacity)
        late = self.report != "under_lock"
        require(late, "policy.report", "be unlocked or acknowledged for balloon_alloc", self.report)

    @property
    def allocates(self) -> bool:
        """True: blocks are allocated and freed, by alloc_pages() and free_pages()."""
        return True

    @property
    def smallest_order(self) -> int:
        """The largest order, because only its blocks are hinted."""
        return HINT_ORDER
