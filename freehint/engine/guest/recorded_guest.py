"""A recorded guest runs again, under any policy and through any migration.

Between T0 and T1 the trace has each CPU's allocations and frees with their times.  Here every such
row asks the model's allocator, which may answer otherwise than the kernel did.  To validate the
allocator, use :func:`freehint.replay`.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from freehint.config import InputError
from freehint.data import stem
from freehint.engine.guest.content import boot_content, place_mem_map
from freehint.engine.guest.recorded import (
    GONE,
    IN_USE_AT_T0,
    NOBODYS,
    NOT_YET,
    T_TIME,
    plan_row,
)
from freehint.engine.world.content import STRUCTURES_SHIFT
from freehint.engine.world.records import RECORDED
from freehint.formats.digest import memory_sha256
from freehint.inputs.rules import Checked, Pages, Real, Stem, Whole
from freehint.mm.memory import Memory
from freehint.mm.pageblock import existing_pages

if TYPE_CHECKING:
    from freehint.engine.guest.recorded_trace import Trace

FOR_EVER = 1 << 40  # laps


@dataclass(frozen=True)
class RecordedGuest(Checked):
    """The guest of a recording, from T0 on, in place of a Workload.

    Each ``mm_page_alloc`` asks the model's allocator for that order and type on that CPU, at its
    recorded time plus the CPU's slip; each free frees the block that the model gave instead of
    the recorded one.  A page freed in a list is freed at its ``mm_page_free_batched``.  A free on
    one CPU waits for its allocation on another.  An allocation that no zone can serve fails and is
    counted, and the guest goes on without the block.  It also goes on without bulk allocations,
    which have no row.  Frees of blocks that the guest does not have are counted in
    ``unknown_frees``.

    Writes are not recorded.  Assumed: every page is written once, when it is allocated (with
    __GFP_ZERO after it was cleared, which has no effect here), and not later.

    Attributes
    ----------
    trace : str or Path
        Stem of a recording, ``".../NAME"`` of NAME.T0, NAME.T1 and NAME.trace: relative to the
        working directory, or a name of the sample data.
    speed : float
        With 2, the work between two rows takes half as long as recorded.
    repeat : int
        Number of laps; 0 for laps to the end of the run.  A lap ends at the trace's last row, when
        all CPUs have done their rows; then the blocks that the trace leaves allocated are freed,
        and the next lap begins.  Frees of pages in use at T0 happen in the first lap; later laps
        count them in ``skipped_frees``.
    footprint_pages : int
        Pages with content at T0, in use or free; 0 stands for those in use and on pcp lists.

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

    trace: Annotated[str | Path, Stem("the stem of a recording")]
    speed: Annotated[float, Real(0, 1_000_000, above=True)] = 1.0
    repeat: Annotated[int, Whole(0, FOR_EVER)] = 1
    footprint_pages: Pages = 0

    keeps_content = True
    where = "workload."

    def __post_init__(self):
        super().__post_init__()
        # Imported with all that reads traces, which no other guest needs.
        from freehint.engine.guest.recorded_trace import load_trace

        object.__setattr__(self, "_loaded", load_trace(recording_stem(self.trace)))

    def __reduce__(self):
        # Another process loads the trace itself: the trace is much larger than its name.
        return type(self), tuple(getattr(self, one.name) for one in fields(self))

    @property
    def loaded(self) -> "Trace":
        """The trace as it was when this guest was made."""
        return self._loaded

    @property
    def nr_cpus(self) -> int:
        """Number of CPUs of the recorded guest."""
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

    @property
    def inputs(self) -> tuple:
        """The files that the guest was made of, T0's among them, each with its sha256 as loaded."""
        return self.loaded.inputs

    def arrays(self, memory: Memory, duration_ns: int) -> dict:
        """The fields of the World that belong to this guest."""
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
        boot_content(world, min(self.footprint_pages, existing_pages(world.memory)))
        place_mem_map(world)
        world.held[0, : loaded.nr_slots] = NOT_YET
        world.held[0, NOBODYS] = GONE
        world.held[0, loaded.nr_slots :] = (loaded.t0_pages << 4) | IN_USE_AT_T0
        world.cpu[0].nr_blocks = world.held.shape[1]
        state.cpu_kernel = 1 + RECORDED
        state.recorded, state.laps = 1, self.repeat or FOR_EVER
        state.lap_ns, state.nr_slots = int(loaded.lap_ns / self.speed), loaded.nr_slots
        for cpu, (first, last, end) in enumerate(loaded.bounds.tolist()):
            record = world.cpu[cpu]
            record.first_row, record.last_row, record.end_row = first, last, end
            record.row = first
            plan_row(world, cpu, 0)


def recording_stem(name) -> Path:
    """Absolute stem of a recording, given by path or by its name in the sample data.

    Raises
    ------
    InputError
        There is no such recording.
    """
    try:
        return stem(name, ".T0.meta.json")
    except FileNotFoundError as error:
        raise InputError(f"workload.trace: {error}") from None
