"""Load the lists of a snapshot: check every row, then link its block at its position."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from freehint.config import (
    InputError,
    shown,
)
from freehint.formats.digest import Files
from freehint.formats.place import claim_blocks
from freehint.inputs.reading import first_line, table_of
from freehint.jit import as_python
from freehint.mm.list import set_list
from freehint.mm.memory import (
    BUDDY,
    CMA,
    HIGHATOMIC,
    MAX_ORDER,
    MIGRATETYPE_NAMES,
    MOVABLE,
    NO_PAGEBLOCK,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PAGEBLOCK_TYPE_MASK,
    PCP,
    PCP_THP,
    RECLAIMABLE,
    REPORTED,
    SKIP_BIT,
    TYPE_SHIFT,
    WITHOUT_CMA,
    Memory,
    free_list_head,
    pcp_list_head,
    zone_name,
)


def _zone_positions(memory: Memory, table: dict, path) -> np.ndarray:
    """The position in ``memory.zones`` of every row's zone."""
    found = np.full(len(table["zone"]), -1, np.int64)
    for z in range(len(memory.zones.index)):
        found[table["zone"] == zone_name(memory, z)] = z
    if (found < 0).any():
        row = int(np.argmin(found))
        raise InputError(f"{path}: row {row}: unknown zone {table['zone'][row]!r:.80}")
    return found


def _require(good, table: dict, column: str, path, why: str) -> None:
    """Refuse the table unless every row is good, and name the first row that is not."""
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(f"{path}: row {row}: {column} {table[column][row]} {why}")


def migratetype_codes(meta: dict, path) -> np.ndarray:
    """freehint's number for each migratetype of a recording, by the names in ``meta.json``.

    A recording that does not name its types has the five of a kernel without CMA.
    """
    names = meta.get("migratetypes", list(MIGRATETYPE_NAMES[:WITHOUT_CMA]))
    known = isinstance(names, list) and all(n in MIGRATETYPE_NAMES for n in names)
    if not known or sorted(names) not in (
        sorted(MIGRATETYPE_NAMES),
        sorted(MIGRATETYPE_NAMES[:WITHOUT_CMA]),
    ):
        raise InputError(
            f"{path}: field 'migratetypes' must name {', '.join(MIGRATETYPE_NAMES[:WITHOUT_CMA])}"
            f" and perhaps CMA, each once, got {names!r:.160}"
        )
    return np.array([MIGRATETYPE_NAMES.index(name) for name in names], np.int64)


def own_types(table: dict, codes: np.ndarray, path) -> None:
    """Replace a table's migratetypes by freehint's numbers; a block of type CMA is refused."""
    types = table["migratetype"]
    _require((types >= 0) & (types < len(codes)), table, "migratetype", path, "is unknown")
    own = codes[types]
    why = "is CMA: freehint does not model CMA areas, so none may be in use"
    _require(own != CMA, table, "migratetype", path, why)
    table["migratetype"] = own


def load_pageblocks(memory: Memory, table: dict, path) -> None:
    """Load types and skip bits of the pageblocks; pageblocks that no row names are holes."""
    zone = _zone_positions(memory, table, path)
    start = memory.zones.start_pfn[zone]
    last = start + memory.zones.spanned[zone] - 1
    block = table["block"]
    inside = (block >= start >> PAGEBLOCK_ORDER) & (block <= last >> PAGEBLOCK_ORDER)
    _require(inside, table, "block", path, "lies outside its zone")
    right = table["start_pfn"] == block << PAGEBLOCK_ORDER
    _require(right, table, "start_pfn", path, "is not the first of its block")
    types = table["migratetype"]
    _require(np.isin(table["skip"], (0, 1)), table, "skip", path, "must be 0 or 1")
    index = block - (memory.base_pfn >> PAGEBLOCK_ORDER)
    first = np.unique(index, return_index=True)[1]
    if len(first) != len(index):
        row = int(np.setdiff1d(np.arange(len(index)), first)[0])
        raise InputError(f"{path}: row {row}: block {block[row]} is listed twice")
    memory.pageblock[index] = types | np.where(table["skip"] == 1, SKIP_BIT, 0)


def _claim(memory: Memory, table: dict, zone, order, path, taken) -> np.ndarray:
    """The nodes of the rows' blocks, checked for alignment, zone, holes and overlaps."""
    pfn = table["pfn"]
    start = memory.zones.start_pfn[zone]
    end = start + memory.zones.spanned[zone]
    size = np.left_shift(1, order)
    _require((pfn >= start) & (pfn <= end - size), table, "pfn", path, "lies outside its zone")
    _require(pfn % size == 0, table, "pfn", path, "is not aligned to its order")
    nodes = pfn - memory.base_pfn
    ends = [nodes, nodes + size - 1]  # a block of order 10 has two pageblocks
    hole = np.any([memory.pageblock[n >> PAGEBLOCK_ORDER] == NO_PAGEBLOCK for n in ends], axis=0)
    _require(~hole, table, "pfn", path, "lies in a hole: its pageblock is not listed")
    # Blocks sorted by address must not reach into the next one, nor into pages taken before.
    order_by_pfn = np.argsort(nodes, kind="stable")
    sorted_end = (nodes + size)[order_by_pfn]
    free_of_next = np.ones(len(nodes), np.bool_)
    free_of_next[order_by_pfn[1:]] = sorted_end[:-1] <= nodes[order_by_pfn[1:]]
    _require(free_of_next, table, "pfn", path, "is on the lists twice")
    row = int(claim_blocks(taken, nodes, order))
    if row >= 0:
        raise InputError(f"{path}: row {row}: pfn {pfn[row]} is on the lists twice")
    return nodes


def _load_lists(memory: Memory, table: dict, heads, nodes, path) -> None:
    """Link the rows into their lists by position, which must count 0, 1, 2, .. on each."""
    rank = np.lexsort((table["position"], heads))
    heads, nodes, position = heads[rank], nodes[rank], table["position"][rank]
    starts = np.flatnonzero(np.diff(heads, prepend=-1))
    expected = np.arange(len(heads)) - np.repeat(starts, np.diff(np.append(starts, len(heads))))
    if not (position == expected).all():
        row = int(rank[np.argmin(position == expected)])
        raise InputError(
            f"{path}: row {row}: position {table['position'][row]} leaves a gap in its list"
        )
    for content in np.split(np.arange(len(heads)), starts[1:]):
        if len(content):
            set_list(memory.links, heads[content[0]], nodes[content])


def load_freelists(memory: Memory, table: dict, path, taken) -> None:
    """Put every free block on its list; ``taken`` marks the pages that are on a list already."""
    zone = _zone_positions(memory, table, path)
    order, types = table["order"], table["migratetype"]
    _require(
        (order >= 0) & (order < MAX_ORDER), table, "order", path, f"must lie in 0..{MAX_ORDER - 1}"
    )
    nodes = _claim(memory, table, zone, order, path, taken)
    _load_lists(memory, table, as_python(free_list_head)(memory, zone, order, types), nodes, path)
    memory.frame[nodes] = BUDDY | order | types << TYPE_SHIFT
    if memory.reported_known:
        _require(np.isin(table["reported"], (0, 1)), table, "reported", path, "must be 0 or 1")
        memory.frame[nodes[table["reported"] == 1]] |= REPORTED
    np.add.at(memory.nr_free, (zone, order, types), 1)


def load_pcp(memory: Memory, table: dict, path, taken) -> None:
    """Put every block of a CPU on its pcp list; ``taken`` as for :func:`load_freelists`."""
    zone = _zone_positions(memory, table, path)
    cpu, pindex, order = table["cpu"], table["pindex"], table["order"]
    _require((cpu >= 0) & (cpu < memory.nr_cpus), table, "cpu", path, "is not in meta.json")
    good = (pindex >= 0) & (pindex < NR_PCP_LISTS)
    _require(good, table, "pindex", path, f"must lie in 0..{NR_PCP_LISTS - 1}")
    right = order == np.where(pindex >= PCP_THP, PAGEBLOCK_ORDER, pindex // 3)
    _require(right, table, "order", path, "does not belong to its pindex")
    list_type = np.where(pindex >= PCP_THP, pindex - PCP_THP, pindex % 3)
    right = table["migratetype"] == list_type
    _require(right, table, "migratetype", path, "does not belong to its pindex")
    nodes = _claim(memory, table, zone, order, path, taken)
    _load_lists(memory, table, as_python(pcp_list_head)(memory, zone, cpu, pindex), nodes, path)
    block_type = memory.pageblock[nodes >> PAGEBLOCK_ORDER] & PAGEBLOCK_TYPE_MASK
    # The first list of huge pages holds every type but MOVABLE: the pageblock tells which.
    not_movable = (pindex == PCP_THP) & (block_type == RECLAIMABLE)
    types = np.where(not_movable, RECLAIMABLE, list_type)
    # HIGHATOMIC pages stand on the MOVABLE list and drain back to a list of their own.
    types = np.where((block_type == HIGHATOMIC) & (types == MOVABLE), HIGHATOMIC, types)
    memory.frame[nodes] = PCP | order | types << TYPE_SHIFT


def read_table(path: Path, columns, files: Files) -> dict:
    """Read columns of a parquet file.

    Returns
    -------
    dict of str to int64 array
        The columns by name, with ``reported`` if the file has it.  Only ``zone`` stays text.

    Raises
    ------
    InputError
        The file is missing, not whole parquet, or a column is missing or not numeric.
    """
    table = table_of(files.read(path), path)
    wanted = {}
    for name in (*columns, "reported"):
        if name not in table.column_names:
            if name in columns:
                raise InputError(f"{path}: column {name!r} is missing")
            continue
        column = table.column(name)
        if column.null_count:
            raise InputError(f"{path}: column {name!r} has {column.null_count} empty values")
        if name == "zone":
            wanted[name] = _texts(column, path, name)
            continue
        # Being convertible is not enough: text must not pass, and fractions would be cut off.
        if not pa.types.is_integer(column.type):
            raise InputError(
                f"{path}: column {name!r} must hold whole numbers,"
                f" got {shown(column[:1].to_pylist())}"
            )
        wanted[name] = _numbers(column, path, name)
    return wanted


def _numbers(column: pa.ChunkedArray, path, name: str) -> np.ndarray:
    """A column of whole numbers as int64.

    Not with ``to_numpy``, which imports pandas, nor ``cast``, which imports arrow's functions.
    """
    if not column.num_chunks:
        return np.zeros(0, np.int64)
    values = np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])
    found = values.astype(np.int64)
    if values.dtype == np.uint64 and (found < 0).any():
        raise InputError(f"{path}: column {name!r}: {values.max()} is beyond 63 bits")
    return found


def _texts(column: pa.ChunkedArray, path, name: str) -> np.ndarray:
    """A column of texts, which may be stored as a dictionary."""
    try:
        if pa.types.is_dictionary(column.type) and column.type.value_type == pa.string():
            parts = [_listed(chunk) for chunk in column.chunks]
            return np.concatenate(parts) if parts else np.zeros(0, str)
        return np.array(column.cast(pa.string()).to_pylist(), object).astype(str)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise InputError(
            f"{path}: column {name!r} must hold texts: {first_line(error):.80}"
        ) from None


def _listed(chunk: pa.DictionaryArray) -> np.ndarray:
    """The texts that a dictionary's indices stand for."""
    texts = np.array(chunk.dictionary.to_pylist(), object).astype(str)
    return texts[np.from_dlpack(chunk.indices)] if len(chunk) else np.zeros(0, str)
