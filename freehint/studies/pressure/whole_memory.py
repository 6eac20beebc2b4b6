"""Compaction of all of a guest's memory at once, apart from the engine.

The kernel stands alone here, because a change to any file that its module imports compiles it anew.
"""

from freehint.jit import kernel
from freehint.mm.compact.direct import compact_node
from freehint.mm.memory import LRU
from freehint.mm.reclaim.lru import add_anon_page


@kernel
def compact_movable(memory, reclaim, compaction, nodes):
    """Put pages on the LRU lists, compact all zones, and return the number of pages moved.

    Source: compact_node() of mm/compaction.c.
    """
    for place in range(nodes.shape[0]):
        memory.frame[nodes[place]] |= LRU
        add_anon_page(memory, reclaim, nodes[place], place)
    return compact_node(memory, reclaim, compaction, 0)
