"""A recorded trace as arrays for the replay kernels, with the fate of each free in it."""

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
    DRAIN,
    STEAL,
    COMPACTION,
    PCP_PUSH,
    BULK_POP,
    PREPARED,
    DRAIN_CHUNK,
    MOVE_ISOLATE,
    TURN,
    BALANCE,
    WAKE,
    LOOKED,
    COMPACTED,
    NR_KINDS,
) = range(29)

# Fates of mm_page_free rows, and then two of other rows that a neighbour tells more about.
TO_PCP, TO_PCP_LATER, DIRECT, BY_LATER_ROW = range(4)
CLAIMED = 4  # zone_locked: a pageblock was claimed to serve it; extfrag: this is that claim
ROTATES = 5  # isolate: compaction's fast search brought the block to the head before
RETURNED = 6  # free: compaction keeps the page, which it could not use, for its next migration
WAITS = 7  # compaction: it may capture a block of ``order`` for the process
CAPTURED = 8  # alloc: of the block that the compaction before it may have captured
# change: before this row kswapd was inferred to have ended all boosts, or its balancing
ENDS_BOOST, ENDS_BALANCE = 2, 3


class Rows(NamedTuple):
    """A trace between its snapshots, with one entry per row.

    kind : int8      IGNORED .. COMPACTED
    cpu : int16
    node : int32     pfn - base_pfn, or another number where no page is named; drain: pages;
                     drain_zone: the CPU that is drained
    order : int8     of the block; drain_chunk: pindex of the list that it begins with
    migratetype : int8
    change : int8    extfrag: the pageblock has the wanted type afterwards;
                     alloc, free, free_batched and pcp_push: ENDS_BOOST, ENDS_BALANCE or -1
    value : int32    extfrag, and zone_locked if CLAIMED: order of the block taken;
                     free_direct: fpi flags; isolate and bulk_alloc: pages got;
                     decay, drain, drain_zone and compaction: zone; move_block: the
                     old type; steal: the list's order; pcp_push: fpi flags; prepared:
                     pages; move_isolate: 1 to isolate; turn: 1 if the block becomes its
                     list's last, 0 if its first; balance: zones that kswapd begins to
                     balance, the lowest ones, 0 if it has done; compacted: 1 if it
                     succeeded
    fate : int8      TO_PCP .. CAPTURED
    task : int32     pid of the process that ran
    """

    kind: np.ndarray
    cpu: np.ndarray
    node: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    change: np.ndarray
    value: np.ndarray
    fate: np.ndarray
    task: np.ndarray


class Scratch(NamedTuple):
    """The arrays that a replay writes besides the memory, for ``C`` CPUs and ``Z`` zones.

    counts : int64[NR_COUNTS]
    compacting : bool[Z]          True once compaction has begun, or has isolated pages
    rotations : int64[n, 5]       ROTATION_COLUMNS; the first counts[C_ROTATIONS] rows are used
    infers : bool                 rotations may be inferred, because no rows tell of them

    pcp level only
    claims : int64[C, 1 + n]      the number of recorded fallbacks not used yet, then their rows
    told : int32[C, 15, 2 + n]    blocks that left the buddy lists according to the trace, in one
                                  queue per pcp list and one for blocks without a pcp list: the
                                  index of the first unused block, the index after the last,
                                  then the blocks
    drain_due : int64[C]          pages that the model drained minus pages drained in the trace
    later_type : int8[nr_pages]   type of a page at its free, until it is pushed
    due : int64[C, n, 5]          drains of which chunks are left, oldest first from [c, 1] on
                                  (DUE_COLUMNS); [c, 0, 0] is their number.  n is 0 if no rows tell
                                  when a chunk is drained
    doubts : int64[n]             the newest rows at which a boost decided, number C_DOUBTS in all
    boosts : int64[Z]             boosts of the watermarks when kswapd began to balance

    both levels
    control : record[n]           CONTROL_DTYPE: direct compactions that may capture a block
    waits : int32[n]              the processes that they are for
    """

    counts: np.ndarray
    compacting: np.ndarray
    rotations: np.ndarray
    infers: bool
    claims: np.ndarray
    told: np.ndarray
    drain_due: np.ndarray
    later_type: np.ndarray
    due: np.ndarray
    doubts: np.ndarray
    boosts: np.ndarray
    control: np.ndarray
    waits: np.ndarray


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
    C_FIRST_DRAIN_MISS,
    C_DOUBTS,
    C_WAITING,
    NR_COUNTS,
) = range(18)

# The right rules, and rules made wrong on purpose to show that validation notices it.
FAITHFUL, ALWAYS_HEAD, LOWEST_FIRST, NO_CLAIM, BOOSTS_STAY = range(5)


@kernel(inline=True)
def score(counts, predicted, observed):
    """Count a prediction, and return whether it was right."""
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
    """Give mm_page_free_batched rows, which have no order, that of the page's own mm_page_free.

    ``order_of`` is scratch, int8[nr_pages] of zeros.  Rows with nodes outside it are skipped.
    """
    for row in range(rows.kind.shape[0]):
        kind, node = rows.kind[row], rows.node[row]
        if 0 <= node < order_of.shape[0]:
            if kind == FREE:
                order_of[node] = rows.order[row]
            elif kind == FREE_BATCHED:
                rows.order[row] = order_of[node]


@kernel
def settle_fates(memory, rows, pending, with_probes, with_pushes):
    """Mark the mm_page_free rows that are pushed later, and those that bypass the pcp lists.

    The trace is walked backwards.  ``pending`` is scratch, int8[nr_pages] of zeros.  With probes
    a free that bypasses the pcp lists has a later row of its own, and with pcp_push rows every
    free does.  The pages of a prepared free, which have a row each, are freed as blocks by later
    rows.
    """
    for row in range(rows.kind.shape[0] - 1, -1, -1):
        kind, node = rows.kind[row], rows.node[row]
        if kind == FREE_BATCHED:
            pending[node] = TO_PCP_LATER
        elif kind == FREE_DIRECT and with_probes:
            pending[node] = BY_LATER_ROW
        elif kind == PREPARED:
            for page in range(max(node, 0), min(node + rows.value[row], pending.shape[0])):
                pending[page] = BY_LATER_ROW
        elif kind == FREE and rows.fate[row] != RETURNED:
            rows.fate[row] = pending[node]
            if with_pushes and pcp_allowed_order(memory, rows.order[row]):
                rows.fate[row] = BY_LATER_ROW
            pending[node] = TO_PCP
        elif kind == ALLOC and node >= 0:
            pending[node] = TO_PCP


@kernel(allocates=True)
def settle_claims(profile, rows, nr_cpus):
    """Mark the rows that only a later row of the same CPU explains; the trace is walked backwards.

    6.12 writes the zone_locked row of a page from a claimed pageblock before the extfrag row
    that tells of the claim.
    """
    claim = np.full(nr_cpus, -1, np.int64)
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


@kernel
def infer_direct_frees(memory, rows, around):
    """Mark the frees that bypass the pcp lists, which are known by their position.

    A list of pages is freed under one hold of the pcp lock, with all its mm_page_free rows first
    and then one mm_page_free_batched per page.  If another page is freed between two of those
    rows on the same CPU, the free comes from an interrupt: its trylock fails and it goes straight
    to the buddy lists.  ``around`` is scratch, int64[C, 1 + n]: each CPU's number of candidates
    and then their rows.

    Returns
    -------
    int
        The number of frees marked.
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
