"""A recorded guest runs again, under any policy and through any migration: what if?

Between T0 and T1 the trace tells what each CPU allocated and freed, and when.  Here every such row
asks the model's allocator, which may answer otherwise than the kernel did.  It is no validator:
:func:`freehint.replay` is.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from freehint.config import InputError, Named, require, whole
from freehint.data import stem
from freehint.engine.guest.content import boot_content, place_mem_map
from freehint.engine.guest.recorded import (
    GONE,
    IN_USE_AT_T0,
    NOBODYS,
    NOT_YET,
    T_KIND,
    T_NODE,
    T_ORDER,
    T_SLOT,
    T_TIME,
    T_TYPE,
    TRACE_COLUMNS,
    number_places,
    plan_row,
)
from freehint.engine.world.content import STRUCTURES_SHIFT
from freehint.formats.digest import memory_sha256
from freehint.formats.snapshots import snapshot_files
from freehint.formats.traces.columns import settle, trace_rows
from freehint.formats.traces.recording import load_recording
from freehint.formats.traces.rows import ALLOC, FREE
from freehint.mm.memory import BUDDY, MIGRATE_PCPTYPES, ORDER_MASK, PCP, Memory
from freehint.units import NS_PER_US

FOR_EVER = 1 << 40  # laps


class Trace(NamedTuple):
    """A recorded trace as the guest runs it.

    table : int64[rows, TRACE_COLUMNS]   World.trace: CPU after CPU, its rows, then the frees of
                              what they leave allocated
    bounds : int64[C, 3]      first row, behind the recorded rows, behind the frees
    nr_slots : int            places of ``held`` for what the trace allocates, and nobody's
    t0_pages : int64[n]       pages in use at T0 that the trace frees: their places follow
    lap_ns : int              from the first row to the last
    t0_sha256 : str           of the memory at T0
    files : tuple of Path     that it was made of
    """

    table: np.ndarray
    bounds: np.ndarray
    nr_slots: int
    t0_pages: np.ndarray
    lap_ns: int
    t0_sha256: str
    files: tuple


@dataclass(frozen=True)
class RecordedGuest(Named):
    """The guest of a recording, from T0 on, in place of a Workload.

    Each ``mm_page_alloc`` asks the model's allocator for that order and type on that CPU, at its
    recorded time and the CPU's slip; each free frees the block that the model gave instead of the
    recorded one.  A page freed in a list is freed at its ``mm_page_free_batched``.  A free on one
    CPU waits for its allocation on another.  An allocation that nobody can serve fails, is
    counted, and the guest goes on without; so do bulk allocations, which have no row.  Frees of
    what the guest has not got are counted in ``unknown_frees``.

    What is written is not recorded.  Assumed: every page is written once, when it is allocated
    (with __GFP_ZERO after it was cleared, which leaves no trace here), and no page later.

    Attributes
    ----------
    trace : str or Path
        Stem of a recording, ``".../NAME"`` of NAME.T0, NAME.T1 and NAME.trace: relative to the
        working directory, or a name of the sample data.
    speed : float
        2: the work between two rows takes half as long as recorded.
    repeat : int
        Laps; 0: to the end of the run.  The next lap begins when all CPUs have ended theirs, at the
        trace's last row; before it what the trace leaves allocated is freed.  Frees of pages
        in use at T0 happen in the first lap and are counted in ``skipped_frees`` later.
    footprint_pages : int
        Pages with content at T0, in use or free; 0: those in use and those on pcp lists.

    Raises
    ------
    InputError
        There is no such recording, or a value is refused.

    Examples
    --------
    >>> import freehint as fh
    >>> guest = fh.RecordedGuest("linux-6.1/traces/idle20")
    >>> run = fh.simulate(fh.Scenario(policy="none", workload=guest, duration_ns=20_000_000_000))
    >>> int(run.summary["failed_allocations"])
    0
    """

    trace: str | Path
    speed: float = 1.0
    repeat: int = 1
    footprint_pages: int = 0

    keeps_content = True

    def __post_init__(self):
        good = isinstance(self.trace, str | Path)
        require(good, "workload.trace", "be the stem of a recording", self.trace)
        good = isinstance(self.speed, int | float) and not isinstance(self.speed, bool)
        require(good and 0 < self.speed <= 1e6, "workload.speed", "be above 0", self.speed)
        whole("workload.repeat", self.repeat, 0)
        whole("workload.footprint_pages", self.footprint_pages, 0)
        load_trace(recording_stem(self.trace))

    @property
    def loaded(self) -> Trace:
        """The trace; read once a process."""
        return load_trace(recording_stem(self.trace))

    @property
    def nr_cpus(self) -> int:
        """CPUs of the recorded guest."""
        return len(self.loaded.bounds)

    @property
    def default_memory(self) -> str:
        """The snapshot that the trace begins with."""
        return f"{self.trace}.T0"

    def require_t0(self, memory) -> None:
        """Refuse every memory but the one that the trace begins with."""
        if isinstance(memory, Memory):
            same = memory_sha256(memory) == self.loaded.t0_sha256
        else:
            t0 = f"{recording_stem(self.trace)}.T0"
            same = str(memory) == self.default_memory or str(Path(memory).absolute()) == t0
        if not same:
            shown = (
                f"another, of {memory.nr_pages} frames" if isinstance(memory, Memory) else memory
            )
            raise InputError(
                f"memory must be {self.default_memory}, with which the workload's trace begins,"
                f" or be left out, got {shown}"
            )

    def input_files(self) -> tuple:
        """What it was made of beside T0."""
        return self.loaded.files

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """Fields of the World that are the guest's own."""
        loaded = self.loaded
        table = loaded.table.copy()
        table[:, T_TIME] = table[:, T_TIME] / self.speed
        places = loaded.nr_slots + len(loaded.t0_pages)
        return {
            "held": np.zeros((self.nr_cpus, places), np.int64),
            "trace": table,
            "mem_map": np.zeros(memory.nr_pages >> STRUCTURES_SHIFT, np.int64),
        }

    def begin(self, world, stream) -> None:
        """Fill the places at T0 and schedule each CPU's first row."""
        loaded, state = self.loaded, world.state[0]
        boot_content(world, min(self.footprint_pages, world.memory.nr_pages))
        place_mem_map(world)
        world.held[0, : loaded.nr_slots] = NOT_YET
        world.held[0, NOBODYS] = GONE
        world.held[0, loaded.nr_slots :] = (loaded.t0_pages << 4) | IN_USE_AT_T0
        world.cpu[0].nr_blocks = world.held.shape[1]
        state.recorded, state.laps = 1, self.repeat or FOR_EVER
        state.lap_ns, state.nr_slots = int(loaded.lap_ns / self.speed), loaded.nr_slots
        for cpu, (first, last, end) in enumerate(loaded.bounds.tolist()):
            record = world.cpu[cpu]
            record.first_row, record.last_row, record.end_row = first, last, end
            record.row = first
            plan_row(world, cpu, 0)


def recording_stem(name) -> Path:
    """Stem of a recording, by path or by its name in the sample data; absolute.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        return stem(name, ".T0.meta.json")
    except FileNotFoundError as error:
        raise InputError(f"workload.trace: {error}") from None


@lru_cache(maxsize=4)
def load_trace(stem: Path) -> Trace:
    """Read a recording as a guest.

    Raises
    ------
    InputError
        The recording cannot be used; see :func:`freehint.formats.traces.recording.load_recording`.
    """
    recording = load_recording(stem)
    memory = recording.t0
    rows, _ = trace_rows(recording, "std")
    settle(memory, rows, "std", False)
    path = Path(f"{stem}.trace.parquet")
    odd = (rows.kind == ALLOC) & (rows.migratetype >= MIGRATE_PCPTYPES)
    if odd.any():
        at = int(np.argmax(odd))
        seq, kind = recording.trace["seq"].iloc[at], rows.migratetype[at]
        raise InputError(f"{path}: row {seq} (mm_page_alloc): nobody asks for migratetype {kind}")
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
    files = (*snapshot_files(f"{stem}.T0"), path)
    return Trace(table, bounds, nr_slots, t0_pages, lap_ns, memory_sha256(memory), files)


def _in_use(memory: Memory) -> np.ndarray:
    """bool[nr_pages]: neither free nor on a pcp list."""
    used = np.ones(memory.nr_pages, np.bool_)
    for node in np.flatnonzero(memory.frame & (BUDDY | PCP)):
        used[node : node + (1 << (int(memory.frame[node]) & ORDER_MASK))] = False
    return used


def _place_t0_pages(slots, orders, nr_slots: int) -> np.ndarray:
    """Give the pages of T0 that are freed their places, behind ``nr_slots``; those pages."""
    here = np.flatnonzero(slots < -1)
    pages = []
    for row in here:
        first = -2 - int(slots[row])
        slots[row] = nr_slots + len(pages)
        pages += range(first, first + (1 << int(orders[row])))
    return np.array(pages, np.int64)


def _by_cpu(times, rows, slots, freed, nr_cpus: int) -> tuple:
    """World.trace and its bounds: each CPU's rows, then frees of what they leave allocated."""
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
        tables.append(table)
        bounds.append((behind, behind + len(here), behind + len(table)))
        behind += len(table)
    return np.concatenate(tables), np.array(bounds, np.int64)


def _left_allocated(allocations, orders, slots, freed) -> np.ndarray:
    """(place, order) of what these rows allocate and no row frees; pages, where it frees a part."""
    kept = []
    for row in allocations:
        slot, order = int(slots[row]), int(orders[row])
        part = freed[slot : slot + (1 << order)]
        if not part.any():
            kept.append((slot, order))
        else:
            kept += [(slot + i, 0) for i in np.flatnonzero(~part)]
    return np.array(kept, np.int64).reshape(-1, 2)
