"""The hint shrinker: reclaim takes back the blocks that virtio-balloon holds for the host.

Each pass of reclaim over a node, by kswapd or by a task, asks every shrinker for a share of what
it holds, ``4 * (held >> priority) / seeks`` pages, in scans of 128 pages.  What is left below a
scan is deferred, and counts only as the priority falls.  The balloon frees whole blocks of order
10: a scan of 128 pages frees 1,024, and counts as 128.

Reclaim begins at priority 12, where a balloon of less than 256 blocks (1 GiB) gives nothing.
Free page reporting has no shrinker; it holds 32 blocks at most, until the host has used them.

Source: do_shrink_slab() and shrink_slab() of mm/vmscan.c, virtio_balloon_shrinker_count() and
virtio_balloon_shrinker_scan() of drivers/virtio/virtio_balloon.c, Linux 6.1 and 6.12.
"""

import numpy as np

from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_block
from freehint.mm.list import list_del, list_empty, list_next
from freehint.mm.memory import NR_USERS, USER_LIST, frame_order, page_zone, user_node

SHRINK_BATCH = 128
DEFAULT_SEEKS = 2
HINT_ORDER = 10  # VIRTIO_BALLOON_HINT_BLOCK_ORDER
SHRINKER_DTYPE = np.dtype(
    [
        ("registered", np.int64),  # 1: reclaim may free the user's blocks
        ("nr_deferred", np.int64),  # pages still to be scanned
    ]
)


def new_shrinkers() -> np.recarray:
    """A shrinker for each user of private lists, none of them registered."""
    return np.zeros(NR_USERS, SHRINKER_DTYPE).view(np.recarray)


@kernel
def count_objects(memory, user):
    """Pages that a user holds.  Source: virtio_balloon_shrinker_count()."""
    head = user_node(memory, user, USER_LIST)
    pages = 0
    node = list_next(memory.links, head)
    while node != head:
        pages += 1 << frame_order(memory.frame[node])
        node = list_next(memory.links, node)
    return pages


@kernel(inline=True)
def free_held(memory, node):
    """Free a held block like any allocated block: order 10 goes to the head of its list."""
    order = frame_order(memory.frame[node])
    list_del(memory.links, node)
    memory.frame[node] = 0
    free_block(memory, node, page_zone(memory, node), order, FPI_NONE)
    return order


@kernel
def return_free_pages_to_mm(memory, user, most):
    """Free up to ``most`` blocks, the last taken first, and return how many.  Source: same name."""
    head = user_node(memory, user, USER_LIST)
    freed = 0
    while freed < most and not list_empty(memory.links, head):
        free_held(memory, list_next(memory.links, head))
        freed += 1
    return freed


@kernel
def scan_objects(memory, user, nr_to_scan):
    """Free the blocks of one scan and return their pages.  Source: shrink_free_pages().

    All blocks that a user holds have the order of the first, HINT_ORDER in Linux.
    """
    head = user_node(memory, user, USER_LIST)
    if list_empty(memory.links, head):
        return 0
    order = frame_order(memory.frame[list_next(memory.links, head)])
    blocks = -(-nr_to_scan >> order)
    return return_free_pages_to_mm(memory, user, blocks) << order


@kernel
def scan_in_batches(memory, user, total_scan, freeable):
    """Scan ``total_scan`` pages, less a rest below a batch unless that is all there is.

    Returns
    -------
    freed, scanned : int
        Pages.
    """
    freed = scanned = 0
    while total_scan > 0 and (total_scan >= SHRINK_BATCH or total_scan >= freeable):
        nr_to_scan = min(SHRINK_BATCH, total_scan)
        freed += scan_objects(memory, user, nr_to_scan)
        total_scan -= nr_to_scan
        scanned += nr_to_scan
    return freed, scanned


@kernel
def do_shrink_slab(memory, shrinkers, user, priority):
    """Let one shrinker free its share for a pass of reclaim.  Source: do_shrink_slab().

    Parameters
    ----------
    memory : Memory
    shrinkers : record[NR_USERS]
        SHRINKER_DTYPE.
    user : int
    priority : int
        Of the pass, 12 (least pressure) .. 0; drop_caches asks with 0.

    Returns
    -------
    freed, scanned : int
        Pages; ``scanned`` is what /proc/vmstat adds to slabs_scanned.
    """
    freeable = count_objects(memory, user)
    if freeable == 0:
        return 0, 0
    deferred = shrinkers[user].nr_deferred
    delta = (freeable >> priority) * 4 // DEFAULT_SEEKS
    total_scan = min((deferred >> priority) + delta, 2 * freeable)
    freed, scanned = scan_in_batches(memory, user, total_scan, freeable)
    shrinkers[user].nr_deferred = min(max(deferred + delta - scanned, 0), 2 * freeable)
    return freed, scanned


@kernel
def shrink_slab(memory, shrinkers, priority):
    """Let every registered shrinker free its share; other slab caches are not modelled.

    What they free does not count as pages reclaimed from the LRU lists.  Source: shrink_slab().

    Returns
    -------
    freed, scanned : int
        Pages.
    """
    freed = scanned = 0
    for user in range(shrinkers.shape[0]):
        if shrinkers[user].registered:
            more, looked = do_shrink_slab(memory, shrinkers, user, priority)
            freed += more
            scanned += looked
    return freed, scanned
