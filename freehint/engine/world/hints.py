"""The fate of every hint, page by page."""

from freehint.engine.world.violations import note_reuse
from freehint.jit import kernel
from freehint.mm.memory import BUDDY, ISOLATED, NR_USERS, frame_order

# Bits of World.fate.  Except for HOST_HAS, STALE and REUSED, user u's bit is shifted left u times.
# LOST_THIS_WALK is that of the first page of a block, and only for policies that allocate.
HOST_HAS = 1
IN_FLIGHT = 1 << 1
FREE_THROUGHOUT = IN_FLIGHT << NR_USERS
HINTED_THIS_WALK = FREE_THROUGHOUT << NR_USERS
IN_ANY_FLIGHT = IN_FLIGHT * ((1 << NR_USERS) - 1)
FATE_BITS = 0xFFFF  # ~ would leave uint16 where kernels run as plain Python
STALE = HINTED_THIS_WALK << NR_USERS  # the page was allocated while a ring had a hint for it
REUSED = STALE << 1  # the page was allocated after the host had used a hint for it
LOST_THIS_WALK = REUSED << 1  # shifted by the user too: its block was offered in vain


@kernel(inline=True)
def is_free_block(frame):
    """Is a block free or held for the host, so that no one uses its pages?"""
    return frame & (BUDDY | ISOLATED) != 0


@kernel
def mark_free_pages(world, user):
    """As a walk begins, mark every free page, and forget the marks of the user's last walk."""
    memory = world.memory
    free = FREE_THROUGHOUT << user
    for page in range(memory.nr_pages):
        world.fate[page] &= FATE_BITS ^ (free | (HINTED_THIS_WALK | LOST_THIS_WALK) << user)
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame):
            for page in range(node, node + (1 << frame_order(frame))):
                world.fate[page] |= free


@kernel
def count_covered(world, user, min_order):
    """Count, as a walk ends, the pages that were free throughout the walk.

    Pages in free blocks below ``min_order`` do not count.

    Returns
    -------
    walkable, hinted : int
        Pages that were free throughout; those among them that were hinted in this walk.
    """
    memory = world.memory
    walkable = hinted = 0
    for node in range(memory.nr_pages):
        frame = memory.frame[node]
        if is_free_block(frame) and frame_order(frame) >= min_order:
            for page in range(node, node + (1 << frame_order(frame))):
                if world.fate[page] & FREE_THROUGHOUT << user:
                    walkable += 1
                    if world.fate[page] & HINTED_THIS_WALK << user:
                        hinted += 1
    return walkable, hinted


@kernel(inline=True)
def pages_allocated(world, node, order):
    """Note the allocation of pages: their hints in flight are now stale, used hints are reused."""
    if world.user.shape[0] == 0:  # nobody hints, so no fate is read
        return
    behind = node + (1 << order)
    # Most pages were never hinted, and a huge page's fates are read many at a time.
    marks = world.fate[node]
    for page in range(node + 1, behind):
        marks |= world.fate[page]
    if marks:
        hints_ended(world, node, behind)


@kernel(cold=True)
def hints_ended(world, node, behind):
    """End the hints of pages that are allocated, up to but not including ``behind``."""
    for page in range(node, behind):
        bits = world.fate[page]
        if bits:
            if bits & IN_ANY_FLIGHT:
                world.tally[0].stale += 1
                if bits & world.state[0].reporting:
                    note_reuse(world, page, bits, IN_FLIGHT)
            if bits & (IN_ANY_FLIGHT | HOST_HAS):
                world.tally[0].reused += 1
            if bits & IN_ANY_FLIGHT:
                world.fate[page] = STALE
            else:
                world.fate[page] = REUSED if bits & HOST_HAS else 0


@kernel(inline=True)
def pages_hinted(world, user, node, order):
    """Note that the user's ring took a hint for these pages."""
    mine = (IN_FLIGHT | HINTED_THIS_WALK) << user
    for page in range(node, node + (1 << order)):
        bits = world.fate[page]
        if not bits & (IN_ANY_FLIGHT | HOST_HAS):
            world.tally[0].first_hinted += 1
        world.fate[page] = bits & (FATE_BITS ^ (STALE | REUSED)) | mine


@kernel(inline=True)
def pages_used(world, user, node, order):
    """Note that the host used a buffer.  Pages that were allocated meanwhile are left out."""
    mine = IN_FLIGHT << user
    for page in range(node, node + (1 << order)):
        bits = world.fate[page]
        if bits & mine:
            world.fate[page] = bits & (FATE_BITS ^ mine) | HOST_HAS
