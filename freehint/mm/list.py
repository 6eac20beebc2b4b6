"""Circular doubly linked lists inside one int32 array: the kernel's ``list_head`` by index.

``links[2 * node]`` is a node's next, and the element after it is its prev, so that both lie in one
cache line and one prefetch loads them.  Page frames, list heads and bookmarks are nodes of the
same array, so no operation branches on an empty list.
Only this module reads or writes ``links``.

Source: include/linux/list.h, function by function.
"""

import numpy as np

from freehint.jit import kernel, prefetch, store_pair

NEXT, PREV = 0, 1
CACHE_LINE = 64


def new_lines(length: int, dtype) -> np.ndarray:
    """Zeros that begin where a cache line does: then buddies of orders 0 to 2 share one.

    numpy's large arrays begin 16 bytes behind; draining a guest of 16 GiB took 1.05 of the time.
    """
    nr_bytes = length * np.dtype(dtype).itemsize
    room = np.zeros(nr_bytes + CACHE_LINE, np.uint8)
    begin = -room.ctypes.data % CACHE_LINE
    return room[begin : begin + nr_bytes].view(dtype)


def copy_lines(array: np.ndarray) -> np.ndarray:
    """A copy that begins where a cache line does."""
    copy = new_lines(len(array), array.dtype)
    copy[:] = array
    return copy


@kernel(inline=True)
def at(node, side):
    """Index in ``links`` of a node's next or prev."""
    return 2 * int(node) + side


@kernel(inline=True)
def init_list_head(links, head):
    """Make ``head`` an empty list.  Source: INIT_LIST_HEAD()."""
    links[at(head, NEXT)] = head
    links[at(head, PREV)] = head


@kernel(inline=True)
def list_next(links, node):
    """The node after ``node``.  After a list's head comes its first node."""
    return int(links[at(node, NEXT)])


@kernel(inline=True)
def list_prev(links, node):
    """The node before ``node``.  Before a list's head comes its last node."""
    return int(links[at(node, PREV)])


@kernel(inline=True)
def prefetch_links(links, node):
    """Prefetch the cache line of a node's links."""
    prefetch(links, 2 * node)


@kernel(inline=True)
def list_empty(links, head):
    """True if nothing is on the list.  Source: list_empty()."""
    return links[at(head, NEXT)] == head


@kernel(inline=True)
def list_insert(links, new, before, after):
    """Link ``new`` between two neighbours.  Source: __list_add()."""
    links[at(after, PREV)] = new
    links[at(new, PREV)]  # refuses a bad node where indices are checked
    store_pair(links, at(new, NEXT), after, before)
    links[at(before, NEXT)] = new


@kernel(inline=True)
def list_add(links, new, head):
    """Put ``new`` first (after any node, not only a head).  Source: list_add()."""
    list_insert(links, new, head, links[at(head, NEXT)])


@kernel(inline=True)
def list_add_tail(links, new, head):
    """Put ``new`` last (before any node, not only a head).  Source: list_add_tail()."""
    list_insert(links, new, links[at(head, PREV)], head)


@kernel(inline=True)
def list_del(links, node):
    """Take ``node`` out.  Source: list_del(), without the poison."""
    before = links[at(node, PREV)]
    after = links[at(node, NEXT)]
    links[at(after, PREV)] = before
    links[at(before, NEXT)] = after


@kernel(inline=True)
def list_del_init(links, node):
    """Take ``node`` out and make it a list of its own.  Source: list_del_init()."""
    list_del(links, node)
    init_list_head(links, node)


@kernel(inline=True)
def list_move(links, node, head):
    """Take ``node`` out and put it first on ``head``.  Source: list_move()."""
    list_del(links, node)
    list_add(links, node, head)


@kernel(inline=True)
def list_move_tail(links, node, head):
    """Take ``node`` out and put it last on ``head``.  Source: list_move_tail()."""
    list_del(links, node)
    list_add_tail(links, node, head)


@kernel(inline=True)
def list_turn(links, head, last):
    """Move the nodes up to and including ``last``, in order, to the end of the list.

    On a ring that is one move of the head to the place between ``last`` and the node after it,
    which must not be the head itself.
    Source: list_cut_position() and list_splice_tail().
    """
    after = links[at(last, NEXT)]
    list_del(links, head)
    list_insert(links, head, last, after)


@kernel(inline=True)
def list_splice(links, source, head):
    """Put all nodes of the list ``source``, in order, first on ``head``; ``source`` is then empty.

    Source: list_splice_init().
    """
    if not list_empty(links, source):
        first, last = list_next(links, source), list_prev(links, source)
        after = links[at(head, NEXT)]
        links[at(first, PREV)] = head
        links[at(head, NEXT)] = first
        links[at(last, NEXT)] = after
        links[at(after, PREV)] = last
        init_list_head(links, source)


@kernel
def list_length(links, head):
    """Number of nodes on a list, bookmarks included."""
    length = 0
    node = list_next(links, head)
    while node != head:
        length += 1
        node = list_next(links, node)
    return length


@kernel
def list_fill(links, gathered, covered, order, head, end, nodes):
    """Write a list's nodes below ``end`` into the int64 array ``nodes``, first to last.

    The walk goes from both ends at once: each step waits for memory, and two steps together wait
    no longer than one, so a shuffled list takes half the time (``make bench``).  The list must
    not change meanwhile.

    Parameters
    ----------
    gathered, covered, order
        The array that gather_links() wrote, its return value and its order.  ``covered`` is 0
        if no links are gathered.

    Returns
    -------
    int
        Number of nodes written; -1 if ``nodes`` is too short.
    """
    first, last = 0, nodes.shape[0]
    node = gathered_link(links, gathered, covered, order, head, NEXT)
    tail = gathered_link(links, gathered, covered, order, head, PREV)
    while node != head:
        if node < end:
            if first == last:
                return -1
            nodes[first] = node
            first += 1
        if node == tail:
            break
        if tail < end:
            if first == last:
                return -1
            last -= 1
            nodes[last] = tail
        node = gathered_link(links, gathered, covered, order, node, NEXT)
        if node == tail:
            break
        tail = gathered_link(links, gathered, covered, order, tail, PREV)
    if first < last:
        for at_tail in range(last, nodes.shape[0]):
            nodes[first] = nodes[at_tail]
            first += 1
        return first
    return nodes.shape[0]


@kernel(inline=True)
def gathered_link(links, gathered, covered, order, node, side):
    """A node's next or prev, read from the gathered links if they cover the node."""
    if node < covered:
        return int(gathered[side, node >> order])
    return int(links[at(node, side)])


@kernel
def gather_links(links, gathered, nr_pages, order):
    """Copy the links of all frames that may head a block of this order into a dense array.

    gathered : int32[1 or 2, at least nr_pages / 2^order]  next, and prev if there is room

    In ``links`` these frames lie ``2^order`` nodes apart: they compete for a few cache sets, and
    a walk waits for one cache line after the other.  Gathering loads many lines at a time, so a
    shuffled list of 65,536 order-10 blocks is walked in a quarter of the time (``make bench``).
    (A second array for orders 9 and 10 that is always kept up to date would slow down every
    allocation by a test, in a burst by a fifth.)

    Returns
    -------
    int
        ``nr_pages``: the gathered links cover the nodes below it.
    """
    for i in range(nr_pages >> order):
        gathered[NEXT, i] = links[at(i << order, NEXT)]
        if gathered.shape[0] > 1:
            gathered[PREV, i] = links[at(i << order, PREV)]
    return nr_pages


def set_list(links, head, nodes) -> None:
    """Make ``nodes``, in this order, the content of the list ``head``.  Loaders use it."""
    ring = np.concatenate(([head], np.asarray(nodes, np.int64)))
    links[2 * ring + NEXT] = np.roll(ring, -1)
    links[2 * ring + PREV] = np.roll(ring, 1)
