"""The buddy allocator: free lists per (zone, order, migratetype), split and merge.

A free block of order ``k`` is ``2^k`` frames, aligned to its size; its buddy is the other half
of the block of order ``k + 1``.  Freeing merges upward while the buddy is free; allocating
splits downward and leaves the upper halves on the lower lists.

    >>> order 0 wanted, lists 0..2 empty, a block of order 3 at node 8:        # doctest: +SKIP
    expand: node 12 (order 2), 10 (order 1), 9 (order 0) go to list heads; node 8 is handed out

The place of a freed block decides what is reused first, and so which hints go stale.  The block
goes to the tail if its next merge is likely (``buddy_merge_likely``), else to the head.

Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import add_at, kernel, prefetch
from freehint.jit.apart import NOTHING
from freehint.mm.callback import note_empty_list
from freehint.mm.list import list_add, list_add_tail, list_del, prefetch_links
from freehint.mm.memory import (
    BUDDY,
    BUDDY_AND_ORDER,
    HEADS,
    ISOLATE,
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
    REPORT_ORDER,
    REPORT_REQUESTED,
    TYPE_SHIFT,
    WATCH_EMPTY,
    first_block,
    frame_type,
    free_list_head,
    nr_types,
)
from freehint.mm.pageblock import get_pageblock_migratetype, set_pageblock_migratetype
from freehint.mm.profile import MERGE_UNLESS_ISOLATE

FPI_NONE = 0
FPI_SKIP_REPORT_NOTIFY = 1
FPI_TO_TAIL = 2
FPI_NOLOCK = 4  # from 6.16 on: the free must not wait for a lock, so it does not drain

# A split ends in single pages, which are used in an order that no processor predicts.  So a block
# is prefetched when it is halved into blocks of SPLIT_NOW_ORDER, and an upper half when it is
# split off at SPLIT_LATER_ORDER.  With that, bursts of allocations from 16 GiB on take 0.75 of
# the time (make bench).
SPLIT_NOW_ORDER, SPLIT_LATER_ORDER = 5, 7


@kernel(inline=True)
def page_is_buddy(memory, node, order):
    """True if ``node`` heads a free block of exactly this order.  Source: page_is_buddy()."""
    return (memory.frame[node] & BUDDY_AND_ORDER) == BUDDY | order


@kernel(inline=True)
def count_blocks(memory, zone, order, migratetype, change):
    """Add ``change`` to the number of blocks on a free list and return the new number."""
    at = (zone * NR_ORDERS + order) * nr_types(memory) + migratetype
    return add_at(memory.nr_free, at, change)


@kernel(inline=True)
def add_to_free_list(memory, node, zone, order, migratetype):
    """Put a block first on its list.  Source: add_to_free_list()."""
    list_add(memory.links, node, free_list_head(memory, zone, order, migratetype))
    count_blocks(memory, zone, order, migratetype, 1)
    memory.frame[node] = BUDDY | order | (migratetype << TYPE_SHIFT)


@kernel(inline=True)
def add_to_free_list_tail(memory, node, zone, order, migratetype):
    """Put a block last on its list.  Source: add_to_free_list_tail()."""
    list_add_tail(memory.links, node, free_list_head(memory, zone, order, migratetype))
    count_blocks(memory, zone, order, migratetype, 1)
    memory.frame[node] = BUDDY | order | (migratetype << TYPE_SHIFT)


@kernel(inline=True)
def del_page_of_type(memory, node, zone, order, migratetype):
    """Take a block off a list of known type, without waiting for its frame to be read.

    Source: __del_page_from_free_list() of 6.10.
    """
    count_blocks(memory, zone, order, migratetype, -1)
    list_del(memory.links, node)
    memory.frame[node] = 0


@kernel(inline=True)
def del_page_from_free_list(memory, node, zone, order):
    """Take a block off its list, and clear its Reported flag, hint and marks.

    Source: del_page_from_free_list().
    """
    migratetype = frame_type(memory.frame[node])
    del_page_of_type(memory, node, zone, order, migratetype)


@kernel(inline=True)
def buddy_merge_likely(memory, node, buddy, order):
    """True if the block that this one would merge into has a free buddy itself.

    For the two largest orders it is always False.  Source: buddy_merge_likely().
    """
    if order >= MAX_ORDER - 2:
        return False
    higher = node & buddy
    return page_is_buddy(memory, higher ^ (1 << (order + 1)), order + 1)


@kernel(inline=True)
def migratetypes_mergeable(memory, buddy, migratetype):
    """May whole pageblocks of these types merge?  Equal types may, and any two of the pcp types.

    Before 5.18 all types may, except ISOLATE with another one.  (Those kernels test it only in
    zones with ISOLATE pageblocks; in other zones it makes no difference.)
    Source: __free_one_page(), has_isolate_pageblock(); migratetype_is_mergeable() in 6.1.
    """
    buddy_type = get_pageblock_migratetype(memory, buddy)
    if memory.profile.merge_rule == MERGE_UNLESS_ISOLATE:
        return (migratetype == ISOLATE) == (buddy_type == ISOLATE)
    both_pcp = migratetype < MIGRATE_PCPTYPES and buddy_type < MIGRATE_PCPTYPES
    return migratetype == buddy_type or both_pcp


@kernel(inline=True)
def merge_pageblocks(memory, buddy, migratetype):
    """May whole pageblocks merge?  With freelist hygiene the buddy then takes the type.

    Otherwise a later split would put the buddy on a list of another type than its pageblock's.
    Source: __free_one_page() of 6.12.
    """
    if not migratetypes_mergeable(memory, buddy, migratetype):
        return False
    if memory.profile.freelist_hygiene:
        set_pageblock_migratetype(memory, buddy, migratetype)
    return True


@kernel(inline=True)
def merge_buddies(memory, node, zone, order, migratetype, top):
    """Merge a block upward with its free buddies, which leave their lists, to order ``top``.

    Returns
    -------
    node, order : int
        The merged block.
    """
    while order < top:
        buddy = node ^ (1 << order)
        if not page_is_buddy(memory, buddy, order):
            break
        if order >= PAGEBLOCK_ORDER and not merge_pageblocks(memory, buddy, migratetype):
            break
        count_blocks(memory, zone, order, frame_type(memory.frame[buddy]), -1)
        list_del(memory.links, buddy)
        memory.frame[node | buddy] = 0  # becomes the inside of a block; the other one is to be set
        node &= buddy
        order += 1
    return node, order


@kernel(inline=True)
def free_one_page(memory, node, zone, order, migratetype, fpi_flags):
    """Free a block: merge upward, then place it.  Source: __free_one_page().

    ``migratetype`` names the list; pageblocks keep their types.  Kernels before 5.10 have no
    ``fpi_flags`` and place every block as a normal free does.
    """
    if migratetype != ISOLATE:
        memory.zones[zone].nr_free_pages += 1 << order
    node, order = merge_buddies(memory, node, zone, order, migratetype, MAX_ORDER - 1)
    place_block(memory, node, zone, order, migratetype, fpi_flags)


@kernel(inline=True)
def place_block(memory, node, zone, order, migratetype, fpi_flags):
    """Put a merged block on its list, and note what a report is due for.

    Source: __free_one_page(), from done_merging on; page_reporting_notify_free().
    """
    to_tail = fpi_flags & FPI_TO_TAIL != 0 and memory.profile.fpi_flags
    if to_tail or buddy_merge_likely(memory, node, node ^ (1 << order), order):
        add_to_free_list_tail(memory, node, zone, order, migratetype)
    else:
        add_to_free_list(memory, node, zone, order, migratetype)
    if order >= memory.notify[REPORT_ORDER] and not fpi_flags & FPI_SKIP_REPORT_NOTIFY:
        memory.notify[REPORT_REQUESTED] = 1


@kernel(cold=True, late=NOTHING)
def free_block(memory, node, zone, order, fpi_flags):
    """Free a block straight to the buddy, under its pageblock's type.

    With freelist hygiene an order-10 block is freed as two order-9 blocks, each under the type
    of its own pageblock.  Source: free_one_page(); split_large_buddy() of 6.12.
    """
    part = order
    if memory.profile.freelist_hygiene:
        part = min(order, PAGEBLOCK_ORDER)
    for piece in range(node, node + (1 << order), 1 << part):
        migratetype = get_pageblock_migratetype(memory, piece)
        free_one_page(memory, piece, zone, part, migratetype, fpi_flags)


@kernel(inline=True)
def expand(memory, node, zone, low, high, migratetype):
    """Split a block of order ``high`` down to ``low``; the upper halves go to the list heads.

    Source: expand().
    """
    while high != low:
        high -= 1
        half = node + (1 << high)
        if high == SPLIT_NOW_ORDER:
            prefetch_block(memory, node, SPLIT_NOW_ORDER + 1)
        elif high == SPLIT_LATER_ORDER:
            prefetch_block(memory, half, SPLIT_LATER_ORDER)
        add_to_free_list(memory, half, zone, high, migratetype)


@kernel(inline=True)
def prefetch_block(memory, node, order):
    """Prefetch all links and frames of a block.  A cache line holds those of 8 or 32 pages."""
    for page in range(node, node + (1 << order), 8):
        prefetch_links(memory.links, page)
    for page in range(node, node + (1 << order), 32):
        prefetch(memory.frame, page)


@kernel(inline=True)
def rmqueue_smallest(memory, zone, order, migratetype):
    """Take the first block of the smallest order that has one, and split it to size.

    Source: __rmqueue_smallest().

    Returns
    -------
    int
        The block's node; -1 if all lists are empty.
    """
    current = order
    head = free_list_head(memory, zone, order, migratetype)
    node = first_block(memory, head)
    while node == head:
        current += 1
        if current == NR_ORDERS:
            return -1
        head += HEADS
        node = first_block(memory, head)
    del_page_of_type(memory, node, zone, current, migratetype)
    # The watch is tested first: no processor can predict whether a list ran empty.
    if memory.notify[WATCH_EMPTY] != 0 and memory.nr_free[zone, current, migratetype] == 0:
        note_empty_list(memory, zone, current, migratetype)
    if migratetype != ISOLATE:
        memory.zones[zone].nr_free_pages -= 1 << order
    expand(memory, node, zone, order, current, migratetype)
    return node
