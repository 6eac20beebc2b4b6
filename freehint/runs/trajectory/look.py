"""A guest's memory at one moment, small enough to keep hundreds of moments.

:func:`count_cells` counts the pages of each *cell* (a page of a small guest, one or more
pageblocks of a larger one) by their state.  :func:`list_windows` reads the first and the last
entries of every free list and of the policies' private lists.
"""

import numpy as np

from freehint.engine.host.precopy import OFF
from freehint.engine.world.hints import HOST_HAS, IN_ANY_FLIGHT, REUSED, STALE
from freehint.jit import kernel
from freehint.mm.bitmap import popcount
from freehint.mm.list import list_next, list_prev
from freehint.mm.memory import (
    BUDDY,
    HEADS,
    ISOLATED,
    MARK_SHIFT,
    NODES_PER_USER,
    NR_ORDERS,
    NR_USERS,
    PCP,
    USER_BOOKMARK,
    USER_LIST,
    frame_order,
    free_list_head,
    nr_types,
    user_node,
)

# Rows of the counts, in pages of each cell.  HINTED_FREE pages are counted among the free ones (or
# those on pcp lists) too, STALE_USED and REUSED_USED pages are in use, LEFT pages are in a
# migration's bitmap.
FREE, ON_PCP, HELD, HINTED_FREE, STALE_USED, REUSED_USED, LEFT, NR_CHANNELS = range(8)
CHANNELS = ("free", "pcp", "held", "hinted", "stale", "reused", "left")

# An entry of a list window: the node, and bits above it.
NODE_BITS = 28  # 1 TiB
NODE_MASK = (1 << NODE_BITS) - 1
ENTRY_IN_FLIGHT = 1 << 28  # a ring has a hint for the block's first page
ENTRY_HOST_HAS = 1 << 29  # the host has used such a hint
ENTRY_MARKED = 1 << 30  # the block is some user's A, the first block that it reported
ENTRY_NODE = 1 << 31  # not a block but a policy's node: 2 * user, + 1 for an END

FROM_HEAD, FROM_TAIL, NR_LENGTHS = range(3)

HEADS_FREE = np.uint64((BUDDY | PCP | ISOLATED) * 0x0001000100010001)
EACH = np.uint64(0x0001000100010001)
STALE_BIT = np.uint64(STALE.bit_length() - 1)
REUSED_BIT = np.uint64(REUSED.bit_length() - 1)
HINT_BITS = (HOST_HAS | IN_ANY_FLIGHT).bit_length()  # HOST_HAS is the lowest of them


@kernel(inline=True)
def count_four(word):
    """How many of the four uint16 numbers in a uint64, each 0 or 1, are 1."""
    return int((word * EACH) >> np.uint64(48))


@kernel(inline=True)
def add_pages(counts, channel, node, size, shift):
    """Count ``size`` pages from ``node`` on for the cells that they lie in."""
    end = node + size
    while node < end:
        upto = min(end, ((node >> shift) + 1) << shift)
        counts[channel, node >> shift] += upto - node
        node = upto


@kernel(inline=True)
def channel_of(frame):
    """The channel of a frame that heads a block: FREE, ON_PCP or HELD."""
    if frame & BUDDY:
        return FREE
    return ON_PCP if frame & PCP else HELD


@kernel(cold=True)
def count_cells(world, frames, fates, shift, counts):
    """Count the pages of each cell by their state.

    Parameters
    ----------
    world : World
    frames, fates : uint64[nr_pages / 4]
        Memory.frame and World.fate, with four pages per word.
    shift : int
        Log2 of the pages per cell: 0, or at least 6.
    counts : int32[NR_CHANNELS, cells]
        Output.
    """
    counts[:] = 0
    memory = world.memory
    node = 0
    while node < memory.nr_pages:
        word = np.uint64(node >> 2)
        if shift and node & 3 == 0 and frames[word] & HEADS_FREE == 0:
            if fates[word]:
                counts[STALE_USED, node >> shift] += count_four(fates[word] >> STALE_BIT & EACH)
                counts[REUSED_USED, node >> shift] += count_four(fates[word] >> REUSED_BIT & EACH)
            node += 4
            continue
        frame = memory.frame[node]
        if frame & (BUDDY | PCP | ISOLATED):
            size = 1 << frame_order(frame)
            add_pages(counts, channel_of(frame), node, size, shift)
            node += size
        else:
            counts[STALE_USED, node >> shift] += world.fate[node] & STALE != 0
            counts[REUSED_USED, node >> shift] += world.fate[node] & REUSED != 0
            node += 1
    if shift:
        count_hinted(fates, shift, counts)
    else:
        for page in range(memory.nr_pages):
            counts[HINTED_FREE, page] = world.fate[page] & (HOST_HAS | IN_ANY_FLIGHT) != 0


@kernel(inline=True)
def count_hinted(fates, shift, counts):
    """Count the pages that have a hint in flight or at the host, four at a time."""
    words = 1 << (shift - 2)
    for cell in range(counts.shape[1]):
        total = 0
        for word in range(cell * words, (cell + 1) * words):
            fate = fates[np.uint64(word)]
            known = fate
            for bit in range(1, HINT_BITS):
                known |= fate >> np.uint64(bit)
            total += count_four(known & EACH)
        counts[HINTED_FREE, cell] = total


@kernel(cold=True)
def count_left(bitmap, shift, counts):
    """Count the pages of each cell that a migration has still to send, in the same ``counts``."""
    for word in range(bitmap.shape[0]):
        if shift:
            counts[LEFT, word << 6 >> shift] += popcount(bitmap[word])
        else:
            for bit in range(64):
                counts[LEFT, (word << 6) + bit] = int(bitmap[word] >> np.uint64(bit)) & 1


@kernel(inline=True)
def entry_of(world, node):
    """The entry of a list's node in a window, a uint32."""
    memory = world.memory
    if node >= memory.nr_pages:
        place = node - user_node(memory, 0, 0)
        user = place // NODES_PER_USER
        is_end = place - user * NODES_PER_USER != USER_BOOKMARK
        return ENTRY_NODE | 2 * user | int(is_end)
    fate, frame = world.fate[node], memory.frame[node]
    entry = node
    if fate & IN_ANY_FLIGHT:
        entry |= ENTRY_IN_FLIGHT
    if fate & HOST_HAS:
        entry |= ENTRY_HOST_HAS
    if frame >> MARK_SHIFT:
        entry |= ENTRY_MARKED
    return entry


@kernel(inline=True)
def list_window(world, i, head, from_head, from_tail, entries, lengths):
    """Write entries of the i-th list from its head and from its tail, or all of a short list."""
    links = world.memory.links
    n, node = 0, list_next(links, head)
    while node != head and n < from_head:
        entries[i, n] = entry_of(world, node)
        node = list_next(links, node)
        n += 1
    lengths[i, FROM_HEAD] = n
    lengths[i, FROM_TAIL] = 0
    if node != head:
        unseen, tail = node, list_prev(links, head)
        for _ in range(from_tail - 1):
            if tail == unseen:
                break
            tail = list_prev(links, tail)
        while tail != head:
            entries[i, n] = entry_of(world, tail)
            tail = list_next(links, tail)
            n += 1
        lengths[i, FROM_TAIL] = n - lengths[i, FROM_HEAD]
    for rest in range(n, entries.shape[1]):
        entries[i, rest] = 0


@kernel(cold=True)
def list_windows(world, from_head, from_tail, entries, lengths):
    """Write the windows of every free list and of every user's private list.

    Parameters
    ----------
    world : World
    from_head, from_tail : int
        Most entries of each window from the head and from the tail.
    entries : uint32[lists, from_head + from_tail]
        Output.  It has one row per free list, by zone, order and type, and then one per user.
    lengths : int32[lists, NR_LENGTHS]
        Output: the number of entries from the head, and from the tail.
    """
    memory = world.memory
    i = 0
    for zone in range(memory.nr_free.shape[0]):
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                head = free_list_head(memory, zone, order, migratetype)
                list_window(world, i, head, from_head, from_tail, entries, lengths)
                i += 1
    for user in range(NR_USERS):
        head = user_node(memory, user, USER_LIST)
        list_window(world, i + user, head, from_head, from_tail, entries, lengths)


@kernel(cold=True)
def bookmark_place(memory, user, place):
    """Write the bookmark's list to place[0] (-1 if none), and the blocks before it to place[1]."""
    bookmark = user_node(memory, user, USER_BOOKMARK)
    place[0] = -1
    place[1] = 0
    node = list_prev(memory.links, bookmark)
    if node == bookmark:
        return
    first_private = user_node(memory, 0, 0)
    while node < memory.nr_pages or node >= first_private:
        if node < memory.nr_pages:
            place[1] += 1
        node = list_prev(memory.links, node)
    head = node - memory.nr_pages
    place[0] = head // HEADS * nr_types(memory) + head % HEADS


@kernel(cold=True)
def count_held_blocks(memory, user):
    """The number of blocks on a user's private list."""
    head = user_node(memory, user, USER_LIST)
    node, n = list_next(memory.links, head), 0
    while node != head:
        n += 1
        node = list_next(memory.links, node)
    return n


@kernel
def look(world, frames, fates, shift, from_head, from_tail, counts, entries, lengths, held, places):
    """Do all of the above in one call, because a call from Python costs as much as its work.

    Parameters
    ----------
    world, frames, fates, shift, from_head, from_tail, counts, entries, lengths
        See :func:`count_cells` and :func:`list_windows`.
    held : int64[NR_USERS]
        Output: the number of blocks on each private list.
    places : int32[users, 2]
        Output: :func:`bookmark_place` of each user.
    """
    count_cells(world, frames, fates, shift, counts)
    if world.migration[0].phase != OFF:
        count_left(world.dirty.bitmap, shift, counts)
    list_windows(world, from_head, from_tail, entries, lengths)
    for user in range(NR_USERS):
        held[user] = count_held_blocks(world.memory, user)
    for user in range(places.shape[0]):
        bookmark_place(world.memory, user, places[user])
