"""freehint's side of the comparison: its kernels on a guest of one zone."""

import functools

import numpy as np

from benchmarks.ahead import AHEAD, prefetch_free
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, free_one_page, rmqueue_smallest
from freehint.mm.list import list_next, set_list
from freehint.mm.memory import (
    BUDDY,
    MAX_ORDER,
    MAX_ORDER_NR_PAGES,
    MOVABLE,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    TYPE_SHIFT,
    WITHOUT_CMA,
    free_list_head,
    list_nodes,
    new_memory,
    new_zones,
)
from freehint.mm.pageblock import get_pageblock_migratetype
from freehint.mm.profile import LINUX_6_1
from freehint.policies.walk import fill
from freehint.policies.walk_state import HIGH_FIRST, NEVER_ROTATE, PER_LIST, RESTART, new_walk_state

LISTS = [(order, kind) for order in range(NR_ORDERS) for kind in range(WITHOUT_CMA)]


@kernel
def replay(memory, operations):
    """The loop of REPLAY in baseline.c; how many allocations got another node."""
    wrong = node = 0
    last = operations.shape[0] - 1
    for i in range(operations.shape[0]):
        coming = operations[min(i + AHEAD, last)]
        # An allocation's node nobody knows yet: the last one, at hand, in its place, as a branch
        # would be mispredicted.
        prefetch_free(memory, coming >> 8 if coming & 1 else node)
        operation = operations[i]
        node = operation >> 8
        order = (operation >> 1) & 15
        if operation & 1:
            migratetype = get_pageblock_migratetype(memory, node)
            free_one_page(memory, node, 0, order, migratetype, FPI_NONE)
        elif rmqueue_smallest(memory, 0, order, (operation >> 5) & 7) != node:
            wrong += 1
    return wrong


@kernel
def free_at_tail(memory, order, nodes):
    """Free blocks of one order, each to the tail of its pageblock's list."""
    for node in nodes:
        migratetype = get_pageblock_migratetype(memory, node)
        free_one_page(memory, node, 0, order, migratetype, FPI_TO_TAIL)


@kernel
def walk(memory, head, node, n):
    """Sum of the next ``n`` nodes of a list, round and round, and the last of them."""
    total = 0
    while n > 0:
        node = list_next(memory.links, node)
        if node != head:
            total += node
            n -= 1
    return total, node


@functools.cache
def warm_up() -> None:
    """Compile what a guest's verbs call, or read it from the cache: not in a timed slice."""
    types = np.full(MAX_ORDER_NR_PAGES // PAGEBLOCK_NR_PAGES, MOVABLE, np.uint8)
    side = OneZone(types)
    side.free(MAX_ORDER - 1, np.zeros(1, np.int64))
    side.replay(np.zeros(0, np.int64))
    side.walk(MAX_ORDER - 1, MOVABLE, 1)
    side.fill(MAX_ORDER - 1, MOVABLE, np.zeros((2, 3), np.int64))
    side.whole(MAX_ORDER - 1, MOVABLE, types)


class OneZone:
    """A guest whose pages are all allocated at first."""

    def __init__(self, pageblock: np.ndarray):
        nr_pages = len(pageblock) * PAGEBLOCK_NR_PAGES
        extent = {"spanned": nr_pages, "present": nr_pages, "managed": nr_pages}
        self.memory = new_memory(new_zones(start_pfn=[0], index=2, **extent), 1, LINUX_6_1)
        self.memory.pageblock[:] = pageblock
        for array in (self.memory.links, self.memory.frame):
            array += 0  # touched now, not in the first slice that needs them
        self.at = -1

    def free(self, order: int, nodes: np.ndarray) -> None:
        """Free blocks of one order, each to the tail of its pageblock's list."""
        free_at_tail(self.memory, order, nodes)

    def replay(self, operations: np.ndarray) -> int:
        """Carry operations out; how many allocations got another node than recorded."""
        return replay(self.memory, operations)

    def set_list(self, order: int, kind: int, nodes: np.ndarray) -> None:
        """Make ``nodes`` the content of an empty list."""
        memory = self.memory
        set_list(memory.links, free_list_head(memory, 0, order, kind), nodes)
        memory.frame[nodes] = BUDDY | order | (kind << TYPE_SHIFT)
        memory.nr_free[0, order, kind] = len(nodes)

    def walk(self, order: int, kind: int, n: int) -> int:
        """Sum of the next ``n`` nodes of a list, round and round."""
        head = free_list_head(self.memory, 0, order, kind)
        total, self.at = walk(self.memory, head, head if self.at < 0 else self.at, n)
        return total

    def fill(self, order: int, kind: int, rows: np.ndarray) -> int:
        """One stroke of the walker over all lists of at least ``order``; rows written."""
        knobs = NEVER_ROTATE, RESTART, PER_LIST, HIGH_FIRST, order, 0, False
        state = new_walk_state(*knobs, self.memory.nr_pages)
        return fill(self.memory, state, 0, rows, len(rows) - 1)[0]

    def whole(self, order: int, kind: int, room: np.ndarray) -> np.ndarray:
        """Nodes of one whole list; they need no ``room`` here."""
        return list_nodes(self.memory, free_list_head(self.memory, 0, order, kind))

    def rooms(self) -> list[np.ndarray]:
        """The arrays of links and frames, as bytes."""
        return [array.view(np.uint8) for array in (self.memory.links, self.memory.frame)]

    def move(self, rooms: list[np.ndarray]) -> None:
        """Go on in arrays that hold this side's links and frames, and perhaps more bytes."""
        links, frame = self.memory.links, self.memory.frame
        self.memory = self.memory._replace(
            links=rooms[0][: links.nbytes].view(links.dtype),
            frame=rooms[1][: frame.nbytes].view(frame.dtype),
        )

    def lists(self) -> list[np.ndarray]:
        """Every free list, in order."""
        memory = self.memory
        return [list_nodes(memory, free_list_head(memory, 0, *which)) for which in LISTS]

    def counts(self) -> tuple[np.ndarray, int]:
        """(blocks on each list, free pages)."""
        return self.memory.nr_free[0].ravel().copy(), int(self.memory.zones[0].nr_free_pages)
