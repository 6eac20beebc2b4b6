"""What a stored trajectory must have: its description's entries, and its arrays' types and axes."""

import numpy as np

from freehint.config import InputError, require
from freehint.inputs.rules import MOST_NS, MOST_PAGES, Flag, Kind, Text, Whole

LIST, TABLE = Kind(list, "be a list"), Kind(dict, "be a table")
META = {
    "zones": LIST,
    "base_pfn": Whole(0, MOST_PAGES),
    "nr_pages": Whole(1, MOST_PAGES),
    "nr_cpus": Whole(1, 1 << 16),
    "cell_shift": Whole(0, 31),
    "policies": LIST,
    "seed": Whole(0, (1 << 64) - 1),
    "duration_ns": Whole(1, MOST_NS),
    "ring_size": Whole(1, MOST_PAGES),
    **dict.fromkeys(("migratetypes", "user", "tally", "migration"), LIST),
    "migrates": Flag(),
    "strokes_left_out": Whole(0, 1 << 40),
    **dict.fromkeys(("names", "parameters"), TABLE),
    "freehint": Text(),
}
ZONE = {
    "name": Text(),
    "start_pfn": Whole(0, MOST_PAGES),
    "present_pages": Whole(0, MOST_PAGES),
}
# Type and axes of each array.  An axis is a number or a name, which stands for one length: F
# moments, C cells, B pageblocks, Z zones, U users, V versions, E entries, or a table's rows.
MOMENTS = {
    **{
        f"cells.{name}": ("uint8", "F", "C")
        for name in ("free", "pcp", "held", "hinted", "stale", "reused", "left")
    },
    "types": ("uint8", "F", "B"),
    "time_ns": ("float64", "F"),
    "why": ("uint8", "F"),
    "holder": ("uint8", "F", "Z"),
    "waiting": ("uint32", "F"),
    "in_flight": ("uint32", "F", "U"),
    "walking": ("uint8", "F", "U"),
    "user": ("uint32", "F", "U", 8),
    "bookmark": ("int32", "F", "U", 2),
    "tally": ("uint32", "F", 5),
    "migration": ("float64", "F", 6),
    "pcp_pages": ("uint32", "F"),
    "free_pages": ("uint32", "F"),
}
VERSIONS = {
    f"versions.{name}": ("int32", "V") for name in ("moment", "list", "blocks", "from_head", "end")
}


def check_trajectory(meta, arrays: dict, columns: dict) -> None:
    """Refuse a trajectory that no recording can be.

    Parameters
    ----------
    meta : dict
        The description.
    arrays : dict of str to array
    columns : dict
        Table -> {column: type} of the tables among the arrays.

    Raises
    ------
    InputError
        The message names the entry or the array.
    """
    _check_entries(meta, META, "payload: ")
    for number, zone in enumerate(meta["zones"]):
        require(isinstance(zone, dict), f"payload: zone {number}", "be a table", zone)
        _check_entries(zone, ZONE, f"payload: zone {number}: ")
    for name in meta["policies"]:
        require(Text().admits(name), "payload: policies", "be texts", name)
    tables = {
        f"{table}.{name}": (np.dtype(kind).name, table)
        for table, kinds in columns.items()
        for name, kind in kinds.items()
    }
    wanted = MOMENTS | VERSIONS | {"entries": ("uint32", "E")} | tables
    lengths = {"Z": len(meta["zones"]), "U": len(meta["policies"])}
    for name, (kind, *axes) in wanted.items():
        if name not in arrays:
            raise InputError(f"payload: array {name!r} is missing")
        found = arrays[name]
        good = found.dtype.name == kind and len(found.shape) == len(axes)
        for axis, length in zip(axes, found.shape):
            wanted_length = lengths.setdefault(axis, length) if isinstance(axis, str) else axis
            good = good and length == wanted_length
        if not good:
            shape = ", ".join(map(str, axes))
            raise InputError(
                f"payload: array {name!r} must have type {kind} and shape ({shape}), got"
                f" {found.dtype.name} and {found.shape}"
            )
    _check_versions(arrays, lengths)


def _check_entries(table, rules: dict, where: str) -> None:
    require(isinstance(table, dict), f"{where}the description", "be a table", table)
    for name, rule in rules.items():
        require(name in table, f"{where}the description", f"have {name}", list(table))
        require(rule.admits(table[name]), where + name, rule.must, table[name])


def _check_versions(arrays: dict, lengths: dict) -> None:
    """The versions of lists cut ``entries`` into pieces, one after another."""
    end = arrays["versions.end"].astype(np.int64)
    held = np.diff(end, prepend=0)
    last = (1 << 31) - 1
    for name, most in (
        ("moment", lengths["F"] - 1),
        ("list", last),
        ("blocks", last),
        ("end", lengths["E"]),
    ):
        values = arrays[f"versions.{name}"]
        if ((values < 0) | (values > most)).any():
            raise InputError(f"payload: array 'versions.{name}' must lie in 0..{most}")
    head = arrays["versions.from_head"]
    if (held < 0).any() or ((head < 0) | (head > held)).any():
        raise InputError("payload: arrays 'versions.end' and 'versions.from_head' do not fit")
