"""The ``struct page`` of every page frame, as columns, and lists of pages through it.

Sources: include/linux/mm_types.h, struct page and struct folio; include/linux/page-flags.h.
"""

import numpy as np
import pandas as pd

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
    "refs": "int8",
    "mapped": "uint8",
    "anon": "uint8",
    "inode": "int64",
    "index": "int64",
}
PAGE_MAPPING_ANON, PAGE_MAPPING_FLAGS = 1, 3  # include/linux/page-flags.h
# LRU_GEN_MASK has the generation's number in its ring, plus 1; LRU_REFS_MASK is right below it.
NR_GENERATIONS, GEN_WIDTH, REFS_WIDTH = 4, 3, 2
NO_GENERATION, NO_CPU, NO_INODE = -1, -1, -1


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
        table["refs"] = refs_of(flags, table["generation"].to_numpy())
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


def refs_of(flags: np.ndarray, generation: np.ndarray) -> np.ndarray:
    """How often each page of a generation was read through a file descriptor, as its flags count.

    The place of the counter depends on the kernel's configuration, and no debug symbol tells it.
    The generation above it does: it is the only field that is right for every page.

    Parameters
    ----------
    flags : ndarray
        uint64: of ``struct page``.
    generation : ndarray
        The sequence number of the list that a page is on, or NO_GENERATION.

    Returns
    -------
    ndarray
        int8: folio_lru_refs() of include/linux/mm_inline.h, without PG_workingset; -1 if a page is
        of no generation, or the place is not known.
    """
    found = np.full(len(flags), -1, np.int8)
    on_list = generation != NO_GENERATION
    mine, wanted = flags[on_list], generation[on_list] % NR_GENERATIONS + 1
    mask = (1 << GEN_WIDTH) - 1
    places = [at for at in range(24, 62) if (mine >> at & mask == wanted).all()]
    if len(places) == 1:
        found[on_list] = mine >> places[0] - REFS_WIDTH & (1 << REFS_WIDTH) - 1
    return found
