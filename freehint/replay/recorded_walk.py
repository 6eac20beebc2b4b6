"""A recorded kernel's walk, moment by moment, for the player that shows simulated runs.

The lists are those of the replay, which is exact where ``freehint validate walker`` says so.  The
hints are the recorded ones: what was reported, what the ring took, when the host used it, and which
of the pages left the free lists.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from freehint.config import InputError, whole
from freehint.engine.engine import Engine
from freehint.engine.guest.recorded_guest import RecordedGuest, recording_stem
from freehint.engine.moment import moment
from freehint.engine.worker import REPORT_COLUMNS
from freehint.engine.world.hints import FATE_BITS, IN_FLIGHT, mark_free_pages
from freehint.engine.world.ring import ADDED, USED
from freehint.formats.digest import Files
from freehint.formats.traces.recording import load_recording
from freehint.policies.call_five_step import CallFiveStep
from freehint.replay.walker.fates import HINTED, LEFT, USED_BY_HOST, tell_fates
from freehint.replay.walker.knobs import policy_of
from freehint.replay.walker.walks import LISTS_DONE
from freehint.replay.walkers import policy_text, walker_rows, walks_of
from freehint.runs.begin import new_world, random_stream
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import new_run
from freehint.runs.trajectory.recorder import MOMENT, Recorder
from freehint.runs.trajectory.trajectory import Trajectory, of_recorder
from freehint.units import NS_PER_S, NS_PER_US

KIND_OF = {"mm_page_alloc_zone_locked": LEFT, "w_report": HINTED, "w_used": USED_BY_HOST}


def record_walk(stem, moments: int = 600) -> Trajectory:
    """Show the walk of a recorded kernel to a player, as :func:`freehint.record` shows a run.

    Parameters
    ----------
    stem : str or Path
        ``".../NAME"`` of NAME.T0, NAME.T1 and NAME.trace, or a name of the sample data.
    moments : int
        Number of evenly spaced moments, 2 to 10,000; the first is T0, the last is T1.

    Returns
    -------
    Trajectory
        Recorded: reports, holds of zone locks, the ring, what the host used, and the fate of every
        hint.  Replayed: the free lists at each moment.  A page counts as reused when it leaves the
        free lists.  Nothing is known of waits and of the per-CPU lists.

    Raises
    ------
    InputError
        The recording has no walk, or cannot be used.

    Examples
    --------
    >>> import freehint as fh
    >>> seen = fh.record_walk("linux-6.1/walkers/a_scan", moments=20)
    >>> int(seen.run.summary["walks"]), int(seen.run.reports["duplicate"].sum())
    (1, 116)
    """
    whole("moments", moments, 2, 10_000)
    stem, files = recording_stem(stem), Files()
    recording = load_recording(stem, files=files)
    at = walker_rows(recording)
    if not len(at):
        raise InputError(f"{stem}.trace.parquet: has no rows of a walker between T0 and T1")
    walks = walks_of(recording, at)
    trace = recording.trace
    time_ns = (trace["ts_us"].to_numpy(np.int64) - int(trace["ts_us"].iloc[0])) * NS_PER_US
    until_ns = int(time_ns[-1]) + 1
    knobs = dict(walks.knobs)
    scenario = Scenario(
        policy=replace(policy_of(knobs), name=f"recorded: {policy_text(knobs)}"),
        workload=RecordedGuest(stem),
        duration_ns=until_ns,
    )
    engine = _engine(scenario, walks.memory)
    story, recorder = Story(engine, trace, time_ns), Recorder(moments, until_ns)
    recorder.begin(engine)
    due_ns = iter(recorder.due_ns)

    def look() -> None:
        story.to(walks.advance.row)
        now_ns = next(due_ns)
        recorder.look(now_ns, MOMENT)
        engine.history.append(moment(engine.current.pinned_memory, now_ns / NS_PER_S))

    walks.advance.stop_at(np.searchsorted(time_ns, recorder.due_ns).tolist(), look)
    walks.play(at)
    story.finish()
    seen = of_recorder(recorder, new_run(scenario, engine, files.inputs), scenario, {})
    seen.meta["ring_size"] = knobs["ring"]
    return seen


def _engine(scenario: Scenario, memory) -> Engine:
    """An engine that never runs: its world takes up what was recorded."""
    streams = [random_stream(scenario, n) for n in range(memory.nr_cpus + 1)]
    return Engine(new_world(scenario, memory), (scenario.policy,), scenario.host, streams)


class Story:
    """What the trace tells, taken up into the world of an engine that never runs.

    Parameters
    ----------
    engine : Engine
    trace : DataFrame
    time_ns : int64[rows]
    """

    def __init__(self, engine: Engine, trace: pd.DataFrame, time_ns: np.ndarray):
        self.engine, self.world = engine, engine.world
        self.strokes, self.user = engine.strokes, engine.strokes.users[0]
        self.first_pfns = self.world.memory.zones["start_pfn"]
        self.stroke, self.since, self.zones, self.put_back = -1, 0, [], 0
        self.reports: list = []
        events = trace["event"].astype(str)
        names = ["pfn", "order", "migratetype", "a", "b", "c"]
        walker = np.flatnonzero(events.str.startswith("w_"))
        rows = trace[names].iloc[walker].itertuples(index=False)
        self.rows = [*zip(walker.tolist(), time_ns[walker].tolist(), events.iloc[walker], rows)]
        self.rows.reverse()
        kinds = events.map(KIND_OF).fillna(-1).to_numpy(np.int64)
        kinds[(kinds == HINTED) & (trace["a"] != 1).to_numpy()] = -1  # the ring was full
        self.fate_rows = np.flatnonzero(kinds >= 0)
        found = trace.iloc[self.fate_rows]
        nodes = found["pfn"].to_numpy(np.int64) - self.world.memory.base_pfn
        self.fates = kinds[self.fate_rows], nodes, found["order"].to_numpy(np.int64)
        self.fate, self.last = 0, len(trace)

    def to(self, row: int) -> None:
        """Take up every row before ``row``."""
        while self.rows and self.rows[-1][0] < row:
            at, now_ns, event, fields = self.rows.pop()
            self._fates_before(at + 1)
            if hasattr(self, event):
                getattr(self, event)(now_ns, fields)
        self._fates_before(row)

    def _fates_before(self, row: int) -> None:
        upto = int(np.searchsorted(self.fate_rows, row))
        if upto > self.fate:
            part = slice(self.fate, upto)
            tell_fates(self.engine.pinned, *(column[part] for column in self.fates))
            self.fate = upto

    def w_walk_begin(self, now_ns: int, row) -> None:
        """A walk begins."""
        mark_free_pages(self.engine.pinned, 0)
        self.user.walks.append([now_ns, -1, False, 0, 0, *self.strokes.page_counts(self.user)])
        self.user.compactions.append((0, 0))

    def w_walk_end(self, now_ns: int, row) -> None:
        """A walk ends."""
        self.strokes.close_walk(self.user, now_ns, row.c == LISTS_DONE)

    def w_stroke_begin(self, now_ns: int, row) -> None:
        """A stroke begins."""
        self.stroke = row.a
        self.world.user[0].stroke += 1

    def w_list_begin(self, now_ns: int, row) -> None:
        """A zone's lock was taken."""
        self.since, self.zones, self.put_back = now_ns, [row.a], 0

    def w_hold_begin(self, now_ns: int, row) -> None:
        """All zones' locks were taken, or one to put blocks back."""
        every = range(len(self.first_pfns))
        self.since, self.put_back = now_ns, 0
        self.zones = [row.a] if isinstance(self.user.policy, CallFiveStep) else [*every]

    def w_list_end(self, now_ns: int, row) -> None:
        """The lock was dropped; so many blocks were looked at."""
        self._note_lock(now_ns, row.b)

    def w_hold_end(self, now_ns: int, row) -> None:
        """The locks were dropped; so many blocks were reported or put back."""
        self._note_lock(now_ns, self.put_back or row.a)

    def _note_lock(self, now_ns: int, blocks: int) -> None:
        held = now_ns - self.since
        for zone in self.zones:
            self.strokes.locks.extend((0, self.stroke, zone, self.since, held, blocks))

    def w_putback(self, now_ns: int, row) -> None:
        """A block was put back."""
        self.put_back += 1

    def w_report(self, now_ns: int, row) -> None:
        """A block was offered to the ring."""
        pages, user = 1 << row.order, self.world.user[0]
        user.offered += pages
        user.hinted += pages * row.a
        user.lost += pages * (1 - row.a)
        user.duplicate += pages * row.c
        self.world.ring.count[0, ADDED] += row.a
        zone = int(np.searchsorted(self.first_pfns, row.pfn, side="right")) - 1
        where = (zone, row.order, row.migratetype, row.pfn, pages)
        self.reports.append((now_ns, 0, self.stroke, *where, row.a, row.c))

    def w_used(self, now_ns: int, row) -> None:
        """The host took a report."""
        self.world.ring.count[0, USED] += 1

    def w_withdraw(self, now_ns: int, row) -> None:
        """Step 5 took reports back from the ring."""
        self.world.ring.count[0, USED] += row.a
        self.world.fate[:] &= FATE_BITS ^ IN_FLIGHT

    def finish(self) -> None:
        """Take up the rest, and put the reports into the world's table."""
        self.to(self.last)
        table = np.array(self.reports, np.int64).reshape(-1, len(REPORT_COLUMNS))
        self.engine.current.replace(reports=table)
        self.world.state[0].nr_reports = len(table)
