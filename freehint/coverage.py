"""What a walk could have reported, and what of it it did: page by page, in World.page."""

from freehint.jit import kernel
from freehint.mm.memory import BUDDY, ISOLATED, frame_order
from freehint.world import FREE_THROUGHOUT, HINTED_THIS_WALK, PAGE_BITS


@kernel(inline=True)
def is_free_block(frame):
    """Free, or held for the host: nobody's in either case."""
    return frame & (BUDDY | ISOLATED) != 0


@kernel
def mark_free_pages(world, user):
    """A walk begins: note every page on the free lists, forget the user's walk before."""
    memory = world.memory
    free = FREE_THROUGHOUT << user
    for page in range(memory.nr_pages):
        world.page[page] &= PAGE_BITS ^ (free | HINTED_THIS_WALK << user)
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame):
            for page in range(node, node + (1 << frame_order(frame))):
                world.page[page] |= free


@kernel
def count_covered(world, user, min_order):
    """A walk ends: pages free throughout, and how many of them were hinted in it.

    Pages of free blocks below ``min_order`` do not count; returns (walkable, hinted).
    """
    memory = world.memory
    walkable = hinted = 0
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame) and frame_order(frame) >= min_order:
            for page in range(node, node + (1 << frame_order(frame))):
                if world.page[page] & FREE_THROUGHOUT << user:
                    walkable += 1
                    if world.page[page] & HINTED_THIS_WALK << user:
                        hinted += 1
    return walkable, hinted
