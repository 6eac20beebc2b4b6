"""Several guests on one host that has less memory than they need, and swap.

Every guest is a scenario of its own, run by its own engine; they share only the host's memory
(:mod:`freehint.engine.host.shared`).  They run in turn for one slice each, with another one first
every time, and between slices the host reclaims.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Annotated

import numpy as np
import pandas as pd

from freehint.config import require
from freehint.engine.host.shared import HostMemory, SharedHost, require_guest
from freehint.engine.world.paging import (
    FREE,
    MAJOR_FAULTS,
    RESIDENT,
    SCANNED,
    SWAP_FREE,
    SWAP_OUTS,
    SWAPPED,
)
from freehint.inputs.rules import Checked, Kind, Time
from freehint.mm.pageblock import existing_pages
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.run import Run
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import new_run, simulate
from freehint.units import NS_PER_S

MOMENTS = 200  # rows per guest in the tables over time


@dataclass(frozen=True)
class Guest(Checked):
    """A guest of a shared host.

    Attributes
    ----------
    scenario : Scenario
        Its host must discard.  After its ``duration_ns`` the guest stands still and keeps its
        memory.
    name : str
        The guest's name in the tables; "" gives "guest 0", "guest 1", ..
    start_ns : int
        Time at which the guest begins and its first resident pages take memory.
    """

    scenario: Annotated[Scenario, Kind(Scenario, "be a Scenario")]
    name: Annotated[str, Kind(str, "be a text")] = ""
    start_ns: Time = 0

    where = "guest."

    def __post_init__(self):
        super().__post_init__()
        require_guest(self.scenario)


@dataclass(frozen=True)
class Overcommit:
    """The results of guests that share a host.

    Attributes
    ----------
    summary : DataFrame
        One row per guest; docs/model.md defines each column.
    host_summary : Series
        The host's totals.
    guests : DataFrame
        Over time: time_s, guest, resident_pages, swapped_pages, absent_pages (never touched, or
        discarded), and counts since the beginning: major_faults (from swap), minor_faults (a
        cleared page), swap_outs, discarded_pages.
    host : DataFrame
        Over time: time_s, free_pages, resident_pages, swapped_pages, free_swap_pages, swap_ins,
        swap_outs, scanned_pages.
    kills : DataFrame
        One row per guest that was killed for lack of memory and swap: time_s, guest,
        resident_pages, swapped_pages.
    runs : dict
        Name -> Run with the tables of each guest.
    """

    summary: pd.DataFrame
    host_summary: pd.Series
    guests: pd.DataFrame
    host: pd.DataFrame
    kills: pd.DataFrame
    runs: dict = field(repr=False)

    def _repr_html_(self) -> str:
        killed = escape(", ".join(self.kills["guest"]))
        ending = f"<p><b>Out of memory: {killed} killed.</b></p>" if killed else ""
        return self.summary._repr_html_() + ending


class _Lockstep:
    """The guests and the host while they run."""

    def __init__(self, guests, config: SharedHost):
        self.guests, self.memory = guests, HostMemory(config)
        self.inputs = {}
        self.guest_rows, self.host_rows, self.kill_times = [], [], []

    def begin(self, number: int) -> None:
        scenario = self.guests[number].scenario
        memory, self.inputs[number] = guest_memory(scenario)
        self.memory.add(number, new_engine(scenario, memory))

    def advance_to(self, time_ns: int, turn: int) -> None:
        """Run every guest in turn for one slice."""
        n = len(self.guests)
        for number in ((turn + i) % n for i in range(n)):
            own_ns = time_ns - self.guests[number].start_ns
            if own_ns <= 0:
                continue
            if number not in self.memory.engines:
                self.begin(number)
            engine = self.memory.engines[number]
            if not engine.stopped:
                engine.advance_to(own_ns)
            self._note_kills(time_ns)

    def _note_kills(self, time_ns: int) -> None:
        self.kill_times += [time_ns / NS_PER_S] * (len(self.memory.kills) - len(self.kill_times))

    def note(self, time_ns: int) -> None:
        """Add a row for each guest and one for the host to the tables over time."""
        time_s, total = time_ns / NS_PER_S, np.zeros(5, np.int64)
        for number, engine in self.memory.engines.items():
            world, count = engine.world, engine.world.paging.count
            total += count
            absent = existing_pages(world.memory) - count[RESIDENT] - count[SWAPPED]
            major = count[MAJOR_FAULTS]
            counts = (count[RESIDENT], count[SWAPPED], absent, major)
            others = (world.host[0].faults - major, count[SWAP_OUTS], world.tally[0].discarded)
            self.guest_rows.append((time_s, self.guests[number].name, *map(int, counts + others)))
        host = self.memory.count
        row = (host[FREE], total[RESIDENT], total[SWAPPED], host[SWAP_FREE])
        row += (total[MAJOR_FAULTS], total[SWAP_OUTS], total[SCANNED])
        self.host_rows.append((time_s, *map(int, row)))


def overcommit(guests: Sequence, host: SharedHost | None = None, progress=None) -> Overcommit:
    """Run guests together on one host.

    Parameters
    ----------
    guests : sequence of Guest or Scenario
        Each runs as :func:`freehint.simulate` runs it, except for the time that the host's lack
        of memory costs it.
    host : SharedHost, optional
    progress : callable, optional
        Called once per slice with the simulated nanoseconds since the last call.

    Returns
    -------
    Overcommit
        It has each guest's slowdown against its scenario alone, which is simulated here too.

    Raises
    ------
    InputError
        A guest or the host cannot be used.
    InvariantError
        A guest's lists, or the host's account of its pages, do not add up.

    Examples
    --------
    >>> import freehint as fh
    >>> guest = fh.Scenario(memory="64MiB", policy="none", duration_ns=10_000_000)
    >>> guest = guest.with_values({"host.discard": True})
    >>> both = fh.overcommit([guest, guest], fh.SharedHost(memory_MiB=256))
    >>> both.summary["slowdown"].tolist()
    [1.0, 1.0]
    """
    host = SharedHost() if host is None else host
    require(isinstance(host, SharedHost), "host", "be a SharedHost", host)
    lockstep = _Lockstep(_named(guests), host)
    _run(lockstep, host.slice_ns, progress)
    for engine in lockstep.memory.engines.values():
        engine.finish()
    lockstep.memory.check()
    return _result(lockstep)


def _named(guests) -> list:
    good = isinstance(guests, Sequence) and len(guests) > 0
    require(good, "guests", "be a list of at least one Guest or Scenario", guests)
    found = []
    for number, guest in enumerate(guests):
        guest = guest if isinstance(guest, Guest) else Guest(guest)
        found.append(Guest(guest.scenario, guest.name or f"guest {number}", guest.start_ns))
    names = [guest.name for guest in found]
    require(len(set(names)) == len(names), "guests", "each have a name of its own", names)
    return found


def _run(lockstep: _Lockstep, slice_ns: int, progress) -> None:
    until_ns = max(g.start_ns + g.scenario.duration_ns for g in lockstep.guests)
    moment_ns = max(slice_ns, until_ns // MOMENTS)
    now_ns = noted_ns = turn = 0
    while now_ns < until_ns:
        step_ns = min(slice_ns, until_ns - now_ns)
        now_ns += step_ns
        lockstep.advance_to(now_ns, turn)
        lockstep.memory.kswapd(step_ns)
        turn += 1
        if now_ns - noted_ns >= moment_ns or now_ns == until_ns:
            lockstep.note(now_ns)
            noted_ns = now_ns
        if progress:
            progress(step_ns)


def _work(summary) -> int:
    return int(summary["allocations"] + summary["frees"] + summary["writes"])


def _result(lockstep: _Lockstep) -> Overcommit:
    memory, runs, rows, alone = lockstep.memory, {}, [], {}
    killed = dict(zip((number for number, *_ in memory.kills), lockstep.kill_times, strict=True))
    for number, guest in enumerate(lockstep.guests):
        engine, scenario = memory.engines[number], guest.scenario
        run = new_run(scenario, engine, lockstep.inputs[number])
        runs[guest.name] = run
        if id(scenario) not in alone:
            alone[id(scenario)] = _work(simulate(scenario).summary)
        rows.append(
            {
                "guest": guest.name,
                "start_s": guest.start_ns / NS_PER_S,
                **_guest_row(run, engine, memory, alone[id(scenario)]),
                "reclaim_ns": memory.reclaim_ns[number],
                "killed_s": killed.get(number, float("nan")),
            }
        )
    columns = ["time_s", "guest", "resident_pages", "swapped_pages", "absent_pages"]
    columns += ["major_faults", "minor_faults", "swap_outs", "discarded_pages"]
    names = [guest.name for guest in lockstep.guests]
    kills = [(t, names[n], *pages) for (n, *pages), t in zip(memory.kills, lockstep.kill_times)]
    host = _host_table(lockstep)
    return Overcommit(
        summary=pd.DataFrame(rows),
        host_summary=_host_row(memory, host),
        guests=pd.DataFrame(lockstep.guest_rows, columns=columns),
        host=host,
        kills=pd.DataFrame(kills, columns=["time_s", *columns[1:4]]),
        runs=runs,
    )


def _guest_row(run: Run, engine, memory: HostMemory, alone: int) -> dict:
    count, host, work = engine.world.paging.count, engine.world.host[0], _work(run.summary)
    major = int(count[MAJOR_FAULTS])
    minor = int(host.faults) - major
    return {
        "policy": run.summary["policy"],
        "work": work,
        "alone_work": alone,
        "slowdown": alone / work if work else float("nan"),
        "resident_pages": int(count[RESIDENT]),
        "swapped_pages": int(count[SWAPPED]),
        "major_faults": major,
        "minor_faults": minor,
        "swap_outs": int(count[SWAP_OUTS]),
        "discarded_pages": run.summary["discarded_pages"],
        "lost_to_discard_pages": run.summary["lost_to_discard_pages"],
        "swap_in_ns": major * memory.config.swap_in_ns,
        "minor_fault_ns": minor * int(host.fault_ns),
    }


def _host_table(lockstep: _Lockstep) -> pd.DataFrame:
    columns = ["time_s", "free_pages", "resident_pages", "swapped_pages", "free_swap_pages"]
    columns += ["swap_ins", "swap_outs", "scanned_pages"]
    return pd.DataFrame(lockstep.host_rows, columns=columns)


def _host_row(memory: HostMemory, host: pd.DataFrame) -> pd.Series:
    last = host.iloc[-1]
    row = {
        "lowest_free_pages": memory.lowest_free,
        "most_resident_pages": int(host["resident_pages"].max()),
        "most_swapped_pages": int(host["swapped_pages"].max()),
        "swap_ins": int(last["swap_ins"]),
        "swap_outs": int(last["swap_outs"]),
        "kswapd_pages": memory.kswapd_pages,
        "direct_pages": memory.direct_pages,
        "kills": len(memory.kills),
    }
    return pd.Series(row, dtype=object)
