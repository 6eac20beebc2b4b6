"""A guest without time, whose policy reports, whose host zeroes, and whose program maps memory."""

from dataclasses import replace

import numpy as np

from freehint.jit.pinned import pinned
from freehint.mm.bitmap import count_bits
from freehint.mm.list import list_add_tail, list_del
from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    Memory,
    free_list_head,
    list_nodes,
)
from freehint.policies.drive import Drive
from freehint.policies.policy import Outcome, Policy
from freehint.studies.costs.zeroed import (
    ALL,
    RULES,
    give_back,
    map_memory,
    new_zeroed,
    note_zeroed,
)
from freehint.units import PAGES_PER_MIB


class Guest:
    """A memory, the policy that reports its free pages, and what is known of them.

    Parameters
    ----------
    memory : Memory
        It is changed.
    policy : Policy
    """

    def __init__(self, memory: Memory, policy: Policy):
        self.memory, self.policy = memory, replace(policy, user=0)
        self.zeroed = new_zeroed(memory)
        self.pinned = pinned(memory), pinned(self.zeroed)
        self.blocks = np.zeros(memory.nr_pages, np.int64)

    def report(self) -> int:
        """Let the policy make one pass, and the host zero what it was told of; count the blocks."""
        drive, rows = Drive(self.policy, self.memory), []
        for stroke in drive:
            told = zip(stroke.rows, stroke.outcomes, strict=True)
            rows += [row for row, what in told if what in (Outcome.USED, Outcome.TAKEN)]
        drive.call("end_walk")
        drive.call("release")
        if rows:
            note_zeroed(*self.pinned, np.array(rows, np.int64))
        return len(rows)

    def report_all(self) -> int:
        """Let the policy make passes until one has nothing to report; count them."""
        passes = 1
        while self.report():
            passes += 1
        return passes

    def map(self, nr_pages: int, huge: bool) -> np.ndarray:
        """Map memory for a program; return its blocks, node << 4 | order each."""
        filled = map_memory(*self.pinned, nr_pages, huge, self.blocks)
        return self.blocks[:filled].copy()

    def give_back(self, blocks: np.ndarray) -> None:
        """Unmap memory again, in the order in which it was mapped."""
        give_back(*self.pinned, blocks)

    def zeroed_MiB(self) -> float:
        """Memory that the host has zeroed and that nobody has had since."""
        return int(count_bits(self.zeroed.zeroed)) / PAGES_PER_MIB

    def unknown_MiB(self) -> float:
        """Free memory that the host has not zeroed, per-CPU lists included."""
        zones, pcp = self.memory.zones, self.memory.pcp
        free = zones["nr_free_pages"].sum() + pcp["count"].sum()
        return float(free) / PAGES_PER_MIB - self.zeroed_MiB()

    def shares(self, order: int, since=0) -> dict:
        """The share of allocations of an order that each of RULES knows to be clear.

        Parameters
        ----------
        order : int
        since : int64[4] or 0
            A copy of the order's counts, to leave out what came before.
        """
        count = self.zeroed.count[order] - since
        return {rule: float(known / max(count[ALL], 1)) for rule, known in zip(RULES, count)}


def shuffle_lists(memory: Memory, stream: np.random.Generator) -> None:
    """Put the largest free blocks of each list in a random order.

    CONFIG_SHUFFLE_PAGE_ALLOCATOR does so at boot, and puts a block of this order at a random end
    when it is freed.  Source: shuffle_zone(), shuffle_pick_tail().
    """
    for zone in range(len(memory.zones)):
        for migratetype in range(MIGRATE_PCPTYPES):
            head = free_list_head(memory, zone, MAX_ORDER - 1, migratetype)
            for node in stream.permutation(list_nodes(memory, head)).tolist():
                list_del(memory.links, node)
                list_add_tail(memory.links, node, head)
