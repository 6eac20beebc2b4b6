"""Dirty bitmaps of a migration: the pages that QEMU has to send, and the hypervisor's log.

Each bitmap has one bit per page frame, in uint64 words.  ``B`` is QEMU's bitmap of the pages to
send.  ``K`` is the log: a bit is set if the page was written since the bit was last cleared.  A
*sync* adds K to B.  Three generations differ in when K is cleared (docs/model.md)::

    G1   K is cleared at the sync; a write after it sets K anew.  A hint clears B.
    G2   K is cleared later, a chunk of 2^18 pages at a time, just before the first page of a
         chunk is sent, and only in bits that the sync saw (S).  A hint clears B alone.  K keeps
         the page's bit, so the page is sent after the next sync and the hint was useless; but if
         another page of the chunk is sent before that sync, K's bit goes too.  Then the hint
         counts, and if the guest has written the page again before that, the write is lost, even
         if it came after the hint was used.
    G3   As G2, but a hint first clears all chunks of its range.  If the sync saw a page dirty and
         the guest writes it again before its chunk is cleared, a hint that comes after the write
         loses the write.

Source: migration/ram.c of QEMU 4.1 and 6.1, qemu_guest_free_page_hint(),
migration_clear_memory_region_dirty_bitmap_range(); commits 9f4bf4baa8b8
(only bits that the sync saw), 3143577d6a (hints and clear_bmap).
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.jit.apart import NOTHING
from freehint.mm.bitmap import ONE, bits_from, clear_bits, popcount, set_bit, set_bits

G1, G2, G3 = range(3)
WORD_SHIFT = 6  # 64 pages; QEMU's chunks are no smaller, those of freehint/safety may be
CHUNK_SHIFT = 18  # CLEAR_BITMAP_SHIFT_DEFAULT: 2^18 pages, 1 GiB


class DirtyLog(NamedTuple):
    """Bitmaps of ``W = nr_pages / 64`` words; ``W`` is 0 in a run without migration.

    bitmap : uint64[W]     B
    log : uint64[W]        K
    seen : uint64[W]       S, K as the last sync saw it
    unclear : bool[chunks] whether the chunk's bits of K are still to be cleared
    rule : int64[3]        generation; chunk shift; 1 if the guest's writes are logged
    """

    bitmap: np.ndarray
    log: np.ndarray
    seen: np.ndarray
    unclear: np.ndarray
    rule: np.ndarray


GENERATION, SHIFT, LOGGING = range(3)


def new_dirty_log(nr_pages: int, generation: int = G3, chunk_shift: int = CHUNK_SHIFT) -> DirtyLog:
    """Empty bitmaps."""
    words = nr_pages // 64
    return DirtyLog(
        bitmap=np.zeros(words, np.uint64),
        log=np.zeros(words, np.uint64),
        seen=np.zeros(words, np.uint64),
        unclear=np.zeros((nr_pages >> chunk_shift) + 1, np.bool_),
        rule=np.array([generation, chunk_shift, 0], np.int64),
    )


@kernel(inline=True)
def log_write(dirty, page):
    """Log that the guest wrote a page."""
    if dirty.rule[LOGGING]:
        set_bit(dirty.log, page)


@kernel(inline=True)
def log_writes(dirty, first, behind):
    """Log that the guest wrote the pages from ``first`` up to but not including ``behind``."""
    if dirty.rule[LOGGING]:
        set_bits(dirty.log, first, behind)


@kernel(cold=True, late=NOTHING)
def clear_chunk(dirty, page):
    """Clear K for the chunk around a page, but only what the last sync saw.

    Source: migration_clear_memory_region_dirty_bitmap().
    """
    shift = dirty.rule[SHIFT]
    chunk = page >> shift
    if not dirty.unclear[chunk]:
        return
    dirty.unclear[chunk] = False
    first = (chunk << shift) >> 6
    if shift < WORD_SHIFT:
        bits = ((ONE << np.uint64(1 << shift)) - ONE) << np.uint64((chunk << shift) & 63)
        dirty.log[first] &= ~(dirty.seen[first] & bits)
        return
    last = min(((chunk + 1) << shift) >> 6, dirty.log.shape[0])
    for word in range(first, last):
        dirty.log[word] &= ~dirty.seen[word]


@kernel
def sync_bitmap(dirty):
    """Add K to B.

    One pass over the words also counts; four passes of numpy would take four times as long.
    Source: ramblock_sync_dirty_bitmap(), cpu_physical_memory_sync_dirty_bitmap().

    Returns
    -------
    new, left : int
        Pages that were not in B before; pages that are in B now.
    """
    new = left = 0
    lazy = dirty.rule[GENERATION] != G1
    for word in range(dirty.log.shape[0]):
        logged, before = dirty.log[word], dirty.bitmap[word]
        new += popcount(logged & ~before)
        left += popcount(logged | before)
        dirty.bitmap[word] = logged | before
        dirty.seen[word] = logged
        if not lazy:
            dirty.log[word] = 0
    if lazy:
        dirty.unclear[:] = True
    return new, left


@kernel
def clear_hinted(dirty, node, order):
    """Take a hinted block out of B, and return the number of pages that were in B.

    Source: qemu_guest_free_page_hint().
    """
    behind = node + (1 << order)
    if dirty.rule[GENERATION] == G3:
        shift = dirty.rule[SHIFT]
        for chunk in range(node >> shift, ((behind - 1) >> shift) + 1):
            clear_chunk(dirty, chunk << shift)
    return clear_bits(dirty.bitmap, node, behind)


@kernel(inline=True)
def next_dirty(dirty, page):
    """The first page from ``page`` on that is to be sent, or -1."""
    words = dirty.bitmap
    word = page >> 6
    if word >= words.shape[0]:
        return -1
    bits = words[word] & bits_from(page)
    while bits == 0:
        word += 1
        if word == words.shape[0]:
            return -1
        bits = words[word]
    return word * 64 + popcount((bits & (~bits + ONE)) - ONE)
