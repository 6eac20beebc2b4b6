"""A guest's pages on a host that several guests share: resident, swapped out, or absent.

Resident pages stand on the guest's LRU list in the order in which they became resident.  The host
takes them from its old end; a page that was touched since the host last looked at it gets a second
chance and goes to the young end.  Linux 6.1 in its simplest form treats anonymous memory so:
shrink_inactive_list() and folio_check_references() of mm/vmscan.c.  Every touch is a write here,
so a page that came back from swap has changed, and its slot is freed at once.

Source: do_anonymous_page() and do_swap_page() of mm/memory.c, Linux 6.1.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.bitmap import clear_bit, set_bit, test_bit
from freehint.mm.list import init_list_head, list_add_tail, list_del, list_next, list_prev

# Entries of Paging.count: numbers of pages, of major faults, of writes to swap, of pages scanned.
RESIDENT, SWAPPED, MAJOR_FAULTS, SWAP_OUTS, SCANNED = range(5)
# Entries of Paging.host.
FREE, MIN, SWAP_FREE, SWAP_IN_NS = range(4)


class Paging(NamedTuple):
    """One guest on a shared host.  Without a shared host the first three arrays are empty.

    accessed : uint64[nr_pages / 64 or 0]   pages touched since the host last looked at them
    swapped : uint64[nr_pages / 64 or 0]    pages whose content is in a swap slot
    links : int32[2 * (nr_pages + 1) or 0]  the LRU list of resident pages, the oldest first; its
                                            head is the last node
    count : int64[5]   this guest's RESIDENT .. SCANNED
    host : int64[4]    one array for all guests: FREE pages, the MIN watermark, SWAP_FREE slots,
                       SWAP_IN_NS per page
    """

    accessed: np.ndarray
    swapped: np.ndarray
    links: np.ndarray
    count: np.ndarray
    host: np.ndarray


def no_paging() -> Paging:
    """The record of a guest that does not share its host."""
    return Paging(
        accessed=np.zeros(0, np.uint64),
        swapped=np.zeros(0, np.uint64),
        links=np.zeros(0, np.int32),
        count=np.zeros(5, np.int64),
        host=np.zeros(4, np.int64),
    )


def new_paging(nr_pages: int, host: np.ndarray) -> Paging:
    """The record of a guest without resident pages; ``host`` is shared, not copied."""
    links = np.zeros(2 * (nr_pages + 1), np.int32)
    init_list_head(links, nr_pages)
    words = nr_pages // 64
    accessed, swapped = np.zeros((2, words), np.uint64)
    return Paging(accessed, swapped, links, np.zeros(5, np.int64), host)


@kernel(inline=True)
def shares_host(paging):
    """Is the host's memory shared with other guests?"""
    return paging.links.shape[0] > 0


@kernel(inline=True)
def lru_head(paging):
    """Head of the LRU list."""
    return paging.links.shape[0] // 2 - 1


@kernel(inline=True)
def free_slot(paging, page):
    """Free the page's swap slot."""
    clear_bit(paging.swapped, page)
    paging.count[SWAPPED] -= 1
    paging.host[SWAP_FREE] += 1


@kernel(inline=True)
def page_in(paging, page):
    """Make a page resident; return True for a major fault, if its content comes from swap."""
    paging.host[FREE] -= 1
    paging.count[RESIDENT] += 1
    set_bit(paging.accessed, page)
    list_add_tail(paging.links, page, lru_head(paging))
    major = test_bit(paging.swapped, page)
    if major:
        free_slot(paging, page)
        paging.count[MAJOR_FAULTS] += 1
    return major


@kernel(inline=True)
def page_discarded(paging, page, resident):
    """Free the memory or the swap slot behind a page."""
    if resident:
        list_del(paging.links, page)
        paging.count[RESIDENT] -= 1
        paging.host[FREE] += 1
    elif test_bit(paging.swapped, page):
        free_slot(paging, page)


@kernel(inline=True)
def page_out(paging, present, page):
    """Write a page to swap, even if it is a zero page."""
    clear_bit(present, page)
    page_discarded(paging, page, True)
    set_bit(paging.swapped, page)
    paging.count[SWAPPED] += 1
    paging.count[SWAP_OUTS] += 1
    paging.host[SWAP_FREE] -= 1


@kernel
def shrink_list(paging, present, nr_to_scan, nr_to_reclaim):
    """Look at up to ``nr_to_scan`` pages from the old end of the LRU list.

    Source: shrink_inactive_list(), folio_check_references().

    Returns
    -------
    int
        Pages reclaimed, at most ``nr_to_reclaim``.
    """
    reclaimed = 0
    head = lru_head(paging)
    for _ in range(nr_to_scan):
        page = list_next(paging.links, head)
        if page == head or reclaimed == nr_to_reclaim or paging.host[SWAP_FREE] == 0:
            break
        paging.count[SCANNED] += 1
        if test_bit(paging.accessed, page):
            clear_bit(paging.accessed, page)
            list_del(paging.links, page)
            list_add_tail(paging.links, page, head)
        else:
            page_out(paging, present, page)
            reclaimed += 1
    return reclaimed


@kernel
def map_resident(paging, present, wanted, first, behind):
    """As a guest begins, make its pages in ``wanted`` resident, from ``first`` up to ``behind``."""
    for page in range(first, behind):
        if test_bit(wanted, page):
            set_bit(present, page)
            page_in(paging, page)
            clear_bit(paging.accessed, page)


@kernel
def unmap_all(paging, present):
    """Free all memory and swap slots of a guest that is gone."""
    for page in range(lru_head(paging)):
        page_discarded(paging, page, test_bit(present, page))
    present[:] = 0


@kernel
def list_is_whole(paging, present):
    """Do exactly the resident pages stand on the LRU list, linked both ways?"""
    links, head = paging.links, lru_head(paging)
    seen, node = 0, head
    while seen <= paging.count[RESIDENT]:
        behind = list_next(links, node)
        if list_prev(links, behind) != node:
            return False
        if behind == head:
            return seen == paging.count[RESIDENT]
        if not test_bit(present, behind):
            return False
        node = behind
        seen += 1
    return False
