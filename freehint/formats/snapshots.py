"""Load exact snapshots of a real guest.

A recording ``NAME.T0`` is four files: ``freelist``, ``pcp`` and ``pageblock`` (parquet) and
``meta.json``.  Everything is validated here, once; each message names file, field and value.
"""

from pathlib import Path

import numpy as np

from freehint.config import InputError
from freehint.formats.bounds import PCP_BOUNDS, ZONE_BOUNDS, check_bounds
from freehint.formats.digest import Files
from freehint.formats.snapshot_lists import (
    load_freelists,
    load_pageblocks,
    load_pcp,
    migratetype_codes,
    own_types,
    read_table,
)
from freehint.inputs.reading import json_of
from freehint.mm.memory import (
    ISOLATE,
    MAX_ORDER,
    NO_PAGEBLOCK,
    NR_PCP_LISTS,
    PAGEBLOCK_ORDER,
    PCP_DTYPE,
    ZONE_NAMES,
    Memory,
    list_nodes,
    new_memory,
    new_zones,
    pcp_list_head,
    zone_name,
)
from freehint.mm.pageblock import count_isolate_pageblocks
from freehint.mm.pcp import pindex_to_order
from freehint.mm.profile import profile_for_kernel

FREELIST_COLUMNS = ("zone", "order", "migratetype", "position", "pfn")
PCP_COLUMNS = ("zone", "cpu", "pindex", "order", "migratetype", "position", "pfn")
PAGEBLOCK_COLUMNS = ("zone", "block", "start_pfn", "migratetype", "skip")
# Numbers of a zone whose names in meta.json and in ZONE_DTYPE agree.
AS_NAMED = (
    *("start_pfn", "spanned", "present", "managed", "watermark_boost"),
    *("nr_reserved_highatomic", "flags"),
)
WATERMARKS = ("min", "low", "high")
NR_RESERVES = 5


def snapshot_files(stem) -> list[Path]:
    """The four files of a snapshot."""
    kinds = ("freelist.parquet", "pcp.parquet", "pageblock.parquet", "meta.json")
    return [Path(f"{stem}.{kind}") for kind in kinds]


def load_snapshot(stem) -> Memory:
    """Load the exact lists of a recorded guest, in order.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME.T0"``; the four files of the recording begin with it.

    Returns
    -------
    Memory
        It has the kernel profile that ``meta.json`` names.

    Raises
    ------
    InputError
        A file is missing, truncated or not what its name says; a block lies outside its zone,
        stands on lists twice or is not aligned to its order; a count disagrees with
        ``meta.json``.  The message names file, field and value.

    Examples
    --------
    >>> import freehint as fh
    >>> mem = fh.load_snapshot(fh.data("linux-6.1/snapshots/snap4g.T0"))
    >>> fh.free_lists(mem).shape
    (33027, 5)
    """
    return read_snapshot(stem, Files())


def read_snapshot(stem, files: Files) -> Memory:
    """Do as :func:`load_snapshot`, but read through ``files``, which lists the files loaded."""
    stem = Path(stem)
    meta = _read_meta(Path(f"{stem}.meta.json"), files)
    freelist = read_table(Path(f"{stem}.freelist.parquet"), FREELIST_COLUMNS, files)
    pcp = read_table(Path(f"{stem}.pcp.parquet"), PCP_COLUMNS, files)
    pageblock = read_table(Path(f"{stem}.pageblock.parquet"), PAGEBLOCK_COLUMNS, files)
    _compare_sha256(meta, stem, files)
    path = f"{stem}.meta.json"
    codes = migratetype_codes(meta, path)
    for kind, table in (("freelist", freelist), ("pcp", pcp), ("pageblock", pageblock)):
        own_types(table, codes, f"{stem}.{kind}.parquet")
    memory = _memory_from_meta(meta, path, "reported" in freelist, len(codes))
    load_pageblocks(memory, pageblock, f"{stem}.pageblock.parquet")
    count_isolate_pageblocks(memory)
    taken = np.zeros(memory.nr_pages // 64, np.uint64)
    load_freelists(memory, freelist, f"{stem}.freelist.parquet", taken)
    load_pcp(memory, pcp, f"{stem}.pcp.parquet", taken)
    _compare_with_meta(memory, meta, stem)
    return memory


def _read_meta(path: Path, files: Files) -> dict:
    meta = json_of(files.read(path), path)
    zones = meta.get("zones") if isinstance(meta, dict) else None
    if not isinstance(zones, list) or not zones:
        raise InputError(f"{path}: field 'zones' must be a list of zones, got {zones!r:.80}")
    return meta


def _compare_sha256(meta: dict, stem, files: Files) -> None:
    """Compare the tables with the checksums that ``meta.json`` may have."""
    path = f"{stem}.meta.json"
    if "sha256" not in meta:
        return
    stored = _field(meta, "sha256", path, dict)
    for table in snapshot_files(stem)[:-1]:
        kind = table.name.removeprefix(f"{Path(stem).name}.")
        found = files.sha256(table)
        if stored.get(kind) != found:
            raise InputError(
                f"{table}: its sha256 is {found}, but field 'sha256' of {path} has"
                f" {stored.get(kind)!r:.80}"
            )


def _field(record: dict, name: str, path, kind=int):
    """A field of meta.json, after a check of its type."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InputError(f"{path}: field {name!r} must be {kind.__name__}, got {value!r:.80}")
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        raise InputError(f"{path}: field {name!r} must fit 64 bits, got {value}")
    return value


def _whole_numbers(record: dict, name: str, path) -> list[int]:
    """A field of meta.json that is a list of whole numbers."""
    values = _field(record, name, path, list)
    return [_field({name: value}, name, path) for value in values]


def _memory_from_meta(meta: dict, path, reported_known: bool, types: int) -> Memory:
    """An empty memory with the zones, watermarks and pcp state that ``meta.json`` gives."""
    kernel = _field(meta, "kernel", path, str)
    try:
        profile = profile_for_kernel(kernel)
    except ValueError as error:
        raise InputError(f"{path}: field 'kernel': {error}") from None
    records = meta["zones"]
    for record in records:
        if not isinstance(record, dict) or record.get("name") not in ZONE_NAMES:
            raise InputError(f"{path}: field 'zones': unknown zone, name {record!r:.80}")
    names = [record["name"] for record in records]
    if len(set(names)) != len(names):
        raise InputError(f"{path}: field 'zones': a name is there twice: {names}")

    values = [_zone_numbers(record, path) for record in records]
    pages = sum(zone["managed"] for zone in values)
    for name, zone in zip(names, values, strict=True):
        check_bounds(zone, ZONE_BOUNDS, pages, f"{path}: zone {name}")
    zones = new_zones(
        index=np.array([ZONE_NAMES.index(name) for name in names], np.int64),
        watermark=np.array([[zone[k] for k in WATERMARKS] for zone in values], np.int64),
        lowmem_reserve=np.array([zone["lowmem_reserve"] for zone in values], np.int64),
        nr_free_pages=np.array([zone["nr_free_pages_stat"] for zone in values], np.int64),
        **{name: np.array([zone[name] for zone in values], np.int64) for name in AS_NAMED},
    )
    pcp_records = [_field(r, "pcp", path, list) for r in records]
    nr_cpus = max(len(p) for p in pcp_records)
    if nr_cpus == 0 or any(len(p) != nr_cpus for p in pcp_records):
        raise InputError(
            f"{path}: field 'pcp' must have every CPU in every zone, got {pcp_records!r:.80}"
        )
    try:
        memory = new_memory(zones, nr_cpus, profile, reported_known, types)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    for z, per_cpu in enumerate(pcp_records):
        for cpu, record in enumerate(per_cpu):
            if not isinstance(record, dict) or record.get("cpu") != cpu:
                raise InputError(
                    f"{path}: field 'pcp': cpu {cpu} must come here, got {record!r:.80}"
                )
            needed = ("count", "high", "batch")
            found = {
                n: _field(record, n, path) for n in PCP_DTYPE.names if n in record or n in needed
            }
            check_bounds(found, PCP_BOUNDS, pages, f"{path}: zone {names[z]}: pcp of cpu {cpu}")
            for name, value in found.items():
                memory.pcp[name][z, cpu] = value
    return memory


def _zone_numbers(record: dict, path) -> dict:
    """The numbers of a zone's record, watermarks among them."""
    watermark = _field(record, "watermark", path, dict)
    reserve = _whole_numbers(record, "lowmem_reserve", path)
    if len(reserve) > NR_RESERVES:
        raise InputError(
            f"{path}: field 'lowmem_reserve' must have {NR_RESERVES} numbers, got {len(reserve)}"
        )
    return {
        **{name: _field(record, name, path) for name in (*AS_NAMED, "nr_free_pages_stat")},
        **{name: _field(watermark, name, path) for name in WATERMARKS},
        "lowmem_reserve": reserve + [0] * (NR_RESERVES - len(reserve)),
    }


def _compare_with_meta(memory: Memory, meta: dict, stem) -> None:
    """Compare the counts on the lists with the counters that the kernel kept."""
    path = f"{stem}.meta.json"
    pcp = np.zeros_like(memory.pcp.count)
    for z, record in enumerate(meta["zones"]):
        listed = memory.nr_free[z].sum(axis=1).tolist()
        recorded = _whole_numbers(record, "nr_free", path)
        if len(recorded) != len(listed):
            raise InputError(f"{path}: field 'nr_free' must have {MAX_ORDER} orders: {recorded}")
        for order, (ours, theirs) in enumerate(zip(listed, recorded, strict=True)):
            if ours != theirs:
                raise InputError(
                    f"{path}: zone {record['name']}: nr_free of order {order} is {theirs},"
                    f" but {stem}.freelist.parquet lists {ours} blocks"
                )
        for cpu in range(memory.nr_cpus):
            pcp[z, cpu] = sum(
                len(list_nodes(memory, pcp_list_head(memory, z, cpu, p))) << pindex_to_order(p)
                for p in range(NR_PCP_LISTS)
            )
            if pcp[z, cpu] != memory.pcp.count[z, cpu]:
                raise InputError(
                    f"{path}: zone {record['name']}: pcp count of cpu {cpu} is"
                    f" {memory.pcp.count[z, cpu]}, but {stem}.pcp.parquet lists {pcp[z, cpu]} pages"
                )
    for z, zone in enumerate(memory.zones):
        first = (int(zone.start_pfn) - memory.base_pfn) >> PAGEBLOCK_ORDER
        last = (int(zone.start_pfn) - memory.base_pfn + int(zone.spanned) - 1) >> PAGEBLOCK_ORDER
        blocks = int((memory.pageblock[first : last + 1] != NO_PAGEBLOCK).sum())
        if zone.present > blocks << PAGEBLOCK_ORDER:
            raise InputError(
                f"{path}: zone {zone_name(memory, z)}: present is {zone.present}, but"
                f" {stem}.pageblock.parquet lists {blocks} pageblocks"
            )
    pages = (memory.nr_free[:, :, :ISOLATE] << np.arange(MAX_ORDER)[:, None]).sum(axis=(1, 2))
    for z in np.flatnonzero(pages > memory.zones.managed)[:1]:
        raise InputError(
            f"{path}: zone {zone_name(memory, z)}: managed is {memory.zones.managed[z]}, but"
            f" {stem}.freelist.parquet lists {pages[z]} pages"
        )
    memory.zones.free_pages_offset[:] = memory.zones.nr_free_pages - pages
