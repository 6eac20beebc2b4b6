"""The bug "clear_without_mutex": the sender clears its chunk of the log some time after it looked.

clear_chunk() looks whether the chunk is still to be cleared, and clears what the last sync saw.
Under bitmap_mutex no hint comes between.  Without it, one may: the chunk does not look as if it
were to be cleared, the hint is used, the guest writes a page of the block, and the sender clears
that write.  The oracle's model had the race first.

Source: migration_clear_memory_region_dirty_bitmap() of QEMU's migration/ram.c tests and clears the
chunk's bit, and then asks KVM to clear its log.
"""

import numpy as np

from freehint.engine.world.dirty import SHIFT
from freehint.jit import kernel
from freehint.safety.bugs import CLEAR_WITHOUT_MUTEX
from freehint.safety.guest import BUG, PHASE, PRECOPY, SENDER_SAW


@kernel(inline=True)
def look_at_chunk(guest, page):
    """With the bug, note what is to be cleared; the chunk counts as cleared from now on."""
    dirty = guest.world.dirty
    shift = dirty.rule[SHIFT]
    chunk = page >> shift
    if guest.rule[BUG] != CLEAR_WITHOUT_MUTEX or guest.own[PHASE] != PRECOPY:
        return
    if dirty.unclear[chunk]:
        pages = ((1 << (1 << shift)) - 1) << (chunk << shift)
        guest.own[SENDER_SAW] = 1 + (int(dirty.seen[0]) & pages)
        dirty.unclear[chunk] = False


@kernel(inline=True)
def clear_what_it_saw(guest):
    """Clear the log, if the sender has still to do so.

    Returns
    -------
    bool
        Whether it had.
    """
    saw = guest.own[SENDER_SAW]
    if saw > 0:
        guest.world.dirty.log[0] &= ~np.uint64(saw - 1)
        guest.own[SENDER_SAW] = 0
    return saw > 0
