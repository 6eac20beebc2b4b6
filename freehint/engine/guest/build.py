"""build: compilers, several alive at a time, and a page cache that takes what they write.

Each compiler maps and writes pages until it has its size, which is drawn from an exponential
distribution; then it writes its output to the page cache, leaves, and the next one begins.
The compilers take turns of a pcp batch, because each of their CPUs would take so many pages from
the buddy lists at once.  If memory is short, the oldest pages of the cache are given back first;
kswapd is not modelled.  When all is built, the output is removed after a rest ("make clean"), and
after another one the cache of the sources is dropped.

Source: what luhsra/hyperalloc-bench runs (compiling/), and a kernel's "make -j4".  The
distribution is assumed.
"""

import math

from freehint.engine.guest.mapping import FREED, map_block, unmap_blocks
from freehint.engine.guest.page_cache import PAGES_PER_SLAB
from freehint.engine.world.clock import ask_to_shrink
from freehint.engine.world.content import write_block
from freehint.jit import kernel
from freehint.mm.memory import (
    CALLED,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    RECLAIMABLE,
    UNMOVABLE,
)

MOST_PROCESSES = 1024
TURN_PAGES = 63  # a pcp batch
LARGEST, SMALLEST = 8, 8  # times the mean, and its part
RECLAIMED = 32  # blocks of the cache given back at once
# Columns of World.pieces, a row for each compiler: places of ``held`` in use, pages left to touch.
N_BLOCKS, N_LEFT = range(2)
# Entries of World.pages, which a build does not need for pages.
UNITS, BEGUN, ROOM, FIRST, CACHE_ROOM, OUTPUT, CACHED, NUMBERS = range(8)
BUILDING, BUILT, CLEANED, DROPPED = range(4)  # State.piece_left


def places_of(mean_pages: int) -> int:
    """Places in ``held`` that a compiler needs: its pages, page tables, and some more."""
    return LARGEST * mean_pages + LARGEST * mean_pages // PAGEBLOCK_NR_PAGES + 2


@kernel
def begin_compiler(world, at, word):
    """Draw the size of the next compiler; without one left to begin, there is none."""
    state, numbers = world.state[0], world.pages
    world.pieces[at, N_BLOCKS] = world.pieces[at, N_LEFT] = 0
    if numbers[UNITS] > 0 and numbers[BEGUN] >= numbers[UNITS]:
        return
    numbers[BEGUN] += 1
    part = (((word >> 8) & 0xFFFFFF) + 1) / (1 << 24)
    pages = int(-math.log(part) * state.live_pages)
    least, most = state.live_pages // SMALLEST + 1, LARGEST * state.live_pages
    world.pieces[at, N_LEFT] = min(max(pages, least), most)


@kernel
def map_at(world, place, order, migratetype):
    """Allocate a block for a place of ``held``; give back old cache first if there is none."""
    while True:
        world.cpu[0].nr_blocks = place
        if map_block(world, order, migratetype) >= 0:
            return True
        if order > 0 or world.memory.notify[CALLED] != 0 or not give_back_cache(world, RECLAIMED):
            return False


@kernel
def give_back_cache(world, wanted):
    """Give back up to ``wanted`` of the oldest blocks of the cache; return how many."""
    state, numbers, given = world.state[0], world.pages, 0
    while given < wanted and state.oldest < numbers[CACHED]:
        place = numbers[FIRST] + state.oldest % numbers[CACHE_ROOM]
        if world.held[0, place] != FREED:
            unmap_blocks(world, place, place + 1)
            given += 1
        state.oldest += 1
    return given


@kernel
def cache_block(world, migratetype):
    """Add a written page to the cache, which is a ring; return False if there is no memory."""
    state, numbers = world.state[0], world.pages
    if numbers[CACHED] - state.oldest >= numbers[CACHE_ROOM]:
        give_back_cache(world, RECLAIMED)
    place = numbers[FIRST] + numbers[CACHED] % numbers[CACHE_ROOM]
    world.held[0, place] = FREED
    if not map_at(world, place, 0, migratetype):
        return False
    write_block(world, world.held[0, place] >> 4, 0, False)
    numbers[CACHED] += 1
    return True


@kernel
def cache_pages(world, pages):
    """Cache so many pages of files, with their slab pages; return how many there was room for."""
    for page in range(pages):
        if not cache_block(world, MOVABLE):
            return page
        if page % PAGES_PER_SLAB == 0 and not cache_block(world, RECLAIMABLE):
            return page
    return pages


@kernel
def touch_next(world, at):
    """Map and write a compiler's next page, or huge page; return the pages, 0 without memory."""
    state, pieces = world.state[0], world.pieces
    first = at * world.pages[ROOM]
    size = 1
    if pieces[at, N_LEFT] % PAGEBLOCK_NR_PAGES == 0:
        if not map_at(world, first + pieces[at, N_BLOCKS], 0, UNMOVABLE):
            return 0
        pieces[at, N_BLOCKS] += 1
        huge = state.huge_pages and pieces[at, N_LEFT] >= PAGEBLOCK_NR_PAGES
        if huge and map_at(world, first + pieces[at, N_BLOCKS], PAGEBLOCK_ORDER, MOVABLE):
            size = PAGEBLOCK_NR_PAGES
    if size == 1 and not map_at(world, first + pieces[at, N_BLOCKS], 0, MOVABLE):
        return 0
    block = world.held[0, first + pieces[at, N_BLOCKS]]
    write_block(world, block >> 4, block & 0xF, False)
    pieces[at, N_BLOCKS] += 1
    pieces[at, N_LEFT] -= size
    world.tally[0].writes += size
    return size


@kernel
def leave(world, at, word):
    """Give back all that a compiler has mapped, and let the next begin in its place."""
    first = at * world.pages[ROOM]
    unmap_blocks(world, first, first + world.pieces[at, N_BLOCKS])
    begin_compiler(world, at, word)


@kernel
def next_compiler(world):
    """Give the next compiler that has pages to touch a turn; return False if none has."""
    state = world.state[0]
    for _ in range(state.alive):
        state.first_piece = (state.first_piece + 1) % state.alive
        if world.pieces[state.first_piece, N_LEFT] > 0:
            state.next_page = TURN_PAGES
            return True
    return False


@kernel
def build_step(world, word, now_ns):
    """The next page of a build.

    Returns
    -------
    int
        When it goes on, in ns; -1 if it has to wait for memory.
    """
    state = world.state[0]
    if state.piece_left != BUILDING:
        return clean_step(world, now_ns)
    at = state.first_piece
    if state.next_page <= 0 or world.pieces[at, N_LEFT] == 0:
        if not next_compiler(world):
            state.piece_left = BUILT
            return now_ns + state.rest_ns
        at = state.first_piece
    pages = touch_next(world, at)
    if pages == 0:
        if ask_to_shrink(world, 0):
            return -1
        world.tally[0].failed_allocations += 1
        leave(world, at, word)  # as the OOM killer would end it
        return now_ns + state.page_ns
    state.next_page -= pages
    if world.pieces[at, N_LEFT] == 0:
        pages += cache_pages(world, world.pages[OUTPUT])
        leave(world, at, word)
    return now_ns + pages * state.page_ns


@kernel
def clean_step(world, now_ns):
    """After the build: remove the output, rest, drop what is cached of the sources."""
    state, numbers = world.state[0], world.pages
    if state.piece_left == BUILT:
        # Sources were cached first; what reclaim left of them stays.
        keep = max(state.nr_pieces, state.oldest)
        for one in range(keep, numbers[CACHED]):
            place = numbers[FIRST] + one % numbers[CACHE_ROOM]
            unmap_blocks(world, place, place + 1)
        state.piece_left = CLEANED
    elif state.piece_left == CLEANED:
        while give_back_cache(world, RECLAIMED) > 0:
            pass
        state.piece_left = DROPPED
    return now_ns + state.rest_ns


def begin_build(world, program, cached_pages: int, words) -> int:
    """Cache the sources, and begin the first compilers; return the pages cached."""
    state, numbers = world.state[0], world.pages
    state.live_pages = program.dirty_pages
    state.alive = program.processes
    numbers[UNITS], numbers[BEGUN] = program.units, 0
    numbers[ROOM] = places_of(program.dirty_pages)
    numbers[FIRST] = program.processes * numbers[ROOM]
    numbers[CACHE_ROOM] = world.held.shape[1] - numbers[FIRST] - 1
    numbers[CACHED] = 0
    got = cache_pages(world, cached_pages)
    state.nr_pieces = numbers[CACHED]
    numbers[OUTPUT] = program.output_KiB // 4
    for at in range(program.processes):
        begin_compiler(world, at, int(words[at]))
    state.piece_left = BUILDING
    return got
