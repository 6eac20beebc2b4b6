"""The LRU lists of a dump: how pages are read, walked and counted; no dump is needed here."""

import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from freehint.record.lists.lru import check_counts, write_lru
from freehint.record.lists.pages import COLUMNS, FLAGS, Pages, refs_of
from freehint.record.lists.tables import TornError

SCHEMA = Path(__file__).parents[2] / "data/schemas/lru.json"
BASE, SIZE, HEAD = 0xFFFFEA0000000000, 64, 0xFFFF888000001000
OFFSETS = {
    **{"flags": 0, "lru": 8, "mapping": 24, "index": 32, "_mapcount": 48},
    **{"compound_order": 17, "compound_mapcount": 20},
}
BITS = {name: number for number, name in enumerate((*FLAGS, "head"))}
INODE = 0xFFFF888000005000


class Program:
    """The memory of a made kernel, as far as Pages reads it."""

    def __init__(self, pages: bytes, first: int):
        self.pages, self.first = pages, first

    def type(self, name):
        if name == "enum pageflags":
            return SimpleNamespace(enumerators=[(f"PG_{n}", bit) for n, bit in BITS.items()])
        return SimpleNamespace(has_member=lambda member: member in OFFSETS)

    def read(self, address, size):
        return self.pages[address - BASE : address - BASE + size]

    def read_u64(self, address):
        assert address == HEAD
        return self.first


def page_of(before: int, after: int, flags=(), mapping=0, index=0, mapcount=-1) -> bytearray:
    word = sum(1 << BITS[name] for name in flags)
    page = struct.pack("<QQQQQ", word, after, before, mapping, index).ljust(48, b"\0")
    return bytearray((page + struct.pack("<i", mapcount)).ljust(SIZE, b"\0"))


def link(pfn: int) -> int:
    return BASE + pfn * SIZE + OFFSETS["lru"]


def made_pages() -> bytes:
    """Five pages: the list is 3, 1; page 1 is a folio of two, of which the second is mapped."""
    pages = [page_of(0, 0) for _ in range(5)]
    pages[3] = page_of(HEAD, link(1), ("referenced", "dirty"), INODE, 70)
    pages[1] = page_of(link(3), HEAD, ("head", "swapbacked"), 0xFFFF888000007001, 9)
    pages[2] = page_of(0, 0, mapcount=0)
    pages[2][17] = 1
    struct.pack_into("<i", pages[2], 20, -1)
    return b"".join(pages)


def pages_from(raw: bytes) -> Pages:
    inode = SimpleNamespace(host=SimpleNamespace(i_ino=12))
    drgn = SimpleNamespace(
        offsetof=lambda _, name: OFFSETS[name], Object=lambda program, kind, address: inode
    )
    zone = SimpleNamespace(zone_start_pfn=0, spanned_pages=len(raw) // SIZE)
    return Pages(
        SimpleNamespace(
            program=Program(raw, link(3)), page_size=SIZE, vmemmap=BASE, zones=[zone], drgn=drgn
        )
    )


def test_a_list_is_walked_and_its_pages_described():
    pages = pages_from(made_pages())
    pfns = pages.walk(HEAD, "inactive_file")
    assert pfns == [3, 1]
    table = pages.described([("inactive_file", -1, -1, at, pfn) for at, pfn in enumerate(pfns)])
    assert table.dtypes.astype(str).to_dict() == COLUMNS
    first, second = (row._asdict() for row in table.itertuples(index=False))
    assert {name for name in FLAGS if first[name]} == {"referenced", "dirty"}
    assert (first["order"], first["mapped"], first["anon"]) == (0, 0, 0)
    assert (first["inode"], first["index"]) == (12, 70)
    assert {name for name in FLAGS if second[name]} == {"swapbacked"}
    assert (second["order"], second["mapped"], second["anon"], second["inode"]) == (1, 1, 1, -1)


@pytest.mark.parametrize("damage", [link(4), link(9), link(3) + 8, link(3)])
def test_links_that_do_not_lead_round_are_torn(damage):
    raw = bytearray(made_pages())
    struct.pack_into("<Q", raw, SIZE + 8, damage)
    with pytest.raises(TornError, match="the links of active_anon do not lead round"):
        pages_from(bytes(raw)).walk(HEAD, "active_anon")


def test_the_reads_of_a_page_stand_below_its_generation():
    generation = np.array([5, 6, 7, -1, 6])
    refs = np.array([1, 3, 0, 2, 2])
    flags = ((generation % 4 + 1) << 54 | refs << 52 | np.array([3, 1, 0, 7, 2]) << 60).astype("u8")
    assert refs_of(flags, generation).tolist() == [1, 3, 0, -1, 2]
    assert refs_of(flags & ~np.uint64(7 << 54), generation).tolist() == [-1] * 5


def listed() -> pd.DataFrame:
    """Two lists and a batch, with a large folio."""
    rows = [("inactive_file", -1, 0, 5, 0), ("inactive_file", -1, 1, 512, 9)]
    rows += [("active_anon", -1, 0, 6, 0), ("lru_add", 0, 0, 7, 0)]
    made = pd.DataFrame(rows, columns=["list", "cpu", "position", "pfn", "order"])
    return made.reindex(columns=list(COLUMNS), fill_value=0).astype(COLUMNS)


def test_the_lists_are_counted_in_pages_and_without_the_batches():
    counts = {"inactive_anon": 0, "active_anon": 1, "inactive_file": 513, "active_file": 0}
    check_counts(listed(), counts)
    sentence = "the LRU list inactive_file has 513 pages, but the kernel counts 2"
    with pytest.raises(TornError, match=sentence):
        check_counts(listed(), counts | {"inactive_file": 2})
    with pytest.raises(TornError, match="the LRU list active_file has 0 pages"):
        check_counts(listed(), counts | {"active_file": 1})


def test_the_file_keeps_to_its_schema(tmp_path):
    table = listed()
    write_lru(table, tmp_path / "a.lru.parquet")
    read = pd.read_parquet(tmp_path / "a.lru.parquet")
    pd.testing.assert_frame_equal(read, table, check_categorical=False)
    fields = json.loads(SCHEMA.read_text())["schema"]["fields"]
    assert [field["name"] for field in fields] == list(COLUMNS)
    kinds = {name: {"category": "dictionary"}.get(kind, kind) for name, kind in COLUMNS.items()}
    assert {field["name"]: field["arrow"] for field in fields} == {
        name: [kind] for name, kind in kinds.items()
    }
    known = next(field for field in fields if field["name"] == "list")["constraints"]["enum"]
    assert set(np.unique(table["list"].astype(str))) <= set(known)
