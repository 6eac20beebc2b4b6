"""A whole run, recorded moment by moment for a player.

:func:`record` runs a scenario and records its guest at evenly spaced moments.  A small guest is
also recorded when a stroke has chosen its blocks, when it has settled them, and after each
callback.  Of every list the length, the first 64 blocks and the last 16 are kept.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from freehint.config import InputError, require, whole
from freehint.mm.memory import (
    MIGRATETYPE_NAMES,
    NR_ORDERS,
    nr_types,
    zone_name,
)
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import new_run
from freehint.runs.trajectory.look import ENTRY_NODE, NODE_BITS, NODE_MASK
from freehint.runs.trajectory.payload import pack, unpack
from freehint.runs.trajectory.recorder import MIGRATION, TALLY, USER_COUNTS, Recorder
from freehint.runs.trajectory.shape import check_trajectory

DELTA = ("types", "versions.moment", "versions.end", "reports.time_ns", "reports.pfn")


@dataclass(frozen=True)
class Trajectory:
    """The recording of a run.

    Attributes
    ----------
    meta : dict
        zones, base_pfn, nr_pages, cell_shift (log2 of the pages per cell), policies, seed,
        parameters, ring_size, names of the columns; see :func:`record`.
    arrays : dict
        For ``F`` moments, ``C`` cells, ``Z`` zones and ``U`` users:

        cells.free, .pcp, .held, .hinted, .stale, .reused, .left : uint8[F, C]
            Share of the cell's pages, 255 = all, rounded up.  hinted: pages with a hint in flight
            or at the host; stale: pages in use, allocated while a hint was on the ring; reused:
            pages in use, allocated after the host had used the hint; left: pages still to be sent.
        types : uint8[F, pageblocks]    migratetype, or 255 for a hole
        time_ns : float64[F]; why : uint8[F]    recorder.MOMENT ..
        holder : uint8[F, Z]            recorder.NOBODY, SHORT_HOLD, FIRST_USER + user
        waiting : uint32[F]             CPUs that sleep for a zone lock, one bit per CPU
        in_flight : uint32[F, U]        buffers on each ring
        walking : uint8[F, U]; user : uint32[F, U, 8]; bookmark : int32[F, U, 2]
        tally : uint32[F, 5]; migration : float64[F, 6]; pcp_pages, free_pages : uint32[F]
        versions.moment, .list, .blocks, .from_head, .end : int32[V]
            One row each time that a list changed: the first moment with this version; the list,
            (zone * 11 + order) * 5 + migratetype, with the users' private lists after these; its
            number of blocks; its number of entries from the head (the others are from the tail);
            the index after its last entry.
        entries : uint32[E]             :mod:`freehint.runs.trajectory.look`, ENTRY_..
        reports.*, locks.*, waits.*, rounds.*   columns of the run's tables
    run : Run or None
        The run; None if the trajectory was read from bytes.
    """

    meta: dict
    arrays: dict
    run: Run | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.arrays["time_ns"])

    def to_bytes(self) -> bytes:
        """Bytes laid out by :mod:`freehint.runs.trajectory.payload`, which a browser reads too."""
        cells = [name for name in self.arrays if name.startswith("cells.")]
        return pack(self.meta, self.arrays, (*cells, *DELTA))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Trajectory":
        """Read a trajectory from the bytes that :meth:`to_bytes` returned.

        Raises
        ------
        InputError
            The bytes are something else.
        """
        meta, arrays = unpack(data)
        check_trajectory(meta, arrays, COLUMNS)
        return cls(meta, arrays)

    def moment_at(self, time_ns: float) -> int:
        """The last moment that is not later than a time in ns; the first one before the run."""
        return max(0, int(np.searchsorted(self.arrays["time_ns"], time_ns, side="right")) - 1)

    def window(self, moment: int, which: int):
        """The length of a list at a moment, its entries from the head, and those from the tail."""
        a = self.arrays
        rows = np.flatnonzero((a["versions.list"] == which) & (a["versions.moment"] <= moment))
        if not len(rows):
            return 0, np.zeros(0, np.uint32), np.zeros(0, np.uint32)
        row = rows[-1]
        start = a["versions.end"][row - 1] if row else 0
        entries = a["entries"][start : a["versions.end"][row]]
        from_head = a["versions.from_head"][row]
        return int(a["versions.blocks"][row]), entries[:from_head], entries[from_head:]

    def lists_at(self, moment: int) -> pd.DataFrame:
        """The blocks of every free list that were kept at a moment.

        Returns
        -------
        DataFrame
            Columns zone, order, migratetype, position and pfn of :func:`freehint.free_lists`,
            without the blocks between the first and the last ones of a long list.
        """
        whole("moment", moment, 0, len(self) - 1)
        rows = []
        types = len(self.meta["migratetypes"])
        for which in range(len(self.meta["zones"]) * NR_ORDERS * types):
            blocks, *windows = self.window(moment, which)
            head, tail = (w[w & ENTRY_NODE == 0] & NODE_MASK for w in windows)
            places = [*range(len(head)), *range(blocks - len(tail), blocks)]
            order, migratetype = divmod(which % (NR_ORDERS * types), types)
            zone = self.meta["zones"][which // (NR_ORDERS * types)]["name"]
            pfns = np.concatenate([head, tail]) + self.meta["base_pfn"]
            rows += [(zone, order, migratetype, at, int(pfn)) for at, pfn in zip(places, pfns)]
        columns = ["zone", "order", "migratetype", "position", "pfn"]
        return pd.DataFrame(rows, columns=columns)


def record(scenario: Scenario, moments: int = 600, names: dict | None = None) -> Trajectory:
    """Run a scenario and record it for a player.

    Parameters
    ----------
    scenario : Scenario
    moments : int
        Number of evenly spaced moments, 2 to 10,000; the first is the start, the last the end.
    names : dict, optional
        pfn -> a name for the block there, such as A to H in the mail thread's example.

    Returns
    -------
    Trajectory
        Its ``run`` is the one that :func:`freehint.simulate` returns: recording changes nothing.

    Raises
    ------
    InputError
        :func:`freehint.simulate` refuses the scenario, or the guest is larger than 1 TiB.

    Examples
    --------
    >>> import freehint as fh
    >>> seen = fh.record(fh.Scenario(memory="256MiB", duration_ns=50_000_000), moments=20)
    >>> seen.arrays["cells.free"].shape
    (20, 128)
    """
    require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
    return record_guest(scenario, guest_memory(scenario), moments, names)


def record_guest(scenario: Scenario, guest: tuple, moments: int, names=None) -> Trajectory:
    """Do as :func:`record`, with a guest that ``guest_memory`` has loaded."""
    *_, seen = recording(scenario, guest, moments, names)
    return seen


def recording(scenario: Scenario, guest: tuple, moments: int, names=None, only=None):
    """Record a run in a hundred steps, so that a caller may do other things between them.

    Parameters
    ----------
    scenario, guest, moments, names
        See :func:`record_guest`.
    only : sequence of int, optional
        The moments to look at, for a quick preview; see :class:`Recorder`.

    Yields
    ------
    None or Trajectory
        None after each step, and at last the trajectory.
    """
    whole("moments", moments, 2, 10_000)
    memory, inputs = guest
    if memory.nr_pages > 1 << NODE_BITS:
        raise InputError(f"memory: at most {1 << NODE_BITS} pages are recorded")
    recorder = Recorder(moments, scenario.duration_ns, only)
    engine = new_engine(scenario, memory, watchers=[recorder])
    while engine.noted_ns < engine.until_ns:
        engine.advance_to(engine.next_moment_ns)
        yield None
    engine.finish()
    yield of_recorder(recorder, new_run(scenario, engine, inputs), scenario, names or {})


def of_recorder(recorder: Recorder, run: Run, scenario: Scenario, names: dict) -> Trajectory:
    """The trajectory of what a recorder has seen, with the tables of the run."""
    arrays = recorder.arrays() | _tables(run)
    return Trajectory(_meta(scenario, recorder, run, names), arrays, run)


def _meta(scenario: Scenario, recorder: Recorder, run: Run, names: dict) -> dict:
    memory = run.memory
    zones = [
        {
            "name": zone_name(memory, z),
            "start_pfn": int(zone.start_pfn),
            "present_pages": int(zone.present),
        }
        for z, zone in enumerate(memory.zones)
    ]
    return {
        "zones": zones,
        "base_pfn": memory.base_pfn,
        "nr_pages": memory.nr_pages,
        "nr_cpus": memory.nr_cpus,
        "cell_shift": recorder.shift,
        "policies": [user.policy.name for user in recorder.engine.strokes.users],
        "seed": scenario.seed,
        "duration_ns": scenario.duration_ns,
        "ring_size": scenario.ring.size,
        "migratetypes": MIGRATETYPE_NAMES[: nr_types(memory)],
        "user": USER_COUNTS,
        "tally": TALLY,
        "migration": MIGRATION,
        "migrates": scenario.migration is not None,
        "strokes_left_out": recorder.left_out,
        "names": {str(pfn): name for pfn, name in names.items()},
        "parameters": run.provenance["parameters"],
        "freehint": run.provenance["freehint"],
    }


COLUMNS = {
    "reports": {
        "time_ns": np.float64,
        "pfn": np.uint32,
        "user": np.uint8,
        "zone": np.uint8,
        "order": np.uint8,
        "migratetype": np.uint8,
        "stroke": np.uint32,
        "taken": np.uint8,
        "duplicate": np.uint8,
    },
    "locks": {
        "since_ns": np.float64,
        "held_ns": np.float64,
        "user": np.uint8,
        "zone": np.uint8,
        "stroke": np.uint32,
        "blocks": np.uint32,
    },
    "waits": {
        "since_ns": np.float64,
        "wait_ns": np.float64,
        "cpu": np.uint8,
        "zone": np.uint8,
        "kind": np.uint8,
    },
    "rounds": {"time_ns": np.float64, "sent_bytes": np.float64, "left_pages": np.float64},
}


def _tables(run: Run) -> dict:
    """The run's tables as numeric arrays; names become codes."""
    found = {}
    for table, columns in COLUMNS.items():
        rows = getattr(run, table)
        for name, dtype in columns.items():
            column = rows[name]
            values = column.cat.codes if hasattr(column, "cat") else column
            found[f"{table}.{name}"] = values.to_numpy(dtype)
    return found
