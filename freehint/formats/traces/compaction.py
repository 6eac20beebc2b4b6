"""Rows that compaction writes: what its searches, its frees and its beginning tell.

Source: fast_isolate_freepages(), compaction_alloc(), compaction_free(), release_free_list() and
compact_zone() in mm/compaction.c.
"""

import itertools
import re

import numpy as np

from freehint.formats.traces.rows import (
    ALLOC,
    CAPTURED,
    COMPACTED,
    COMPACTION,
    EXTFRAG,
    FAST_ISOLATE,
    FREE,
    FREE_BATCHED,
    IGNORED,
    ISOLATE_PAGE,
    PCPU_DRAIN,
    PUTBACK,
    RETURNED,
    ROTATES,
    TO_PCP,
    WAITS,
    ZONE_LOCKED,
)
from freehint.jit import kernel

# What becomes of a page after a row.  FREED plus a row: it is freed there.
NOTHING, TAKEN, FREED = range(3)


@kernel
def mark_held(rows, compactor, held):
    """Mark the frees of pages that the freeing process itself isolated as RETURNED.

    ``compactor`` is the number of each row's process among those that isolate pages, or -1;
    ``held`` is scratch, int16[nr_pages] of -1.

    Returns
    -------
    int
        The number of frees marked.
    """
    marked = 0
    for row in range(rows.kind.shape[0]):
        kind, node = rows.kind[row], rows.node[row]
        if kind == ISOLATE_PAGE:
            held[node : node + rows.value[row]] = compactor[row]
        elif kind == ALLOC or kind == PUTBACK:
            held[node : node + (1 << rows.order[row])] = -1
        elif kind == COMPACTION and compactor[row] >= 0:
            for page in range(held.shape[0]):
                if held[page] == compactor[row]:
                    held[page] = -1
        elif kind == FREE and held[node] >= 0:
            if held[node] == compactor[row]:
                rows.fate[row] = RETURNED
                marked += 1
            else:
                held[node] = -1
    return marked


@kernel
def settle_returned(rows, compactor, ends, after_page, next_end, moves):
    """Tell the frees by which compaction keeps a page from those by which it gives the page back.

    From 6.9 on both write mm_page_free: compaction_free() puts a page that could not be used
    back among those in hand, which are used first; release_free_list() frees what is left in the
    end.  So a page was kept if no row takes it from the lists before it is freed once more, and
    either the same compaction frees it then, or it went on to free pages that it moved away
    before it isolated others.  The trace is walked backwards; the frees in question are marked
    RETURNED, and those that give a page back lose the mark.

    Parameters
    ----------
    rows : Rows
    compactor : int16[n]
        The number of each row's process among those that isolate pages, or -1.
    ends : bool[n]
        Rows that end a compaction: an allocation of order > 0 by such a process.
    after_page : int32[nr_pages]
        Scratch of zeros: NOTHING, TAKEN, or FREED + row.
    next_end : int64[number of processes]
        Scratch: the next end of each process's compaction; at first the number of rows.
    moves : bool[number of processes]
        Scratch of False: the process goes on to free pages that it moved.
    """
    for row in range(rows.kind.shape[0] - 1, -1, -1):
        kind, node, by = rows.kind[row], rows.node[row], compactor[row]
        if kind == FREE:
            if rows.fate[row] == RETURNED:
                after = after_page[node]
                freed = after - FREED
                same = freed >= 0 and compactor[freed] == by and freed < next_end[by]
                if not same and (after == TAKEN or not moves[by]):
                    rows.fate[row] = TO_PCP
            elif by >= 0:
                moves[by] = True
            after_page[node] = FREED + row
        elif (ALLOC <= kind <= PCPU_DRAIN and kind != FREE_BATCHED) or kind == ISOLATE_PAGE:
            after_page[node : node + (1 << rows.order[row])] = TAKEN
            if kind == ISOLATE_PAGE:
                moves[by] = False
        if ends[row]:
            next_end[by] = row
            moves[by] = False


def pair_searches(trace, columns) -> None:
    """Mark the isolate rows whose block compaction's fast search brought to its list's head.

    The row of a search follows that of its isolation, by the same process, and tells the number
    of pages.  A search that took none found no block: the isolation before it is another's.
    """
    if not (columns.kind == FAST_ISOLATE).any():
        return
    pids, texts = trace["pid"].to_numpy(), trace["gfp"]
    isolated = {}
    for at in np.flatnonzero(np.isin(columns.kind, (ISOLATE_PAGE, FAST_ISOLATE))):
        if columns.kind[at] == ISOLATE_PAGE:
            isolated[pids[at]] = at
        else:
            before = isolated.pop(pids[at], None)
            told = re.search(r"nr_taken=(\d+)", str(texts.iloc[at]))
            if before is not None and (not told or columns.value[before] == int(told[1]) > 0):
                columns.fate[before] = ROTATES


def mark_returned(trace, columns, memory) -> None:
    """Mark the mm_page_free rows by which compaction only keeps a page; see settle_returned."""
    isolates = columns.kind == ISOLATE_PAGE
    if not isolates.any():
        return
    pids = trace["pid"].to_numpy()
    processes = np.unique(pids[isolates])
    at = np.minimum(np.searchsorted(processes, pids), len(processes) - 1)
    compactor = np.where(processes[at] == pids, at, -1).astype(np.int16)
    if not mark_held(columns, compactor, np.full(memory.nr_pages, -1, np.int16)):
        return
    if _settle_told(trace["event"], columns, compactor):
        return
    alloc = (trace["event"] == "mm_page_alloc").to_numpy()
    settle_returned(
        columns,
        compactor,
        alloc & (compactor >= 0) & (trace["order"].to_numpy() > 0),
        np.zeros(memory.nr_pages, np.int32),
        np.full(len(processes), len(alloc), np.int64),
        np.zeros(len(processes), np.bool_),
    )


def _settle_told(events, columns, compactor) -> bool:
    """Settle them where rows tell when a compaction has moved its pages; return whether they do.

    Pages are kept while others are moved, and what is left is given back after the last move,
    before the compaction ends.  Source: compact_zone().
    """
    moves = (events == "mm_compaction_migratepages").to_numpy()
    if not moves.any():
        return False
    edges = moves | events.isin(("mm_compaction_begin", "mm_compaction_end")).to_numpy()
    returned = columns.fate == RETURNED
    for process in np.unique(compactor[returned]):
        mine = compactor == process
        at, frees = np.flatnonzero(mine & edges), np.flatnonzero(mine & returned)
        after = np.searchsorted(at, frees)
        kept = (after < len(at)) & moves[at[np.minimum(after, len(at) - 1)]]
        columns.fate[frees[~kept]] = TO_PCP
    return True


def fill_compacted(trace, columns, memory) -> None:
    """Fill in the zone of each compaction, which rows name by its first page, and its success."""
    ended = columns.kind == COMPACTED
    columns.value[ended] = ["status=success" in str(text) for text in trace["gfp"][ended]]
    starts = memory.zones.start_pfn.tolist()
    for at in np.flatnonzero(columns.kind == COMPACTION):
        told = re.search(r"zone_start=0x([0-9a-f]+)", str(trace["gfp"].iloc[at]))
        start = int(told[1], 16) if told else -1
        if start in starts:
            columns.value[at] = starts.index(start)
        else:
            columns.kind[at] = IGNORED


def mark_captures(columns) -> None:
    """Mark the compactions that may capture a block, and the allocations that then get it.

    A process whose compaction succeeded goes on to its mm_page_alloc row of order > 0.  If it took
    no block from the lists before that row, the block was captured, or stood on a pcp list.
    Source: __alloc_pages_direct_compact().
    """
    kind = columns.kind
    own = np.isin(kind, (ALLOC, ZONE_LOCKED, EXTFRAG, COMPACTION, COMPACTED))
    good = (kind == COMPACTED) & (columns.value == 1)
    for task in np.unique(columns.task[good]):
        mine = np.flatnonzero(own & (columns.task == task))
        begun = -1
        for row, after in itertools.pairwise(mine):
            if kind[row] == COMPACTION:
                begun = row
            elif good[row] and begun >= 0 and kind[after] == ALLOC and columns.order[after] > 0:
                columns.fate[begun], columns.fate[after] = WAITS, CAPTURED
                columns.order[begun] = columns.order[after]
                columns.migratetype[begun] = columns.migratetype[after]
                begun = -1
