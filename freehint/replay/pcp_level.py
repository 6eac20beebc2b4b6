"""Replay at pcp level: the trace tells only which blocks were allocated and freed.

The model refills and drains by itself, and it predicts every block handed out.  The blocks of
every refill and the pages of every drain are compared with the rows that the kernel wrote.
"""

from freehint.formats.traces.rows import (
    ALLOC,
    BALANCE,
    BULK_ALLOC,
    BULK_POP,
    BY_LATER_ROW,
    C_FIRST_MISS,
    C_REFUSED,
    C_SILENT_PAGES,
    C_SILENT_ROWS,
    CLAIMED,
    DECAY,
    DIRECT,
    DRAIN,
    DRAIN_CHUNK,
    DRAIN_ZONE,
    EXTFRAG,
    FAITHFUL,
    FREE,
    FREE_BATCHED,
    IGNORED,
    LOOKED,
    PCP_PUSH,
    PCPU_DRAIN,
    RETURNED,
    TO_PCP,
    TO_PCP_LATER,
    ZONE_LOCKED,
    note_first_miss,
    score,
)
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NOLOCK, FPI_NONE
from freehint.mm.list import list_empty, list_next
from freehint.mm.memory import (
    HIGHATOMIC,
    ISOLATE,
    MOVABLE,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import (
    add_to_pcp_list,
    free_unref_page,
    order_to_pindex,
    pcp_allowed_order,
    push_page,
    take_off_pcp_list,
)
from freehint.mm.pcp_limits import NO_DRAIN, count_free, end_run_of_frees, end_shortage
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.replay.buddy_blocks import block_in_use, replay_free
from freehint.replay.buddy_level import list_row
from freehint.replay.captures import captured_row, free_waiting, waiting
from freehint.replay.inferred.boost import (
    balance_row,
    doubt_after_drain,
    end_as_inferred,
    look_at_zones,
)
from freehint.replay.pcp_drains import (
    AFTER_FREE,
    begin_drain,
    chunk_row,
    decay_row,
    drain_row,
    drain_zone_row,
    note_drained,
    settle_drains,
    tells_chunks,
)
from freehint.replay.pcp_refill import (
    bulk_pop_row,
    bulk_row,
    check_refilled,
    forget_refilled,
    push_claim,
    refill,
    take_by_model,
    tell_refilled,
    told_list,
)


@kernel(inline=True)
def entries_before(memory, head, node):
    """The number of blocks before this one on a list, or -1 if it is not on the list."""
    before = 0
    at = list_next(memory.links, head)
    while at != head:
        if at == node:
            return before
        before += 1
        at = list_next(memory.links, at)
    return -1


@kernel
def pcp_alloc_row(memory, run, rows, row, ablation):
    """Predict that an allocation takes its pcp list's head, then compare the observed block."""
    counts = run.counts
    observed, order = rows.node[row], rows.order[row]
    migratetype, cpu = rows.migratetype[row], rows.cpu[row]
    zone = page_zone(memory, observed)
    look_at_zones(memory, run, row, zone, order, migratetype)
    end_run_of_frees(memory, zone, cpu)
    head = pcp_list_head(memory, zone, cpu, order_to_pindex(migratetype, order))
    if list_empty(memory.links, head):
        refill(memory, run, rows, row, zone, cpu, order, migratetype, ablation)
    predicted = list_next(memory.links, head)
    if predicted == head:
        score(counts, -1, observed)
        note_first_miss(counts, row, -1)
        return
    if not score(counts, predicted, observed):
        # The bulk allocator takes pages, four at a time, without a row of its own.  If it emptied
        # the list it also refilled it, which puts the new pages after the old ones.
        silent = entries_before(memory, head, observed)
        if silent < 0 and counts[C_FIRST_MISS] < 0:
            refill(memory, run, rows, row, zone, cpu, order, migratetype, ablation)
            silent = entries_before(memory, head, observed)
        if silent > 0 and silent % 4 == 0:
            counts[C_SILENT_ROWS] += 1
            counts[C_SILENT_PAGES] += silent << order
            for _ in range(silent):
                take_off_pcp_list(memory, list_next(memory.links, head), zone, cpu, order)
            predicted = observed
        else:
            note_first_miss(counts, row, predicted)
    take_off_pcp_list(memory, predicted, zone, cpu, order)


@kernel
def alloc_row(memory, run, rows, row, ablation):
    """Replay mm_page_alloc through a pcp list, or straight from the buddy lists."""
    order, migratetype, cpu = rows.order[row], rows.migratetype[row], rows.cpu[row]
    end_as_inferred(memory, run, rows, row)
    if captured_row(run, rows, row):
        return
    told = run.told[cpu, told_list(memory, order, migratetype)]
    if pcp_allowed_order(memory, order):
        pcp_alloc_row(memory, run, rows, row, ablation)
    else:
        zone = page_zone(memory, rows.node[row])
        look_at_zones(memory, run, row, zone, order, migratetype)
        node = take_by_model(memory, run, rows, row, zone, cpu, order, migratetype, ablation)
        check_refilled(run.counts, told, node)
        if not score(run.counts, node, rows.node[row]):
            note_first_miss(run.counts, row, node)
    forget_refilled(run.counts, told)


@kernel
def pcp_free(memory, run, rows, row, order, migratetype):
    """Free a row's block through the pcp lists, with the drain that follows."""
    node, cpu = rows.node[row], rows.cpu[row]
    if not pcp_allowed_order(memory, order) or not block_in_use(memory, node, order):
        run.counts[C_REFUSED] += 1
        return
    end_as_inferred(memory, run, rows, row)
    who = waiting(run, rows.task[row])
    if who >= 0:
        drained = free_waiting(memory, run, who, node, cpu, order, migratetype)
    else:
        drained = free_unref_page(memory, node, page_zone(memory, node), cpu, order, migratetype)
    if drained > 0:
        note_drained(run, cpu, drained)
        doubt_after_drain(memory, run, row, page_zone(memory, node))


@kernel
def push_row(memory, run, rows, row):
    """Replay pcp_push, a free at the moment at which its page goes onto the pcp list.

    Source: free_frozen_page_commit() of 7.3.
    """
    node, order, cpu = rows.node[row], rows.order[row], rows.cpu[row]
    migratetype = rows.migratetype[row]
    if migratetype == MOVABLE and get_pageblock_migratetype(memory, node) == HIGHATOMIC:
        migratetype = HIGHATOMIC
    if not tells_chunks(memory, run) and not rows.value[row] & FPI_NOLOCK:
        pcp_free(memory, run, rows, row, order, migratetype)
        return
    if not pcp_allowed_order(memory, order) or not block_in_use(memory, node, order):
        run.counts[C_REFUSED] += 1
        return
    end_as_inferred(memory, run, rows, row)
    zone = page_zone(memory, node)
    if rows.value[row] & FPI_NOLOCK:
        add_to_pcp_list(memory, node, zone, cpu, order, migratetype)
        count_free(memory, zone, cpu, order)
        return
    pages, pindex = push_page(memory, node, zone, cpu, order, migratetype)
    if pages > 0:
        begin_drain(run, AFTER_FREE, zone, cpu, rows.task[row], pages, pindex)
        doubt_after_drain(memory, run, row, zone)
    elif pages != NO_DRAIN:
        end_shortage(memory, zone)


@kernel
def pcp_free_row(memory, run, rows, row):
    """Replay mm_page_free: fix the type now, even if the page is pushed only at a later row."""
    node, order = rows.node[row], rows.order[row]
    migratetype = get_pageblock_migratetype(memory, node)
    fate = rows.fate[row]
    if fate == BY_LATER_ROW or fate == RETURNED:
        return
    if not pcp_allowed_order(memory, order) or fate == DIRECT or migratetype == ISOLATE:
        replay_free(memory, run, rows.task[row], node, order, migratetype, FPI_NONE, FAITHFUL)
    elif fate == TO_PCP_LATER:
        run.later_type[node] = migratetype
    elif fate == TO_PCP:
        pcp_free(memory, run, rows, row, order, migratetype)


@kernel(cold=True)
def rare_row(memory, run, rows, row, ablation):
    """Replay rows of probes of the pcp lists."""
    kind, cpu = rows.kind[row], rows.cpu[row]
    if kind == PCP_PUSH:
        settle_drains(run, cpu, row)
        push_row(memory, run, rows, row)
    elif kind == BULK_POP:
        settle_drains(run, cpu, row)
        bulk_pop_row(memory, run, rows, row, ablation)
    elif kind == DRAIN_CHUNK:
        note_drained(run, cpu, chunk_row(memory, run, rows, row))
    elif kind == BULK_ALLOC:
        bulk_row(memory, run, rows, row, ablation)
    elif kind == DECAY:
        note_drained(run, cpu, decay_row(memory, run, rows, row))
    elif kind == DRAIN_ZONE:
        note_drained(run, cpu, drain_zone_row(memory, run, rows, row))
    elif kind == DRAIN:
        drain_row(memory, run, rows, row)
    elif kind == BALANCE:
        balance_row(memory, run, rows.value[row], ablation)
    elif kind == LOOKED:
        look_at_zones(memory, run, row, 0, rows.order[row], rows.migratetype[row])
    else:
        list_row(memory, run, rows, row)


@kernel
def pcp_row(memory, rows, run, row, ablation):
    """Replay one row at pcp level."""
    kind, cpu = rows.kind[row], rows.cpu[row]
    if kind == PCPU_DRAIN:
        run.drain_due[cpu] -= 1 << rows.order[row]
    elif kind == ALLOC:
        settle_drains(run, cpu, row)
        alloc_row(memory, run, rows, row, ablation)
    elif kind == FREE:
        settle_drains(run, cpu, row)
        pcp_free_row(memory, run, rows, row)
    elif kind == FREE_BATCHED:
        settle_drains(run, cpu, row)
        pcp_free(memory, run, rows, row, rows.order[row], run.later_type[rows.node[row]])
    elif kind == ZONE_LOCKED:
        tell_refilled(memory, run, rows, row)
    elif kind == EXTFRAG:
        if memory.profile.fallback == FALLBACK_CLAIMS and rows.fate[row] != CLAIMED:
            tell_refilled(memory, run, rows, row)
        push_claim(run, cpu, row)
    elif kind > IGNORED:
        rare_row(memory, run, rows, row, ablation)


@kernel
def replay_pcp(memory, rows, run, ablation):
    """Replay all rows at pcp level; ``run`` is a :class:`Scratch`."""
    for row in range(rows.kind.shape[0]):
        pcp_row(memory, rows, run, row, ablation)


@kernel
def replay_pcp_part(memory, rows, run, first, last, ablation):
    """Replay the rows from ``first`` to before ``last``; ``run`` keeps rows from part to part.

    A loop of its own, because one over all rows needs no test of each row's sign: it takes 0.95 of
    the time.
    """
    for row in range(first, last):
        pcp_row(memory, rows, run, row, ablation)
