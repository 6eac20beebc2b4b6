"""The tables of a snapshot, their checks, and their files; nothing here needs drgn."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from freehint.config import InputError

# Types of the columns as in data/README.md.
COLUMNS = {
    "freelist": {
        "zone": "category",
        "order": "uint8",
        "migratetype": "uint8",
        "position": "uint32",
        "pfn": "uint32",
        "reported": "uint8",
    },
    "pcp": {
        "zone": "category",
        "cpu": "uint8",
        "pindex": "uint8",
        "order": "uint8",
        "migratetype": "uint8",
        "position": "uint32",
        "pfn": "uint32",
    },
    "pageblock": {
        "zone": "category",
        "block": "uint32",
        "start_pfn": "uint32",
        "migratetype": "uint8",
        "skip": "uint8",
    },
}


class TornError(InputError):
    """Lists and counters do not fit together, because the kernel ran while they were read."""


class Lists(NamedTuple):
    """A snapshot as tables.

    freelist, pcp, pageblock : DataFrame   with the columns of COLUMNS
    meta : dict                            as meta.json
    """

    freelist: pd.DataFrame
    pcp: pd.DataFrame
    pageblock: pd.DataFrame
    meta: dict


def table(kind: str, rows: list) -> pd.DataFrame:
    """Rows as a table with the columns and types of its kind."""
    return pd.DataFrame(rows, columns=list(COLUMNS[kind])).astype(COLUMNS[kind])


def checks(lists: Lists) -> list[list]:
    """Compare the lists with the kernel's counters.

    Returns
    -------
    list
        One list per check: its text, whether it holds, what the lists have, what the counter says.
    """
    found = []

    def compare(text: str, listed: int, counted: int) -> None:
        found.append([text, listed == counted, listed, counted])

    for zone in lists.meta["zones"]:
        name = zone["name"]
        free = lists.freelist[lists.freelist["zone"] == name]
        blocks = free.groupby("order").size()
        for order, counted in enumerate(zone["nr_free"]):
            compare(
                f"{name} order {order}: list length = nr_free", int(blocks.get(order, 0)), counted
            )
        compare(f"{name}: zone->lock is free", 0, zone["lock"])
        compare(f"{name}: pages on lists = NR_FREE_PAGES", _pages(free), zone["nr_free_pages_stat"])
        pcp = lists.pcp[lists.pcp["zone"] == name]
        for counters in zone["pcp"]:
            pages = _pages(pcp[pcp["cpu"] == counters["cpu"]])
            text = f"{name} cpu{counters['cpu']}: pcp list pages = pcp.count"
            compare(text, pages, counters["count"])
    return found


def _pages(blocks: pd.DataFrame) -> int:
    """The pages of blocks of several orders."""
    return sum(number << order for order, number in blocks["order"].value_counts().items())


def checked(lists: Lists, what: str) -> Lists:
    """The lists, with their checks in ``meta``.

    Parameters
    ----------
    lists : Lists
    what : str
        The snapshot's name; the message begins with it.

    Raises
    ------
    TornError
        A check does not hold.
    """
    made = checks(lists)
    for text, good, listed, counted in made:
        if not good:
            raise TornError(
                f"{what}: the snapshot is torn: {text} does not hold: {listed} and {counted}"
            )
    more = {"checks": made, "checks_ok": True, "free_blocks": len(lists.freelist)}
    return lists._replace(meta=lists.meta | more)


def write_lists(lists: Lists, stem: Path) -> None:
    """Write the four files of a snapshot: STEM.freelist.parquet and so on, and STEM.meta.json."""
    for kind in COLUMNS:
        columns = pa.Table.from_pandas(getattr(lists, kind), preserve_index=False)
        encodings = {"position": "DELTA_BINARY_PACKED", "pfn": "BYTE_STREAM_SPLIT"}
        encodings |= dict.fromkeys(("block", "start_pfn"), "DELTA_BINARY_PACKED")
        encodings = {name: how for name, how in encodings.items() if name in columns.column_names}
        pq.write_table(
            columns,
            f"{stem}.{kind}.parquet",
            compression="zstd",
            use_dictionary=[n for n in columns.column_names if n not in encodings],
            column_encoding=encodings,
        )
    Path(f"{stem}.meta.json").write_text(json.dumps(lists.meta) + "\n")
