"""The bug "bookmark_as_block": the allocator does not step over what a walk leaves in a list.

``first_block`` of mm steps over the bookmark and the ENDs of walks.  Here it does not: where one of
them is the first of a list, it is taken off as if it were a block.  It is no memory, so nobody gets
anything; the counters say that a block is gone.
"""

from freehint.jit import kernel
from freehint.mm.buddy import count_blocks
from freehint.mm.callback import has_block
from freehint.mm.list import list_del, list_next
from freehint.mm.memory import MOVABLE, NR_ORDERS, free_list_head
from freehint.safety.bugs import BOOKMARK_AS_BLOCK
from freehint.safety.guest import BUG


@kernel
def takes_bookmark(guest, order):
    """With the bug, take a bookmark for a block if the allocator meets one; did it?"""
    world, memory = guest.world, guest.world.memory
    if guest.rule[BUG] != BOOKMARK_AS_BLOCK or world.state[0].locked_zones != 0:
        return False
    if not has_block(memory, 0, order, MOVABLE):
        return False  # watermarks stop it before it looks at a list
    for current in range(order, NR_ORDERS):
        head = free_list_head(memory, 0, current, MOVABLE)
        node = list_next(memory.links, head)
        if node != head:
            if node < memory.nr_pages:
                return False
            list_del(memory.links, node)
            count_blocks(memory, 0, current, MOVABLE, -1)
            memory.zones[0].nr_free_pages -= 1 << current
            return True
    return False
