"""The content of pages: versions, writes, faults."""

from freehint.engine.world.dirty import log_write
from freehint.engine.world.paging import SWAP_IN_NS, page_discarded, page_in, shares_host
from freehint.jit import kernel
from freehint.mm.bitmap import clear_bit, set_bit, test_bit

STRUCTURES_SHIFT = 6  # struct page takes 64 bytes


@kernel(inline=True)
def has_content(world):
    """Does this run keep the content of pages?"""
    return world.version.shape[0] > 0


@kernel(cold=True)
def fault(world, page):
    """Let the host provide a page, either cleared or from swap."""
    record = world.host[0]
    set_bit(world.present, page)
    record.faults += 1
    if shares_host(world.paging) and page_in(world.paging, page):
        record.fault_debt_ns += world.paging.host[SWAP_IN_NS]
    else:
        record.fault_debt_ns += record.fault_ns


@kernel(inline=True)
def arrive(world, page):
    """Touch a page, with a fault if it is not resident on the host."""
    if world.host[0].faulting:
        if not test_bit(world.present, page):
            fault(world, page)
        elif shares_host(world.paging):
            set_bit(world.paging.accessed, page)


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


@kernel(cold=True)
def write_block(world, node, order, zeroed):
    """Clear or write every page of a block."""
    for page in range(node, node + (1 << order)):
        if zeroed:
            zero_page(world, page)
        else:
            write_page(world, page)


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
    world.version[page] = 0


@kernel(inline=True)
def pay_faults(world):
    """Return the time in ns of all faults since the last call, and begin again at 0."""
    debt = world.host[0].fault_debt_ns
    world.host[0].fault_debt_ns = 0
    return debt
