"""Draw places for the blocks that /proc/pagetypeinfo only counts."""

import numpy as np

from freehint.config import InputError
from freehint.mm.list import set_list
from freehint.mm.memory import (
    BUDDY,
    MAX_ORDER,
    MOVABLE,
    PAGEBLOCK_ORDER,
    PCP,
    TYPE_SHIFT,
    Memory,
    free_list_head,
    pcp_list_head,
)


class Placer:
    """Draws places for one zone's blocks, from the largest order down.

    A slot is an aligned range not yet given away.  At each order some slots become free blocks,
    but never both of two buddies; the others are halved.  Slots left at order 0 are allocated.
    """

    def __init__(self, memory: Memory, zone: int, stream, where: str):
        self.memory, self.zone, self.stream, self.where = memory, zone, stream, where
        self.start = int(memory.zones.start_pfn[zone])
        self.end = self.start + int(memory.zones.spanned[zone])
        # The hole follows the present pages; on QEMU's pc machine only the first MiB differs.
        self.end -= int(memory.zones.spanned[zone] - memory.zones.present[zone])
        if zone == 0:
            self.end = self.start + int(memory.zones.spanned[zone])

    def place(self, free, blocks, pcp_counts):
        """Place ``free[order, migratetype]`` blocks, the pageblock types and the pcp pages."""
        types = self._fresh_pageblocks(blocks)
        slots = np.zeros(0, np.int64)
        for order in range(MAX_ORDER - 1, -1, -1):
            slots = np.sort(np.concatenate([slots, slots + (1 << order), self._edges(order)]))
            if order == PAGEBLOCK_ORDER - 1:
                self._tag_rest(types)
            taken = self._choose(slots, order, free[order], types)
            slots = slots[~taken]
        self._place_pcp(slots, pcp_counts)

    def _edges(self, order):
        """Slots of this order that no larger aligned slot inside the zone contains."""
        size = 1 << order
        first = -(-self.start // size) * size
        last = self.end // size * size
        if order == MAX_ORDER - 1:
            return np.arange(first, last, size) - self.memory.base_pfn
        edges = []
        if first % (2 * size) and first + size <= self.end:
            edges.append(first)
        if last % (2 * size) and last - size >= self.start and last - size not in edges:
            edges.append(last - size)
        return np.array(edges, np.int64) - self.memory.base_pfn

    def _fresh_pageblocks(self, blocks):
        """Mark every pageblock as not yet typed, and return how many must get each type."""
        first = self.start >> PAGEBLOCK_ORDER
        last = -(-self.end >> PAGEBLOCK_ORDER)
        self.blocks = np.arange(first, last) - (self.memory.base_pfn >> PAGEBLOCK_ORDER)
        if blocks.sum() != len(self.blocks):
            raise InputError(
                f"{self.where}: pagetypeinfo counts {blocks.sum()} pageblocks, but zoneinfo's span"
                f" has {len(self.blocks)}"
            )
        self.untyped = np.ones(len(self.blocks), np.bool_)
        return blocks.copy()

    def _tag_rest(self, types):
        """Deal the types that are left to the pageblocks that hold no large free block."""
        rest = self.stream.permutation(np.repeat(np.arange(len(types)), np.maximum(types, 0)))
        where = np.flatnonzero(self.untyped)
        rest = np.concatenate([rest, np.full(len(where), MOVABLE)])[: len(where)]
        self.memory.pageblock[self.blocks[where]] = rest
        self.untyped[:] = False

    def _choose(self, slots, order, counts, types):
        """Draw the free blocks of one order, and return which slots they took."""
        taken = np.zeros(len(slots), np.bool_)
        drawn = self.stream.permutation(len(slots))
        if order < MAX_ORDER - 1:
            # At most one of two buddies may be free: keep the one drawn first.
            _, first = np.unique(slots[drawn] >> (order + 1), return_index=True)
            drawn = drawn[np.sort(first)]
        for migratetype in np.argsort(-counts):
            wanted = int(counts[migratetype])
            if not wanted:
                continue
            if order < PAGEBLOCK_ORDER:
                block_type = self.memory.pageblock[slots[drawn] >> PAGEBLOCK_ORDER]
                drawn = drawn[np.argsort(block_type != migratetype, kind="stable")]
            if wanted > len(drawn):
                raise InputError(
                    f"{self.where}: {wanted} free blocks of order {order} do not fit the zone"
                )
            chosen, drawn = drawn[:wanted], drawn[wanted:]
            taken[chosen] = True
            self._enter(slots[chosen], order, int(migratetype), types)
        return taken

    def _enter(self, nodes, order, migratetype, types):
        memory = self.memory
        set_list(memory.links, free_list_head(memory, self.zone, order, migratetype), nodes)
        memory.frame[nodes] = BUDDY | order | migratetype << TYPE_SHIFT
        memory.nr_free[self.zone, order, migratetype] = len(nodes)
        for node in nodes if order >= PAGEBLOCK_ORDER else ():
            first = (node >> PAGEBLOCK_ORDER) - self.blocks[0]
            last = first + (1 << (order - PAGEBLOCK_ORDER))
            memory.pageblock[self.blocks[first:last]] = migratetype
            types[migratetype] -= self.untyped[first:last].sum()
            self.untyped[first:last] = False

    def _place_pcp(self, pages, counts):
        memory = self.memory
        if sum(counts) > len(pages):
            raise InputError(
                f"{self.where}: {sum(counts)} pcp pages do not fit beside the free blocks"
            )
        drawn = self.stream.permutation(pages)
        for cpu, count in enumerate(counts):
            mine, drawn = drawn[:count], drawn[count:]
            set_list(memory.links, pcp_list_head(memory, self.zone, cpu, MOVABLE), mine)
            memory.frame[mine] = PCP | MOVABLE << TYPE_SHIFT
            memory.pcp.count[self.zone, cpu] = count
