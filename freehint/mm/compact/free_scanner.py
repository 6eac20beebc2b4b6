"""The free scanner: where pages are moved to.

It first searches the free lists (search.py).  If that finds nothing it comes down from the zone's
end, pageblock by pageblock, in strides that grow as long as nothing is free.

Source: mm/compaction.c of Linux 6.1, unless a docstring names another release.
"""

from freehint.jit import kernel
from freehint.mm.compact.hand import isolate_freepages_block, take_target
from freehint.mm.compact.search import fast_isolate_freepages
from freehint.mm.compact.skip import (
    isolation_suitable,
    pageblock_exists,
    set_pageblock_skip,
)
from freehint.mm.compact.state import (
    COMPACT_CLUSTER_MAX,
    MIGRATE_ASYNC,
    pageblock_end_pfn,
    pageblock_start_pfn,
    zone_end_pfn,
)
from freehint.mm.memory import (
    BUDDY,
    MOVABLE,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    frame_order,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import COMPACT_BLOCKS


@kernel(inline=True)
def suitable_migration_target(memory, cc, pfn):
    """May pages be moved into a pageblock?  It must be MOVABLE and not wholly free.

    Source: suitable_migration_target().
    """
    node = pfn - memory.base_pfn
    frame = memory.frame[node]
    if frame & BUDDY and frame_order(frame) >= PAGEBLOCK_ORDER:
        return False
    if cc.ignore_block_suitable:
        return True
    return get_pageblock_migratetype(memory, node) == MOVABLE


@kernel(inline=True)
def update_pageblock_skip(memory, compaction, cc, start_pfn):
    """Mark a pageblock that was scanned to its end; the next compaction begins below it.

    Before 6.6 it begins in it.  Source: update_pageblock_skip().
    """
    set_pageblock_skip(memory, start_pfn)
    if memory.profile.compaction == COMPACT_BLOCKS:
        start_pfn -= PAGEBLOCK_NR_PAGES
    state = compaction.zone[cc.zone]
    state.compact_cached_free_pfn = min(state.compact_cached_free_pfn, start_pfn)


@kernel
def isolate_freepages(memory, reclaim, compaction, who):
    """Take pages in hand: by the search, else by the scan from the zone's end.

    Source: isolate_freepages().
    """
    cc = compaction.control[who]
    fast_isolate_freepages(memory, reclaim, compaction, who)
    if cc.nr_freepages > 0:
        return
    scan_pfn = cc.free_pfn
    block_start = pageblock_start_pfn(scan_pfn)
    block_end = min(block_start + PAGEBLOCK_NR_PAGES, zone_end_pfn(memory, cc.zone))
    low_pfn = pageblock_end_pfn(cc.migrate_pfn)
    stride = COMPACT_CLUSTER_MAX if cc.mode == MIGRATE_ASYNC else 1
    while block_start >= low_pfn:
        suitable = (
            pageblock_exists(memory, block_start)
            and suitable_migration_target(memory, cc, block_start)
            and isolation_suitable(memory, cc, block_start)
        )
        if suitable:
            scan_pfn, isolated = isolate_freepages_block(
                memory, reclaim, compaction, who, scan_pfn, block_end, stride
            )
            if scan_pfn == block_end:
                update_pageblock_skip(memory, compaction, cc, block_start)
            if cc.nr_freepages >= cc.nr_migratepages:
                if scan_pfn >= block_end:
                    scan_pfn = block_start - PAGEBLOCK_NR_PAGES
                break
            if scan_pfn < block_end:
                break
            stride = 1 if isolated > 0 else min(COMPACT_CLUSTER_MAX, stride << 1)
        block_end = block_start
        block_start -= PAGEBLOCK_NR_PAGES
        scan_pfn = block_start
    cc.free_pfn = scan_pfn


@kernel
def compaction_alloc(memory, reclaim, compaction, who):
    """The page that the next page is moved to; -1 if there is none.  Source: compaction_alloc()."""
    if compaction.control[who].nr_freepages == 0:
        isolate_freepages(memory, reclaim, compaction, who)
    return take_target(memory, compaction, who)
