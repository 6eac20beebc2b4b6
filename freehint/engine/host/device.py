"""The host's side of the ring: one thread that uses buffers while it is scheduled.

The guest's notification wakes the thread when it sleeps.  It takes ``service_ns`` for each buffer,
and now and then it is not scheduled for a while: "it seems highly unlikely that host won't ever be
scheduled out", as the mail thread says.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from freehint.config import require
from freehint.engine.world.backing import BACKENDS, PAGES, is_special
from freehint.engine.world.clock import schedule, suspend
from freehint.engine.world.content import discard_page, may_free
from freehint.engine.world.dirty import clear_hinted
from freehint.engine.world.hints import IN_FLIGHT, pages_used
from freehint.engine.world.records import HINT_START, WAIT_RING, WAIT_USED
from freehint.engine.world.ring import SCATTERLIST, USED, ring_in_flight, ring_use
from freehint.engine.world.violations import (
    NOT_CURRENT,
    check_discard,
    note_violation,
    under_current_id,
)
from freehint.inputs.rules import Checked, Duration, OneOf, Switch, Time, Whole
from freehint.jit import kernel
from freehint.jit.apart import NOTHING
from freehint.units import NS_PER_S

GAPS = ("exponential", "uniform", "fixed")


@dataclass(frozen=True)
class HostConfig(Checked):
    """The host's iothread, which takes the buffers and is not always scheduled.

    Attributes
    ----------
    service_ns : int
        Time to use one buffer.  Assumed: a virtqueue pop and a bitmap clear; vary it.
    kick_ns : int
        Time from a notification of a sleeping host to the first buffer used.  Assumed.
    gap_ns : int
        Mean length of a gap, in which the host is not scheduled; 0 for no gaps.  Assumed: one
        slice of a busy host's scheduler.
    gap_every_ns : int
        Mean time between two such gaps.  Assumed.
    gaps : str
        Distribution of both times: "exponential", "uniform" (0 to twice the mean) or "fixed".
    discard : bool
        Whether the host takes away the memory behind a hinted or reported block (MADV_DONTNEED):
        QEMU does so with reported blocks, Firecracker with hinted ones too.  The guest's next
        touch faults.
    backend : str
        How it does so: "dontneed", "punch_hole", "free" or "nothing"; see
        :mod:`freehint.engine.world.backing`.
    pages : str
        What backs the guest: "4KiB", "thp" (transparent huge pages) or "hugetlb".
    """

    service_ns: Annotated[int, Whole(1, NS_PER_S)] = 1_000
    kick_ns: Time = 20_000
    gap_ns: Time = 3_000_000
    gap_every_ns: Duration = 20_000_000
    gaps: Annotated[str, OneOf(GAPS)] = "exponential"
    discard: Switch = False
    backend: Annotated[str, OneOf(BACKENDS)] = "dontneed"
    pages: Annotated[str, OneOf(PAGES)] = "4KiB"

    where = "host."

    def __post_init__(self):
        super().__post_init__()
        small = self.backend != "free" or self.pages != "hugetlb"
        require(small, "host.backend", "not be free on hugetlb, which has no MADV_FREE", "free")


GAP_ROWS = 256


def draw_gaps(world, config: HostConfig, stream) -> None:
    """Draw the next gaps: for each the time since the gap before it, and its length."""
    means = np.array([config.gap_every_ns, config.gap_ns])
    if config.gaps == "exponential":
        drawn = stream.exponential(1.0, (GAP_ROWS, 2))
    elif config.gaps == "uniform":
        drawn = stream.uniform(0.0, 2.0, (GAP_ROWS, 2))
    else:
        drawn = np.ones((GAP_ROWS, 2))
    world.gaps[:] = np.maximum(1, np.round(drawn * means)).astype(np.int64)
    world.state[0].gap_row = 0


@kernel(inline=True)
def wake_worker(world, user, actor, now_ns):
    """Wake a worker that waits for a descriptor, or until the host has used all its buffers."""
    mode = world.user[user].mode
    if mode == WAIT_RING or (mode == WAIT_USED and ring_in_flight(world.ring, user) == 0):
        schedule(world, actor, now_ns)


@kernel(inline=True)
def next_user(world):
    """The next user in turn that has a buffer on its ring, or -1 if there is none."""
    users = world.user.shape[0]
    for i in range(1, users + 1):
        user = (world.state[0].turn + i) % users
        if ring_in_flight(world.ring, user) > 0:
            return user
    return -1


@kernel(inline=True)
def discard_block(world, user, node, order):
    """Discard the memory behind a block, if the host does so.

    If the guest took a page back while its hint was under way, its writes to it are lost.
    Source: ram_block_discard_range(), called for reports by QEMU.
    """
    if world.host[0].discards:
        discard_pages(world, user, node, order)


@kernel(cold=True, late=NOTHING)
def discard_pages(world, user, node, order):
    """Take away the host's memory behind a block."""
    mine = IN_FLIGHT << user
    if is_special(world.backing) and not may_free(world, node, order, mine):
        return
    check_discard(world, user, node, order, world.ring.count[user, USED], mine)
    for page in range(node, node + (1 << order)):
        stale = world.fate[page] & mine == 0
        world.tally[0].lost_to_discard += stale and world.version[page] > 0
        discard_page(world, page)


@kernel(inline=True)
def take_hint(world, user, node, order):
    """Take a hinted block's pages out of the migration's bitmap, while the device takes hints.

    Buffers that the guest added before it sent the current command id are popped and ignored.
    Source: virtio_balloon_get_free_page_hints(), state FREE_PAGE_HINT_S_START.
    """
    current = world.ring.count[user, USED] > world.user[user].valid_from
    if world.user[user].hinting == HINT_START and current:
        drop_hinted(world, user, node, order)


@kernel(cold=True, late=NOTHING)
def drop_hinted(world, user, node, order):
    """Take a block's pages out of the migration's bitmap."""
    record = world.migration[0]
    cleared = clear_hinted(world.dirty, node, order)
    record.hinted += cleared
    record.pages_left -= cleared
    if not under_current_id(world, user, world.ring.count[user, USED]):
        note_violation(world, user, NOT_CURRENT, node, 1)


@kernel(inline=True)
def use_block(world, user, node, order):
    """Use one block, and note it for the policy."""
    state = world.state[0]
    discard_block(world, user, node, order)
    pages_used(world, user, node, order)
    take_hint(world, user, node, order)
    world.used[state.nr_used, 0] = user
    world.used[state.nr_used, 1] = node
    world.used[state.nr_used, 2] = order
    state.nr_used += 1


@kernel(inline=True)
def use_buffer(world, user):
    """Use the oldest buffer of a ring, and return the number of blocks in it."""
    node, order = ring_use(world.ring, user)
    if order != SCATTERLIST:
        use_block(world, user, node, order)
        return 1
    for row in range(node):
        block, size = world.report[user, row, 0], world.report[user, row, 1]
        discard_block(world, user, block, size)
        pages_used(world, user, block, size)
    return node


@kernel(inline=True)
def be_away(world, actor, now_ns):
    """Begin a gap: the host is not scheduled for its length.  Then plan the next drawn gap."""
    state = world.state[0]
    back = now_ns + world.gaps[state.gap_row, 1]
    state.gap_row += 1
    state.gap_at = back + world.gaps[state.gap_row, 0]
    schedule(world, actor, back)


@kernel(inline=True)
def host_event(world, actor, now_ns):
    """Use one buffer, begin a gap if it is due, or sleep if all rings are empty."""
    state = world.state[0]
    if now_ns >= state.gap_at:
        be_away(world, actor, now_ns)
        return
    user = next_user(world)
    if user < 0:
        state.asleep = 1
        suspend(world, actor)
    else:
        state.turn = user
        blocks = use_buffer(world, user)
        done = now_ns + blocks * state.service_ns
        wake_worker(world, user, actor + 1 + user, now_ns if blocks == 1 else done)
        schedule(world, actor, done)


@kernel(inline=True)
def notify_host(world, actor, now_ns):
    """Notify the host if it sleeps; return whether it slept."""
    if world.state[0].asleep == 0:
        return False
    world.state[0].asleep = 0
    world.tally[0].notifications += 1
    schedule(world, actor, now_ns + world.state[0].kick_ns)
    return True
