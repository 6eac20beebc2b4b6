"""The LRU lists of a dump, and the CPUs' batches of pages on their way to them.

Sources: include/linux/mmzone.h, struct lruvec and struct lru_gen_folio; include/linux/mm_inline.h,
lru_gen_is_active(); mm/swap.c, struct cpu_fbatches; include/linux/mm_types.h, struct folio.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.record.lists.tables import TornError

FLAGS = (
    *("referenced", "active", "dirty", "writeback", "workingset", "reclaim", "swapbacked"),
    *("swapcache", "unevictable", "uptodate", "locked"),
)
COLUMNS = {
    "list": "category",
    "generation": "int32",
    "cpu": "int16",
    "position": "uint32",
    "pfn": "uint32",
    "order": "uint8",
    **dict.fromkeys(FLAGS, "uint8"),
    "mapped": "uint8",
    "anon": "uint8",
    "inode": "int64",
    "index": "int64",
}
LISTS = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
# The CPUs' batches; some kernels have other names for them.
BATCHES = {"activate": "lru_activate", "lru_rotate": "lru_move_tail"}
PAGE_MAPPING_ANON, PAGE_MAPPING_FLAGS = 1, 3  # include/linux/page-flags.h
LIST_POISON1 = 0xDEAD000000000100  # include/linux/poison.h
ACTIVE_GENERATIONS = 2  # the newest ones
NO_GENERATION, NO_CPU, NO_INODE = -1, -1, -1


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


class Pages:
    """The ``struct page`` of every page frame.

    Parameters
    ----------
    reader : Reader
    """

    def __init__(self, reader):
        self.drgn = reader.drgn
        self.program, self.size, self.base = reader.program, reader.page_size, reader.vmemmap
        page, offset = self.program.type("struct page"), reader.drgn.offsetof
        names = ("flags", "lru", "mapping", "index", "_mapcount")
        self.offset = {name: offset(page, name) for name in names}
        bits = dict(self.program.type("enum pageflags").enumerators)
        self.bit = {name: bits[f"PG_{name}"] for name in (*FLAGS, "head")}
        # Of a large folio: its order and its mappings as a whole, which the second page has.
        if page.has_member("compound_order"):
            self.order = self.size + offset(page, "compound_order")
            self.whole = self.size + offset(page, "compound_mapcount")
        else:
            folio = self.program.type("struct folio")
            self.order, self.whole = offset(folio, "_flags_1"), offset(folio, "_entire_mapcount")
        ends = [int(zone.zone_start_pfn + zone.spanned_pages) for zone in reader.zones]
        self.bytes = np.zeros((max(ends) + 1, self.size), np.uint8)
        for zone, end in zip(reader.zones, ends, strict=True):
            start = int(zone.zone_start_pfn)
            read = self.program.read(self.base + start * self.size, (end - start) * self.size)
            self.bytes[start:end] = np.frombuffer(read, np.uint8).reshape(-1, self.size)
        self.links = self.field(self.offset["lru"], np.uint64, 2)

    def field(self, offset: int, kind, number: int = 1) -> np.ndarray:
        """What each page has at a distance from its start, which may lie in the next page."""
        further, offset = divmod(offset, self.size)
        found = np.zeros((len(self.bytes), number), kind)
        part = self.bytes[further:, offset : offset + number * np.dtype(kind).itemsize]
        found[: len(part)] = np.ascontiguousarray(part).view(kind)
        return found[:, 0] if number == 1 else found

    def walk(self, head: int, what: str) -> list[int]:
        """The pfns of a list, from its head on."""
        found, before, at = [], head, self.program.read_u64(head)
        while at != head:
            pfn, rest = divmod(at - self.offset["lru"] - self.base, self.size)
            there = not rest and 0 <= pfn < len(self.links) and len(found) < len(self.links)
            if not there or int(self.links[pfn, 1]) != before:
                raise TornError(f"the snapshot is torn: the links of {what} do not lead round")
            found.append(pfn)
            before, at = at, int(self.links[pfn, 0])
        return found

    def described(self, rows: list[tuple]) -> pd.DataFrame:
        """A table of COLUMNS of rows that have the first four of them and the pfn."""
        names = ["list", "generation", "cpu", "position", "pfn"]
        table = pd.DataFrame(rows, columns=names)
        pfn = table["pfn"].to_numpy(np.int64)
        flags = self.field(self.offset["flags"], np.uint64)[pfn]
        mapping = self.field(self.offset["mapping"], np.uint64)[pfn]
        large = (flags >> self.bit["head"] & 1).astype(bool)
        orders = self.field(self.order, np.uint8)[pfn]
        table["order"] = np.where(large, orders, 0)
        for name in FLAGS:
            table[name] = flags >> self.bit[name] & 1
        table["mapped"] = self._mapped(pfn, table["order"].to_numpy(), large)
        table["anon"] = mapping & PAGE_MAPPING_ANON
        numbers = {one: self._inode(int(one)) for one in np.unique(mapping)}
        table["inode"] = [numbers[one] for one in mapping]
        table["index"] = self.field(self.offset["index"], np.int64)[pfn]
        return table[list(COLUMNS)].astype(COLUMNS)

    def _mapped(self, pfn: np.ndarray, order: np.ndarray, large: np.ndarray) -> np.ndarray:
        """Whether a page table maps a page, or any page of a folio."""
        maps = self.field(self.offset["_mapcount"], np.int32) >= 0
        mapped = maps[pfn] | (large & (self.field(self.whole, np.int32)[pfn] >= 0))
        for at in np.flatnonzero(large & ~mapped):
            mapped[at] = maps[pfn[at] : pfn[at] + (1 << order[at])].any()
        return mapped

    def _inode(self, mapping: int) -> int:
        """The number of the inode of an ``address_space``; NO_INODE if it is of no file."""
        if not mapping or mapping & PAGE_MAPPING_FLAGS:
            return NO_INODE
        space = self.drgn.Object(self.program, "struct address_space", address=mapping)
        return int(space.host.i_ino) if space.host else NO_INODE


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
    for variable in ("cpu_fbatches", "lru_rotate"):
        try:
            of_all = reader.program[variable]
        except KeyError:
            continue
        for cpu in reader.cpus:
            batches = reader.percpu.per_cpu(of_all, cpu)
            for member in batches.type_.members:
                if member.name and member.type.type_name() == "struct folio_batch":
                    batch = batches.member_(member.name)
                    name = variable if member.name == "fbatch" else member.name
                    name = BATCHES.get(name, name)
                    for at in range(int(batch.nr)):
                        pfn = (batch.folios[at].value_() - pages.base) // pages.size
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
