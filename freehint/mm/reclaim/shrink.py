"""A pass over the node's lists, by the LRU that the guest's kernel uses."""

from freehint.jit import kernel
from freehint.mm.reclaim.lru_gen.generations import lru_gen_enabled
from freehint.mm.reclaim.lru_gen.node import (
    lru_gen_begin_pass,
    lru_gen_end_pass,
    lru_gen_round,
)
from freehint.mm.reclaim.scan import (
    age_anon,
    begin_shrink_node,
    end_shrink_node,
    shrink_round,
)


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
