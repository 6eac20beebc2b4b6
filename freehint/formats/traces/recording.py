"""A recorded guest: two snapshots and the trace between them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from freehint.config import InputError
from freehint.formats.digest import Files
from freehint.formats.snapshot_lists import migratetype_codes
from freehint.formats.snapshots import read_snapshot
from freehint.formats.traces.events import is_event
from freehint.formats.traces.lock_order import LockOrder, lock_order, softirq_order
from freehint.formats.traces.read import read_recorded_trace
from freehint.formats.traces.table import IRQ_COLUMN
from freehint.inputs.reading import exists, json_of
from freehint.mm.memory import Memory
from freehint.mm.profile import Profile

# Markers that the recorder wrote just before a snapshot; the second are those around a migration.
MARKERS = {"T0": ("FH T0", "FH before"), "T1": ("FH T1", "FH after")}


@dataclass(frozen=True)
class Recording:
    """A snapshot before, a snapshot after, and the trace's rows between them.

    If a recording has no T1 and needs none, ``t1`` is None and the rows reach the trace's end.
    ``codes`` has freehint's number for each migratetype of the rows, and ``moved`` the number of
    rows that were moved to where their pages moved: mm_page_alloc rows, by rows of the pcp lock,
    if ``in_lock_order``; those and rows of frees and drains, by the rows' interrupt contexts and
    CPUs, if ``contexts``.  ``kernel`` is the profile of the recorded kernel.
    """

    stem: Path
    t0: Memory
    t1: Memory | None
    trace: pd.DataFrame
    zone_addresses: tuple
    codes: np.ndarray
    kernel: Profile
    moved: int = 0
    in_lock_order: bool = False
    contexts: bool = False


def load_recording(
    stem, need_t1=True, files: Files | None = None, in_lock_order=False
) -> Recording:
    """Load ``NAME.T0``, ``NAME.T1`` and the rows of ``NAME.trace`` between them.

    Parameters
    ----------
    stem : str or Path
        The recording's path up to ``NAME``.
    need_t1 : bool
        Whether a recording without ``NAME.T1`` is refused.
    files : Files, optional
        Reads the files, and lists afterwards what was loaded.
    in_lock_order : bool
        Put the rows into lock order, if probes or the column ``irq`` tell it; see
        ``formats/traces/lock_order.py``.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        A file is missing or broken; the trace lost events, begins after T0 or ends before T1;
        the files belong to different recordings.
    """
    stem, files = Path(stem), files or Files()
    has_t1 = need_t1 or exists(Path(f"{stem}.T1.meta.json"))
    t0 = read_snapshot(f"{stem}.T0", files)
    t1 = read_snapshot(f"{stem}.T1", files) if has_t1 else None
    path = Path(f"{stem}.trace.parquet")
    trace = read_recorded_trace(path, files)
    first = _entries(f"{stem}.T0.meta.json", files)
    last = _entries(f"{stem}.T1.meta.json", files) if has_t1 else len(trace)
    if has_t1:
        _require_same_guest(stem, t0, t1)
    if has_t1 and not 0 <= first <= last:
        raise InputError(f"{stem}.T1.meta.json: has {last} trace entries, but T0 has {first}")
    if first > len(trace):
        raise InputError(f"{path}: ends at row {len(trace)}, before T0 at row {first}")
    if last > len(trace):
        raise InputError(f"{path}: ends at row {len(trace)}, before T1 at row {last}")
    for name, low, high in (("T0", 0, first), ("T1", first, last))[: 1 + has_t1]:
        if not _has_marker(trace.iloc[low:high], MARKERS[name]):
            texts = " or ".join(map(repr, MARKERS[name]))
            raise InputError(
                f"{path}: rows {low}..{high} have no marker {texts}: the trace begins after"
                f" {name}, or belongs to another recording"
            )
    meta = f"{stem}.T0.meta.json"
    addresses = _zone_addresses(meta, files)
    codes = migratetype_codes(json_of(files.read(Path(meta)), meta), meta)
    moved, told = 0, in_lock_order and _tells_lock_order(trace.iloc[first:last], path)
    contexts = in_lock_order and not told and IRQ_COLUMN in trace
    if told or contexts:
        order = lock_order(trace) if told else softirq_order(trace)
        trace, first, last = _in_order(trace, first, last, order)
        moved = order.moved
    rows = trace.iloc[first:last]
    return Recording(stem, t0, t1, rows, addresses, codes, t0.profile, moved, told, contexts)


def _tells_lock_order(trace: pd.DataFrame, path) -> bool:
    """Whether a trace has the rows of the pcp lock; those of pushes or pops alone are refused."""
    there = trace["event"].value_counts()
    pushes, pops, allocations, frees, direct = (
        int(there.get(name, 0))
        for name in ("pcp_push", "pcp_pop", "mm_page_alloc", "mm_page_free", "free_direct")
    )
    if pushes and allocations and not pops:
        raise InputError(
            f"{path}: has {pushes} rows pcp_push but none pcp_pop, so the order of frees and"
            " allocations is not known"
        )
    if pops and frees > direct and not pushes:
        raise InputError(
            f"{path}: has {pops} rows pcp_pop but none pcp_push, so the order of frees and"
            " allocations is not known"
        )
    return pops > 0


def _in_order(trace: pd.DataFrame, first: int, last: int, order: LockOrder):
    """The trace in lock order, and its first and last row.

    A page that was taken before a snapshot belongs before it, wherever its row stands.
    """
    cpu = trace["cpu"].to_numpy()[order.place]  # a task may have changed its CPU since
    low, high = np.searchsorted(order.place, (first, last)).tolist()
    return trace.iloc[order.rows].assign(cpu=cpu), low, high


def _require_same_guest(stem, t0: Memory, t1: Memory) -> None:
    for name in ("start_pfn", "spanned"):
        if t0.zones[name].tolist() != t1.zones[name].tolist():
            raise InputError(f"{stem}.T1.meta.json: zones differ from {stem}.T0.meta.json's")
    if (t0.profile, t0.nr_cpus) != (t1.profile, t1.nr_cpus):
        raise InputError(f"{stem}.T1.meta.json: kernel or CPUs differ from {stem}.T0.meta.json's")


def _zone_addresses(path, files: Files) -> tuple:
    """Low 31 bits of the zones' addresses, by which probes of 6.12 name zones; () before 6.12."""
    zones = json_of(files.read(path), path)["zones"]
    return tuple(zone["address_low31"] for zone in zones if "address_low31" in zone)


def _has_marker(rows: pd.DataFrame, texts: tuple) -> bool:
    marks = np.flatnonzero(is_event(rows, "tracing_mark_write"))
    return any(text in texts for text in rows["gfp"].iloc[marks])


def _entries(path, files: Files) -> int:
    """The number of trace rows before a snapshot, over all CPUs; lost rows are refused."""
    records = json_of(files.read(path), path).get("trace")
    if not isinstance(records, list) or not records:
        raise InputError(f"{path}: field 'trace' must list the CPUs' ring buffers")
    for record in records:
        if not isinstance(record, dict):
            raise InputError(f"{path}: field 'trace' must list records, got {record!r:.80}")
        for name in ("overrun", "commit_overrun", "dropped_events"):
            if record.get(name):
                raise InputError(
                    f"{path}: field {name!r} of cpu {record.get('cpu')} is"
                    f" {record[name]}: the trace lost events"
                )
        if not isinstance(record.get("entries"), int):
            raise InputError(f"{path}: field 'entries' must be int, got {record.get('entries')!r}")
    return sum(record["entries"] for record in records)
