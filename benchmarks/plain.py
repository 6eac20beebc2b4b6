"""The same allocator in plain Python: lists of ints, linked by index, without numpy or Numba.

Python's side of the comparison, with the verbs of :class:`benchmarks.onezone.OneZone`.  Links,
orders and counts are Python lists: an element of those is read three times as fast as an element
of a numpy array.
"""

import numpy as np

from benchmarks.onezone import LISTS
from freehint.mm.memory import (
    ISOLATE,
    MIGRATE_PCPTYPES,
    NR_ORDERS,
    PAGEBLOCK_NR_PAGES,
    PAGEBLOCK_ORDER,
    WITHOUT_CMA,
)

USED = -1  # in ``order``: no free block begins here


class Plain:
    """A guest whose pages are all allocated at first."""

    def __init__(self, pageblock: np.ndarray):
        self.pageblock = pageblock.tolist()
        self.nr_pages = len(pageblock) * PAGEBLOCK_NR_PAGES
        heads = range(self.nr_pages, self.nr_pages + len(LISTS))
        self.next = [0] * self.nr_pages + list(heads)
        self.prev = list(self.next)
        self.order = [USED] * self.nr_pages
        self.type = [0] * self.nr_pages
        self.nr_free = [0] * len(LISTS)
        self.nr_free_pages = 0

    def _add(self, node: int, order: int, kind: int, to_tail: bool) -> None:
        which = order * WITHOUT_CMA + kind
        head = self.nr_pages + which
        before, after = (self.prev[head], head) if to_tail else (head, self.next[head])
        self.next[before], self.prev[after] = node, node
        self.next[node], self.prev[node] = after, before
        self.order[node], self.type[node] = order, kind
        self.nr_free[which] += 1

    def _del(self, node: int) -> None:
        before, after = self.prev[node], self.next[node]
        self.next[before], self.prev[after] = after, before
        self.nr_free[self.order[node] * WITHOUT_CMA + self.type[node]] -= 1
        self.order[node] = USED

    def _rmqueue(self, order: int, kind: int) -> int:
        for high in range(order, NR_ORDERS):
            head = self.nr_pages + high * WITHOUT_CMA + kind
            node = self.next[head]
            if node != head:
                self._del(node)
                if kind != ISOLATE:
                    self.nr_free_pages -= 1 << order
                for half in range(high - 1, order - 1, -1):
                    self._add(node + (1 << half), half, kind, False)
                return node
        return -1

    def _may_merge(self, buddy: int, order: int, kind: int) -> bool:
        if self.order[buddy] != order:
            return False
        other = self.pageblock[buddy >> PAGEBLOCK_ORDER]
        return (
            order < PAGEBLOCK_ORDER
            or kind == other
            or (kind < MIGRATE_PCPTYPES and other < MIGRATE_PCPTYPES)
        )

    def _free(self, node: int, order: int, to_tail: bool) -> None:
        kind = self.pageblock[node >> PAGEBLOCK_ORDER]
        if kind != ISOLATE:
            self.nr_free_pages += 1 << order
        while order < NR_ORDERS - 1 and self._may_merge(node ^ (1 << order), order, kind):
            self._del(node ^ (1 << order))
            node &= ~(1 << order)
            order += 1
        if order < NR_ORDERS - 2:
            merged = node & ~(1 << order)
            to_tail |= self.order[merged ^ (2 << order)] == order + 1
        self._add(node, order, kind, to_tail)

    def free(self, order: int, nodes: np.ndarray) -> None:
        """Free blocks of one order, each to the tail of its pageblock's list."""
        for node in nodes.tolist():
            self._free(node, order, True)

    def replay(self, operations: list) -> int:
        """Carry operations out; how many allocations got another node than recorded."""
        wrong = 0
        for operation in operations:
            node, order = operation >> 8, operation >> 1 & 15
            if operation & 1:
                self._free(node, order, False)
            else:
                wrong += self._rmqueue(order, operation >> 5 & 7) != node
        return wrong

    def lists(self) -> list[np.ndarray]:
        """Every free list, in order."""
        return [np.array(self._nodes(self.nr_pages + i), np.int64) for i in range(len(LISTS))]

    def _nodes(self, head: int) -> list[int]:
        nodes, node = [], self.next[head]
        while node != head:
            nodes.append(node)
            node = self.next[node]
        return nodes

    def counts(self) -> tuple[np.ndarray, int]:
        """(blocks on each list, free pages)."""
        return np.array(self.nr_free), self.nr_free_pages
