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
from freehint.mm.list import list_add, list_next
from freehint.mm.memory import ISOLATED, UNMOVABLE, USER_LIST, user_node
from freehint.mm.reclaim.shrinker import (
    HINT_ORDER,
    count_objects,
    free_held,
    return_free_pages_to_mm,
    scan_in_batches,
)
from freehint.mm.zone import rmqueue_buddy, serving_zone
from freehint.policies.policy import FULL_RING, Order, Outcome, Policy, Stroke
from freehint.policies.promise import ONCE, Promise

REFUSED, TAKEN, LOST, USED = map(int, Outcome)
MORE = int(Stroke.MORE)


class BalloonState(NamedTuple):
    """The state of a pass.

    at : int64[3]   USER; ALLOC_FLAGS of the allocation that next_zone() found a zone for; ORDER
    """

    at: np.ndarray


USER, ALLOC_FLAGS, ORDER = range(3)


def new_state(memory, policy):
    """The state of a new pass; blocks of earlier passes stay held until DONE."""
    return BalloonState(np.array([policy.user, 0, policy.block_order], np.int64))


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
    zone, flags = serving_zone(memory, state.at[ORDER], UNMOVABLE)
    state.at[ALLOC_FLAGS] = flags
    return zone


@kernel
def fill(memory, state, zone, report, capacity):
    """Allocate one block.  Source: get_free_page_and_send()."""
    order = state.at[ORDER]
    node = rmqueue_buddy(memory, zone, order, UNMOVABLE, state.at[ALLOC_FLAGS])
    if node < 0:  # Others took the blocks while this CPU waited for the lock.
        return 0, MORE
    memory.frame[node] = ISOLATED | order
    list_add(memory.links, node, held_list(memory, state))
    report[0, 0] = node
    report[0, 1] = order
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
            free_held(memory, report[row, 0])
            freed += 1
    return freed


@kernel
def release(memory, state):
    """Free all blocks after DONE, the last taken first."""
    return return_free_pages_to_mm(memory, state.at[USER], memory.nr_pages)


@kernel
def shrink(memory, state, nr_pages):
    """Free blocks for the shrinker, up to eight times the pages that it asked for.

    A rest below a scan of SHRINK_BATCH pages waits for the next call.

    Returns
    -------
    int
        Pages freed.
    """
    user = state.at[USER]
    freed, _ = scan_in_batches(memory, user, nr_pages, count_objects(memory, user))
    return freed


@dataclass(frozen=True)
class BalloonAlloc(Policy):
    """Allocate the largest blocks, hint and hold them, as merged in Linux 4.20.

    A stroke is one allocation, so ``capacity`` is 1.  ``report="acknowledged"`` is
    VIRTIO_BALLOON_F_HINT_WAIT_ON_ACK as proposed in January 2026: the balloon goes on only when
    the host has used the hint.

    Attributes
    ----------
    block_order : int
        Of all blocks; Linux knows only VIRTIO_BALLOON_HINT_BLOCK_ORDER.  The blocks come from the
        buddy lists, also below order 4, where Linux would ask a CPU's own list first.
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
    block_order: Order = HINT_ORDER
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
    def has_shrinker(self) -> bool:
        """True: virtio_balloon registers one."""
        return True

    @property
    def smallest_order(self) -> int:
        """The order, because only its blocks are hinted."""
        return self.block_order
