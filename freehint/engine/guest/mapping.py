"""The blocks that a program maps, writes and gives back, through the real allocator.

Pages are zeroed as they are mapped, then written; with init_on_free they are cleared as they are
given back.

Source: do_anonymous_page() and do_huge_pmd_anonymous_page() of mm/, Linux 6.1.
"""

from contextlib import contextmanager

import numpy as np

from freehint.engine.world.content import pages_freed, write_block, write_page, write_page_structure
from freehint.engine.world.hints import pages_allocated
from freehint.jit import kernel
from freehint.mm.memory import (
    CALLED,
    ISOLATED,
    MOVABLE,
    ORDER_MASK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
    USER_LIST,
    list_nodes,
    user_node,
)
from freehint.mm.zone import alloc_pages, free_pages, mark_lru

FREED = -1  # the entry of ``held`` for a block that was given back


@kernel(cold=True)
def map_block(world, order, migratetype):
    """Allocate a cleared block for the process; return its place in ``held``, or -1."""
    node, _, _ = alloc_pages(world.memory, 0, order, migratetype, world.state[0].locked_zones)
    if node < 0:
        return -1
    pages_allocated(world, node, order)
    if migratetype == MOVABLE:
        mark_lru(world.memory, node, order)
    write_block(world, node, order, True)
    write_page_structure(world, node)
    slot = world.cpu[0].nr_blocks
    world.held[0, slot] = (node << 4) | order
    world.cpu[0].nr_blocks = slot + 1
    world.tally[0].allocations += 1
    return slot


@kernel(cold=True)
def unmap_blocks(world, first, behind):
    """Give back the blocks at the places ``first`` up to ``behind`` of ``held``, in this order.

    Data pages stand before their page tables, so they are given back first.
    """
    for slot in range(first, behind):
        block = world.held[0, slot]
        if block != FREED:
            write_page_structure(world, block >> 4)
            pages_freed(world, block >> 4, block & 0xF)
            free_pages(world.memory, block >> 4, 0, block & 0xF, world.state[0].locked_zones)
            world.held[0, slot] = FREED
            world.tally[0].frees += 1


@kernel(cold=True)
def map_owed(world):
    """Allocate the page that the last piece still owes, its page table or its slab page.

    Returns
    -------
    bool
        False if a policy is to be called first, so that the page stays owed.
    """
    state = world.state[0]
    if state.owed == 0:
        return True
    migratetype = state.owed - 1
    slot = map_block(world, 0, migratetype)
    if slot < 0 and world.memory.notify[CALLED] != 0:
        return False
    if slot >= 0 and migratetype == RECLAIMABLE:
        write_block(world, world.held[0, slot] >> 4, 0, False)
    state.owed = 0
    world.pieces[(state.nr_pieces - 1) % world.pieces.shape[0], 1] = world.cpu[0].nr_blocks
    return True


@kernel
def map_piece(world, nr_pages, huge):
    """Map up to 2 MiB, as a huge page or page by page, then its page table.

    Returns False if memory runs out.
    Each page becomes an entry of ``pages``: its place in ``held`` << 9 | page within the block.
    """
    slot = -1
    if huge and nr_pages == PAGEBLOCK_NR_PAGES:
        slot = map_block(world, PAGEBLOCK_ORDER, MOVABLE)
    if slot >= 0:
        for i in range(nr_pages):
            append_page(world, (slot << PAGEBLOCK_ORDER) | i)
    else:
        for _ in range(nr_pages):
            slot = map_block(world, 0, MOVABLE)
            if slot < 0:
                return False
            append_page(world, slot << PAGEBLOCK_ORDER)
    return map_block(world, 0, UNMOVABLE) >= 0


@kernel(inline=True)
def append_page(world, page):
    """Append an entry to the process's ``pages``."""
    state = world.state[0]
    world.pages[state.nr_pages] = page
    state.nr_pages += 1


@kernel(inline=True)
def page_node(world, i):
    """The node where the i-th page of the process lies now."""
    page = world.pages[i]
    return (world.held[0, page >> PAGEBLOCK_ORDER] >> 4) + (page & (PAGEBLOCK_NR_PAGES - 1))


@kernel
def fill_region(world, nr_pages, huge):
    """Map and write ``nr_pages`` pages; return the number mapped."""
    first = world.state[0].nr_pages
    left = nr_pages
    while left > 0:
        piece = min(left, PAGEBLOCK_NR_PAGES)
        if not map_piece(world, piece, huge):
            break
        left -= piece
    for i in range(first, world.state[0].nr_pages):
        write_page(world, page_node(world, i))
    return world.state[0].nr_pages - first


@kernel
def forget_process(world):
    """Give back all blocks of a process that leaves."""
    unmap_blocks(world, 0, world.cpu[0].nr_blocks)
    world.cpu[0].nr_blocks = 0
    world.state[0].nr_pages = 0


@kernel
def give_back_pieces(world, pieces, chunk):
    """Give back pieces of ``chunk`` pages, in this order, from a region of single pages."""
    for piece in pieces:
        for i in range(piece * chunk, (piece + 1) * chunk):
            slot = world.pages[i] >> PAGEBLOCK_ORDER
            unmap_blocks(world, slot, slot + 1)


@contextmanager
def freed_blocks_cleared(world, policy):
    """With init_on_free=1, clear the blocks that a policy allocated and frees in this context."""
    if not (policy.allocates and world.state[0].init_on_free):
        yield
        return
    memory, frame = world.memory, world.memory.frame
    held = np.sort(list_nodes(memory, user_node(memory, policy.user, USER_LIST)))
    orders = frame[held] & ORDER_MASK
    yield
    freed = frame[held] & ISOLATED == 0
    for node, order in zip(held[freed].tolist(), orders[freed].tolist()):
        pages_freed(world, node, order)
