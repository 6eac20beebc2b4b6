"""The migratetypes of a trace's rows, in freehint's numbers."""

import re

import numpy as np

from freehint.config import InputError
from freehint.formats.traces import rows
from freehint.formats.traces.recording import Recording
from freehint.mm.memory import CMA, MAX_ORDER, MIGRATE_PCPTYPES, MOVABLE, UNMOVABLE

GFP_MOVABLE_SHIFT = 3  # include/linux/gfp_types.h: two bits, MOVABLE and RECLAIMABLE

DIRECT_RECLAIM = re.compile(r"order=(\d{1,2}) gfp_flags=(\S+)")


def own_types(recording: Recording, typed, path) -> np.ndarray:
    """The rows' migratetypes in freehint's numbers; those of ``typed`` rows must be known."""
    types = recording.trace["migratetype"].to_numpy()
    own_of = np.full(256, -1, np.int8)
    own_of[: len(recording.codes)] = recording.codes
    own = own_of[types.astype(np.uint8)]
    for bad, why in (
        (typed & (own < 0), "is unknown"),
        (typed & (own == CMA), "is CMA: freehint does not model CMA areas"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            row, event = (recording.trace[name].iloc[at] for name in ("seq", "event"))
            raise InputError(f"{path}: row {row} ({event}): migratetype {types[at]} {why}")
    return own


def pair_bulk_allocations(trace, columns, path) -> None:
    """Give each bulk allocation the type that the entry row of the same process asked for.

    Where no row tells of each page, its pages are taken at the return row, because the allocator
    may sleep before it begins.
    """
    asks, pids = (trace["event"] == "bulk_alloc").to_numpy(), trace["pid"].to_numpy()
    asked = {}
    takes = np.isin(columns.kind, (rows.BULK_ALLOC, rows.BULK_POP))
    for at in np.flatnonzero(asks | takes):
        if asks[at]:
            flags = str(trace["gfp"].iloc[at])
            if not re.fullmatch("0x[0-9a-f]{1,8}", flags):
                row = trace["seq"].iloc[at]
                raise InputError(f"{path}: row {row} (bulk_alloc): gfp {flags!r} is no number")
            asked[pids[at]] = _gfp_migratetype(int(flags, 16))
            if asked[pids[at]] >= MIGRATE_PCPTYPES:
                row = trace["seq"].iloc[at]
                raise InputError(
                    f"{path}: row {row} (bulk_alloc): gfp {flags!r} asks for two types"
                )
        else:
            columns.migratetype[at] = asked.get(pids[at], UNMOVABLE)
            if columns.kind[at] == rows.BULK_ALLOC:
                asked.pop(pids[at], None)


def _gfp_migratetype(flags: int) -> int:
    """The migratetype that gfp flags ask for.  Source: include/linux/gfp.h, gfp_migratetype()."""
    return flags >> GFP_MOVABLE_SHIFT & 3


def fill_wanted(trace, columns) -> None:
    """Fill in order and type of the requests that direct reclaim is for.

    Only a MOVABLE request may use ZONE_MOVABLE, so nothing else is told of the type.
    """
    begins = trace["event"] == "mm_vmscan_direct_reclaim_begin"
    for at in np.flatnonzero((columns.kind == rows.LOOKED) & begins.to_numpy()):
        told = DIRECT_RECLAIM.match(str(trace["gfp"].iloc[at]))
        if not told or int(told[1]) >= MAX_ORDER:
            columns.kind[at] = rows.IGNORED
            continue
        columns.order[at] = int(told[1])
        columns.migratetype[at] = MOVABLE if "MOVABLE" in told[2] else UNMOVABLE
