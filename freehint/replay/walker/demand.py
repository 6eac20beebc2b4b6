"""The demand of a recorded guest, replayed at buddy level where the model may give other blocks.

:mod:`freehint.replay.buddy_level` predicts what the kernel did, so a row's page is the model's
page.  Here the guest only *asks* for what the kernel was asked for: each allocation takes the block
that the model's lists give for the same zone, order and type, and each free gives back the block
that its allocation got.
"""

import numpy as np

from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording
from freehint.formats.traces.rows import (
    ALLOC,
    BY_LATER_ROW,
    CLAIMED,
    DIRECT,
    EXTFRAG,
    FAITHFUL,
    FREE,
    FREE_DIRECT,
    ISOLATE_PAGE,
    MOVE_BLOCK,
    PCPU_DRAIN,
    PUTBACK,
    ZONE_LOCKED,
)
from freehint.jit import kernel
from freehint.mm.buddy import FPI_NONE, FPI_TO_TAIL, page_is_buddy
from freehint.mm.fallback import RMQUEUE_NORMAL, rmqueue, rmqueue_claim, rmqueue_fallback
from freehint.mm.memory import MIGRATE_PCPTYPES, page_zone
from freehint.mm.pcp import pcp_allowed_order
from freehint.mm.profile import FALLBACK_CLAIMS
from freehint.replay.buddy_blocks import replay_free, smallest_block, take_block
from freehint.replay.buddy_level import isolate_row, move_block_row
from freehint.replay.prediction import Advance

NOWHERE = -1  # the model's page for a page that is not allocated


@kernel
def block_for(memory, rows, row):
    """Take the block that the model gives for a row that allocates from the buddy lists, or -1."""
    order, migratetype = rows.order[row], rows.migratetype[row]
    zone = page_zone(memory, rows.node[row])
    node, current = smallest_block(memory, zone, order, migratetype, FAITHFUL)
    if node >= 0:
        take_block(memory, node, zone, current, order, migratetype)
        return node
    if migratetype >= MIGRATE_PCPTYPES:
        return -1
    if rows.fate[row] == CLAIMED:
        node = rmqueue_claim(memory, zone, order, migratetype, 0, rows.value[row])
        if node >= 0:
            return node
    return rmqueue(memory, zone, order, migratetype, 0, RMQUEUE_NORMAL)[0]


@kernel
def extfrag_row(memory, rows, row, page_of):
    """Fall back if the model has to; up to 6.1 the allocation has a row of its own, in 6.12 not."""
    order, migratetype = rows.order[row], rows.migratetype[row]
    zone = page_zone(memory, rows.node[row])
    if memory.profile.fallback == FALLBACK_CLAIMS:
        if rows.fate[row] == CLAIMED:
            return NOWHERE
        return give(page_of, rows.node[row], order, block_for(memory, rows, row))
    if smallest_block(memory, zone, order, migratetype, FAITHFUL)[0] < 0:
        rmqueue_fallback(memory, zone, order, migratetype, 0, rows.change[row])
    return NOWHERE


@kernel(inline=True)
def give(page_of, recorded, order, node):
    """Let the pages of a recorded block stand for those of ``node``, and return ``node``."""
    for i in range(1 << order):
        page_of[recorded + i] = NOWHERE if node < 0 else node + i
    return node


@kernel
def give_back(memory, run, task, page_of, recorded, order, migratetype, fpi_flags):
    """Free the model's pages of a recorded block: as one block if they are one."""
    first = page_of[recorded]
    whole = first >= 0 and first & ((1 << order) - 1) == 0
    for i in range(1 << order):
        whole = whole and page_of[recorded + i] == first + i
    if whole:
        # The type that the trace tells is that of the recorded page's pageblock.
        told = migratetype if first == recorded else -1
        replay_free(memory, run, task, first, order, told, fpi_flags, FAITHFUL)
    for i in range(1 << order):
        page = page_of[recorded + i]
        if not whole and page >= 0:
            replay_free(memory, run, task, page, 0, -1, fpi_flags, FAITHFUL)
        page_of[recorded + i] = NOWHERE


@kernel
def demand_isolation(memory, run, rows, row, page_of):
    """Isolate the recorded block if it is free; other blocks that compaction takes are refused."""
    node, order = rows.node[row], rows.order[row]
    same = page_is_buddy(memory, node, order)
    isolate_row(memory, run, rows, row)
    if rows.value[row] > 0:
        give(page_of, node, order, node if same else NOWHERE)


@kernel
def replay_demand(memory, rows, run, page_of, first, last, got):
    """Replay rows ``first`` to ``last``.

    Parameters
    ----------
    page_of : int32[nr_pages]
        The model's page for each recorded page in use; NOWHERE for a free one.
    got : int32[rows]
        Output: the model's block for each ALLOC, ZONE_LOCKED and EXTFRAG row; -1 if none.
    """
    for row in range(first, last):
        kind = rows.kind[row]
        node, order, migratetype = rows.node[row], rows.order[row], rows.migratetype[row]
        if kind == ZONE_LOCKED:
            got[row] = give(page_of, node, order, block_for(memory, rows, row))
        elif kind == ALLOC:
            got[row] = page_of[node]
        elif kind == PCPU_DRAIN:
            give_back(memory, run, rows.task[row], page_of, node, order, migratetype, FPI_NONE)
        elif kind == FREE:
            fate = rows.fate[row]
            direct = fate == DIRECT or not pcp_allowed_order(memory, order)
            if direct and fate != BY_LATER_ROW:
                give_back(memory, run, rows.task[row], page_of, node, order, -1, FPI_NONE)
        elif kind == FREE_DIRECT:
            flags = rows.value[row]
            give_back(memory, run, rows.task[row], page_of, node, order, migratetype, flags)
        elif kind == EXTFRAG:
            got[row] = extfrag_row(memory, rows, row, page_of)
        elif kind == ISOLATE_PAGE:
            demand_isolation(memory, run, rows, row, page_of)
        elif kind == PUTBACK:
            give_back(memory, run, rows.task[row], page_of, node, order, -1, FPI_TO_TAIL)
        elif kind == MOVE_BLOCK:
            move_block_row(memory, rows, row)


class Demand(Advance):
    """A recorded guest whose demand is moved on along the rows of its trace.

    Attributes
    ----------
    got : int32[rows]
        See :func:`replay_demand`.
    """

    def __init__(self, recording: Recording):
        super().__init__(recording)
        self.page_of = np.arange(self.memory.nr_pages, dtype=np.int32)
        self.got = np.full(len(recording.trace), NOWHERE, np.int32)

    def to(self, row: int) -> None:
        """Apply every row before ``row``, a position between T0 and T1."""
        replay_demand(self.memory, self.columns, self.run, self.page_of, self.row, row, self.got)
        self.row = max(self.row, row)

    @property
    def refused(self) -> int:
        """Rows that the model's lists contradicted."""
        return int(self.run.counts[rows.C_REFUSED])
