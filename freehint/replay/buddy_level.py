"""Replay at buddy level: the trace tells which pages pass between pcp lists and buddy lists.

Every block that leaves the buddy lists is predicted before the observed one is read.  A row that
the lists contradict (such as a free of a free page) is refused and counted: none damages them.
"""

from freehint.formats.traces.rows import (
    ALLOC,
    BY_LATER_ROW,
    C_REFUSED,
    CLAIMED,
    COMPACTED,
    COMPACTION,
    DIRECT,
    EXTFRAG,
    FREE,
    FREE_DIRECT,
    ISOLATE_PAGE,
    MOVE_BLOCK,
    MOVE_ISOLATE,
    PCPU_DRAIN,
    PUTBACK,
    RETURNED,
    ROTATES,
    STEAL,
    TURN,
    ZONE_LOCKED,
    note_first_miss,
    score,
)
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, del_page_from_free_list, free_one_page
from freehint.mm.compact.turn import move_freelist_head, move_freelist_tail
from freehint.mm.fallback import find_block_to_steal, rmqueue_claim, rmqueue_fallback, rmqueue_steal
from freehint.mm.isolate import (
    make_movable_around,
    retag_free_pages,
    set_migratetype_isolate,
    unset_migratetype_isolate,
)
from freehint.mm.list import list_del, list_empty, list_next, list_prev
from freehint.mm.memory import (
    BUDDY,
    HIGHATOMIC,
    ISOLATE,
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_PCP_LISTS,
    first_block,
    frame_order,
    frame_type,
    free_list_head,
    page_zone,
    pcp_list_head,
)
from freehint.mm.pageblock import (
    get_pageblock_migratetype,
    move_freepages_block,
    set_pageblock_migratetype,
)
from freehint.mm.pcp import pcp_allowed_order
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.replay.buddy_blocks import (
    block_in_use,
    infer_rotation,
    named_by_fallback,
    named_by_try,
    note_rotation,
    replay_free,
    smallest_block,
    take_block,
    take_observed,
)
from freehint.replay.captures import begin_waiting, captured_row, end_waiting


@kernel
def zone_locked_row(memory, run, rows, row, resync, ablation):
    """Predict the block that leaves the buddy lists, then compare it with the observed one."""
    observed, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
    counts, zone = run.counts, page_zone(memory, observed)
    predicted, current = smallest_block(memory, zone, order, migratetype, ablation)
    if predicted < 0 and rows.fate[row] == CLAIMED:
        predicted = rmqueue_claim(memory, zone, order, migratetype, 0, rows.value[row])
        if not score(counts, predicted, observed):
            note_first_miss(counts, row, predicted)
        return
    if predicted >= 0 and predicted != observed and migratetype == MOVABLE:
        if infer_rotation(memory, run, row, observed, zone, current):
            predicted = observed
    right = score(counts, predicted, observed)
    if not right:
        note_first_miss(counts, row, predicted)
    if right or not resync:
        if predicted >= 0:
            take_block(memory, predicted, zone, current, order, migratetype)
    elif not take_observed(memory, zone, observed, order):
        counts[C_REFUSED] += 1


@kernel(cold=True)
def fallback_row(memory, run, rows, row):
    """Replay mm_page_alloc_extfrag: up to 6.1 blocks move; in 6.12 the allocation is predicted."""
    node, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
    zone = page_zone(memory, node)
    if memory.profile.fallback != FALLBACK_CLAIMS:
        named_by_fallback(memory, run, rows, row, row)
        if not rmqueue_fallback(memory, zone, order, migratetype, 0, rows.change[row]):
            run.counts[C_REFUSED] += 1
    elif rows.fate[row] != CLAIMED:
        predicted, current = smallest_block(memory, zone, order, migratetype, 0)
        if predicted >= 0:
            take_block(memory, predicted, zone, current, order, migratetype)
        elif rows.change[row] == 1:
            named_by_fallback(memory, run, rows, row, row)
            predicted = rmqueue_claim(memory, zone, order, migratetype, 0, rows.value[row])
        else:
            predicted = steal_told(memory, run, row, node, zone, order, migratetype)
        if not score(run.counts, predicted, node):
            note_first_miss(run.counts, row, predicted)


@kernel
def steal_told(memory, run, row, observed, zone, order, migratetype):
    """Steal one block as 6.12 does, after a rotation of its list if that explains ``observed``.

    Returns
    -------
    int
        The node that the model steals; -1 if there is none.
    """
    current, other = find_block_to_steal(memory, zone, order, migratetype)
    if other == MOVABLE:
        first = first_block(memory, free_list_head(memory, zone, current, MOVABLE))
        if first != observed:
            infer_rotation(memory, run, row, observed, zone, current)
    return rmqueue_steal(memory, zone, order, migratetype)


@kernel(cold=True)
def isolate_row(memory, run, rows, row):
    """Take a block off its list for compaction or free page reporting, without a prediction.

    It counts as allocated from now on, because compaction fills it without a row of its own.
    """
    node, order = rows.node[row], rows.order[row]
    frame = memory.frame[node]
    if frame & BUDDY == 0 or frame_order(frame) != order:
        run.counts[C_REFUSED] += 1
        return
    zone = page_zone(memory, node)
    if rows.fate[row] == ROTATES and frame_type(frame) == MOVABLE:
        head = free_list_head(memory, zone, order, MOVABLE)
        if first_block(memory, head) != node:
            move_freelist_head(memory, head, node)
            note_rotation(run, row, zone, order, node, False)
    run.compacting[zone] = True
    if rows.value[row] == 0:
        return
    if frame_type(frame) != ISOLATE:
        memory.zones[zone].nr_free_pages -= 1 << order
    del_page_from_free_list(memory, node, zone, order)
    make_movable_around(memory, node, zone, order)


@kernel(cold=True)
def turn_row(memory, run, rows, row):
    """Turn a MOVABLE list as the row tells: its block becomes the last, or the first."""
    node = rows.node[row]
    frame = memory.frame[node]
    if frame & BUDDY == 0 or frame_type(frame) != MOVABLE:
        run.counts[C_REFUSED] += 1
        return
    zone, order = page_zone(memory, node), frame_order(frame)
    head = free_list_head(memory, zone, order, MOVABLE)
    if rows.value[row] != 0:
        turned = list_prev(memory.links, head) != node
        move_freelist_tail(memory, head, node)
    else:
        turned = first_block(memory, head) != node
        move_freelist_head(memory, head, node)
    if turned:
        note_rotation(run, row, zone, order, node, False)


@kernel(cold=True)
def putback_row(memory, counts, node, order):
    """Put a block back, at the tail of its list; no block of two types was ever isolated."""
    migratetype = get_pageblock_migratetype(memory, node)
    end = get_pageblock_migratetype(memory, node + (1 << order) - 1)
    mixed = memory.profile.freelist_hygiene and end != migratetype
    if mixed or not block_in_use(memory, node, order):
        counts[C_REFUSED] += 1
        return
    free_one_page(memory, node, page_zone(memory, node), order, migratetype, FPI_TO_TAIL)


@kernel(cold=True)
def move_block_row(memory, rows, row):
    """Move a pageblock into or out of the HIGHATOMIC reserve, or isolate it.

    Moves to MOVABLE are skipped, because the isolate row before made them.  Before 6.10 only
    moves into and out of the reserve are replayed: steals have rows of their own, and no steal
    moves a pageblock of the reserve.  Source: reserve_highatomic_pageblock().
    """
    node, migratetype, old = rows.node[row], rows.migratetype[row], rows.value[row]
    current = get_pageblock_migratetype(memory, node)
    if not memory.profile.freelist_hygiene:
        enters = migratetype == HIGHATOMIC and current < MIGRATE_PCPTYPES
        if enters or (current == HIGHATOMIC and migratetype < MIGRATE_PCPTYPES):
            set_pageblock_migratetype(memory, node, migratetype)
            move_freepages_block(memory, node, page_zone(memory, node), migratetype)
        return
    isolated = current == ISOLATE
    if migratetype == ISOLATE or old == ISOLATE or isolated:
        retag_free_pages(memory, node, migratetype)
    elif migratetype >= MIGRATE_PCPTYPES or old >= MIGRATE_PCPTYPES:
        move_freepages_block(memory, node, page_zone(memory, node), migratetype)


@kernel(cold=True)
def move_isolate_row(memory, rows, row):
    """Isolate a pageblock or take it back, if it is not so already; before 6.10 skip the row."""
    node = rows.node[row]
    isolated = get_pageblock_migratetype(memory, node) == ISOLATE
    if not memory.profile.freelist_hygiene:
        return
    if rows.value[row] != 0 and not isolated:
        set_migratetype_isolate(memory, node)
    elif rows.value[row] == 0 and isolated:
        unset_migratetype_isolate(memory, node, MOVABLE)


@kernel
def list_row(memory, run, rows, row):
    """Replay a row of a kind that tells of the buddy lists at both levels; ignore other rows."""
    kind = rows.kind[row]
    if kind == FREE_DIRECT:
        node, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
        replay_free(memory, run, rows.task[row], node, order, migratetype, rows.value[row], 0)
    elif kind == ISOLATE_PAGE:
        isolate_row(memory, run, rows, row)
    elif kind == PUTBACK:
        putback_row(memory, run.counts, rows.node[row], rows.order[row])
    elif kind == MOVE_BLOCK:
        move_block_row(memory, rows, row)
    elif kind == MOVE_ISOLATE:
        move_isolate_row(memory, rows, row)
    elif kind == TURN:
        turn_row(memory, run, rows, row)
    elif kind == COMPACTION:
        run.compacting[rows.value[row]] = True
        begin_waiting(run, rows, row)
    elif kind == COMPACTED:
        end_waiting(run, rows.task[row])


@kernel
def replay_buddy(memory, rows, run, resync, ablation):
    """Replay all rows at buddy level; ``run`` is a :class:`Scratch`."""
    replay_buddy_part(memory, rows, run, 0, rows.kind.shape[0], resync, ablation)


@kernel
def replay_buddy_part(memory, rows, run, first, last, resync, ablation):
    """Replay the rows from ``first`` to before ``last`` at buddy level."""
    for row in range(first, last):
        kind = rows.kind[row]
        node, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
        if kind == ZONE_LOCKED:
            zone_locked_row(memory, run, rows, row, resync, ablation)
        elif kind == PCPU_DRAIN:
            replay_free(memory, run, rows.task[row], node, order, migratetype, FPI_NONE, ablation)
        elif kind == FREE:
            fate = rows.fate[row]
            direct = fate == DIRECT or not pcp_allowed_order(memory, order)
            if direct and fate != BY_LATER_ROW and fate != RETURNED:
                replay_free(memory, run, rows.task[row], node, order, -1, FPI_NONE, ablation)
        elif kind == ALLOC:
            captured_row(run, rows, row)
        elif kind == EXTFRAG:
            fallback_row(memory, run, rows, row)
        elif kind == STEAL:
            named_by_try(memory, run, rows, row, row)
        elif kind >= FREE_DIRECT:
            list_row(memory, run, rows, row)


@kernel
def forget_pcp(memory):
    """Empty the pcp lists, because at buddy level their pages count as allocated."""
    for zone in range(memory.zones.shape[0]):
        for cpu in range(memory.nr_cpus):
            for pindex in range(NR_PCP_LISTS):
                head = pcp_list_head(memory, zone, cpu, pindex)
                while not list_empty(memory.links, head):
                    node = list_next(memory.links, head)
                    list_del(memory.links, node)
                    memory.frame[node] = 0
            memory.pcp[zone, cpu].count = 0
