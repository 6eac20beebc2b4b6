"""A run as tracks for ui.perfetto.dev: what waited for what, on one axis of time.

Every slice, instant and value is a row of the run's tables, so sums over a track are sums over a
table: those of the guest's CPUs are ``Run.waits``, those of the zone locks are ``Run.locks``.
"""

import numpy as np

from freehint.config import InputError
from freehint.formats.perfetto import Trace
from freehint.mm.memory import MIGRATETYPE_NAMES
from freehint.units import NS_PER_S


def trace_of(run, trajectory=None) -> Trace:
    """The tracks of a run; :meth:`freehint.Run.save_perfetto` tells what is on them."""
    trace = Trace()
    end_ns = int(run.provenance["parameters"]["duration_ns"])
    _add_cpus(trace, run)
    _add_locks(trace, run)
    users = {name: trace.track(name) for name in run.walks["user"].cat.categories}
    _add_walks(trace, run, users, end_ns)
    _add_ring(trace, run, users)
    if trajectory is not None:
        _add_in_flight(trace, run, trajectory, users)
    _add_host(trace, run)
    if len(run.rounds):
        _add_migration(trace, run, end_ns)
    return trace


def _ns(seconds) -> np.ndarray:
    """Times in s as whole ns."""
    return np.rint(np.asarray(seconds, float) * NS_PER_S).astype(np.int64)


def _counter(trace: Trace, track: int, times, values) -> None:
    """The values at which a counter changes."""
    before = None
    for time_ns, value in zip(map(int, times), map(int, values)):
        if value != before:
            trace.count(track, time_ns, value)
        before = value


def _add_cpus(trace: Trace, run) -> None:
    """Waits of each CPU; how late it is if its guest was recorded; the guest's free memory."""
    top = trace.track("guest")
    nr_cpus = run.provenance["parameters"]["workload"].get("nr_cpus", 1)
    for cpu in sorted({*range(nr_cpus), *run.waits["cpu"], *run.work["cpu"]}):
        track = trace.track(f"CPU {cpu}", top)
        waits = run.waits[run.waits["cpu"] == cpu].sort_values("since_ns")
        for row in waits.itertuples():
            trace.slice(track, row.since_ns, row.wait_ns, f"{row.kind} waits for {row.zone}'s lock")
        late = run.work[run.work["cpu"] == cpu]
        if len(late):
            track = trace.track(f"CPU {cpu}: later than recorded", top, "ns")
            _counter(trace, track, _ns(late["time_s"]), late["slip_ns"])
    free = run.history.groupby("time_s")["free_pages"].sum()
    _counter(trace, trace.track("free memory", top, "pages"), _ns(free.index), free)


def _add_locks(trace: Trace, run) -> None:
    """Holds of each zone's lock by policies."""
    top = trace.track("zone locks")
    for zone, rows in run.locks.groupby("zone", observed=True):
        track = trace.track(zone, top)
        for row in rows.sort_values("since_ns", kind="stable").itertuples():
            notes = {"stroke": row.stroke, "blocks": row.blocks}
            trace.slice(track, row.since_ns, row.held_ns, f"{row.user} holds it", **notes)


def _add_walks(trace: Trace, run, users: dict, end_ns: int) -> None:
    """Walks of each user, and its strokes: its holds of a lock, one after another."""
    for user, top in users.items():
        track = trace.track("walks", top)
        for row in run.walks[run.walks["user"] == user].itertuples():
            until_ns = row.end_ns if row.end_ns >= 0 else end_ns
            notes = {"covered_pages": row.covered_pages, "lost_pages": row.lost_pages}
            name = "walk" if row.completed else "walk, not completed"
            trace.slice(track, row.begin_ns, until_ns - row.begin_ns, name, **notes)
        track = trace.track("strokes", top)
        rows = run.locks[run.locks["user"] == user].sort_values("since_ns", kind="stable")
        for row in rows.itertuples():
            name = f"stroke {row.stroke}: {row.zone}"
            trace.slice(track, row.since_ns, row.held_ns, name, blocks=row.blocks)


def _add_ring(trace: Trace, run, users: dict) -> None:
    """Blocks offered to each ring, and the pages that it took and lost so far."""
    for user, top in users.items():
        rows = run.reports[run.reports["user"] == user].sort_values("time_ns", kind="stable")
        track = trace.track("ring: blocks offered", top)
        for row in rows.itertuples():
            what = "lost" if not row.taken else "hinted again" if row.duplicate else "hinted"
            kind = MIGRATETYPE_NAMES[row.migratetype]
            name = f"{what}: order {row.order}, {kind}"
            trace.instant(track, row.time_ns, name, pfn=row.pfn, zone=row.zone, stroke=row.stroke)
        for name, chosen in (("hinted", rows["taken"]), ("lost", ~rows["taken"])):
            some = rows[chosen]
            pages = trace.track(f"ring: {name}", top, "pages")
            _counter(trace, pages, some["time_ns"], some["nr_pages"].cumsum())


def _add_in_flight(trace: Trace, run, trajectory, users: dict) -> None:
    """Buffers on each ring at the moments of a trajectory."""
    if trajectory.meta["parameters"] != run.provenance["parameters"]:
        raise InputError("trajectory must be of the run that is saved; its parameters are others")
    times = trajectory.arrays["time_ns"]
    for number, top in enumerate(users.values()):
        track = trace.track("ring: in flight", top, "buffers")
        _counter(trace, track, times, trajectory.arrays["in_flight"][:, number])


def _add_host(trace: Trace, run) -> None:
    """What is assumed of the host, and its memory behind the guest if it discards."""
    top = trace.track("host")
    host = run.provenance["parameters"]["host"]
    trace.instant(top, 0, "assumed", **{name: str(value) for name, value in host.items()})
    if len(run.resident):
        times = _ns(run.resident["time_s"])
        for name, unit in (("resident_pages", "pages"), ("faults", "faults")):
            track = trace.track(name.removesuffix("_pages"), top, unit)
            _counter(trace, track, times, run.resident[name])


def _add_migration(trace: Trace, run, end_ns: int) -> None:
    """Rounds of the migration from sync to sync, the stop of the guest, and what was sent."""
    top = trace.track("migration")
    track = trace.track("rounds", top)
    rounds, summary = run.rounds, run.summary
    begin_ns = int(rounds["time_ns"].iloc[0])
    until_ns = begin_ns + int(summary["total_ns"]) if summary["total_ns"] >= 0 else end_ns
    for row, end in zip(rounds.itertuples(), [*rounds["time_ns"].iloc[1:], until_ns]):
        notes = {"left_pages": row.left_pages, "dirty_pages": row.dirty_pages}
        trace.slice(track, row.time_ns, int(end) - row.time_ns, f"round {row.Index}", **notes)
    if summary["downtime_ns"] >= 0:
        track, stopped_ns = trace.track("guest stopped", top), int(summary["downtime_ns"])
        trace.slice(track, until_ns - stopped_ns, stopped_ns, "guest stopped")
    times = [*rounds["time_ns"], until_ns]
    sent = [*rounds["sent_bytes"], summary["sent_bytes"]]
    _counter(trace, trace.track("sent", top, "bytes"), times, sent)
    _counter(trace, trace.track("left", top, "pages"), rounds["time_ns"], rounds["left_pages"])
