"""A pass over the node's lists, by the LRU that the guest's kernel uses."""

from freehint.jit import kernel
from freehint.mm.compact.finish import compaction_suitable
from freehint.mm.memory import WMARK_MIN
from freehint.mm.reclaim.lists import lru_pages
from freehint.mm.reclaim.lru_gen.generations import lru_gen_enabled
from freehint.mm.reclaim.lru_gen.node import (
    lru_gen_begin_pass,
    lru_gen_end_pass,
    lru_gen_round,
)
from freehint.mm.reclaim.scan import (
    age_anon,
    begin_shrink_node,
    can_reclaim_anon_pages,
    compact_gap,
    end_shrink_node,
    shrink_round,
)
from freehint.mm.reclaim.state import (
    DEF_PRIORITY,
    INACTIVE_ANON,
    INACTIVE_FILE,
    PAGE_ALLOC_COSTLY_ORDER,
)
from freehint.mm.zone import zone_watermark_ok


@kernel(inline=True)
def age_node(memory, reclaim, who):
    """Age pages before a pass; generations age inside of it.  Source: kswapd_age_node()."""
    if not lru_gen_enabled(reclaim):
        age_anon(memory, reclaim, who)


@kernel(inline=True)
def begin_pass_over_node(memory, reclaim, who):
    """Begin a pass.  Source: shrink_node()."""
    if lru_gen_enabled(reclaim):
        lru_gen_begin_pass(memory, reclaim, who)
    else:
        begin_shrink_node(memory, reclaim, who)


@kernel(inline=True)
def next_round(memory, reclaim, who, cpu):
    """Do one round of a pass; True while it has more to do."""
    if lru_gen_enabled(reclaim):
        return lru_gen_round(memory, reclaim, who, cpu)
    return shrink_round(memory, reclaim, who, cpu)


@kernel(inline=True)
def end_pass_over_node(memory, reclaim, who):
    """End a pass."""
    if lru_gen_enabled(reclaim):
        lru_gen_end_pass(memory, reclaim, who)
    else:
        end_shrink_node(memory, reclaim, who)


@kernel(cold=True)
def should_continue_reclaim(memory, reclaim, who, reclaimed):
    """Is one more pass needed, until compaction for the order can go on?

    Generations have no such passes (lru_gen_shrink_node()).
    Source: in_reclaim_compaction(), should_continue_reclaim().
    """
    sc = reclaim.control[who]
    large = sc.order > PAGE_ALLOC_COSTLY_ORDER or sc.priority < DEF_PRIORITY - 2
    if sc.order == 0 or not large or reclaimed == 0 or lru_gen_enabled(reclaim):
        return False
    if compaction_could_run(memory, sc.order, sc.reclaim_idx):
        return False
    inactive = lru_pages(reclaim, INACTIVE_FILE)
    if can_reclaim_anon_pages(reclaim):
        inactive += lru_pages(reclaim, INACTIVE_ANON)
    return inactive > compact_gap(sc.order)


@kernel(cold=True)
def compaction_could_run(memory, order, highest_zoneidx):
    """Has a zone a block of the order, or enough free pages to make one?

    Source: compaction_suitable() as should_continue_reclaim() asks it.
    """
    for zone in range(memory.zones.shape[0]):
        if memory.zones[zone].index <= highest_zoneidx:
            if zone_watermark_ok(memory, zone, order, WMARK_MIN, 0, highest_zoneidx, 0):
                return True
            if compaction_suitable(memory, zone, order, highest_zoneidx):
                return True
    return False
