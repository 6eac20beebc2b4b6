"""churn: a process that maps, fills and unmaps pieces of 256 KiB to 16 MiB.

Source: `fhload churn`, the load of the recorded migrations (data/README.md).
"""

from freehint.engine.guest.mapping import (
    append_page,
    forget_process,
    map_block,
    map_owed,
    page_node,
    unmap_blocks,
)
from freehint.engine.world.clock import ask_to_shrink
from freehint.engine.world.content import write_page
from freehint.jit import kernel
from freehint.mm.memory import CALLED, MOVABLE, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, UNMOVABLE

SMALLEST_PIECE, LARGEST_PIECE = 64, 4096  # pages: 256 KiB .. 16 MiB


@kernel
def begin_piece(world, word):
    """Draw the next piece's size, and unmap the oldest pieces until it fits."""
    state = world.state[0]
    size = SMALLEST_PIECE + (word >> 8) % (LARGEST_PIECE - SMALLEST_PIECE + 1)
    while state.alive + size > state.live_pages and state.first_piece < state.nr_pieces:
        oldest = state.first_piece % world.pieces.shape[0]
        unmap_blocks(world, world.pieces[oldest, 0], world.pieces[oldest, 1])
        state.alive -= world.pieces[oldest, 2]
        state.first_piece += 1
    at = state.nr_pieces % world.pieces.shape[0]
    world.pieces[at, 0] = world.pieces[at, 1] = world.cpu[0].nr_blocks
    world.pieces[at, 2] = size
    state.nr_pieces += 1
    state.alive += size
    state.piece_left = size


@kernel
def map_next(world):
    """Map the piece's next huge page or page; return False if there is no memory."""
    state = world.state[0]
    state.nr_pages = state.next_page = 0
    slot, size = -1, 1
    if state.huge_pages and state.piece_left >= PAGEBLOCK_NR_PAGES:
        slot, size = map_block(world, PAGEBLOCK_ORDER, MOVABLE), PAGEBLOCK_NR_PAGES
    if slot < 0 and world.memory.notify[CALLED] == 0:
        slot, size = map_block(world, 0, MOVABLE), 1
    if slot < 0:
        return False
    for i in range(size):
        append_page(world, (slot << PAGEBLOCK_ORDER) | i)
    if state.piece_left % PAGEBLOCK_NR_PAGES == 0:
        state.owed = 1 + UNMOVABLE
        map_owed(world)
    state.piece_left -= size
    world.pieces[(state.nr_pieces - 1) % world.pieces.shape[0], 1] = world.cpu[0].nr_blocks
    return True


@kernel
def churn_page(world, word):
    """Write the next page, mapped as it is touched; return False if it has to wait for memory."""
    state = world.state[0]
    if state.next_page == state.nr_pages:
        if not map_owed(world):
            return False
        if state.piece_left == 0:
            begin_piece(world, word)
        if not map_next(world):
            return not ask_to_shrink(world, 0)
    write_page(world, page_node(world, state.next_page))
    state.next_page += 1
    return True


@kernel
def burst_page(world, now_ns):
    """Write the next page, or leave when all are written.

    Returns
    -------
    int
        When the process goes on, in ns; -1 if it has to wait.
    """
    state = world.state[0]
    if state.next_page == state.nr_pages and not map_owed(world):
        return -1
    if state.next_page == state.nr_pages and state.alive > 0 and state.piece_left == 0:
        forget_process(world)
        state.alive = state.next_page = 0
        return now_ns + state.rest_ns
    if state.next_page == state.nr_pages:
        if state.alive == 0:
            state.alive = state.piece_left = state.live_pages
            state.nr_pieces = 1
        if not map_next(world):
            return -1 if ask_to_shrink(world, 0) else now_ns + state.page_ns
    write_page(world, page_node(world, state.next_page))
    world.tally[0].writes += 1
    state.next_page += 1
    return now_ns + state.page_ns
