"""virtio-balloon's pages: taken from the guest, 256 at a time, and given back.

The balloon allocates single MOVABLE pages and keeps them on a list; the host takes away the memory
behind them.  Compaction may move them (__PageMovable): then the host takes the new page instead.

A batch's first page is the first to be given back, and of the pages given back together the last
one chosen is freed first.

Source: fill_balloon(), leak_balloon(), release_pages_balloon(), virtballoon_migratepage() of
drivers/virtio/virtio_balloon.c; mm/balloon_compaction.c, Linux 6.1.
"""

from freehint.engine.world.balloon import IN_IT, TAKEN
from freehint.engine.world.content import discard_own_page, write_page_structure
from freehint.engine.world.hints import pages_allocated
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE
from freehint.mm.zone import alloc_pages, free_pages, mark_lru

ARRAY_PFNS_MAX = 256  # VIRTIO_BALLOON_ARRAY_PFNS_MAX
KWORKER_CPU = 0  # where the work item runs


@kernel(inline=True)
def nr_places(world):
    """The number of the balloon's pages, those of a batch under way included."""
    return world.balloon.at[IN_IT] + world.balloon.at[TAKEN]


@kernel(inline=True)
def add_page(world, place, node):
    """Put a page that was just allocated in a place of the balloon; it is movable."""
    pages_allocated(world, node, 0)
    mark_lru(world.memory, node, 0)
    write_page_structure(world, node)
    world.balloon.pages[place] = node


@kernel
def take_pages(world, wanted):
    """Allocate up to ``wanted`` pages behind the balloon's last and those taken already.

    Returns
    -------
    got, blocks, last : int
        Pages got; blocks taken from the buddy lists; NO_PAGE, LOCKED or NEEDS_CALLBACK if that
        ended it, else 0.
    """
    first, under_lock = nr_places(world), 0
    for got in range(wanted):
        locked = world.state[0].locked_zones
        node, _, blocks = alloc_pages(world.memory, KWORKER_CPU, 0, MOVABLE, locked)
        under_lock += blocks
        if node < 0:
            return got, under_lock, node
        add_page(world, first + got, node)
    return wanted, under_lock, 0


@kernel(allocates=True)
def keep_pages(world, got):
    """Keep the pages of a batch, the first on top, and tell the host, which discards them."""
    first = world.balloon.at[IN_IT]
    batch = world.balloon.pages[first : first + got]
    batch[:] = batch[::-1].copy()
    if world.host[0].discards:
        for node in batch:
            discard_own_page(world, node)
    world.balloon.at[IN_IT] = first + got
    world.balloon.at[TAKEN] = 0


@kernel
def leak_pages(world, wanted):
    """Give back up to a batch of pages; return how many, and pages put back on buddy lists.

    The caller knows that no stroke holds a zone's lock.
    """
    behind = world.balloon.at[IN_IT]
    first = max(behind - min(wanted, ARRAY_PFNS_MAX), 0)
    under_lock = 0
    for i in range(first, behind):
        node = world.balloon.pages[i]
        write_page_structure(world, node)
        _, _, blocks = free_pages(world.memory, node, KWORKER_CPU, 0, 0)
        under_lock += blocks
    world.balloon.at[IN_IT] = first
    return behind - first, under_lock


@kernel(inline=True)
def place_of(world, node):
    """The place in the balloon of a page that read_owners() found there, or -1."""
    place = -1 - int(world.owner[node])
    if place < 0 or place >= nr_places(world):
        return -1
    return place if world.balloon.pages[place] == node else -1


@kernel
def note_places(world):
    """Note in ``owner`` which pages are the balloon's: -1 - place."""
    for place in range(nr_places(world)):
        world.owner[world.balloon.pages[place]] = -1 - place


@kernel
def move_balloon_page(world, place, target):
    """Let another page take a place in the balloon; its content does not matter."""
    world.balloon.pages[place] = target
    if world.host[0].discards:
        discard_own_page(world, target)
