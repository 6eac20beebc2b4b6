"""The bugs "walk_without_lock" and "rotate_without_lock".

*Without the lock* the walker reads one link at a time, and the vCPUs act between any two.  A block
to which it has read the link may be taken before it looks at it, and one that it has looked at
before its hint goes out.  Where the link of a block leads that is on no free list, is Linux's:

* in use, its pages stand on an LRU list, so the walker comes to other pages in use; here, to the
  next that lie behind those that it took for a free block, and behind the last one to nothing;
* otherwise list_del() has poisoned it, and the guest would crash; here the walk ends.

Lists and blocks are looked at by the walker's own kernels, which ``fill`` calls in one go.

*Rotation without the lock*: the lock is dropped as soon as the rows are on the ring, and ``drain``
moves the blocks to the tail some time later.

Source: list_del() and LIST_POISON1 of Linux; lru_cache_add().
"""

from freehint.engine.stroke_kernels import lock_zone, publish_rows, release_lock
from freehint.engine.worker import next_row
from freehint.engine.world.records import PUBLISHED, PUBLISHING
from freehint.jit import kernel
from freehint.jit.apart import lying_at
from freehint.mm.memory import BUDDY, LRU, free_list_head
from freehint.policies.policy import Stroke
from freehint.policies.walk import begin_list, put_bookmark, settle, walk_list
from freehint.policies.walk_state import (
    AT_LIST,
    AT_REFUSED,
    AT_SETTLED,
    K_LOCK,
    K_RESUME,
    PER_BATCH,
    PER_LIST,
    RESTART,
    nr_lists,
    walked_list,
)
from freehint.safety.bugs import ROTATE_WITHOUT_LOCK
from freehint.safety.guest import BUG, CAPACITY, LOOKS_AT, STATUS
from freehint.safety.verbs import LOOK, STATE, to_triple

MORE, ZONE_DONE, _, _ = map(int, Stroke)
# Where a look stands that is at no block: before the first list, at the head of the next, or done.
BEFORE_ALL, NEXT_LIST, ALL_SEEN = -1, -2, -3


@kernel(inline=True)
def page_behind(memory, node, order):
    """The first page in use behind the pages of a block; ALL_SEEN if there is none."""
    for page in range(node + (1 << order), memory.nr_pages):
        if memory.frame[page] & LRU:
            return page
    return ALL_SEEN


@kernel(inline=True)
def look_at_list(memory, state, zone):
    """Read the links of list heads, up to that of a list with a block."""
    while state.at[AT_LIST] < nr_lists(state):
        i = state.at[AT_LIST]
        order, migratetype = walked_list(state, i)
        head = free_list_head(memory, zone, order, migratetype)
        node = begin_list(memory, state, i, head, memory.nr_free[zone, order, migratetype])
        if node < memory.nr_pages:
            return node
        state.at[AT_LIST] += 1
    return ALL_SEEN


@kernel
def look(memory, state, zone, node, report, n, capacity):
    """Read one link, and first look at the block that it is the link of.

    Parameters
    ----------
    node : int
        The block, or BEFORE_ALL .. ALL_SEEN.
    n : int
        Rows of the report so far.

    Returns
    -------
    n, node : int
    status : int
        What ``fill`` returns, if ``node`` is ALL_SEEN.
    """
    if node == BEFORE_ALL:
        small = state.knob[K_LOCK] == PER_BATCH
        if state.knob[K_RESUME] == RESTART and (small or state.at[AT_REFUSED]):
            state.at[AT_LIST] = 0
            state.begun[:] = False
        state.at[AT_SETTLED] = state.at[AT_LIST]
    if node < 0:
        if node == NEXT_LIST and n > 0 and state.knob[K_LOCK] == PER_LIST:
            return n, ALL_SEEN, MORE if state.at[AT_LIST] < nr_lists(state) else ZONE_DONE
        node = look_at_list(memory, state, zone)
        if node == ALL_SEEN and n == 0:
            settle(memory, state)
        return n, node, ZONE_DONE
    if n == capacity:
        put_bookmark(memory, state, node)
        return n, ALL_SEEN, MORE
    i = state.at[AT_LIST]
    order, migratetype = walked_list(state, i)
    head = free_list_head(memory, zone, order, migratetype)
    n, after = walk_list(memory, state, zone, i, head, node, report, n, n + 1)
    if after == head:
        state.at[AT_LIST] += 1
        return n, NEXT_LIST, MORE
    if memory.frame[node] & BUDDY == 0:
        after = page_behind(memory, node, order) if memory.frame[node] & LRU else ALL_SEEN
    if after == ALL_SEEN:
        state.at[AT_LIST] = nr_lists(state)
    return n, after, ZONE_DONE


@kernel
def call_look(memory, state, zone, node, report, n, capacity):
    """The walker's :func:`look`; another policy sees nothing."""
    if state.at[LOOK] == 0:
        return n, ALL_SEEN, ZONE_DONE
    about = memory, lying_at(state.at[STATE]), zone, node, report, n, capacity
    return to_triple(state.at[LOOK], about)


@kernel(inline=True)
def is_looking(guest):
    """Is the worker between two links of a walk without the lock?"""
    return guest.own[LOOKS_AT] != 0


@kernel
def look_on(guest, actor):
    """The worker's next link; after the last one it locks the zone, and publishes its rows."""
    world, own = guest.world, guest.own
    record = world.user[0]
    capacity = guest.rule[CAPACITY]
    report = world.report[0, : capacity + 1]
    if not is_looking(guest):
        own[LOOKS_AT] = BEFORE_ALL
        report[:] = 0
    node = own[LOOKS_AT] - (own[LOOKS_AT] > 0)
    about = node, report, record.filled, capacity
    n, node, status = call_look(world.memory, guest.state, 0, *about)
    if node != ALL_SEEN:
        record.mode, record.filled = PUBLISHING, n
        own[LOOKS_AT] = node + 1 if node >= 0 else node
        return
    own[LOOKS_AT], own[STATUS] = 0, status
    lock_zone(world, 0, 0, 0)
    publish_rows(world, 0, n, n)
    next_row(world, 0, actor, 0)


@kernel(inline=True)
def drop_lock_early(guest):
    """With the bug, release the lock as soon as no row is left, before the rows are settled."""
    record = guest.world.user[0]
    if guest.rule[BUG] == ROTATE_WITHOUT_LOCK and record.mode == PUBLISHED:
        release_lock(guest.world, 0, 0)
