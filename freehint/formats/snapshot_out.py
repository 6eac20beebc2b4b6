"""Write a guest's memory in the layout of the recorded snapshots (data/README.md)."""

import json
from hashlib import sha256
from pathlib import Path

from freehint.config import InputError
from freehint.files import whole_file
from freehint.formats.snapshots import snapshot_files
from freehint.formats.tables import free_lists, pageblocks, pcp_lists
from freehint.inputs.reading import exists
from freehint.mm.check import check_memory
from freehint.mm.damage import pages_held
from freehint.mm.list import list_empty
from freehint.mm.memory import (
    ISOLATE,
    MIGRATETYPE_NAMES,
    NODES_PER_USER,
    NR_ORDERS,
    NR_USERS,
    PAGEBLOCK_ORDER,
    PCP_DTYPE,
    USER_BOOKMARK,
    Memory,
    nr_types,
    user_node,
    zone_name,
)
from freehint.mm.profile import PROFILES, profile_name


def save_snapshot(memory: Memory, stem) -> Path:
    """Write a memory as the four files of a snapshot; :func:`load_snapshot` reads them.

    Lists keep their order.  ``meta.json`` has the sha256 of the other files, which
    :func:`load_snapshot` compares.  The files do not say which allocated pages are movable and
    which blocks a hint was taken for, because no recording does.

    Parameters
    ----------
    memory : Memory
    stem : str or Path
        ``".../NAME.T0"``; the files' names begin with it.

    Returns
    -------
    Path
        The stem.

    Raises
    ------
    InputError
        A file exists already or cannot be written; a policy holds blocks or has a bookmark on a
        list; no kernel has the memory's profile.
    InvariantError
        The memory is broken.

    Examples
    --------
    >>> import tempfile, freehint as fh
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stem = fh.save_snapshot(fh.make_memory("64MiB"), f"{folder}/made.T0")
    ...     int(fh.load_snapshot(stem).nr_free.sum())
    17
    """
    stem = Path(stem)
    check_memory(memory)
    _refuse_policies_nodes(memory)
    name = profile_name(memory.profile)
    if PROFILES.get(name) != memory.profile:
        raise InputError(f"{stem}: no kernel {name} has the rules of this memory's profile")
    *tables, meta = snapshot_files(stem)
    for path in (*tables, meta):
        if exists(path):
            raise InputError(f"{path}: exists already; a snapshot never overwrites another")
    checksums = {}
    for path, table in zip(tables, (free_lists, pcp_lists, pageblocks), strict=True):
        with whole_file(path) as temporary:
            table(memory).to_parquet(temporary, compression="zstd", index=False)
            kind = path.name.removeprefix(f"{stem.name}.")
            checksums[kind] = sha256(temporary.read_bytes()).hexdigest()
    # This file comes last, because without it there is no snapshot.
    with whole_file(meta) as temporary:
        temporary.write_text(
            json.dumps(_meta(memory, name) | {"sha256": checksums}, indent=1) + "\n"
        )
    return stem


def _refuse_policies_nodes(memory: Memory) -> None:
    held = int(pages_held(memory))
    if held:
        raise InputError(f"memory: policies hold {held} pages, for which a snapshot has no place")
    for user in range(NR_USERS):
        for which in range(USER_BOOKMARK, NODES_PER_USER):
            if not list_empty(memory.links, user_node(memory, user, which)):
                raise InputError(f"memory: a bookmark of user {user} stands on a list")


def _meta(memory: Memory, kernel: str) -> dict:
    return {
        "kernel": kernel,
        "max_order": NR_ORDERS,
        "pageblock_order": PAGEBLOCK_ORDER,
        "migratetypes": list(MIGRATETYPE_NAMES[: nr_types(memory)]),
        "zones": [_zone(memory, zone) for zone in range(len(memory.zones))],
    }


def _zone(memory: Memory, zone: int) -> dict:
    record = memory.zones[zone]
    plain = ("index", "start_pfn", "spanned", "present", "managed", "watermark_boost", "flags")
    low = dict(zip(("min", "low", "high"), record.watermark.tolist(), strict=True))
    pages = memory.nr_free[zone, :, :ISOLATE].sum(axis=1) << range(NR_ORDERS)
    return {
        "name": zone_name(memory, zone),
        **{name: int(record[name]) for name in plain},
        "watermark": low,
        "nr_reserved_highatomic": int(record.nr_reserved_highatomic),
        "lowmem_reserve": record.lowmem_reserve.tolist(),
        "nr_free_pages_stat": int(record.nr_free_pages),
        "nr_free": memory.nr_free[zone].sum(axis=1).tolist(),
        "pcp": [
            {"cpu": cpu, **{name: int(memory.pcp[zone, cpu][name]) for name in PCP_DTYPE.names}}
            for cpu in range(memory.nr_cpus)
        ],
        "free_pages_on_lists": int(pages.sum()),
    }
