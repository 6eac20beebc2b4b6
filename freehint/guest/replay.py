"""A recorded trace as the guest: every event changes the lists as the kernel did.

Two levels (ground truth: FINDINGS.md).  *buddy*: the trace tells which pages pass between pcp
lists and buddy lists; every block that leaves the buddy is predicted before it is looked at.
*pcp*: the trace tells only what was allocated and freed; the model refills and drains by itself,
and every block handed out is predicted.

A block that stands where the trace says it cannot stand (a free of a free page) is refused and
counted; the lists are never damaged by a trace.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, del_page_from_free_list, expand, free_one_page
from freehint.mm.fallback import find_fallback_block, rmqueue_fallback
from freehint.mm.list import list_add, list_add_tail, list_del, list_empty, list_next
from freehint.mm.memory import (
    BUDDY,
    ISOLATE,
    NR_ORDERS,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PCP,
    TYPE_SHIFT,
    first_block,
    frame_order,
    frame_type,
    free_list_head,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import (
    add_to_pcp_list,
    free_pcppages_bulk,
    nr_pcp_alloc,
    order_to_pindex,
    pcp_allowed_order,
    pcp_drain_size,
)

# Row kinds.
(
    IGNORED,
    ALLOC,
    FREE,
    FREE_BATCHED,
    ZONE_LOCKED,
    EXTFRAG,
    PCPU_DRAIN,
    FREE_DIRECT,
) = range(8)

# Rules made wrong on purpose, to show that the bar sees it.
FAITHFUL, ALWAYS_HEAD, LOWEST_FIRST, NO_CLAIM = range(4)

# What becomes of an mm_page_free row of an order that pcp lists keep.
TO_PCP, TO_PCP_LATER, DIRECT, DIRECT_LATER = range(4)


class Rows(NamedTuple):
    """A trace between its snapshots; one entry a row.

    kind : int8      IGNORED .. FREE_DIRECT
    cpu : int16
    node : int32     pfn - base_pfn, or -1
    order : int8
    migratetype : int8
    change : int8    extfrag: the pageblock has the wanted type afterwards
    fate : int8      mm_page_free: TO_PCP .. DIRECT_LATER
    """

    kind: np.ndarray
    cpu: np.ndarray
    node: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    change: np.ndarray
    fate: np.ndarray


# Counts of a replay.
(
    C_SCORED,
    C_HITS,
    C_MISSES,
    C_SILENT_PAGES,
    C_SILENT_ROWS,
    C_REFUSED,
    C_FIRST_MISS,
    C_PREDICTED,
    C_UNTOLD_CLAIMS,
    NR_COUNTS,
) = range(10)


@kernel(inline=True)
def inside_free_block(memory, node):
    """The free block that a page lies in, or -1."""
    for order in range(NR_ORDERS):
        head = node & ~((1 << order) - 1)
        frame = memory.frame[head]
        if frame & BUDDY and frame_order(frame) >= order:
            return head
    return -1


@kernel(inline=True)
def block_in_use(memory, node, order):
    """May this block be freed?  None of its pages may be free or on a pcp list."""
    if inside_free_block(memory, node) >= 0:
        return False
    for page in range(node, node + (1 << order)):
        if memory.frame[page] & (BUDDY | PCP):
            return False
    return True


@kernel(inline=True)
def replay_free(memory, counts, node, order, migratetype, ablation):
    """Free a block to the buddy, unless the model has it free already."""
    if not block_in_use(memory, node, order):
        counts[C_REFUSED] += 1
        return
    free_one_page(memory, node, page_zone(memory, node), order, migratetype, FPI_NONE)
    if ablation == ALWAYS_HEAD:
        put_first(memory, node)


@kernel(inline=True)
def smallest_block(memory, zone, order, migratetype, ablation):
    """The block that an allocation would take now: (node, its order), or (-1, -1)."""
    for current in range(order, NR_ORDERS):
        if memory.nr_free[zone, current, migratetype] > 0:
            head = free_list_head(memory, zone, current, migratetype)
            if ablation == LOWEST_FIRST:
                return lowest_block(memory, head), current
            return first_block(memory, head), current
    return -1, -1


@kernel
def lowest_block(memory, head):
    """Ablation: the block of a list with the lowest address."""
    lowest = node = list_next(memory.links, head)
    while node != head:
        lowest = min(lowest, node)
        node = list_next(memory.links, node)
    return lowest


@kernel
def put_first(memory, node):
    """Ablation: the free block around ``node`` goes to its list's head, wherever it was put."""
    block = inside_free_block(memory, node)
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


@kernel
def take_observed(memory, zone, observed, order):
    """Take exactly this block out of the free block around it; False if it is not free."""
    head = inside_free_block(memory, observed)
    if head < 0 or frame_order(memory.frame[head]) < order:
        return False
    frame = memory.frame[head]
    current, migratetype = frame_order(frame), frame_type(frame)
    del_page_from_free_list(memory, head, zone, current)
    memory.zones[zone].nr_free_pages -= 1 << current
    # Give back everything around it, then nothing but the block itself is out.
    for page in range(head, head + (1 << current), 1 << order):
        if page != observed:
            free_one_page(memory, page, zone, order, migratetype, FPI_NONE)
    return True


@kernel(inline=True)
def score(counts, predicted, observed):
    """Count a prediction; True if it was right."""
    counts[C_SCORED] += 1
    if predicted == observed:
        counts[C_HITS] += 1
        return True
    counts[C_MISSES] += 1
    return False


@kernel(inline=True)
def note_first_miss(counts, row, predicted):
    """Remember the first miss that nothing explains."""
    if counts[C_FIRST_MISS] < 0:
        counts[C_FIRST_MISS] = row
        counts[C_PREDICTED] = predicted


@kernel(inline=True)
def zone_locked_row(memory, counts, rows, row, resync, ablation):
    """One block leaves the buddy: predict it, then look."""
    observed, order = rows.node[row], rows.order[row]
    migratetype = rows.migratetype[row]
    zone = page_zone(memory, observed)
    predicted, current = smallest_block(memory, zone, order, migratetype, ablation)
    right = score(counts, predicted, observed)
    if not right:
        note_first_miss(counts, row, predicted)
    if right or not resync:
        if predicted >= 0:
            take_block(memory, predicted, zone, current, order, migratetype)
    elif not take_observed(memory, zone, observed, order):
        counts[C_REFUSED] += 1


@kernel
def replay_buddy(memory, rows, counts, resync, ablation):
    """Replay all rows at buddy level."""
    for row in range(rows.kind.shape[0]):
        kind = rows.kind[row]
        node, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
        if kind == ZONE_LOCKED:
            zone_locked_row(memory, counts, rows, row, resync, ablation)
        elif kind == PCPU_DRAIN or kind == FREE_DIRECT:
            replay_free(memory, counts, node, order, migratetype, ablation)
        elif kind == FREE:
            if not pcp_allowed_order(memory, order) or rows.fate[row] == DIRECT:
                block_type = get_pageblock_migratetype(memory, node)
                replay_free(memory, counts, node, order, block_type, ablation)
        elif kind == EXTFRAG:
            zone, change = page_zone(memory, node), rows.change[row]
            if not rmqueue_fallback(memory, zone, order, migratetype, 0, change):
                counts[C_REFUSED] += 1


@kernel(inline=True)
def push_claim(claims, cpu, change):
    """Remember a recorded claim until the refill that it belongs to."""
    claims[cpu, 1 + claims[cpu, 0] % (claims.shape[1] - 1)] = change
    claims[cpu, 0] += 1


@kernel(inline=True)
def pop_claim(claims, counts, cpu):
    """The oldest claim not used yet, or -1 (decided from what the model knows) and counted."""
    if claims[cpu, 0] == 0:
        counts[C_UNTOLD_CLAIMS] += 1
        return -1
    change = claims[cpu, 1]
    claims[cpu, 0] -= 1
    for i in range(1, 1 + claims[cpu, 0]):
        claims[cpu, i] = claims[cpu, i + 1]
    return change


@kernel
def fallback_without_claim(memory, zone, order, migratetype):
    """Ablation: blocks move to the taker's lists, but no pageblock changes its type."""
    current, other, _ = find_fallback_block(memory, zone, order, migratetype, 0)
    if current < 0:
        return False
    node = first_block(memory, free_list_head(memory, zone, current, other))
    first = node >> PAGEBLOCK_ORDER
    last = (node + (1 << current) - 1) >> PAGEBLOCK_ORDER
    kept_first, kept_last = memory.pageblock[first], memory.pageblock[last]
    rmqueue_fallback(memory, zone, order, migratetype, 0, 0)
    memory.pageblock[first], memory.pageblock[last] = kept_first, kept_last
    return True


@kernel
def take_by_model(memory, counts, claims, zone, cpu, order, migratetype, ablation):
    """One block off the buddy lists, by fallback if need be; -1 if there is none."""
    node, current = smallest_block(memory, zone, order, migratetype, FAITHFUL)
    if node < 0:
        change = pop_claim(claims, counts, cpu)
        if ablation == NO_CLAIM:
            found = fallback_without_claim(memory, zone, order, migratetype)
        else:
            found = rmqueue_fallback(memory, zone, order, migratetype, 0, change)
        if not found:
            return -1
        node, current = smallest_block(memory, zone, order, migratetype, FAITHFUL)
    take_block(memory, node, zone, current, order, migratetype)
    return node


@kernel
def refill(memory, counts, claims, zone, cpu, order, migratetype, ablation):
    """rmqueue_bulk() with the claims that the trace recorded."""
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    for _ in range(nr_pcp_alloc(memory, zone, cpu, order)):
        node = take_by_model(memory, counts, claims, zone, cpu, order, migratetype, ablation)
        if node < 0:
            return
        memory.frame[node] = PCP | order | (migratetype << TYPE_SHIFT)
        list_add_tail(memory.links, node, head)
        memory.pcp[zone, cpu].count += 1 << order


@kernel(inline=True)
def take_from_pcp(memory, node, zone, cpu, order):
    """Take one block off its pcp list."""
    list_del(memory.links, node)
    memory.frame[node] = 0
    memory.pcp[zone, cpu].count -= 1 << order


@kernel(inline=True)
def entries_before(memory, head, node):
    """How many blocks stand before this one on a list; -1 if it is not there."""
    before = 0
    at = list_next(memory.links, head)
    while at != head:
        if at == node:
            return before
        before += 1
        at = list_next(memory.links, at)
    return -1


@kernel
def pcp_alloc_row(memory, counts, claims, rows, row, ablation):
    """An allocation that pcp lists serve: predict the head, then look."""
    observed, order = rows.node[row], rows.order[row]
    migratetype, cpu = rows.migratetype[row], rows.cpu[row]
    zone = page_zone(memory, observed)
    memory.pcp[zone, cpu].free_factor >>= 1
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    if list_empty(memory.links, head):
        refill(memory, counts, claims, zone, cpu, order, migratetype, ablation)
    predicted = list_next(memory.links, head)
    if predicted == head:
        score(counts, -1, observed)
        note_first_miss(counts, row, -1)
        return
    if not score(counts, predicted, observed):
        # The bulk allocator takes pages, four at a time, without a row of its own; where it
        # emptied the list it refilled it, which puts the new pages behind the old ones.
        silent = entries_before(memory, head, observed)
        if silent < 0 and counts[C_FIRST_MISS] < 0:
            refill(memory, counts, claims, zone, cpu, order, migratetype, ablation)
            silent = entries_before(memory, head, observed)
        if silent > 0 and silent % 4 == 0:
            counts[C_SILENT_ROWS] += 1
            counts[C_SILENT_PAGES] += silent << order
            for _ in range(silent):
                take_from_pcp(memory, list_next(memory.links, head), zone, cpu, order)
            predicted = observed
        else:
            note_first_miss(counts, row, predicted)
    take_from_pcp(memory, predicted, zone, cpu, order)


@kernel
def pcp_free(memory, counts, node, cpu, order, migratetype):
    """A free through the pcp lists, with the drain that follows."""
    if not block_in_use(memory, node, order):
        counts[C_REFUSED] += 1
        return
    zone = page_zone(memory, node)
    pindex = add_to_pcp_list(memory, node, zone, cpu, order, migratetype)
    drain = pcp_drain_size(memory, zone, cpu, order)
    if drain > 0:
        free_pcppages_bulk(memory, zone, cpu, drain, pindex)


@kernel
def pcp_free_row(memory, counts, later_type, rows, row):
    """mm_page_free: the type is fixed now; a page of a list is pushed at its own later row."""
    node, order = rows.node[row], rows.order[row]
    migratetype = get_pageblock_migratetype(memory, node)
    fate = rows.fate[row]
    if not pcp_allowed_order(memory, order) or fate == DIRECT or migratetype == ISOLATE:
        replay_free(memory, counts, node, order, migratetype, FAITHFUL)
    elif fate == TO_PCP_LATER:
        later_type[node] = migratetype
    elif fate == TO_PCP:
        pcp_free(memory, counts, node, rows.cpu[row], order, migratetype)


@kernel
def replay_pcp(memory, rows, counts, claims, later_type, ablation):
    """Replay all rows at pcp level."""
    for row in range(rows.kind.shape[0]):
        kind = rows.kind[row]
        if kind == ALLOC:
            order = rows.order[row]
            if pcp_allowed_order(memory, order):
                pcp_alloc_row(memory, counts, claims, rows, row, ablation)
            else:
                observed, migratetype = rows.node[row], rows.migratetype[row]
                zone, cpu = page_zone(memory, observed), rows.cpu[row]
                node = take_by_model(
                    memory, counts, claims, zone, cpu, order, migratetype, ablation
                )
                if not score(counts, node, observed):
                    note_first_miss(counts, row, node)
        elif kind == FREE:
            pcp_free_row(memory, counts, later_type, rows, row)
        elif kind == FREE_BATCHED:
            node = rows.node[row]
            pcp_free(memory, counts, node, rows.cpu[row], rows.order[row], later_type[node])
        elif kind == FREE_DIRECT:
            order, migratetype = rows.order[row], rows.migratetype[row]
            replay_free(memory, counts, rows.node[row], order, migratetype, FAITHFUL)
        elif kind == EXTFRAG:
            push_claim(claims, rows.cpu[row], rows.change[row])


@kernel
def settle_fates(rows, pending, with_probes):
    """Backwards over the trace: which mm_page_free rows are pushed later, which go direct.

    ``pending``: int8[nr_pages] of zeros, scratch.  With probes a free that bypasses the pcp
    lists is told by its own later row.
    """
    for row in range(rows.kind.shape[0] - 1, -1, -1):
        kind, node = rows.kind[row], rows.node[row]
        if kind == FREE_BATCHED:
            pending[node] = TO_PCP_LATER
        elif kind == FREE_DIRECT and with_probes:
            pending[node] = DIRECT_LATER
        elif kind == FREE:
            rows.fate[row] = pending[node]
            pending[node] = TO_PCP
        elif kind == ALLOC and node >= 0:
            pending[node] = TO_PCP


@kernel
def infer_direct_frees(memory, rows, around):
    """Frees that bypass the pcp lists, from their position: how many.

    A list of pages is freed under one hold of the pcp lock: all its mm_page_free rows first, then
    one mm_page_free_batched a page.  A free of another page between two of those rows, on the
    same CPU, comes from an interrupt; its trylock fails and it goes straight to the buddy.
    ``around``: int64[C, 1 + n] scratch; candidates of each CPU, their number first.
    """
    inferred = 0
    for cpu in range(around.shape[0]):
        around[cpu, 0] = -1  # not inside a list
    for row in range(rows.kind.shape[0]):
        kind, cpu = rows.kind[row], rows.cpu[row]
        if kind == FREE_BATCHED:
            for i in range(around[cpu, 0]):
                rows.fate[around[cpu, 1 + i]] = DIRECT
                inferred += 1
            around[cpu, 0] = 0
        elif kind == FREE:
            if rows.fate[row] == TO_PCP_LATER:
                around[cpu, 0] = -1  # the next list begins
            elif around[cpu, 0] >= 0 and pcp_allowed_order(memory, rows.order[row]):
                if 1 + around[cpu, 0] < around.shape[1]:
                    around[cpu, 1 + around[cpu, 0]] = row
                    around[cpu, 0] += 1
    return inferred


@kernel
def forget_pcp(memory):
    """At buddy level the pages on pcp lists count as allocated: empty the lists."""
    for zone in range(memory.zones.shape[0]):
        for cpu in range(memory.nr_cpus):
            for pindex in range(NR_PCP_LISTS):
                head = pcp_list_head(memory, zone, cpu, pindex)
                while not list_empty(memory.links, head):
                    node = list_next(memory.links, head)
                    list_del(memory.links, node)
                    memory.frame[node] = 0
            memory.pcp[zone, cpu].count = 0
