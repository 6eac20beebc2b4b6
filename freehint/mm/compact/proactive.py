"""Proactive compaction of the ordinary guest: two plain scanners that meet in a zone.

The migration scanner goes up from a zone's start and takes movable pages, the free scanner comes
down from its end and takes free ones; pages move from the first to the second until the two
scanners meet.  *Proactive* compaction does so in the background when most free memory lies in
blocks smaller than a huge page: their share in percent is the zone's fragmentation score.

Source: mm/compaction.c of Linux 6.1 (isolate_migratepages(), isolate_freepages(),
compact_zone()); the fast search is in 5.1 and later, proactive compaction in 5.9 and later.
"""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.buddy import del_page_from_free_list
from freehint.mm.isolate import make_movable_around, may_isolate
from freehint.mm.memory import (
    BUDDY,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    frame_order,
)
from freehint.mm.pageblock import get_pageblock_migratetype

COMPACT_CLUSTER_MAX = 32  # pages moved at a time (include/linux/swap.h)
COMPACTION_HPAGE_ORDER = PAGEBLOCK_ORDER
PROACTIVENESS = 20  # vm.compaction_proactiveness
SCORE_LOW = 100 - PROACTIVENESS  # a zone's score at which its compaction ends
SCORE_HIGH = min(SCORE_LOW + 10, 100)  # a node is compacted above; fragmentation_score_wmark()
MAX_TARGETS = COMPACT_CLUSTER_MAX + (1 << NR_ORDERS - 1)

# CompactControl.at
MIGRATE_AT, FREE_BLOCK, FREE_AT, NR_TARGETS, NR_AT = range(5)


class CompactControl(NamedTuple):
    """One compaction of one zone.

    at : int64[4]            MIGRATE_AT next node of the migration scanner; FREE_BLOCK first node
                             of the free scanner's pageblock; FREE_AT its next node in that
                             pageblock; NR_TARGETS number of free pages in hand
    targets : int32[1056]    the free pages in hand; the last one is used next
    """

    at: np.ndarray
    targets: np.ndarray


def new_compact_control() -> CompactControl:
    """A control record that no zone uses yet."""
    return CompactControl(np.zeros(NR_AT, np.int64), np.zeros(MAX_TARGETS, np.int32))


@kernel
def fragmentation_score_zone(memory, zone):
    """Percentage of a zone's free pages in blocks smaller than a huge page.

    Source: extfrag_for_order().
    """
    free = large = 0
    for order in range(NR_ORDERS):
        pages = memory.nr_free[zone, order].sum() << order
        free += pages
        if order >= COMPACTION_HPAGE_ORDER:
            large += pages
    return 0 if free == 0 else (free - large) * 100 // free


@kernel
def fragmentation_score_node(memory):
    """Sum of the zones' scores, each weighted with the zone's share of the node's pages.

    Source: fragmentation_score_node().
    """
    node_present = memory.zones.present.sum()
    score = 0
    for zone in range(memory.zones.shape[0]):
        present = memory.zones[zone].present
        score += present * fragmentation_score_zone(memory, zone) // (node_present + 1)
    return score


@kernel
def begin_compaction(memory, control, zone):
    """Set the scanners to the zone's two ends.  Source: compact_zone(), ``whole_zone``."""
    start = memory.zones[zone].start_pfn - memory.base_pfn
    end = start + memory.zones[zone].spanned
    control.at[MIGRATE_AT] = start
    control.at[FREE_BLOCK] = (end - 1) & ~(PAGEBLOCK_NR_PAGES - 1)
    control.at[FREE_AT] = max(control.at[FREE_BLOCK], start)
    control.at[NR_TARGETS] = 0


@kernel(inline=True)
def scanners_met(control):
    """Has the migration scanner reached the free scanner's pageblock?

    Source: compact_scanners_met().
    """
    return control.at[MIGRATE_AT] >> PAGEBLOCK_ORDER >= control.at[FREE_BLOCK] >> PAGEBLOCK_ORDER


@kernel(inline=True)
def suitable_migration_target(memory, block):
    """Does a pageblock take migrated pages?  It must be MOVABLE and not wholly free.

    Source: suitable_migration_target().
    """
    frame = memory.frame[block]
    if frame & BUDDY and frame_order(frame) >= PAGEBLOCK_ORDER:
        return False
    return get_pageblock_migratetype(memory, block) == MOVABLE


@kernel
def isolate_freepages_block(memory, control, zone, wanted):
    """Take free blocks of the free scanner's pageblock until ``wanted`` pages are in hand.

    The caller holds the zone lock.  Source: isolate_freepages_block(), split_map_pages().

    Returns
    -------
    bool
        Whether the scanner has reached the pageblock's end.
    """
    end = control.at[FREE_BLOCK] + PAGEBLOCK_NR_PAGES
    node = control.at[FREE_AT]
    while node < end and control.at[NR_TARGETS] < wanted:
        frame = memory.frame[node]
        size = 1
        if frame & BUDDY:
            order = frame_order(frame)
            if not may_isolate(memory, node, zone, order):
                break
            size = 1 << order
            memory.zones[zone].nr_free_pages -= size
            del_page_from_free_list(memory, node, zone, order)
            make_movable_around(memory, node, zone, order)
            for i in range(size):
                control.targets[control.at[NR_TARGETS] + i] = node + size - 1 - i
            control.at[NR_TARGETS] += size
        node += size
    control.at[FREE_AT] = node
    return node >= end


@kernel
def isolate_freepages(memory, control, zone, wanted):
    """Move the free scanner down until ``wanted`` pages are in hand; return the number in hand.

    Source: isolate_freepages().
    """
    start = memory.zones[zone].start_pfn - memory.base_pfn
    while control.at[NR_TARGETS] < wanted and not scanners_met(control):
        if suitable_migration_target(memory, control.at[FREE_BLOCK]):
            if not isolate_freepages_block(memory, control, zone, wanted):
                break
        control.at[FREE_BLOCK] -= PAGEBLOCK_NR_PAGES
        control.at[FREE_AT] = max(control.at[FREE_BLOCK], start)
    return control.at[NR_TARGETS]


@kernel(inline=True)
def take_target(control):
    """Take the next free page in hand and return its node."""
    control.at[NR_TARGETS] -= 1
    return int(control.targets[control.at[NR_TARGETS]])
