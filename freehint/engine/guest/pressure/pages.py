"""A job's pages: allocated through the slow path, priced, known to reclaim, and given back.

A round of direct reclaim inside of an allocation happens at once; then the job pays its time, and
may lose the CPU.  All rounds of an allocation are one stall, a row of the waits.
"""

from freehint.engine.guest.pressure.kcompactd import find_moved
from freehint.engine.world.clock import hold_lock
from freehint.engine.world.content import arrive, write_page, write_page_structure
from freehint.engine.world.dirty import log_write
from freehint.engine.world.hints import pages_allocated
from freehint.engine.world.jobs import L_ALLOCATIONS
from freehint.engine.world.records import WAIT_COMPACT, WAIT_RECLAIM
from freehint.jit import kernel
from freehint.mm.memory import MOVABLE, RECLAIMABLE, UNMOVABLE
from freehint.mm.reclaim.counts import (
    WORK_COMPACT_SCANNED,
    WORK_DEACTIVATED,
    WORK_MIGRATED,
    WORK_RECLAIMED,
    WORK_SCANNED,
    WORK_SKIPPED,
    WORK_SWAPPED,
    WORK_THROTTLED,
)
from freehint.mm.reclaim.lists import clear_bits
from freehint.mm.reclaim.lru import add_anon_page, add_file_page, forget_place, touch
from freehint.mm.reclaim.slowpath import alloc, alloc_no_reclaim
from freehint.mm.reclaim.state import PG_MAPPED, PTE_YOUNG
from freehint.mm.zone import free_pages

# Pages that are skipped because of their zone in the time in which one is scanned: 59,248 took
# 12 ms in linux-6.1/rc_cache.
SKIPPED_FOR_ONE = 5
PLACES_PER_TABLE = 512  # pages that one page table maps


@kernel(cold=True)
def price_reclaim(world):
    """Time in ns of the reclaim done since the last call, which is forgotten."""
    work, cost = world.reclaim.work, world.cost[0]
    spent = (
        work[WORK_SCANNED] * cost.scan_page_ns
        + work[WORK_SKIPPED] * cost.scan_page_ns // SKIPPED_FOR_ONE
        + work[WORK_DEACTIVATED] * cost.deactivate_page_ns
        + work[WORK_RECLAIMED] * cost.reclaim_page_ns
        + work[WORK_SWAPPED] * cost.swap_out_ns
        + work[WORK_THROTTLED] * cost.throttle_ns
    )
    work[:WORK_COMPACT_SCANNED] = 0
    return spent


@kernel(cold=True)
def price_compaction(world):
    """Time in ns of the compaction done since the last call, which is forgotten."""
    work, cost = world.reclaim.work, world.cost[0]
    spent = work[WORK_COMPACT_SCANNED] * cost.compact_scan_ns
    spent += work[WORK_MIGRATED] * cost.migrate_page_ns
    work[WORK_COMPACT_SCANNED] = work[WORK_MIGRATED] = 0
    return spent


@kernel(cold=True)
def note_stall(world, now_ns):
    """Add the time of reclaim and compaction inside of an allocation to the job's stall."""
    state = world.jobs.state[0]
    if state.stall_ns == 0:
        state.stall_from = now_ns
    find_moved(world)
    reclaim_ns, compact_ns = price_reclaim(world), price_compaction(world)
    if reclaim_ns + compact_ns > 0:
        state.stall_kind = WAIT_COMPACT if compact_ns > reclaim_ns else WAIT_RECLAIM
        state.stall_ns += reclaim_ns + compact_ns


@kernel(cold=True)
def get_block(world, order, migratetype, now_ns):
    """Allocate a block through the slow path; return its node, or -1 when memory is out."""
    node, zone, blocks = alloc(world.memory, world.reclaim, 0, order, migratetype, 0)
    note_stall(world, now_ns)
    if node >= 0:
        note_block(world, node, zone, order, blocks, now_ns)
    return node


@kernel(cold=True)
def note_block(world, node, zone, order, blocks, now_ns):
    """Count an allocation: its time under the zone lock, the fate of hints, the page structure."""
    if blocks > 0:
        hold_ns = blocks * world.cost[0].buddy_ns
        hold_lock(world, zone, now_ns, hold_ns)
        world.tally[0].lock_holds += 1
        world.tally[0].lock_held_ns += hold_ns
    pages_allocated(world, node, order)
    write_page_structure(world, node)
    world.tally[0].allocations += 1
    jobs = world.jobs
    jobs.log[min(jobs.state[0].step, jobs.log.shape[0] - 1), L_ALLOCATIONS] += 1


@kernel(cold=True)
def get_slab_block(world, order, now_ns):
    """Allocate and write a RECLAIMABLE block of a request that does not wait (GFP_NOWAIT).

    Returns
    -------
    int
        ``node << 4 | order``, or -1: the cache then goes without it.
    """
    node, zone, blocks = alloc_no_reclaim(world.memory, world.reclaim, 0, order, RECLAIMABLE, 0)
    if node < 0:
        return -1
    note_block(world, node, zone, order, blocks, now_ns)
    return written(world, node, order)


@kernel(cold=True)
def get_kernel_block(world, order, migratetype, now_ns):
    """Allocate and write a block that reclaim never sees; return ``node << 4 | order`` or -1."""
    node = get_block(world, order, migratetype, now_ns)
    return written(world, node, order) if node >= 0 else -1


@kernel
def written(world, node, order):
    """Write the pages of a block; return ``node << 4 | order``."""
    for page in range(node, node + (1 << order)):
        write_page(world, page)
    return node << 4 | order


@kernel(cold=True)
def free_node(world, node, order):
    """Give a block back to the allocator."""
    write_page_structure(world, node)
    free_pages(world.memory, node, 0, order, 0)
    world.tally[0].frees += 1


@kernel
def free_kernel_block(world, block):
    """Give back a block of :func:`get_kernel_block`."""
    free_node(world, block >> 4, block & 0xF)


@kernel(cold=True)
def load_page(world, place, node):
    """Let the page have what its place holds, as after a read; a first read makes it up."""
    if world.jobs.content[place] == 0:
        store_page(world, place, node)
        return
    world.version[node] = world.jobs.content[place]
    log_write(world.dirty, node)
    arrive(world, node)


@kernel(cold=True)
def store_page(world, place, node):
    """Write a page of a place."""
    write_page(world, node)
    world.jobs.content[place] = world.version[node]


@kernel
def is_resident(world, place):
    """Is the page of this place in memory?"""
    return world.reclaim.place[place] > 0


@kernel(cold=True)
def get_file_page(world, place, dirty, now_ns):
    """Bring a page of a file into the cache, to be written or read; False when memory is out."""
    node = get_block(world, 0, MOVABLE, now_ns)
    if node < 0:
        return False
    if dirty:
        store_page(world, place, node)
    else:
        load_page(world, place, node)
    add_file_page(world.memory, world.reclaim, node, place, dirty)
    return True


@kernel(cold=True)
def get_anon_page(world, place, faulted, now_ns):
    """Bring in a page of anonymous memory, with its page table if that is missing.

    If it is ``faulted``, the process writes it; otherwise it is read ahead from swap, and nobody
    has it mapped yet.

    Returns
    -------
    bool
        False when memory is out.
    Source: do_anonymous_page(), do_swap_page() of mm/memory.c.
    """
    table = place // PLACES_PER_TABLE
    if world.jobs.table[table] == 0:
        block = get_kernel_block(world, 0, UNMOVABLE, now_ns)
        if block < 0:
            return False
        world.jobs.table[table] = 1 + (block >> 4)
    node = get_block(world, 0, MOVABLE, now_ns)
    if node < 0:
        return False
    add_anon_page(world.memory, world.reclaim, node, place)
    if faulted:
        touch(world.memory, world.reclaim, place, True)
        store_page(world, place, node)
    else:
        clear_bits(world.reclaim, node, PG_MAPPED | PTE_YOUNG)
        load_page(world, place, node)
    return True


@kernel(cold=True)
def give_back(world, place):
    """Forget what a place holds, and free its page or its swap slot; was there any?

    Source: zap_pte_range() of mm/memory.c, truncate_inode_pages_range() of mm/truncate.c.
    """
    entry = world.reclaim.place[place]
    world.jobs.content[place] = 0
    node = forget_place(world.memory, world.reclaim, place)
    if node >= 0:
        free_node(world, node, 0)
    return entry != 0


@kernel(cold=True)
def give_back_tables(world, first, pages):
    """Free the page tables of a mapping."""
    for table in range(first // PLACES_PER_TABLE, (first + pages - 1) // PLACES_PER_TABLE + 1):
        if world.jobs.table[table] > 0:
            free_node(world, world.jobs.table[table] - 1, 0)
            world.jobs.table[table] = 0
