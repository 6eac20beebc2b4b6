"""A recorded trace as arrays for the replay kernels, and what becomes of each free in it."""

from typing import NamedTuple

import numpy as np

from freehint.jit import kernel
from freehint.mm.memory import PAGEBLOCK_ORDER
from freehint.mm.pcp import pcp_allowed_order
from freehint.mm.profile import FALLBACK_CLAIMS

# Row kinds.
(
    IGNORED,
    ALLOC,
    FREE,
    FREE_BATCHED,
    ZONE_LOCKED,
    EXTFRAG,
    PCPU_DRAIN,
    FREE_DIRECT,
    ISOLATE_PAGE,
    PUTBACK,
    MOVE_BLOCK,
    FAST_ISOLATE,
    BULK_ALLOC,
    DECAY,
    DRAIN_ZONE,
) = range(15)

# What becomes of an mm_page_free row; of other rows whose neighbours tell more about them.
TO_PCP, TO_PCP_LATER, DIRECT, DIRECT_LATER = range(4)
CLAIMED = 4  # zone_locked: served from a pageblock claimed for it; extfrag: that claim
ROTATES = 5  # isolate: the fast search of compaction, which brought the block to the head


class Rows(NamedTuple):
    """A trace between its snapshots; one entry a row.

    kind : int8      IGNORED .. DRAIN_ZONE
    cpu : int16
    node : int32     pfn - base_pfn, or -1
    order : int8
    migratetype : int8
    change : int8    extfrag: the pageblock has the wanted type afterwards
    value : int32    extfrag: order of the block taken; a zone_locked row that is CLAIMED: the
                     same; free_direct: fpi flags; isolate and bulk_alloc: pages got; decay and
                     drain_zone: zone; move_block: the old type
    fate : int8      TO_PCP .. ROTATES
    """

    kind: np.ndarray
    cpu: np.ndarray
    node: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    change: np.ndarray
    value: np.ndarray
    fate: np.ndarray


class Scratch(NamedTuple):
    """What a replay writes beside the memory; ``C`` CPUs, ``Z`` zones.

    counts : int64[NR_COUNTS]
    compacting : bool[Z]          has compaction isolated pages?
    rotations : int64[n, 5]       ROTATION_COLUMNS; counts[C_ROTATIONS] of them

    pcp level only
    claims : int64[C, 1 + n]      recorded claims not used yet, their number first
    told : int32[C, 15, 2 + n]    blocks that rows said left the buddy, a queue for each pcp list
                                  and one for blocks that have none: indices of the first and
                                  behind the last unused, then the blocks
    drain_due : int64[C]          pages drained by the model less those that the trace told of
    later_type : int8[nr_pages]   type of a page at its free, until it is pushed
    """

    counts: np.ndarray
    compacting: np.ndarray
    rotations: np.ndarray
    claims: np.ndarray
    told: np.ndarray
    drain_due: np.ndarray
    later_type: np.ndarray


# Counts of a replay.
(
    C_SCORED,
    C_HITS,
    C_MISSES,
    C_SILENT_PAGES,
    C_SILENT_ROWS,
    C_REFUSED,
    C_FIRST_MISS,
    C_PREDICTED,
    C_UNTOLD_CLAIMS,
    C_ROTATIONS,
    C_REFILLS,
    C_REFILL_MISSES,
    C_DRAINS,
    C_DRAIN_MISSES,
    NR_COUNTS,
) = range(15)

# Rules made wrong on purpose, to show that the bar sees it.
FAITHFUL, ALWAYS_HEAD, LOWEST_FIRST, NO_CLAIM = range(4)


@kernel(inline=True)
def score(counts, predicted, observed):
    """Count a prediction; True if it was right."""
    counts[C_SCORED] += 1
    if predicted == observed:
        counts[C_HITS] += 1
        return True
    counts[C_MISSES] += 1
    return False


@kernel(inline=True)
def note_first_miss(counts, row, predicted):
    """Remember the first miss that nothing explains."""
    if counts[C_FIRST_MISS] < 0:
        counts[C_FIRST_MISS] = row
        counts[C_PREDICTED] = predicted


@kernel
def settle_orders(rows, order_of):
    """mm_page_free_batched tells no order: it is that of the page's own mm_page_free.

    ``order_of``: int8[nr_pages] of zeros, scratch; row nodes outside are skipped.
    """
    for row in range(rows.kind.shape[0]):
        kind, node = rows.kind[row], rows.node[row]
        if 0 <= node < order_of.shape[0]:
            if kind == FREE:
                order_of[node] = rows.order[row]
            elif kind == FREE_BATCHED:
                rows.order[row] = order_of[node]


@kernel
def settle_fates(rows, pending, with_probes):
    """Backwards over the trace: which mm_page_free rows are pushed later, which go direct.

    ``pending``: int8[nr_pages] of zeros, scratch.  With probes a free that bypasses the pcp
    lists is told by its own later row.
    """
    for row in range(rows.kind.shape[0] - 1, -1, -1):
        kind, node = rows.kind[row], rows.node[row]
        if kind == FREE_BATCHED:
            pending[node] = TO_PCP_LATER
        elif kind == FREE_DIRECT and with_probes:
            pending[node] = DIRECT_LATER
        elif kind == FREE:
            rows.fate[row] = pending[node]
            pending[node] = TO_PCP
        elif kind == ALLOC and node >= 0:
            pending[node] = TO_PCP


@kernel
def settle_claims(profile, rows, nr_cpus):
    """Backwards: rows that only a later row of the same CPU explains.

    6.12 writes the zone_locked row of a page from a claimed pageblock before the extfrag row
    that tells of the claim.  The fast search of compaction brings the block that it isolates to
    its list's head, and says so in a row behind.
    """
    claim = np.full(nr_cpus, -1, np.int64)
    search = np.full(nr_cpus, False, np.bool_)
    for row in range(rows.kind.shape[0] - 1, -1, -1):
        kind, cpu = rows.kind[row], rows.cpu[row]
        if kind == EXTFRAG and profile.fallback == FALLBACK_CLAIMS:
            claims_one = rows.change[row] == 1 and rows.value[row] < PAGEBLOCK_ORDER
            claim[cpu] = row if claims_one else -1
        elif kind == ZONE_LOCKED and claim[cpu] >= 0:
            told = claim[cpu]
            if rows.node[told] == rows.node[row]:
                rows.fate[row] = CLAIMED
                rows.value[row] = rows.value[told]
                rows.fate[told] = CLAIMED
            claim[cpu] = -1
        elif kind == FAST_ISOLATE:
            search[cpu] = True
        elif kind == ISOLATE_PAGE and search[cpu]:
            rows.fate[row] = ROTATES
            search[cpu] = False


@kernel
def infer_direct_frees(memory, rows, around):
    """Frees that bypass the pcp lists, from their position: how many.

    A list of pages is freed under one hold of the pcp lock: all its mm_page_free rows first, then
    one mm_page_free_batched a page.  A free of another page between two of those rows, on the
    same CPU, comes from an interrupt; its trylock fails and it goes straight to the buddy.
    ``around``: int64[C, 1 + n] scratch; candidates of each CPU, their number first.
    """
    inferred = 0
    for cpu in range(around.shape[0]):
        around[cpu, 0] = -1  # not inside a list
    for row in range(rows.kind.shape[0]):
        kind, cpu = rows.kind[row], rows.cpu[row]
        if kind == FREE_BATCHED:
            for i in range(around[cpu, 0]):
                rows.fate[around[cpu, 1 + i]] = DIRECT
                inferred += 1
            around[cpu, 0] = 0
        elif kind == FREE:
            if rows.fate[row] == TO_PCP_LATER:
                around[cpu, 0] = -1  # the next list begins
            elif around[cpu, 0] >= 0 and pcp_allowed_order(memory, rows.order[row]):
                if 1 + around[cpu, 0] < around.shape[1]:
                    around[cpu, 1 + around[cpu, 0]] = row
                    around[cpu, 0] += 1
    return inferred
