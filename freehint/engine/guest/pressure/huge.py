"""Transparent huge pages: a fault tries an order-9 block, and else makes do with single pages.

Source: do_huge_pmd_anonymous_page(), vma_thp_gfp_mask() and zap_huge_pmd() of mm/huge_memory.c,
Linux 6.1.  khugepaged, which would collapse single pages later, is left out.
"""

from freehint.engine.guest.pressure.pages import (
    PLACES_PER_TABLE,
    free_node,
    get_kernel_block,
    note_block,
    note_stall,
    store_page,
)
from freehint.engine.guest.pressure.steps import FRAG, S_KIND, S_PAGES, S_PLACE
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, UNMOVABLE
from freehint.mm.reclaim.counts import THP_FAULT_ALLOC, THP_FAULT_FALLBACK
from freehint.mm.reclaim.lru import add_huge_page, forget_page
from freehint.mm.reclaim.slowpath import WAITS, alloc, alloc_no_reclaim
from freehint.mm.reclaim.state import PG_HUGE
from freehint.mm.zone import NO_PAGE, alloc_pages

DEFRAG_ALWAYS, DEFRAG_DEFER = range(2)  # positions in THP_DEFRAG
ALIGNED_FROM = 607  # mmap() gives large mappings an address of 2 MiB: before, both ends stand out
FALLBACK, AGAIN, HUGE = range(3)  # what became of a fault


@kernel
def may_be_huge(world, row, at):
    """Does a fault at page ``at`` of a mapping try a huge page?

    Not if its page table is there, and not in what "frag" maps (MADV_NOHUGEPAGE).
    Source: __handle_mm_fault(), transhuge_vma_suitable().
    """
    place = row[S_PLACE] + at
    if not world.jobs.state[0].huge_pages or row[S_KIND] == FRAG or place % PAGEBLOCK_NR_PAGES:
        return False
    lost = PAGEBLOCK_NR_PAGES if world.memory.profile.release < ALIGNED_FROM else 0
    room = at + PAGEBLOCK_NR_PAGES + lost <= row[S_PAGES]
    return room and world.jobs.table[place // PLACES_PER_TABLE] == 0


@kernel(cold=True)
def alloc_huge(world):
    """An order-9 block, by the GFP flags that thp_defrag stands for.

    Source: vma_thp_gfp_mask().
    """
    memory, reclaim = world.memory, world.reclaim
    defrag = world.jobs.state[0].thp_defrag
    if defrag == DEFRAG_ALWAYS:
        return alloc(memory, reclaim, 0, PAGEBLOCK_ORDER, MOVABLE, 0)
    if defrag == DEFRAG_DEFER:
        return alloc_no_reclaim(memory, reclaim, 0, PAGEBLOCK_ORDER, MOVABLE, 0)
    return alloc_pages(memory, 0, PAGEBLOCK_ORDER, MOVABLE, 0)


@kernel(cold=True)
def get_huge_page(world, place, now_ns):
    """Fault in 512 places as one page, and write them all; return HUGE, FALLBACK or AGAIN."""
    state = world.reclaim.node[0]
    node, zone, blocks = alloc_huge(world)
    note_stall(world, now_ns)
    if node == WAITS and state.nr_writeback == 0:
        state.retrying = state.waits = 0
        node = NO_PAGE
    if node == NO_PAGE:
        world.reclaim.count[THP_FAULT_FALLBACK] += 1
        return FALLBACK
    if node < 0:
        return AGAIN
    note_block(world, node, zone, PAGEBLOCK_ORDER, blocks, now_ns)
    table = get_kernel_block(world, 0, UNMOVABLE, now_ns)
    if table < 0:
        free_node(world, node, PAGEBLOCK_ORDER)
        return AGAIN
    world.jobs.table[place // PLACES_PER_TABLE] = 1 + (table >> 4)
    add_huge_page(world.memory, world.reclaim, node, place)
    for i in range(PAGEBLOCK_NR_PAGES):
        store_page(world, place + i, node + i)
    world.reclaim.count[THP_FAULT_ALLOC] += 1
    return HUGE


@kernel(cold=True)
def give_back_huge(world, place):
    """Free the huge page that begins at a place; False if there is none."""
    node = int(world.reclaim.place[place]) - 1
    if node < 0 or world.reclaim.page[node] & PG_HUGE == 0:
        return False
    world.jobs.content[place : place + PAGEBLOCK_NR_PAGES] = 0
    forget_page(world.memory, world.reclaim, node)
    free_node(world, node, PAGEBLOCK_ORDER)
    return True
