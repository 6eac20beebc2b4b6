"""What the recorded guests did: fill, dirty, churn, frag, through the real allocator.

The first part of a program runs before time begins (:func:`prepare`), the last one event by event.
A process touches its pages in order; the first touch of a 2 MiB piece is a huge page where those
are on and one is free, else a page at a time; each 2 MiB takes a page table page too.  Pages come
zeroed and are then written; leaving gives all back, in order of addresses.

Source: the load programs as data/README.md describes them; do_anonymous_page() and
do_huge_pmd_anonymous_page() of mm/, Linux 6.1.
"""

from dataclasses import dataclass

import numpy as np

from freehint.config import InputError, one_of, require, whole
from freehint.data import DEFAULT_MEMORY
from freehint.jit import kernel
from freehint.mm.memory import (
    BUDDY,
    MOVABLE,
    ORDER_MASK,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    PCP,
    UNMOVABLE,
    Memory,
)
from freehint.mm.zone import alloc_pages, free_pages, mark_lru
from freehint.units import NS_PER_MS, NS_PER_S
from freehint.world import (
    STRUCTURES_SHIFT,
    ask_to_shrink,
    pages_allocated,
    schedule,
    write_block,
    write_page,
    write_page_structure,
)

PAGES_PER_MIB = 256
IDLE, DIRTY, CHURN = range(3)  # what goes on while time passes
STATES = ("idle", "freed", "dirty", "churn", "frag")
BACKGROUND_NS = 100 * NS_PER_MS
FREED = -1  # an entry of ``held`` that was given back
SMALLEST_PIECE, LARGEST_PIECE = 64, 4096  # churn: 256 KiB .. 16 MiB


@dataclass(frozen=True)
class Program:
    """A guest of one CPU that runs one of the recorded loads; in place of a Workload.

    Attributes
    ----------
    state : str
        "idle"; "freed": fill ``fill_MiB`` and leave; "dirty": the same, then rewrite a word in
        each of ``dirty_MiB``'s pages at ``rate_MiBps``; "churn": the same, then map, fill and
        unmap pieces of 256 KiB to 16 MiB at that rate, ``dirty_MiB`` alive; "frag": fill, then
        fill ``frag_MiB`` page by page and give back ``frag_percent`` of its pieces of
        ``frag_chunk`` pages in random order.
    fill_MiB, dirty_MiB, rate_MiBps, frag_MiB, frag_percent, frag_chunk : int
        See above.
    huge_pages : bool
        transparent_hugepage=always, Debian's default.
    footprint_pages : int
        Pages with content at boot; 0: those in use and those on pcp lists.
    background_pages : int
        Pages that the idle kernel writes again every 100 ms: about 100 a sync were recorded
        (idle guests, FINDINGS 5).
    """

    state: str = "idle"
    fill_MiB: int = 0
    dirty_MiB: int = 0
    rate_MiBps: float = 0.0
    frag_MiB: int = 620
    frag_percent: int = 70
    frag_chunk: int = 64
    huge_pages: bool = True
    footprint_pages: int = 0
    background_pages: int = 100

    nr_cpus = 1
    keeps_content = True
    default_memory = DEFAULT_MEMORY

    def __post_init__(self):
        one_of("workload.state", self.state, STATES)
        for name in ("fill_MiB", "dirty_MiB", "frag_MiB", "footprint_pages", "background_pages"):
            whole(f"workload.{name}", getattr(self, name), 0)
        whole("workload.frag_percent", self.frag_percent, 0, 100)
        whole("workload.frag_chunk", self.frag_chunk, 1)
        rate = self.rate_MiBps
        good = isinstance(rate, int | float) and not isinstance(rate, bool) and rate >= 0
        require(good, "workload.rate_MiBps", "be a number >= 0", rate)
        if self.state in ("dirty", "churn"):
            require(rate > 0, "workload.rate_MiBps", f"be above 0 for {self.state!r}", rate)
            whole("workload.dirty_MiB", self.dirty_MiB, 1)
        good = isinstance(self.huge_pages, bool)
        require(good, "workload.huge_pages", "be true or false", self.huge_pages)

    @property
    def goes_on(self) -> int:
        """IDLE, DIRTY or CHURN."""
        return {"dirty": DIRTY, "churn": CHURN}.get(self.state, IDLE)

    @property
    def page_ns(self) -> int:
        """From one page touched to the next."""
        return round(NS_PER_S / (self.rate_MiBps * PAGES_PER_MIB)) if self.rate_MiBps else 0

    def input_files(self) -> tuple:
        """Files that it was made of."""
        return ()

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """Fields of the World that are the guest's own."""
        pages = (self.fill_MiB + self.dirty_MiB + self.frag_MiB) * PAGES_PER_MIB
        churned = duration_ns // self.page_ns if self.state == "churn" else 0
        room = 2 * pages + 2 * churned + 4096
        return {
            "held": np.zeros((1, room), np.int64),
            "pages": np.zeros(room, np.int64),
            "pieces": np.zeros((4096, 3), np.int64),
            "background": np.zeros(self.background_pages, np.int64),
            "mem_map": np.zeros(memory.nr_pages >> STRUCTURES_SHIFT, np.int64),
        }

    def begin(self, world, stream) -> None:
        """Run what lies before time 0, and schedule the rest.

        Raises
        ------
        InputError
            The guest is too small for it.
        """
        prepare(world, self, stream)
        schedule(world, 0, 0)


@kernel(cold=True)
def map_block(world, order, migratetype):
    """Allocate a block for the process, cleared; its place in ``held``, or -1."""
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
    """Give back what stands at these places of ``held``, in their order.

    Data pages go first and page tables last, as they stand.
    """
    for slot in range(first, behind):
        block = world.held[0, slot]
        if block != FREED:
            write_page_structure(world, block >> 4)
            free_pages(world.memory, block >> 4, 0, block & 0xF, world.state[0].locked_zones)
            world.held[0, slot] = FREED
            world.tally[0].frees += 1


@kernel
def map_piece(world, nr_pages, huge):
    """Map up to 2 MiB: a huge page, or pages; then its page table.  False: out of memory.

    Each page is a row of ``pages``: its place in ``held`` << 9 | page within the block.
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
    """One more page of the process."""
    state = world.state[0]
    world.pages[state.nr_pages] = page
    state.nr_pages += 1


@kernel(inline=True)
def page_node(world, i):
    """Where the i-th page of the process lies now."""
    page = world.pages[i]
    return (world.held[0, page >> PAGEBLOCK_ORDER] >> 4) + (page & (PAGEBLOCK_NR_PAGES - 1))


@kernel
def fill_region(world, nr_pages, huge):
    """Map and write ``nr_pages``; pages got."""
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
    """The process leaves: everything it holds goes back."""
    unmap_blocks(world, 0, world.cpu[0].nr_blocks)
    world.cpu[0].nr_blocks = 0
    world.state[0].nr_pages = 0


@kernel
def give_back_pieces(world, pieces, chunk):
    """Give back these pieces of ``chunk`` pages of a region of single pages, in this order."""
    for piece in pieces:
        for i in range(piece * chunk, (piece + 1) * chunk):
            slot = world.pages[i] >> PAGEBLOCK_ORDER
            unmap_blocks(world, slot, slot + 1)


def boot_content(world, footprint: int) -> None:
    """Give pages content as after boot: in use, on pcp lists, then in the smallest free blocks."""
    rank = np.zeros(world.memory.nr_pages, np.int64)
    for node in np.flatnonzero(world.memory.frame & (BUDDY | PCP)):
        frame = int(world.memory.frame[node])
        order = frame & ORDER_MASK
        rank[node : node + (1 << order)] = 1 if frame & PCP else 2 + order
    pages = np.argsort(rank, kind="stable")
    most = footprint or int((rank <= 1).sum())
    world.version[pages[:most]] = np.arange(1, most + 1)
    world.migration[0].stamp = most


def prepare(world, program: Program, stream) -> None:
    """Run the part of a program that lies before time 0."""
    boot_content(world, program.footprint_pages)
    place_mem_map(world)
    world.state[0].program = 1 + program.goes_on
    world.state[0].page_ns = program.page_ns
    world.state[0].huge_pages = program.huge_pages
    if program.state != "idle":
        _fill(world, program.fill_MiB, program.huge_pages)
        forget_process(world)
    if program.state == "frag":
        _fill(world, program.frag_MiB, False)
        pieces = program.frag_MiB * PAGES_PER_MIB // program.frag_chunk
        back = stream.permutation(pieces)[: pieces * program.frag_percent // 100]
        give_back_pieces(world, back, program.frag_chunk)
    elif program.state == "dirty":
        _fill(world, program.dirty_MiB, program.huge_pages)
    elif program.state == "churn":
        world.state[0].live_pages = program.dirty_MiB * PAGES_PER_MIB
    world.tally[0].allocations = world.tally[0].frees = 0  # those were before time 0
    used = np.flatnonzero(world.version)[: program.background_pages]
    world.background[: len(used)] = used
    world.state[0].nr_background = len(used)


def place_mem_map(world) -> None:
    """The array of page structures lies in used pages; no recording tells which: the last."""
    used = np.ones(world.memory.nr_pages, np.bool_)
    for node in np.flatnonzero(world.memory.frame & (BUDDY | PCP)):
        used[node : node + (1 << (int(world.memory.frame[node]) & ORDER_MASK))] = False
    pages = np.flatnonzero(used)[-len(world.mem_map) :]
    if len(pages) == len(world.mem_map):
        world.mem_map[:] = pages
        world.state[0].has_mem_map = 1


def _fill(world, mib: int, huge: bool) -> None:
    got = fill_region(world, mib * PAGES_PER_MIB, huge)
    if got < mib * PAGES_PER_MIB:
        raise InputError(f"workload: the guest has no {mib} MiB to fill, only {got} pages")


@kernel
def begin_piece(world, word):
    """churn: draw the next piece's size; the oldest go until it fits."""
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
    """churn: map what comes next of the piece, a huge page or a page; False: out of memory."""
    state = world.state[0]
    state.nr_pages = state.next_page = 0
    slot, size = -1, 1
    if state.huge_pages and state.piece_left >= PAGEBLOCK_NR_PAGES:
        slot, size = map_block(world, PAGEBLOCK_ORDER, MOVABLE), PAGEBLOCK_NR_PAGES
    if slot < 0:
        slot, size = map_block(world, 0, MOVABLE), 1
    if slot < 0:
        return False
    for i in range(size):
        append_page(world, (slot << PAGEBLOCK_ORDER) | i)
    if state.piece_left % PAGEBLOCK_NR_PAGES == 0:
        map_block(world, 0, UNMOVABLE)
    state.piece_left -= size
    world.pieces[(state.nr_pieces - 1) % world.pieces.shape[0], 1] = world.cpu[0].nr_blocks
    return True


@kernel
def churn_page(world, word):
    """churn: write the next page, mapped as it is touched; False: it waits for memory."""
    state = world.state[0]
    if state.next_page == state.nr_pages:
        if state.piece_left == 0:
            begin_piece(world, word)
        if not map_next(world):
            return not ask_to_shrink(world, 0)
    write_page(world, page_node(world, state.next_page))
    state.next_page += 1
    return True


@kernel(cold=True)
def program_event(world, word, now_ns):
    """The next page that the process touches, or the idle kernel's own; when the next is due.

    -1: the process sleeps until somebody gives memory back.
    """
    state = world.state[0]
    kind = state.program - 1
    if now_ns >= state.background_at:
        for i in range(state.nr_background):
            write_page(world, world.background[i])
        state.background_at = now_ns + BACKGROUND_NS
    elif kind == DIRTY:
        world.tally[0].writes += 1
        write_page(world, page_node(world, state.next_page))
        state.next_page = (state.next_page + 1) % max(state.nr_pages, 1)
        state.page_at = now_ns + state.page_ns
    elif kind == CHURN:
        if not churn_page(world, word):
            return -1
        state.page_at = now_ns + state.page_ns
    if kind == IDLE:
        return state.background_at
    return min(state.background_at, max(state.page_at, now_ns))
