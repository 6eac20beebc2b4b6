"""What an operator asks of the guest: drop_caches and memory.reclaim.

compact_memory is compact_node() of mm/compact/direct.py.
"""

from freehint.jit import kernel
from freehint.mm.memory import ZONE_MOVABLE
from freehint.mm.reclaim.direct import begin_direct_reclaim, reclaim_with_force
from freehint.mm.reclaim.scan import drop_page, free_reclaimed
from freehint.mm.reclaim.state import (
    BY_TASK,
    DROP_PAGECACHE,
    MAX_RECLAIM_RETRIES,
    PAGEVEC_SIZE,
    SWAP_CLUSTER_MAX,
)


@kernel(cold=True)
def memory_reclaim(memory, reclaim, cpu, nr_pages):
    """Reclaim ``nr_pages`` pages from the guest as one cgroup; return the pages reclaimed.

    Source: memory_reclaim() of mm/memcontrol.c, try_to_free_mem_cgroup_pages().
    """
    got, retries = 0, MAX_RECLAIM_RETRIES
    sc = reclaim.control[BY_TASK]
    while got < nr_pages:
        pages = max(nr_pages - got, SWAP_CLUSTER_MAX)
        begin_direct_reclaim(reclaim, 0, ZONE_MOVABLE, pages)
        sc.proactive = 1
        reclaim_with_force(memory, reclaim, cpu)
        if sc.nr_reclaimed == 0:
            if retries == 0:
                break
            retries -= 1
        got += sc.nr_reclaimed
    sc.proactive = 0
    return got


@kernel(cold=True)
def drop_caches(memory, reclaim, cpu, limit):
    """Drop clean pages of files that nobody has mapped, in the files' order.

    Call it again while it returns ``limit`` pages; a call that drops fewer has come to the end.
    Source: drop_pagecache_sb(), invalidate_mapping_pages().

    Returns
    -------
    int
        Pages dropped.
    """
    state = reclaim.node[0]
    if state.drop_at == 0:
        reclaim.count[DROP_PAGECACHE] += 1
    dropped = batch = 0
    while state.drop_at < reclaim.place.shape[0] and dropped < limit:
        node = int(reclaim.place[state.drop_at]) - 1
        state.drop_at += 1
        if node >= 0 and drop_page(memory, reclaim, node):
            dropped += 1
            batch += 1
            if batch == PAGEVEC_SIZE:
                free_reclaimed(memory, reclaim, cpu)
                batch = 0
    free_reclaimed(memory, reclaim, cpu)
    if dropped < limit:
        state.drop_at = 0
    return dropped
