"""Compaction's searches turn a free list, so that the next search begins with other blocks.

Source: mm/compaction.c of Linux 5.1 and later.
"""

from freehint.jit import kernel
from freehint.mm.list import list_next, list_prev, list_turn


@kernel
def move_freelist_head(memory, head, node):
    """Move the blocks before ``node``, in order, to the tail, so that ``node`` comes first.

    Source: move_freelist_head().
    """
    if list_next(memory.links, head) != node:
        list_turn(memory.links, head, list_prev(memory.links, node))


@kernel
def move_freelist_tail(memory, head, node):
    """Move the blocks up to and including ``node``, in order, to the tail: ``node`` comes last.

    Source: move_freelist_tail().
    """
    if list_prev(memory.links, head) != node:
        list_turn(memory.links, head, node)
