"""The pages of a snapshot: which chunks are stored, why free memory is in them, their content."""

import numpy as np

from freehint.jit import kernel
from freehint.mm.bitmap import set_bit, test_bit
from freehint.mm.memory import BUDDY, ISOLATED, PAGEBLOCK_NR_PAGES, PCP, frame_order
from freehint.mm.pageblock import in_hole
from freehint.mm.reclaim.state import PG_SWAPBACKED
from freehint.units import NS_PER_S, PAGE_SIZE

NOTHING_ELIDED, UNBACKED, ZERO = range(3)
# Why a page is resident or stored.  The first two are in use; the others are stranded: free.
CAUSES = (
    "in use",
    "page cache",
    "on a pcp list",
    "free, below the policy's order",
    "free, not yet told",
    "held for the host",
    "absent or zero, in a chunk with others",
)
IN_USE, CACHE, ON_PCP, BELOW, NOT_TOLD, HELD, BESIDE = range(len(CAUSES))


@kernel
def has_memory(memory, first, size):
    """Does a chunk lie, if only in part, outside of holes?"""
    for node in range(first, min(first + size, memory.nr_pages), min(size, PAGEBLOCK_NR_PAGES)):
        if not in_hole(memory, node):
            return True
    return False


@kernel
def is_stored(world, first, size, elide):
    """Is a chunk to be stored?"""
    if elide == NOTHING_ELIDED:
        return has_memory(world.memory, first, size)
    stored = world.backing.stored  # what an earlier snapshot still holds is backed by it
    for page in range(first, min(first + size, world.memory.nr_pages)):
        if test_bit(world.present, page) or test_bit(stored, page):
            if elide == UNBACKED or world.version[page] != 0:
                return True
    return False


@kernel
def write_chunks(world, stored, shift, at, elide, until_ns, rate):
    """Write chunks from number ``at`` on, for ``until_ns``, or all if that is -1.

    Returns
    -------
    at, took_ns : int
        The next chunk; the time that was needed.
    """
    size, done = 1 << shift, 0
    most = until_ns * rate // (NS_PER_S * PAGE_SIZE) if until_ns >= 0 else world.memory.nr_pages
    while at < stored.shape[0] and (until_ns < 0 or done <= most):
        first = at << shift
        if is_stored(world, first, size, elide):
            stored[at] = True
            done += size
            for page in range(first, min(first + size, world.memory.nr_pages)):
                world.copy[page] = world.version[page]
        at += 1
    return at, done * PAGE_SIZE * NS_PER_S // rate


@kernel
def restore_content(world, stored, shift):
    """Let the guest's pages be those of the snapshot, none of them present yet."""
    backing = world.backing
    world.present[:] = 0
    backing.stored[:] = 0
    backing.lazy[:] = 0
    backing.late[:] = 0
    backing.whole[:] = 0
    for page in range(world.memory.nr_pages):
        if stored[page >> shift]:
            set_bit(backing.stored, page)
            world.version[page] = world.copy[page]
        else:
            world.version[page] = 0


@kernel
def cause_of(world, node, frame, min_order):
    """Why the pages of a free block, or one page in use, are there."""
    if frame & PCP:
        return ON_PCP
    if frame & BUDDY:
        return BELOW if frame_order(frame) < min_order else NOT_TOLD
    if frame & ISOLATED:
        return HELD
    reclaim = world.reclaim
    known = node < reclaim.slot.shape[0] and reclaim.slot[node] != 0
    return CACHE if known and reclaim.page[node] & PG_SWAPBACKED == 0 else IN_USE


@kernel(allocates=True)
def count_causes(world, stored, shift, min_order):
    """Count resident and stored pages by cause.

    Parameters
    ----------
    stored : bool[chunks]
    min_order : int
        The smallest order that the policy reports.

    Returns
    -------
    int64[7, 2]
        Resident pages and stored pages for each of CAUSES.
    """
    memory, counts = world.memory, np.zeros((7, 2), np.int64)
    node = 0
    while node < memory.nr_pages:
        frame = memory.frame[node]
        free = frame & (BUDDY | PCP | ISOLATED) != 0
        size = 1 << frame_order(frame) if free else 1
        cause = cause_of(world, node, frame, min_order)
        for page in range(node, min(node + size, memory.nr_pages)):
            present = test_bit(world.present, page)
            counts[cause, 0] += present
            if stored[page >> shift]:
                counts[cause if present and world.version[page] != 0 else BESIDE, 1] += 1
        node += size
    return counts


def chunks_with(pages: np.ndarray, shift: int) -> np.ndarray:
    """The bitmap of all pages whose chunk has a page of the bitmap ``pages``: uint64[words]."""
    if shift == 0:
        return pages
    bits = np.unpackbits(pages.view(np.uint8), bitorder="little")
    padded = np.zeros(-(-len(bits) >> shift) << shift, bool)
    padded[: len(bits)] = bits
    wide = np.repeat(padded.reshape(-1, 1 << shift).any(axis=1), 1 << shift)[: len(bits)]
    return np.packbits(wide, bitorder="little").view(np.uint64)
