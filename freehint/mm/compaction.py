"""Compaction's fast search and the free lists that it reorders.

Source: mm/compaction.c of Linux 6.1, where no other is named; the fast search is in 5.1 and later.
"""

from freehint.jit import kernel
from freehint.mm.list import list_next, list_prev, list_turn


@kernel
def move_freelist_head(memory, head, node):
    """The blocks before ``node`` go, in order, to the tail: ``node`` is first.

    Source: the same name.
    """
    if list_next(memory.links, head) != node:
        list_turn(memory.links, head, list_prev(memory.links, node))


@kernel
def move_freelist_tail(memory, head, node):
    """The blocks up to ``node`` and it too go, in order, to the tail: ``node`` is last.

    Source: the same name.
    """
    if list_prev(memory.links, head) != node:
        list_turn(memory.links, head, node)
