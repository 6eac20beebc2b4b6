"""Ask for the memory of a coming operation while others go on.

A loop that knows its next operations hides with it the time that memory takes to answer.
"""

from freehint.jit import kernel, prefetch
from freehint.mm.list import prefetch_links

# Operations ahead: at 16 GiB 8 came too late, and 32 gained nothing over 24 (make bench).
AHEAD = 24


@kernel(inline=True)
def prefetch_free(memory, node):
    """``node`` is about to be freed: ask for its frame and its links.

    Its buddies' of orders 0 to 2 lie in the same cache lines.  The head's first block, whose
    prev will name it, is the one freed last and at hand.
    """
    prefetch(memory.frame, node)
    prefetch_links(memory.links, node)
