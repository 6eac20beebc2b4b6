"""The content of pages: versions, writes, faults."""

import numpy as np

from freehint.engine.world.backing import (
    BACKEND,
    FREE,
    free_lazily,
    frees_block,
    is_special,
    note_write,
    provide,
    take_lazy,
)
from freehint.engine.world.dirty import log_write, log_writes
from freehint.engine.world.paging import SWAP_IN_NS, page_discarded, page_in, shares_host
from freehint.jit import kernel
from freehint.jit.apart import FLAG, NOTHING
from freehint.mm.bitmap import clear_bit, set_bit, test_bit

STRUCTURES_SHIFT = 6  # struct page takes 64 bytes


@kernel(inline=True)
def has_content(world):
    """Does this run keep the content of pages?"""
    return world.version.shape[0] > 0


@kernel(cold=True, late=NOTHING)
def fault(world, page):
    """Let the host provide a page: cleared, from swap, or from a snapshot."""
    record = world.host[0]
    record.faults += 1
    took_ns = record.fault_ns
    if shares_host(world.paging) and page_in(world.paging, page):
        took_ns = world.paging.host[SWAP_IN_NS]
    elif is_special(world.backing):
        took_ns = provide(world.backing, world.present, page, took_ns)
    set_bit(world.present, page)
    record.fault_debt_ns += took_ns
    record.fault_sum_ns += took_ns


@kernel(cold=True, late=NOTHING)
def note_touch(world, page):
    """Note the touch of a present page, for a host that shares memory or frees it lazily."""
    note_write(world.backing, page)
    if shares_host(world.paging):
        set_bit(world.paging.accessed, page)


@kernel(inline=True)
def arrive(world, page):
    """Touch a page, with a fault if it is not resident on the host."""
    if world.host[0].faulting:
        if not test_bit(world.present, page):
            fault(world, page)
        elif world.host[0].noting:
            note_touch(world, page)


@kernel(inline=True)
def write_page(world, page):
    """Give a page new content, as a write of the guest."""
    record = world.migration[0]
    record.stamp += 1
    world.version[page] = record.stamp
    log_write(world.dirty, page)
    arrive(world, page)


@kernel(inline=True)
def zero_page(world, page):
    """Clear a page, which is a write of the guest too."""
    world.version[page] = 0
    log_write(world.dirty, page)
    arrive(world, page)


@kernel(inline=True)
def write_page_structure(world, page):
    """Change a page's 64-byte structure, which dirties a page of the array of structures."""
    if world.state[0].has_mem_map:
        write_page(world, world.mem_map[page >> STRUCTURES_SHIFT])


@kernel(cold=True, late=NOTHING)
def write_block(world, node, order, zeroed):
    """Clear or write every page of a block."""
    record, behind = world.migration[0], node + (1 << order)
    if zeroed:
        for page in range(node, behind):
            world.version[page] = 0
    else:
        first = record.stamp + 1 - node
        for page in range(node, behind):
            world.version[page] = first + page
        record.stamp += behind - node
    log_writes(world.dirty, node, behind)
    if world.host[0].faulting:
        arrive_at_all(world, node, behind)


@kernel(inline=True)
def arrive_at_all(world, first, behind):
    """Touch the pages of a block; 64 that are resident are passed over unless touches are noted."""
    for begin in range(first, behind, 64):
        if world.present[begin >> 6] == ~np.uint64(0) and not world.host[0].noting:
            continue
        for page in range(begin, min(begin + 64, behind)):
            arrive(world, page)


@kernel(inline=True)
def pages_freed(world, node, order):
    """With init_on_free=1, clear pages that are to be freed.  Source: free_pages_prepare()."""
    if world.state[0].init_on_free:
        write_block(world, node, order, True)


@kernel(inline=True)
def copy_page(world, source, target):
    """Copy a page, which writes the target and touches a source that is in swap."""
    if shares_host(world.paging) and test_bit(world.paging.swapped, source):
        arrive(world, source)
    world.version[target] = world.version[source]
    log_write(world.dirty, target)
    arrive(world, target)


@kernel(inline=True)
def discard_page(world, page):
    """Take away the host's memory behind a page."""
    resident = test_bit(world.present, page)
    world.tally[0].discarded += resident
    if shares_host(world.paging):
        page_discarded(world.paging, page, resident)
    clear_bit(world.present, page)
    if world.backing.stored.shape[0]:  # The snapshot's page is not loaded any more.
        clear_bit(world.backing.stored, page)
    world.version[page] = 0


@kernel(cold=True, late=FLAG)
def may_free(world, node, order, in_flight):
    """Note a discard for a special backend; return whether it frees the block's pages at once.

    Pages without a bit of ``in_flight`` in World.fate were taken back by the guest.
    """
    backing = world.backing
    if backing.rule[BACKEND] == FREE:
        for page in range(node, node + (1 << order)):
            if test_bit(world.present, page):
                free_lazily(backing, page, world.fate[page] & in_flight == 0)
        return False
    return frees_block(backing, world.present, node, order)


@kernel
def discard_own_page(world, page):
    """Let the host discard a page that the guest gave up for good, as a balloon does."""
    if is_special(world.backing):
        if world.backing.rule[BACKEND] == FREE and test_bit(world.present, page):
            free_lazily(world.backing, page, False)
        if not frees_block(world.backing, world.present, page, 0):
            return
    discard_page(world, page)


@kernel
def take_lazy_pages(world, wanted):
    """Free up to ``wanted`` pages that were given to MADV_FREE, as a host does that runs short.

    Returns
    -------
    int
        Pages freed.
    """
    lazy, got = world.backing.lazy, 0
    for word in range(lazy.shape[0]):
        if got >= wanted:
            break
        if lazy[word] == 0:
            continue
        for page in range(64 * word, 64 * word + 64):
            if got < wanted and test_bit(lazy, page):
                late = take_lazy(world.backing, page)
                world.tally[0].lost_to_discard += late and world.version[page] > 0
                discard_page(world, page)
                got += 1
    return got


@kernel(inline=True)
def pay_faults(world):
    """Return the time in ns of all faults since the last call, and begin again at 0."""
    debt = world.host[0].fault_debt_ns
    world.host[0].fault_debt_ns = 0
    return debt
