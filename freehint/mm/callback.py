"""Step 1 of the five-step scheme: a policy is called before an allocation misses its free lists.

Source: Tsirkin, "How about the following scheme", answering v24 2/2 on linux-mm, January 2018.
No kernel has it.
"""

from freehint.jit import kernel, seldom
from freehint.jit.apart import FLAG, NUMBER
from freehint.mm.memory import CALLED, EMPTIED, HEADS, NR_ORDERS, WATCH_EMPTY

NEEDS_CALLBACK = -3  # a policy is to be called first, so nothing was done


@kernel(inline=True)
def note_empty_list(memory, zone, order, migratetype):
    """Note for a policy that watches (step 1 of policies/five_step.py): a free list is empty."""
    if memory.notify[WATCH_EMPTY] != 0:
        memory.notify[EMPTIED] = 1 + (zone * NR_ORDERS + order) * HEADS + migratetype


@kernel(inline=True, cold=True, late=FLAG)
def has_block(memory, zone, order, migratetype):
    """Has the zone a free block of a type that can serve an order?"""
    for current in range(order, NR_ORDERS):
        if memory.nr_free[zone, current, migratetype] > 0:
            return True
    return False


@kernel(inline=True)
def wants_callback(memory, zone, order, migratetype):
    """Is a policy to be called first, because the type has no block that could serve the order?

    Only once for each zone in an allocation; then the request falls back to other types or fails.
    """
    if memory.notify[WATCH_EMPTY] == 0 or memory.notify[CALLED] >> zone & 1:
        return False
    return not has_block(memory, zone, order, migratetype)


@kernel(cold=True, late=NUMBER)
def call_back_first(memory, zone, order, migratetype):
    """Ask for the policy to be called, and return NEEDS_CALLBACK."""
    memory.notify[CALLED] |= 1 << zone
    note_empty_list(memory, zone, order, migratetype)
    return NEEDS_CALLBACK


@kernel(inline=True)
def end_callbacks(memory, node):
    """Let the next allocation call again, unless this one, which got ``node``, is repeated."""
    if seldom(memory.notify[CALLED] != 0) and node != NEEDS_CALLBACK:
        memory.notify[CALLED] = 0
