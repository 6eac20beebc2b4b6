"""A recording in the form that a guest runs: each CPU's rows, and the place of each page."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from freehint.config import InputError
from freehint.engine.guest.recorded import (
    T_GOT,
    T_KIND,
    T_NODE,
    T_ORDER,
    T_SLOT,
    T_TIME,
    T_TYPE,
    TRACE_COLUMNS,
    number_places,
)
from freehint.formats.digest import Files, memory_sha256
from freehint.formats.snapshots import snapshot_files
from freehint.formats.traces.columns import settle, trace_rows
from freehint.formats.traces.recording import load_recording
from freehint.formats.traces.rows import ALLOC, FREE
from freehint.mm.memory import BUDDY, MIGRATE_PCPTYPES, ORDER_MASK, PCP, Memory
from freehint.mm.zone import NO_PAGE
from freehint.units import NS_PER_US

TRACES_KEPT = 4


class Trace(NamedTuple):
    """A recorded trace in the form that the guest runs.

    table : int64[rows, TRACE_COLUMNS]   World.trace: for one CPU after the other its rows, then
                              frees of the blocks that these rows leave allocated
    bounds : int64[C, 3]      first row, row after the recorded ones, row after the frees
    nr_slots : int            places of ``held`` for the trace's allocations, NOBODYS included
    t0_pages : int64[n]       pages in use at T0 that the trace frees; their places follow
    lap_ns : int              time from the first row to the last
    t0_sha256 : str           sha256 of the memory at T0
    inputs : tuple of Input   files that the trace was made of, as they were then
    """

    table: np.ndarray
    bounds: np.ndarray
    nr_slots: int
    t0_pages: np.ndarray
    lap_ns: int
    t0_sha256: str
    inputs: tuple


_traces = {}  # traces by the inputs that were read


def load_trace(stem: Path) -> Trace:
    """Read a recording for a guest.  As long as its files do not change, it is made only once.

    Raises
    ------
    InputError
        The recording cannot be used; see :func:`freehint.formats.traces.recording.load_recording`.
    """
    files = Files()
    for path in (*snapshot_files(f"{stem}.T0"), *snapshot_files(f"{stem}.T1")):
        files.read(path)
    files.read(f"{stem}.trace.parquet")
    if files.inputs not in _traces:
        while len(_traces) >= TRACES_KEPT:
            _traces.pop(next(iter(_traces)), None)
        _traces[files.inputs] = _new_trace(stem, files)
    return _traces[files.inputs]


def _new_trace(stem: Path, files: Files) -> Trace:
    recording = load_recording(stem, files=files)
    memory = recording.t0
    rows, _, _ = trace_rows(recording, "std")
    settle(memory, rows, "std", False)
    path = Path(f"{stem}.trace.parquet")
    odd = (rows.kind == ALLOC) & (rows.migratetype >= MIGRATE_PCPTYPES)
    if odd.any():
        at = int(np.argmax(odd))
        seq, kind = recording.trace["seq"].iloc[at], rows.migratetype[at]
        raise InputError(f"{path}: row {seq} (mm_page_alloc): no request has migratetype {kind}")
    slots = np.zeros(len(rows.kind), np.int64)
    pages = np.left_shift(1, rows.order[rows.kind == ALLOC].astype(np.int64)).sum()
    freed = np.zeros(1 + pages, np.bool_)
    place_of = np.full(memory.nr_pages, -1, np.int64)
    nr_slots = int(number_places(rows, _in_use(memory), place_of, slots, freed))
    t0_pages = _place_t0_pages(slots, rows.order, nr_slots)
    times = recording.trace["ts_us"].to_numpy().astype(np.int64) * NS_PER_US
    lap_ns = int(times[-1] - times[0]) if len(times) else 0
    if lap_ns <= 0:
        raise InputError(f"{path}: no time passes between T0 and T1")
    table, bounds = _by_cpu(times - times[0], rows, slots, freed, memory.nr_cpus)
    sha256 = memory_sha256(memory)
    return Trace(table, bounds, nr_slots, t0_pages, lap_ns, sha256, files.inputs)


def _in_use(memory: Memory) -> np.ndarray:
    """bool[nr_pages]: whether a page is neither free nor on a pcp list."""
    used = np.ones(memory.nr_pages, np.bool_)
    for node in np.flatnonzero(memory.frame & (BUDDY | PCP)):
        used[node : node + (1 << (int(memory.frame[node]) & ORDER_MASK))] = False
    return used


def _place_t0_pages(slots, orders, nr_slots: int) -> np.ndarray:
    """Give the freed pages of T0 their places, from ``nr_slots`` on, and return these pages."""
    here = np.flatnonzero(slots < -1)
    pages = []
    for row in here:
        first = -2 - int(slots[row])
        slots[row] = nr_slots + len(pages)
        pages += range(first, first + (1 << int(orders[row])))
    return np.array(pages, np.int64)


def _by_cpu(times, rows, slots, freed, nr_cpus: int) -> tuple:
    """World.trace and its bounds: each CPU's rows, then frees of blocks they leave allocated."""
    tables, bounds, behind = [], [], 0
    for cpu in range(nr_cpus):
        here = np.flatnonzero((slots != -1) & (rows.cpu == cpu))
        kept = _left_allocated(here[rows.kind[here] == ALLOC], rows.order, slots, freed)
        table = np.zeros((len(here) + len(kept), TRACE_COLUMNS), np.int64)
        own, frees = table[: len(here)], table[len(here) :]
        own[:, T_TIME] = times[here]
        own[:, T_KIND] = np.where(rows.kind[here] == ALLOC, ALLOC, FREE)
        for column, values in (
            (T_ORDER, rows.order),
            (T_TYPE, rows.migratetype),
            (T_SLOT, slots),
            (T_NODE, rows.node),
        ):
            own[:, column] = values[here]
        frees[:, T_TIME], frees[:, T_KIND] = times[-1], FREE
        frees[:, [T_SLOT, T_ORDER]] = kept
        table[:, T_GOT] = NO_PAGE
        tables.append(table)
        bounds.append((behind, behind + len(here), behind + len(table)))
        behind += len(table)
    return np.concatenate(tables), np.array(bounds, np.int64)


def _left_allocated(allocations, orders, slots, freed) -> np.ndarray:
    """(place, order) of the blocks that these rows allocate and no row frees.

    Of a block that is freed in part, the other pages count one by one.
    """
    kept = []
    for row in allocations:
        slot, order = int(slots[row]), int(orders[row])
        part = freed[slot : slot + (1 << order)]
        if not part.any():
            kept.append((slot, order))
        else:
            kept += [(slot + i, 0) for i in np.flatnonzero(~part)]
    return np.array(kept, np.int64).reshape(-1, 2)
