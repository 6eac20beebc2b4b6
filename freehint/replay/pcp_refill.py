"""Refills at pcp level: the model takes blocks off the buddy lists by itself.

The blocks are compared with the rows that the kernel wrote during the refill.  Of a fallback the
model is told only whether a pageblock was claimed: that depends on LRU pages, which no recording
has.
"""

from freehint.formats.traces.rows import (
    C_REFILL_MISSES,
    C_REFILLS,
    C_REFUSED,
    C_UNTOLD_CLAIMS,
    FAITHFUL,
    NO_CLAIM,
    note_first_miss,
    score,
)
from freehint.jit import kernel
from freehint.mm.fallback import (
    ALLOC_NOFRAGMENT,
    find_fallback_block,
    rmqueue_claim,
    rmqueue_fallback,
)
from freehint.mm.list import (
    list_add_tail,
    list_empty,
    list_next,
)
from freehint.mm.memory import (
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PCP,
    TYPE_SHIFT,
    first_block,
    free_list_head,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pcp import order_to_pindex, pcp_allowed_order, take_off_pcp_list
from freehint.mm.pcp_limits import nr_pcp_alloc
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.mm.zone import bulk_zone
from freehint.replay.buddy_blocks import (
    infer_rotation,
    named_by_fallback,
    smallest_block,
    take_block,
)
from freehint.replay.buddy_level import steal_told

STOLEN = -2  # no pageblock was claimed, and one block was stolen


@kernel(inline=True)
def push_claim(run, cpu, row):
    """Remember an extfrag row until the refill that it belongs to; refuse one too many."""
    claims = run.claims
    last = claims[cpu, 0] + 1
    if last == claims.shape[1]:
        run.counts[C_REFUSED] += 1
        return
    claims[cpu, last] = row
    claims[cpu, 0] = last


@kernel(inline=True)
def pop_claim(claims, cpu):
    """Take out the oldest extfrag row not used yet, and return it; -1 if there is none."""
    if claims[cpu, 0] == 0:
        return -1
    row = claims[cpu, 1]
    claims[cpu, 0] -= 1
    for i in range(1, 1 + claims[cpu, 0]):
        claims[cpu, i] = claims[cpu, i + 1]
    return row


@kernel(cold=True)
def fallback_without_claim(memory, zone, order, migratetype):
    """Ablation: move blocks to the taker's lists, but let no pageblock change its type."""
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


@kernel(inline=True)
def claim_told(memory, rows, row):
    """The claim in an extfrag row.

    Up to 6.1 it is 1 if the pageblock was claimed, else 0; in 6.12 it is the order of the block
    claimed, or STOLEN.
    """
    if memory.profile.fallback != FALLBACK_CLAIMS:
        return rows.change[row]
    return rows.value[row] if rows.change[row] == 1 else STOLEN


@kernel(inline=True)
def told_list(memory, order, migratetype):
    """The index of a block's queue in ``told``: its pcp list's, or the last if it has none."""
    if migratetype >= MIGRATE_PCPTYPES or not pcp_allowed_order(memory, order):
        return NR_PCP_LISTS
    return order_to_pindex(migratetype, order)


@kernel(inline=True)
def next_told(memory, run, cpu, order, migratetype):
    """The oldest block that a row named and that the model has yet to take, or -1."""
    told = run.told[cpu, told_list(memory, order, migratetype)]
    return told[2 + told[0]] if told[0] < told[1] else -1


@kernel(cold=True)
def fall_back_as_told(memory, run, rows, row, zone, cpu, order, migratetype, ablation):
    """Fall back in 6.12 as the oldest unused extfrag row tells.

    Without a row there was no fallback: the kernel found no block, or must not mix types.

    Returns
    -------
    int
        The node that the model takes; -1 if there is none.
    """
    fallback = pop_claim(run.claims, cpu)
    if fallback < 0:
        return -1
    named_by_fallback(memory, run, rows, fallback, row)
    told = claim_told(memory, rows, fallback)
    if told != STOLEN and ablation != NO_CLAIM:
        return rmqueue_claim(memory, zone, order, migratetype, 0, told)
    observed = next_told(memory, run, cpu, order, migratetype)
    return steal_told(memory, run, row, observed, zone, order, migratetype)


@kernel(cold=True)
def move_as_told(memory, run, rows, row, zone, cpu, order, migratetype, ablation):
    """Move a block to the taker's lists as the oldest unused extfrag row tells, up to 6.1.

    Without a row there was no fallback: the kernel found no block, or must not mix types.  It is
    counted as untold if neither explains it.

    Returns
    -------
    bool
        False if nothing was moved.
    """
    fallback = pop_claim(run.claims, cpu)
    if fallback < 0:
        if find_fallback_block(memory, zone, order, migratetype, ALLOC_NOFRAGMENT)[0] >= 0:
            run.counts[C_UNTOLD_CLAIMS] += 1
        return False
    named_by_fallback(memory, run, rows, fallback, row)
    if ablation == NO_CLAIM:
        return fallback_without_claim(memory, zone, order, migratetype)
    change = claim_told(memory, rows, fallback)
    return rmqueue_fallback(memory, zone, order, migratetype, 0, change)


@kernel
def take_by_model(memory, run, rows, row, zone, cpu, order, migratetype, ablation):
    """Take one block off the buddy lists, by fallback if need be.

    If a row names another block, a rotation may explain it; see :func:`infer_rotation`.

    Returns
    -------
    int
        The node that the model takes; -1 if there is none.
    """
    node, current = smallest_block(memory, zone, order, migratetype, FAITHFUL)
    if node < 0:
        where = zone, cpu, order, migratetype
        if memory.profile.fallback == FALLBACK_CLAIMS:
            return fall_back_as_told(memory, run, rows, row, *where, ablation)
        if not move_as_told(memory, run, rows, row, *where, ablation):
            return -1
        node, current = smallest_block(memory, zone, order, migratetype, FAITHFUL)
    if migratetype == MOVABLE:
        observed = next_told(memory, run, cpu, order, migratetype)
        if observed != node and infer_rotation(memory, run, row, observed, zone, current):
            node = observed
    take_block(memory, node, zone, current, order, migratetype)
    return node


@kernel(inline=True)
def check_refilled(counts, told, node):
    """Compare a block that the model took from the buddy lists with the oldest of the trace.

    ``told`` is one queue of :class:`Scratch`, int32[2 + n].
    """
    counts[C_REFILLS] += 1
    first = told[0]
    if first == told[1] or told[2 + first] != node:
        counts[C_REFILL_MISSES] += 1
    if first < told[1]:
        told[0] = first + 1


@kernel(inline=True)
def tell_refilled(memory, run, rows, row):
    """Add a block, which left the buddy lists according to a row, to its queue in ``told``."""
    pindex = told_list(memory, rows.order[row], rows.migratetype[row])
    told = run.told[rows.cpu[row], pindex]
    last = told[1]
    if 2 + last < told.shape[0]:
        told[2 + last] = rows.node[row]
        told[1] = last + 1


@kernel(inline=True)
def forget_refilled(counts, told):
    """After an allocation, count the blocks of its queue that the model did not take as misses.

    Blocks in other queues stay there: a bulk allocation without a row of its own took them.
    """
    counts[C_REFILL_MISSES] += told[1] - told[0]
    told[0] = told[1] = 0


@kernel
def refill(memory, run, rows, row, zone, cpu, order, migratetype, ablation):
    """Refill a pcp list as rmqueue_bulk() does, with the claims that the trace recorded."""
    pindex = order_to_pindex(migratetype, order)
    head = pcp_list_head(memory, zone, cpu, pindex)
    for _ in range(nr_pcp_alloc(memory, zone, cpu, order)):
        node = take_by_model(memory, run, rows, row, zone, cpu, order, migratetype, ablation)
        if node < 0:
            return
        check_refilled(run.counts, run.told[cpu, pindex], node)
        memory.frame[node] = PCP | order | (migratetype << TYPE_SHIFT)
        list_add_tail(memory.links, node, head)
        memory.pcp[zone, cpu].count += 1 << order


@kernel(cold=True)
def bulk_row(memory, run, rows, row, ablation):
    """Take the pages of alloc_pages_bulk() off one pcp list; no row tells which they were."""
    cpu, migratetype, wanted = rows.cpu[row], rows.migratetype[row], rows.value[row]
    zone = bulk_zone(memory, wanted)
    if zone < 0:
        run.counts[C_REFUSED] += 1
        return
    pindex = order_to_pindex(migratetype, 0)
    head = pcp_list_head(memory, zone, cpu, pindex)
    for _ in range(wanted):
        if list_empty(memory.links, head):
            refill(memory, run, rows, row, zone, cpu, 0, migratetype, ablation)
        if list_empty(memory.links, head):
            run.counts[C_REFUSED] += 1
            return
        take_off_pcp_list(memory, list_next(memory.links, head), zone, cpu, 0)
    forget_refilled(run.counts, run.told[cpu, pindex])


@kernel(cold=True)
def bulk_pop_row(memory, run, rows, row, ablation):
    """Predict the page that alloc_pages_bulk() takes next, and compare the observed one."""
    observed, cpu, migratetype = rows.node[row], rows.cpu[row], rows.migratetype[row]
    zone, pindex = page_zone(memory, observed), order_to_pindex(migratetype, 0)
    head = pcp_list_head(memory, zone, cpu, pindex)
    if list_empty(memory.links, head):
        refill(memory, run, rows, row, zone, cpu, 0, migratetype, ablation)
    predicted = list_next(memory.links, head)
    if predicted == head:
        predicted = -1
    if not score(run.counts, predicted, observed):
        note_first_miss(run.counts, row, predicted)
    if predicted >= 0:
        take_off_pcp_list(memory, predicted, zone, cpu, 0)
    forget_refilled(run.counts, run.told[cpu, pindex])
