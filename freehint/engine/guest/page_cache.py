"""cache: files are written, read and removed, and the page cache keeps as many pages as it can.

As in the recording ``cache`` (`wl_cache /mnt/w 9 24`, Linux 6.1), each round writes four files of
24, 12, 8 and 6 MiB; the first and third of them are removed again, and the others stay.  When no
zone is above its low watermark, the oldest pages are given back until one is above its high
watermark.  This replaces kswapd, which is not modelled: there is one list, in order of arrival,
and all its pages are clean.

Source: data/linux-6.1/traces/cache; pgdat_balanced() of mm/vmscan.c, Linux 6.1.
"""

import numpy as np

from freehint.engine.guest.mapping import FREED, map_block, map_owed, unmap_blocks
from freehint.engine.world.clock import ask_to_shrink
from freehint.engine.world.content import write_block
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE, RECLAIMABLE, WMARK_HIGH, WMARK_LOW
from freehint.mm.zone import highest_zone_of, zone_watermark_ok

FILE_PAGES = np.array([24, 12, 8, 6], np.int64) * 256
# Pages of the cache for one slab page with their buffer heads and the files' own objects: the
# recording has 133,115 MOVABLE and 2,898 RECLAIMABLE allocations of order 0.
PAGES_PER_SLAB = 46
SWAP_CLUSTER_MAX = 32  # pages reclaimed between two looks at the watermarks


@kernel
def balanced(world, mark):
    """Is any zone above ``mark``?  Source: pgdat_balanced()."""
    highest = highest_zone_of(MOVABLE)
    for zone in range(world.memory.zones.shape[0]):
        if zone_watermark_ok(world.memory, zone, 0, mark, 0, highest, 0):
            return True
    return False


@kernel
def give_back_oldest(world):
    """Give back up to a cluster of the oldest blocks; return the number given back."""
    state, given = world.state[0], 0
    while given < SWAP_CLUSTER_MAX and state.oldest < world.cpu[0].nr_blocks:
        if world.held[0, state.oldest] != FREED:
            unmap_blocks(world, state.oldest, state.oldest + 1)
            given += 1
        state.oldest += 1
    return given


@kernel
def reclaim(world):
    """If no zone is above its low watermark, give back old pages until one is above high."""
    if not balanced(world, WMARK_LOW):
        while not balanced(world, WMARK_HIGH) and give_back_oldest(world) > 0:
            pass


@kernel
def remove_file(world, number):
    """Give back at once the pages that are left of a file, its slab pages too."""
    file = number % world.pieces.shape[0]
    unmap_blocks(world, world.pieces[file, 0], world.pieces[file, 1])


@kernel
def begin_file(world):
    """Begin the next file.  After each fourth file, the first and third of the four are removed."""
    state = world.state[0]
    if state.nr_pieces > 0 and state.nr_pieces % len(FILE_PAGES) == 0:
        remove_file(world, state.nr_pieces - 4)
        remove_file(world, state.nr_pieces - 2)
    at = state.nr_pieces % world.pieces.shape[0]
    world.pieces[at, 0] = world.pieces[at, 1] = world.cpu[0].nr_blocks
    state.piece_left = FILE_PAGES[state.nr_pieces % len(FILE_PAGES)]
    state.nr_pieces += 1


@kernel
def map_written(world, migratetype):
    """Allocate a page and write it; return False if there is none."""
    slot = map_block(world, 0, migratetype)
    if slot < 0:
        return False
    write_block(world, world.held[0, slot] >> 4, 0, False)
    return True


@kernel
def cache_page(world):
    """Cache the next page of the file; return False if it has to wait for memory.

    If there is no memory even after the wait, the page is not cached.
    """
    state = world.state[0]
    if not map_owed(world):
        return False
    if state.piece_left == 0:
        begin_file(world)
    reclaim(world)
    if not map_written(world, MOVABLE):
        if ask_to_shrink(world, 0):
            return False
        world.tally[0].failed_allocations += 1
    state.piece_left -= 1
    if state.piece_left % PAGES_PER_SLAB == 0:
        state.owed = 1 + RECLAIMABLE
        map_owed(world)
    world.pieces[(state.nr_pieces - 1) % world.pieces.shape[0], 1] = world.cpu[0].nr_blocks
    return True


@kernel
def fill_cache(world, nr_pages):
    """Cache ``nr_pages`` pages before time begins."""
    for _ in range(nr_pages):
        cache_page(world)
