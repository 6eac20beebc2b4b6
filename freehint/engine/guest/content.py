"""The content of a guest's pages before time 0, and the place of the array of page structures.

No table here has one row for each page, because a guest may have 2^28 pages.
"""

from freehint.config import require
from freehint.engine.world.backing import provide
from freehint.engine.world.content import STRUCTURES_SHIFT
from freehint.jit import kernel
from freehint.mm.bitmap import test_bit
from freehint.mm.memory import BUDDY, NR_ORDERS, PAGEBLOCK_NR_PAGES, PCP, frame_order
from freehint.mm.pageblock import existing_pages, in_hole

# ranks of pages; in a free block it is FREE + the block's order
HOLE, IN_USE, ON_PCP, FREE = range(-1, 3)


@kernel(inline=True)
def rank_and_size(memory, node):
    """Rank of the pages from ``node`` on, and the number of pages that share it."""
    if node & (PAGEBLOCK_NR_PAGES - 1) == 0 and in_hole(memory, node):
        return HOLE, PAGEBLOCK_NR_PAGES
    frame = memory.frame[node]
    if frame & PCP:
        return ON_PCP, 1 << frame_order(frame)
    if frame & BUDDY:
        return FREE + frame_order(frame), 1 << frame_order(frame)
    return IN_USE, 1


@kernel
def count_rank(memory, wanted):
    """Number of pages of one rank."""
    node = pages = 0
    while node < memory.nr_pages:
        rank, size = rank_and_size(memory, node)
        if rank == wanted:
            pages += size
        node += size
    return pages


@kernel
def write_rank(world, wanted, stamp, last):
    """Give the pages of one rank the versions ``stamp`` + 1 to ``last``, in ascending order.

    Returns
    -------
    int
        The version given last.
    """
    memory, node = world.memory, 0
    while node < memory.nr_pages and stamp < last:
        rank, size = rank_and_size(memory, node)
        if rank == wanted:
            for page in range(node, min(node + size, node + last - stamp)):
                stamp += 1
                world.version[page] = stamp
        node += size
    return stamp


def boot_content(world, footprint: int) -> None:
    """Give pages content as after boot: in use, on pcp lists, then in the smallest free blocks.

    With init_on_free only pages in use get content, because boot clears the others as it hands
    them to the allocator.

    Parameters
    ----------
    world : World
    footprint : int
        Pages with content; 0 stands for those in use and those on pcp lists.
    """
    memory = world.memory
    pages = existing_pages(memory)
    must = f"be at most the guest's {pages} pages"
    require(footprint <= pages, "workload.footprint_pages", must, footprint)
    in_use = count_rank(memory, IN_USE)
    most = footprint or in_use + count_rank(memory, ON_PCP)
    if world.state[0].init_on_free:
        most = min(most, in_use)
    stamp = rank = 0
    while stamp < most and rank < FREE + NR_ORDERS:
        stamp = write_rank(world, rank, stamp, most)
        rank += 1
    world.migration[0].stamp = most


@kernel
def place_mem_map(world):
    """Place the array of page structures in the last used pages.  No recording tells its place.

    Holes have no page structures (sparse_init() of Linux 6.1).
    """
    memory, places = world.memory, world.mem_map.shape[0]
    left = places - (count_rank(memory, HOLE) >> STRUCTURES_SHIFT)
    skip = count_rank(memory, IN_USE) - left
    if skip < 0:
        return
    node = place = 0
    while node < memory.nr_pages:
        rank, size = rank_and_size(memory, node)
        if rank == IN_USE:
            skip -= 1
            if skip < 0:
                while in_hole(memory, place << STRUCTURES_SHIFT):
                    place += 1
                world.mem_map[place] = node
                place += 1
        node += size
    world.state[0].has_mem_map = 1


@kernel
def place_background(world):
    """Choose the pages that the idle kernel writes: the first ones that have content."""
    n, page = 0, 0
    while page < world.version.shape[0] and n < world.background.shape[0]:
        if world.version[page] != 0:
            world.background[n] = page
            n += 1
        page += 1
    world.state[0].nr_background = n


@kernel
def mark_written(world):
    """Make all pages with content resident on the host, as their first touches did."""
    for page in range(world.version.shape[0]):
        if world.version[page] != 0 and not test_bit(world.present, page):
            provide(world.backing, world.present, page, 0)
    world.backing.count[:] = 0
