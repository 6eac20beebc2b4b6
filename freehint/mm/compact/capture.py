"""Pages that compaction frees, and the block that a direct compaction catches among them.

A process in direct compaction takes the first block that its frees merge to exactly the order it
wants, before anybody else can.  All of them go through the pcp lists, so it is the drains that
merge.

Source: mm/page_alloc.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, free_block, free_one_page, merge_buddies, place_block
from freehint.mm.compact.state import FREED, hand_head, note
from freehint.mm.list import list_del, list_empty, list_next, list_prev
from freehint.mm.memory import (
    CMA,
    ISOLATE,
    MAX_ORDER,
    MOVABLE,
    NR_ORDERS,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    frame_order,
    pcp_list_head,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.pcp import drained_type, pages_of_drained_zone, pcp_allowed_order, push_page
from freehint.mm.pcp_limits import NO_DRAIN, end_shortage


@kernel(inline=True)
def compaction_capture(cc, zone, order, migratetype):
    """May the process take a block of its order from these pages?

    A smaller block than a pageblock is not taken from a MOVABLE one for another type.
    Source: task_capc(), compaction_capture().
    """
    if cc.captures == 0 or cc.captured >= 0 or cc.zone != zone or order > cc.order:
        return False
    if cc.order >= MAX_ORDER - 1 or migratetype == ISOLATE or migratetype == CMA:
        return False
    other = migratetype == MOVABLE and cc.migratetype != MOVABLE
    return cc.order >= PAGEBLOCK_ORDER or not other


@kernel
def free_or_capture(memory, compaction, who, node, zone, order, migratetype):
    """Free a block to the buddy lists, unless it merges to what the process waits for.

    Source: __free_one_page().
    """
    cc = compaction.control[who]
    if not compaction_capture(cc, zone, order, migratetype):
        free_one_page(memory, node, zone, order, migratetype, FPI_NONE)
        return
    node, merged = merge_buddies(memory, node, zone, order, migratetype, cc.order)
    if merged == cc.order:
        memory.zones[zone].nr_free_pages -= (1 << merged) - (1 << order)
        memory.frame[node] = 0
        cc.captured = node
        return
    memory.zones[zone].nr_free_pages += 1 << order
    place_block(memory, node, zone, merged, migratetype, FPI_NONE)


@kernel
def drain_pcp(memory, compaction, who, zone, cpu, count, pindex):
    """Drain about ``count`` pages of a CPU's pcp lists, from ``pindex`` on; return the number.

    Source: free_pcppages_bulk().
    """
    count = min(count, memory.pcp[zone, cpu].count)
    freed = 0
    while freed < count:
        head = pcp_list_head(memory, zone, cpu, pindex)
        while freed < count and not list_empty(memory.links, head):
            node = list_prev(memory.links, head)
            order = frame_order(memory.frame[node])
            migratetype = drained_type(memory, node, zone)
            list_del(memory.links, node)
            memory.frame[node] = 0
            freed += 1 << order
            free_or_capture(memory, compaction, who, node, zone, order, migratetype)
        pindex = 0 if pindex + 1 >= NR_PCP_LISTS else pindex + 1
    memory.pcp[zone, cpu].count -= freed
    compaction.control[who].drained += freed
    return freed


@kernel
def drain_local_pages(memory, compaction, who):
    """Drain the CPU's pcp lists of the zone that is compacted.  Source: drain_local_pages()."""
    cc = compaction.control[who]
    chunk = max(pages_of_drained_zone(memory, cc.zone, cc.cpu), 1)
    while memory.pcp[cc.zone, cc.cpu].count > 0:
        drain_pcp(memory, compaction, who, cc.zone, cc.cpu, chunk, 0)


@kernel(cold=True)
def compaction_free_page(memory, compaction, who, node, order):
    """Free a page that was moved away, or a block in hand.

    Source: __free_pages(), free_unref_page().
    """
    cc = compaction.control[who]
    note(compaction, FREED, node + memory.base_pfn, 0, 0, 0)
    migratetype = get_pageblock_migratetype(memory, node)
    if not pcp_allowed_order(memory, order) or migratetype == ISOLATE:
        if order <= PAGEBLOCK_ORDER:
            free_or_capture(memory, compaction, who, node, cc.zone, order, migratetype)
        else:
            free_block(memory, node, cc.zone, order, FPI_NONE)
        cc.drained += 1 << order
        return
    drain, pindex = push_page(memory, node, cc.zone, cc.cpu, order, migratetype)
    if drain != NO_DRAIN:
        # From 7.3 on batch by batch; drain_in_chunks() of mm/pcp.py is the same for other frees.
        chunked = memory.profile.drain_in_chunks
        chunk = max(memory.pcp[cc.zone, cc.cpu].batch, 1) if chunked else drain
        while drain > 0 and memory.pcp[cc.zone, cc.cpu].count > 0:
            drain_pcp(memory, compaction, who, cc.zone, cc.cpu, min(drain, chunk), pindex)
            drain -= chunk
        end_shortage(memory, cc.zone)


@kernel
def release_freepages(memory, compaction, who):
    """Free what is left in hand; return the highest pfn of it, or 0 if there is none.

    From 6.10 on it goes from the smallest order up.
    Source: release_freepages(); release_free_list() of 6.12.
    """
    highest = 0
    for order in range(NR_ORDERS):
        head = hand_head(memory, who, order)
        while not list_empty(compaction.links, head):
            node = list_next(compaction.links, head)
            list_del(compaction.links, node)
            highest = max(highest, node + memory.base_pfn)
            compaction_free_page(memory, compaction, who, node, order)
    compaction.control[who].nr_freepages = 0
    return highest
