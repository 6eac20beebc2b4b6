"""The lists as DataFrames, equal row for row to the recorded tables."""

import numpy as np
import pandas as pd

from freehint.mm.memory import (
    MAX_ORDER,
    MIGRATE_PCPTYPES,
    NO_PAGEBLOCK,
    NR_ORDERS,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    PCP_THP,
    REPORTED,
    SKIP_BIT,
    Memory,
    free_list_head,
    list_nodes,
    nr_types,
    pcp_list_head,
    zone_name,
)


def _zone_column(memory: Memory, zone) -> pd.Categorical:
    """The zones' names as a categorical; its categories are those that occur, in pfn order."""
    zone = np.asarray(zone, np.int64)
    present = np.unique(zone)
    names = [zone_name(memory, z) for z in present]
    return pd.Categorical.from_codes(np.searchsorted(present, zone), categories=names)


def _positions(sizes) -> np.ndarray:
    """Positions 0, 1, .. within each list, for one list after another."""
    if not sizes:
        return np.zeros(0, np.uint32)
    return np.concatenate([np.arange(n, dtype=np.uint32) for n in sizes])


def free_lists(memory: Memory) -> pd.DataFrame:
    """Every block on a free list, in list order.

    Returns
    -------
    DataFrame
        Columns zone, order, migratetype (of the list), position (0 = head, the next to be handed
        out) and pfn; also ``reported`` if the recording had it.
    """
    rows = []
    for zone in range(memory.nr_free.shape[0]):
        for order in range(NR_ORDERS):
            for migratetype in range(nr_types(memory)):
                if memory.nr_free[zone, order, migratetype]:
                    head = free_list_head(memory, zone, order, migratetype)
                    nodes = list_nodes(memory, head)
                    rows.append((zone, order, migratetype, nodes))
    nodes = np.concatenate([r[3] for r in rows]) if rows else np.zeros(0, np.int64)
    sizes = [len(r[3]) for r in rows]
    table = pd.DataFrame(
        {
            "zone": _zone_column(memory, np.repeat([r[0] for r in rows], sizes)),
            "order": np.repeat([r[1] for r in rows], sizes).astype(np.uint8),
            "migratetype": np.repeat([r[2] for r in rows], sizes).astype(np.uint8),
            "position": _positions(sizes),
            "pfn": (nodes + memory.base_pfn).astype(np.uint32),
        }
    )
    if memory.reported_known:
        table["reported"] = (memory.frame[nodes] & REPORTED != 0).astype(np.uint8)
    return table


def pcp_lists(memory: Memory) -> pd.DataFrame:
    """Every block on a pcp list, in list order.

    Returns
    -------
    DataFrame
        Columns zone, cpu, pindex, order, migratetype (of the list), position (0 = head, the next
        to be handed out) and pfn.
    """
    rows = []
    for zone in range(memory.nr_free.shape[0]):
        for cpu in range(memory.nr_cpus):
            for pindex in range(NR_PCP_LISTS):
                nodes = list_nodes(memory, pcp_list_head(memory, zone, cpu, pindex))
                if len(nodes):
                    rows.append((zone, cpu, pindex, nodes))
    nodes = np.concatenate([r[3] for r in rows]) if rows else np.zeros(0, np.int64)
    sizes = [len(r[3]) for r in rows]
    pindex = np.repeat([r[2] for r in rows], sizes).astype(np.uint8)
    thp = pindex >= PCP_THP
    return pd.DataFrame(
        {
            "zone": _zone_column(memory, np.repeat([r[0] for r in rows], sizes)),
            "cpu": np.repeat([r[1] for r in rows], sizes).astype(np.uint8),
            "pindex": pindex,
            "order": np.where(thp, PAGEBLOCK_ORDER, pindex // MIGRATE_PCPTYPES).astype(np.uint8),
            "migratetype": np.where(thp, pindex - PCP_THP, pindex % MIGRATE_PCPTYPES).astype(
                np.uint8
            ),
            "position": _positions(sizes),
            "pfn": (nodes + memory.base_pfn).astype(np.uint32),
        }
    )


def pageblocks(memory: Memory) -> pd.DataFrame:
    """Every pageblock that exists.

    Returns
    -------
    DataFrame
        Columns zone, block (pfn >> 9), start_pfn, migratetype and skip (compaction's bit).
    """
    zones, blocks = [], []
    first = memory.base_pfn >> PAGEBLOCK_ORDER
    for zone in range(memory.nr_free.shape[0]):
        start = int(memory.zones.start_pfn[zone])
        end = start + int(memory.zones.spanned[zone])
        block = np.arange(start >> PAGEBLOCK_ORDER, -(-end >> PAGEBLOCK_ORDER))
        block = block[memory.pageblock[block - first] != NO_PAGEBLOCK]
        zones.append(np.full(len(block), zone))
        blocks.append(block)
    block = np.concatenate(blocks)
    value = memory.pageblock[block - first]
    return pd.DataFrame(
        {
            "zone": _zone_column(memory, np.concatenate(zones)),
            "block": block.astype(np.uint32),
            "start_pfn": (block << PAGEBLOCK_ORDER).astype(np.uint32),
            "migratetype": (value & PAGEBLOCK_TYPE_MASK).astype(np.uint8),
            "skip": (value & SKIP_BIT != 0).astype(np.uint8),
        }
    )


def history_table(moments) -> pd.DataFrame:
    """Free memory over time.

    Parameters
    ----------
    moments : sequence of freehint.engine.moment.moment()

    Returns
    -------
    DataFrame
        Columns time_s, order, blocks (free blocks on buddy lists) and free_pages.  Order -1 holds
        the pages on pcp lists.
    """
    times, blocks, on_pcp = zip(*moments)
    blocks = np.array(blocks)
    pages = np.column_stack([blocks << np.arange(NR_ORDERS), on_pcp])
    return pd.DataFrame(
        {
            "time_s": np.repeat(np.array(times, float), NR_ORDERS + 1),
            "order": np.tile([*range(NR_ORDERS), -1], len(times)),
            "blocks": np.column_stack([blocks, np.zeros(len(times), np.int64)]).ravel(),
            "free_pages": pages.ravel(),
        }
    )


def unusable_free_index(blocks, order) -> float:
    """Share of the free pages that a request of ``order`` cannot use.

    Parameters
    ----------
    blocks : int array[11]
        Free blocks of each order, all migratetypes together.
    order : int

    Returns
    -------
    float
        0 if all free memory is in large enough blocks; 1 if none is, or if nothing is free.
    """
    pages = np.asarray(blocks) << np.arange(MAX_ORDER)
    free = int(pages.sum())
    return 1.0 if free == 0 else (free - int(pages[order:].sum())) / free


def extfrag_index(blocks, order) -> float:
    """Whether a request of ``order`` would fail for lack of memory (0) or for fragmentation (1).

    Returns
    -------
    float
        -1 if the request would not fail.  The kernel compacts from 0.5 on
        (vm.extfrag_threshold = 500).
    """
    blocks = np.asarray(blocks)
    total = int(blocks.sum())
    if total == 0:
        return 0.0
    if blocks[order:].any():
        return -1.0
    free = int((blocks << np.arange(MAX_ORDER)).sum())
    return (1000 - (1000 + free * 1000 // (1 << order)) // total) / 1000
