"""The LRU lists of a dump, and the CPUs' batches of pages on their way to them.

Sources: include/linux/mmzone.h, struct lruvec and struct lru_gen_folio; include/linux/mm_inline.h,
lru_gen_is_active(); mm/swap.c, struct cpu_fbatches.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.record.lists.pages import COLUMNS, NO_CPU, NO_GENERATION, Pages
from freehint.record.lists.tables import TornError

LISTS = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
# The CPUs' batches; some kernels have other names for them.
BATCHES = {
    "activate": "lru_activate",
    "activate_page": "lru_activate",
    "lru_rotate": "lru_move_tail",
}
BATCH_TYPES = ("struct folio_batch", "struct pagevec")
LIST_POISON1 = 0xDEAD000000000100  # include/linux/poison.h
ACTIVE_GENERATIONS = 2  # the newest ones


def read_lru(reader) -> pd.DataFrame:
    """The LRU lists of a kernel that stands still.

    Parameters
    ----------
    reader : Reader
        Of its other lists.

    Returns
    -------
    DataFrame
        COLUMNS, one row for each page or folio on a list or in a batch.

    Raises
    ------
    TornError
        The links of a list do not lead round, or the lists have other numbers of pages than the
        kernel counts.
    """
    pages = Pages(reader)
    lruvec = _lruvec(reader.program)
    rows = []
    counts = _counts(reader)
    for number, name in enumerate(LISTS):
        head = lruvec.lists[number].address_of_().value_()
        if reader.program.read_u64(head) == LIST_POISON1:  # unevictable: only counted from 5.18 on
            del counts[name]
            continue
        pfns = pages.walk(head, name)
        rows += [(name, NO_GENERATION, NO_CPU, at, pfn) for at, pfn in enumerate(pfns)]
    if hasattr(lruvec, "lrugen"):
        rows += _generations(pages, lruvec.lrugen)
    rows += _batches(reader, pages)
    table = pages.described(rows)
    check_counts(table, counts)
    return table


def check_counts(table: pd.DataFrame, counts: dict[str, int]) -> None:
    """Compare the lists with the node's counters.

    Parameters
    ----------
    table : DataFrame
        COLUMNS.
    counts : dict of str to int
        The pages that the kernel counts on each of LISTS.

    Raises
    ------
    TornError
        They differ.
    """
    on_list = table[table["cpu"] == NO_CPU]
    sizes = np.left_shift(1, on_list["order"].to_numpy(np.int64))
    listed = pd.Series(sizes).groupby(on_list["list"].astype(str).to_numpy()).sum()
    for name, counted in counts.items():
        if int(listed.get(name, 0)) != counted:
            raise TornError(
                f"the snapshot is torn: the LRU list {name} has {int(listed.get(name, 0))} pages,"
                f" but the kernel counts {counted}"
            )


def write_lru(table: pd.DataFrame, path: Path) -> None:
    """Write the table of the LRU lists."""
    small = [name for name, kind in COLUMNS.items() if kind in ("category", "uint8", "int16")]
    wide = {"position": "DELTA_BINARY_PACKED", "pfn": "BYTE_STREAM_SPLIT"}
    wide |= dict.fromkeys(("generation", "inode", "index"), "DELTA_BINARY_PACKED")
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=small,
        column_encoding=wide,
    )


def _lruvec(program):
    """The only ``struct lruvec``: that of the root's memory cgroup, or else that of the node."""
    try:
        root = program["root_mem_cgroup"]
        enabled = int(program["memory_cgrp_subsys_enabled_key"].key.enabled.counter)
    except KeyError:
        enabled = 0
    if enabled:
        return root.nodeinfo[0].lruvec
    return program["node_data"][0].member_("__lruvec")


def _generations(pages: Pages, lrugen) -> list[tuple]:
    """Rows of the lists of a multi-generational LRU; none if it is off."""
    if not lrugen.enabled:
        return []
    lists = lrugen.folios if hasattr(lrugen, "folios") else lrugen.lists
    rows, number, newest = [], lists.type_.length, int(lrugen.max_seq)
    for kind, name in enumerate(("anon", "file")):
        for seq in range(int(lrugen.min_seq[kind]), newest + 1):
            active = "active" if seq > newest - ACTIVE_GENERATIONS else "inactive"
            for head in lists[seq % number][kind]:
                what = f"generation {seq} of {name}"
                pfns = pages.walk(head.address_of_().value_(), what)
                rows += [(f"{active}_{name}", seq, NO_CPU, at, pfn) for at, pfn in enumerate(pfns)]
    return rows


def _batches(reader, pages: Pages) -> list[tuple]:
    """Rows of the CPUs' batches, in the order in which pages came into them."""
    rows = []
    for variable in ("cpu_fbatches", "lru_pvecs", "lru_rotate"):
        try:
            of_all = reader.program[variable]
        except KeyError:
            continue
        for cpu in reader.cpus:
            batches = reader.percpu.per_cpu(of_all, cpu)
            for member in batches.type_.members:
                if member.type.type_name() in BATCH_TYPES:
                    batch = batches.member_(member.name)
                    name = variable if variable == "lru_rotate" else member.name
                    name = BATCHES.get(name, name)
                    entries = batch.folios if batch.type_.has_member("folios") else batch.pages
                    for at in range(int(batch.nr)):
                        pfn = (entries[at].value_() - pages.base) // pages.size
                        rows.append((name, NO_GENERATION, cpu, at, pfn))
    return rows


def _counts(reader) -> dict[str, int]:
    """The pages that the node counts on each list, with the CPUs' differences."""
    node = reader.program["node_data"][0]
    first = int(reader.program.constant("NR_LRU_BASE"))
    stats = [reader.percpu.per_cpu_ptr(node.per_cpu_nodestats, cpu) for cpu in reader.cpus]
    return {
        name: int(node.vm_stat[at].counter) + sum(int(one.vm_node_stat_diff[at]) for one in stats)
        for at, name in enumerate(LISTS, first)
    }
