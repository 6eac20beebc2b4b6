"""Operations of the replay on single blocks of the buddy lists, at both levels.

The ablations of these operations, rules made wrong on purpose, are here too.
"""

from freehint.formats.traces.rows import (
    ALWAYS_HEAD,
    C_REFUSED,
    C_ROTATIONS,
    IGNORED,
    LOWEST_FIRST,
    STEAL,
    ZONE_LOCKED,
)
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, del_page_from_free_list, expand, free_block, free_one_page
from freehint.mm.compact.turn import move_freelist_head
from freehint.mm.fallback import find_fallback_block, find_suitable_fallback
from freehint.mm.list import list_add, list_del, list_next
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
    PCP,
    first_block,
    frame_order,
    frame_type,
    free_list_head,
    page_zone,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.replay.captures import free_or_wait

ROTATION_COLUMNS = ("row", "zone", "order", "node", "inferred")


@kernel(inline=True)
def inside_block(memory, node, states):
    """The head of the block in one of these states (BUDDY, PCP) that a page lies in, or -1."""
    for order in range(NR_ORDERS):
        head = node & ~((1 << order) - 1)
        frame = memory.frame[head]
        if frame & states and frame_order(frame) >= order:
            return head
    return -1


@kernel(inline=True)
def block_in_use(memory, node, order):
    """Whether a block can be freed: none of its pages may be free or on a pcp list."""
    if inside_block(memory, node, BUDDY | PCP) >= 0:
        return False
    for page in range(node, node + (1 << order)):
        if memory.frame[page] & (BUDDY | PCP):
            return False
    return True


@kernel(inline=True)
def replay_free(memory, run, task, node, order, migratetype, fpi_flags, ablation):
    """Free a block to the buddy lists, unless it is free in the model already.

    If the process ``task`` waits for a block, it may capture what the free merges.
    ``migratetype`` is the trace's, or -1.  With freelist hygiene the model reads the pageblock's
    type, and a row with another type is counted as refused.
    """
    if not block_in_use(memory, node, order):
        run.counts[C_REFUSED] += 1
        return
    block_type = get_pageblock_migratetype(memory, node)
    if migratetype < 0:
        migratetype = block_type
    if memory.profile.freelist_hygiene and migratetype != block_type:
        run.counts[C_REFUSED] += 1
        migratetype = block_type
    if order > PAGEBLOCK_ORDER:
        free_block(memory, node, page_zone(memory, node), order, fpi_flags)
    elif not free_or_wait(memory, run, task, node, page_zone(memory, node), order, migratetype):
        free_one_page(memory, node, page_zone(memory, node), order, migratetype, fpi_flags)
    if ablation == ALWAYS_HEAD:
        put_first(memory, node)


@kernel(inline=True)
def smallest_block(memory, zone, order, migratetype, ablation):
    """The node and order of the block that an allocation would take; (-1, -1) without one."""
    for current in range(order, NR_ORDERS):
        if memory.nr_free[zone, current, migratetype] > 0:
            head = free_list_head(memory, zone, current, migratetype)
            if ablation == LOWEST_FIRST:
                return lowest_block(memory, head), current
            return first_block(memory, head), current
    return -1, -1


@kernel(cold=True)
def lowest_block(memory, head):
    """Ablation: the block of a list with the lowest address."""
    lowest = node = list_next(memory.links, head)
    while node != head:
        lowest = min(lowest, node)
        node = list_next(memory.links, node)
    return lowest


@kernel(cold=True)
def put_first(memory, node):
    """Ablation: move the free block around ``node`` to its list's head, wherever it was put."""
    block = inside_block(memory, node, BUDDY)
    frame = memory.frame[block]
    zone = page_zone(memory, block)
    list_del(memory.links, block)
    head = free_list_head(memory, zone, frame_order(frame), frame_type(frame))
    list_add(memory.links, block, head)


@kernel(inline=True)
def take_block(memory, node, zone, current, order, migratetype):
    """Take a block of order ``current`` off its list and keep its first ``2^order`` pages."""
    del_page_from_free_list(memory, node, zone, current)
    if migratetype != ISOLATE:
        memory.zones[zone].nr_free_pages -= 1 << order
    expand(memory, node, zone, order, current, migratetype)


@kernel(cold=True)
def take_observed(memory, zone, observed, order):
    """Take exactly this block out of the free block around it, and return whether there is one."""
    head = inside_block(memory, observed, BUDDY)
    if head < 0 or frame_order(memory.frame[head]) < order:
        return False
    frame = memory.frame[head]
    current, migratetype = frame_order(frame), frame_type(frame)
    del_page_from_free_list(memory, head, zone, current)
    if migratetype != ISOLATE:
        memory.zones[zone].nr_free_pages -= 1 << current
    # Free all pieces around it, so that only the block itself is taken.
    for page in range(head, head + (1 << current), 1 << order):
        if page != observed:
            free_one_page(memory, page, zone, order, migratetype, FPI_NONE)
    return True


@kernel
def note_rotation(run, row, zone, order, node, inferred):
    """Count a rotation, and keep it unless the table is full."""
    at = run.counts[C_ROTATIONS]
    if at < run.rotations.shape[0]:
        run.rotations[at, 0] = row
        run.rotations[at, 1] = zone
        run.rotations[at, 2] = order
        run.rotations[at, 3] = node
        run.rotations[at, 4] = inferred
    run.counts[C_ROTATIONS] += 1


@kernel(cold=True)
def infer_rotation(memory, run, row, observed, zone, order):
    """Rotate a MOVABLE list if that explains why a block other than its first was taken.

    It does if the observed block is on that very list, and then no other rotation does.  Nothing
    rotates a list before compaction isolates pages in the zone.  ``observed`` is -1 if no row
    names a block.

    Returns
    -------
    bool
        True if the list was rotated; the rotation is then counted and kept.
    """
    if observed < 0:
        return False
    frame = memory.frame[observed]
    on_list = frame & BUDDY != 0 and frame_type(frame) == MOVABLE and frame_order(frame) == order
    may = run.compacting[zone] and run.infers
    if not on_list or not may or page_zone(memory, observed) != zone:
        return False
    move_freelist_head(memory, free_list_head(memory, zone, order, MOVABLE), observed)
    note_rotation(run, row, zone, order, observed, True)
    return True


@kernel(cold=True)
def expect_first(memory, run, row, named, zone, order, migratetype):
    """Rotate a list if a row names another of its blocks as its first.

    Only MOVABLE lists are rotated; see :func:`infer_rotation`.  ``order`` is -1 if the model
    finds no list at all.
    """
    if order >= 0 and migratetype == MOVABLE:
        first = first_block(memory, free_list_head(memory, zone, order, MOVABLE))
        if first != named:
            infer_rotation(memory, run, row, named, zone, order)


@kernel(cold=True)
def named_by_try(memory, run, rows, tried, row):
    """Rotate the list that a row of try_to_steal_block() names the first block of, if need be.

    ``row`` is the row that the rotation is noted at.  Before 6.12 the extfrag row names the same
    block as the probe.
    """
    order, named = rows.value[tried], rows.node[tried]
    if memory.profile.fallback == FALLBACK_CLAIMS and order < NR_ORDERS:
        zone = page_zone(memory, named)
        other = find_suitable_fallback(memory, zone, order, rows.migratetype[tried])
        expect_first(memory, run, row, named, zone, order, other)


@kernel(cold=True)
def named_by_fallback(memory, run, rows, fallback, row):
    """Rotate the MOVABLE list that a fallback took from, if its row names another first block.

    Up to 6.1 the row names the first block of the list that the fallback takes from.  In 6.12 it
    does so if whole pageblocks were claimed; blocks that were tried before have rows of the
    probe, right before on the same CPU.  ``row`` is the row that the rotation is noted at.
    """
    named, order = rows.node[fallback], rows.order[fallback]
    migratetype, cpu = rows.migratetype[fallback], rows.cpu[fallback]
    zone = page_zone(memory, named)
    if memory.profile.fallback != FALLBACK_CLAIMS:
        current, other, _ = find_fallback_block(memory, zone, order, migratetype, 0)
        expect_first(memory, run, row, named, zone, current, other)
        return
    first = fallback
    for before in range(fallback - 1, -1, -1):
        kind = rows.kind[before]
        if rows.cpu[before] == cpu and kind != IGNORED:
            if kind == STEAL:
                first = before
            elif kind != ZONE_LOCKED or first < fallback or rows.node[before] != named:
                break
    for tried in range(first, fallback):
        if rows.kind[tried] == STEAL and rows.cpu[tried] == cpu:
            named_by_try(memory, run, rows, tried, row)
    claimed = rows.value[fallback]
    if rows.change[fallback] == 1 and PAGEBLOCK_ORDER <= claimed < NR_ORDERS:
        other = find_suitable_fallback(memory, zone, claimed, migratetype)
        expect_first(memory, run, row, named, zone, claimed, other)
