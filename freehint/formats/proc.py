"""Make a guest from its own /proc text: its counts are real, and its places are drawn.

``/proc/pagetypeinfo`` tells how many blocks of each (zone, order, migratetype) are free and how
many pageblocks have each type; ``/proc/zoneinfo`` tells zones, watermarks and pcp counts.
Neither tells where anything lies, so addresses and list order are drawn from a seed, such that
every invariant of a real buddy allocator holds.
"""

import re
from pathlib import Path

import numpy as np

from freehint.config import InputError, whole
from freehint.formats.bounds import MOST_PAGES, PCP_BOUNDS, ZONE_BOUNDS, check_bounds
from freehint.formats.placer import Placer
from freehint.inputs.reading import read_bytes, text_of, unpacked
from freehint.mm.check import InvariantError, check_memory
from freehint.mm.memory import (
    CMA,
    MAX_ORDER,
    ZONE_NAMES,
    Memory,
    new_memory,
    new_zones,
)
from freehint.mm.pageblock import count_isolate_pageblocks
from freehint.mm.profile import LINUX_6_1, profile_for_kernel

_FREE_LINE = re.compile(r"Node\s+(\d+), zone\s+(\w+), type\s+(\w+)((?:\s+>?\d+)*)\s*$", re.ASCII)
_BLOCKS_LINE = re.compile(r"Node\s+(\d+), zone\s+(\w+)((?:\s+\d+)+)\s*$", re.ASCII)
_ZONE_LINE = re.compile(r"Node\s+(\d+), zone\s+(\w+)\s*$", re.ASCII)
_KERNEL_LINE = re.compile(r"Linux version (\S+)|^Linux \S+ (\S+) #")
_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate", "CMA")
_TYPES = {name: t for t, name in enumerate(_NAMES)}
_BLOCKS_HEADER = "Number of blocks type"
_ZONE_FIELDS = ("min", "low", "high", "spanned", "present", "managed", "start_pfn", "nr_free_pages")


def memory_from_proc(path, seed=1) -> Memory:
    """A guest drawn from the text of its /proc/pagetypeinfo and /proc/zoneinfo.

    Parameters
    ----------
    path : str or Path
        A text file, plain or ``.gz``, with both files one after another; other text between
        them (headings, /proc/version, /proc/buddyinfo) is skipped.
    seed : int
        Draws addresses and list order.

    Returns
    -------
    Memory
        It has every count of the text.  Free pages that zoneinfo counts beyond the lists (it was
        read at another moment) are kept as ``zones.free_pages_offset``.

    Raises
    ------
    InputError
        The text is missing, cut short, or cannot be true.  The message names the file, the line
        or field, and the value.

    Examples
    --------
    >>> import freehint as fh
    >>> mem = fh.memory_from_proc(fh.data("linux-6.1/proc/boot_4g.txt.gz"), seed=1)
    >>> int(mem.nr_free[1, 10, 1])
    735
    """
    whole("seed", seed, 0)
    path = Path(path)
    lines = text_of(unpacked(read_bytes(path), path), path).splitlines()
    free, blocks = parse_pagetypeinfo(lines, path)
    zoneinfo = _parse_zoneinfo(lines, path)
    names = [name for name in ZONE_NAMES if zoneinfo.get(name, {}).get("managed")]
    if not names or set(names) != set(free) or set(names) != set(blocks):
        raise InputError(
            f"{path}: zones of pagetypeinfo ({', '.join(free) or 'none'}) and of zoneinfo"
            f" ({', '.join(names) or 'none'}) must be the same"
        )
    types = len(blocks[names[0]])
    memory = _empty_memory(names, zoneinfo, _kernel_profile(lines), types, path)
    stream = np.random.default_rng(seed)
    for zone, name in enumerate(names):
        Placer(memory, zone, stream, f"{path}: zone {name}").place(
            free[name], blocks[name], zoneinfo[name]["count"]
        )
    listed = (memory.nr_free.sum(axis=2) << np.arange(MAX_ORDER)).sum(axis=1)
    memory.zones.free_pages_offset[:] = memory.zones.nr_free_pages - listed
    count_isolate_pageblocks(memory)
    try:
        check_memory(memory)
    except InvariantError as error:
        raise InputError(f"{path}: these counts cannot be true together: {error}") from None
    return memory


def _kernel_profile(lines):
    """The profile of the kernel that the text names, or of 6.1 if it names none."""
    for line in lines:
        match = _KERNEL_LINE.search(line)
        if match:
            try:
                return profile_for_kernel(match[1] or match[2])
            except ValueError as error:
                raise InputError(str(error)) from None
    return LINUX_6_1


def parse_pagetypeinfo(lines, path):
    """Parse the counts of /proc/pagetypeinfo.

    Returns
    -------
    (dict, dict)
        Two arrays per zone: free blocks, int[11, T] by order and migratetype; and pageblocks,
        int[T] by migratetype.  T is 5, or 6 for a kernel with CMA, which no page may use.
    """
    free, rows, blocks = {}, {}, {}
    in_blocks, header = False, ()
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        if line.startswith("Number of "):  # "mixed blocks" of a kernel with page owners follow
            in_blocks = line.startswith(_BLOCKS_HEADER)
            if in_blocks:
                header = _blocks_header(line.removeprefix(_BLOCKS_HEADER).split(), where)
        if in_blocks and line.startswith("### "):
            break
        match = _FREE_LINE.match(line)
        if match:
            node, zone, name, counts = match[1], match[2], match[3], match[4].split()
            _known(zone, name, where)
            _refuse_other_node(node, zone, where)
            if name in rows.setdefault(zone, set()):
                raise InputError(f"{where}: type {name} of zone {zone} is there twice")
            rows[zone].add(name)
            if len(counts) != MAX_ORDER:
                raise InputError(f"{where}: {MAX_ORDER} counts are needed, got {len(counts)}")
            over = next((c for c in counts if c.startswith(">")), None)
            if over:
                raise InputError(f"{where}: the kernel gave up counting at {over!r:.80}")
            free.setdefault(zone, np.zeros((MAX_ORDER, len(_NAMES)), np.int64))
            free[zone][:, _TYPES[name]] = [_number(c, "a count", where) for c in counts]
            continue
        match = _BLOCKS_LINE.match(line) if in_blocks else None
        if match and match[2] in ZONE_NAMES:
            node, zone, counts = match[1], match[2], match[3].split()
            if len(counts) == MAX_ORDER and blocks:
                in_blocks = False  # This is /proc/buddyinfo.
                continue
            _refuse_other_node(node, zone, where)
            if zone in blocks:
                raise InputError(f"{where}: the pageblocks of zone {zone} are there twice")
            if len(counts) != len(header):
                raise InputError(f"{where}: {len(header)} counts are needed, got {len(counts)}")
            blocks[zone] = np.zeros(len(header), np.int64)
            blocks[zone][list(header)] = [_number(c, "a count", where) for c in counts]
    for zone, names in rows.items():
        missing = sorted({name for name, t in _TYPES.items() if t in header} - names)
        if missing:
            raise InputError(f"{path}: pagetypeinfo of zone {zone} has no line for {missing[0]}")
        if zone not in blocks:
            raise InputError(f"{path}: pagetypeinfo has no number of pageblocks of zone {zone}")
        if free[zone][:, CMA].any() or blocks[zone][CMA:].any():
            why = "freehint does not model CMA areas, so none may be in use"
            raise InputError(f"{path}: pagetypeinfo of zone {zone} counts CMA pages: {why}")
        free[zone] = free[zone][:, : len(header)]
    return free, blocks


def _blocks_header(names: list[str], where) -> tuple:
    """The migratetypes in the order in which the kernel counts their pageblocks."""
    types = tuple(_TYPES.get(name, -1) for name in names)
    if sorted(types) not in ([*range(CMA)], [*range(CMA + 1)]):
        raise InputError(
            f"{where}: must name {', '.join([*_TYPES][:CMA])} and perhaps CMA, got {names!r:.160}"
        )
    return types


def _known(zone, name, where):
    if zone not in ZONE_NAMES:
        raise InputError(f"{where}: unknown zone {zone!r}")
    if name not in _TYPES:
        raise InputError(f"{where}: unknown migratetype {name!r}")


def _refuse_other_node(node, zone, where):
    if node.lstrip("0"):
        raise InputError(
            f"{where}: zone {zone} is of NUMA node {node:.20}, but a guest here has only node 0"
        )


def _number(word: str, field: str, where: str) -> int:
    """A whole number as the kernel prints it; ``int`` takes more, and fails at 4,301 digits."""
    if not re.fullmatch("[0-9]{1,10}", word) or int(word) > MOST_PAGES:
        raise InputError(
            f"{where}: {field} must be a whole number in 0..{MOST_PAGES}, got {word!r:.80}"
        )
    return int(word)


def _parse_zoneinfo(lines, path):
    """Each zone's fields in /proc/zoneinfo; ``count``, ``pcp_high``, ``batch`` list the CPUs."""
    zones, current = {}, None
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        match = _ZONE_LINE.match(line)
        if match:
            key = match[1].lstrip("0"), match[2]
            if key in zones:
                raise InputError(f"{where}: zone {match[2]} is there twice in zoneinfo")
            current = zones[key] = {
                "count": [],
                "pcp_high": [],
                "batch": [],
                "where": where,
            }
            continue
        if line[:1].strip():
            current = None  # Lines of zoneinfo are indented; this one is of another file.
        words = line.replace(":", " ").split()
        if current is None or len(words) < 2:
            continue
        field = words[0]
        if field in ("count", "batch"):
            current[field].append(_number(words[1], field, where))
        elif field == "high" and current["count"] and ":" in line:
            current["pcp_high"].append(_number(words[1], field, where))
        elif field in (*_ZONE_FIELDS, "boost", "protection"):
            if field in current:
                raise InputError(f"{where}: {field} is there twice")
            if field == "protection":
                inside = line.partition(":")[2].strip().removeprefix("(").removesuffix(")")
                current[field] = [_number(w.strip(), field, where) for w in inside.split(",")]
            else:
                current[field] = _number(words[1], field, where)
    for (node, name), zone in zones.items():
        if zone.get("managed") != 0:
            _refuse_other_node(node, name, zone["where"])
    zones = {name: zone for (node, name), zone in zones.items() if not node}
    for name, zone in zones.items():
        if zone.get("managed") == 0:
            continue
        for field in (*_ZONE_FIELDS, "protection"):
            if field not in zone:
                raise InputError(f"{path}: zoneinfo of zone {name} has no field {field!r}")
        if not zone["count"] or not len(zone["count"]) == len(zone["batch"]) == len(
            zone["pcp_high"]
        ):
            raise InputError(f"{path}: zoneinfo of zone {name} has no whole pagesets")
    _check_bounds(zones, path)
    return zones


def _check_bounds(zones: dict, path) -> None:
    pages = sum(zone["managed"] for zone in zones.values())
    for name, zone in zones.items():
        if zone["managed"] == 0:
            continue
        where = f"{path}: zoneinfo of zone {name}"
        check_bounds(zone, ZONE_BOUNDS, pages, where)
        pcp = {"count": zone["count"], "high": zone["pcp_high"], "batch": zone["batch"]}
        check_bounds(pcp, PCP_BOUNDS, pages, f"{where}: pagesets")


def _empty_memory(names, zoneinfo, profile, types, path) -> Memory:
    records = [zoneinfo[n] for n in names]

    def column(field):
        return np.array([r[field] for r in records], np.int64)

    reserve = np.zeros((len(names), 5), np.int64)
    for z, record in enumerate(records):
        protection = record["protection"][:5]
        reserve[z, : len(protection)] = protection
    zones = new_zones(
        index=np.array([ZONE_NAMES.index(n) for n in names], np.int64),
        start_pfn=column("start_pfn"),
        spanned=column("spanned"),
        present=column("present"),
        managed=column("managed"),
        watermark=np.stack([column("min"), column("low"), column("high")], axis=1),
        watermark_boost=np.array([r.get("boost", 0) for r in records], np.int64),
        lowmem_reserve=reserve,
        nr_free_pages=column("nr_free_pages"),
    )
    nr_cpus = len(records[0]["count"])
    if any(len(r["count"]) != nr_cpus for r in records):
        raise InputError(f"{path}: zoneinfo must have every CPU in every zone")
    try:
        memory = new_memory(zones, nr_cpus, profile, types=types)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    for z, record in enumerate(records):
        memory.pcp.high[z] = record["pcp_high"]
        memory.pcp.batch[z] = record["batch"]
    return memory
