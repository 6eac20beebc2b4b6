"""Run.save_perfetto: an independent reader finds the rows of the run's tables, times exact."""

from collections import defaultdict
from typing import NamedTuple

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as Theirs

import freehint as fh
from freehint.cli import main
from freehint.formats.perfetto import Trace

BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def fields(data: bytes) -> dict[int, list]:
    """The fields of a protobuf message: number -> its whole numbers or bytes, as they come."""
    found, at = defaultdict(list), 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        number, kind = divmod(varint(), 8)
        assert kind in (0, 2), f"wire type {kind}"
        value = varint()
        if kind == 2:
            at, begin = at + value, at
            assert at <= len(data)
            value = data[begin:at]
        found[number].append(value)
    return found


class Track(NamedTuple):
    """What stands on a track: slices (since, length, name), instants (time, name), values."""

    slices: list
    instants: list
    values: list


def read(path) -> dict[str, Track]:
    """The tracks of a trace by name, read by the field numbers of Perfetto's .proto files.

    Each begin must have its end, and time may not run backwards on a track.
    """
    names, tracks, last = {}, {}, {}
    begun = defaultdict(list)
    for number, packet in enumerate(fields(path.read_bytes())[1]):
        packet = fields(packet)
        assert packet[10] == [1] and packet[13] == ([1] if number == 0 else [])
        for descriptor in map(fields, packet[60]):
            (uuid,), (name,) = descriptor[1], descriptor[2]
            parent = [names[one] for one in descriptor[5]]
            names[uuid] = "/".join([*parent, name.decode()])
            assert names[uuid] not in tracks
            tracks[names[uuid]], last[uuid] = Track([], [], []), 0
        for event in map(fields, packet[11]):
            (time_ns,), (uuid,), (kind,) = packet[8], event[11], event[9]
            assert last[uuid] <= time_ns
            last[uuid] = time_ns
            track = tracks[names[uuid]]
            text = b"".join(event[23]).decode()
            if kind == BEGIN:
                begun[uuid].append((time_ns, text))
            elif kind == END:
                since, text = begun[uuid].pop()
                track.slices.append((since, time_ns - since, text))
            elif kind == INSTANT:
                track.instants.append((time_ns, text))
            else:
                assert kind == COUNTER
                track.values.append((time_ns, event[30][0]))
    assert not any(begun.values())
    return tracks


LOADED = {
    "memory": "256MiB",
    "duration_ns": 3_000_000_000,
    "workload": fh.Workload(),
    "ring": fh.RingConfig(16),
    "host": fh.HostConfig(discard=True),
    "migration": fh.MigrationConfig(bandwidth_Bps=500_000_000),
}
POLICIES = ["v24", "hold_the_lock", "five_step", ("v24", "page_reporting")]


@pytest.fixture(scope="module", params=POLICIES, ids=str)
def saved(request, tmp_path_factory):
    """A run and its tracks."""
    run = fh.simulate(fh.Scenario(policy=request.param, **LOADED))
    return run, read(run.save_perfetto(tmp_path_factory.mktemp("trace") / "run.pftrace"))


def under(tracks: dict, top: str) -> dict[str, Track]:
    return {name: track for name, track in tracks.items() if name.startswith(f"{top}/")}


def test_sums_of_waits_are_those_of_the_run(saved):
    run, tracks = saved
    slices = {name: track.slices for name, track in under(tracks, "guest").items()}
    per_cpu = run.waits.groupby("cpu")["wait_ns"].sum()
    assert len(run.waits) > 50
    for cpu in range(4):
        waited = sum(length for _, length, _ in slices[f"guest/CPU {cpu}"])
        assert waited == per_cpu.get(cpu, 0)
    every = [one for track in slices.values() for one in track]
    assert len(every) == len(run.waits)
    allocations = sum(length for _, length, name in every if name.startswith("alloc"))
    assert 0 < allocations == run.summary["alloc_wait_sum_ns"]


def test_locks_and_strokes_are_rows_of_the_table(saved):
    run, tracks = saved
    held = [one for track in under(tracks, "zone locks").values() for one in track.slices]
    rows = run.locks[["since_ns", "held_ns"]].itertuples(index=False, name=None)
    assert sorted((since, length) for since, length, _ in held) == sorted(rows)
    for user, mine in run.locks.groupby("user", observed=True):
        strokes = tracks[f"{user}/strokes"].slices
        assert [length for _, length, _ in strokes] == mine["held_ns"].tolist()


def test_slices_of_a_track_follow_one_another(saved):
    """A CPU waits once at a time, and a lock has one holder, so the UI draws a single row."""
    for name, track in saved[1].items():
        for (since, length, _), (later, _, _) in zip(track.slices, track.slices[1:]):
            assert since + length <= later, name


def test_every_offered_block_and_every_loss_is_there(saved):
    run, tracks = saved
    for user, mine in run.reports.groupby("user", observed=True):
        offered = tracks[f"{user}/ring: blocks offered"].instants
        assert [time_ns for time_ns, _ in offered] == mine["time_ns"].tolist()
        assert sum(name.startswith("lost") for _, name in offered) == (~mine["taken"]).sum()
        for what, pages in (("hinted", mine["taken"]), ("lost", ~mine["taken"])):
            values = tracks[f"{user}/ring: {what}"].values
            assert (values[-1][1] if values else 0) == mine.loc[pages, "nr_pages"].sum()


def test_the_migration_and_the_host_are_there(saved):
    run, tracks = saved
    rounds = tracks["migration/rounds"].slices
    assert [since for since, _, _ in rounds] == run.rounds["time_ns"].tolist()
    assert sum(length for _, length, _ in rounds) == run.summary["total_ns"] > 0
    assert tracks["migration/sent"].values[-1][1] == run.summary["sent_bytes"]
    ((since, length, _),) = tracks["migration/guest stopped"].slices
    assert length == run.summary["downtime_ns"]
    assert since + length == rounds[-1][0] + rounds[-1][1]
    assert [v for _, v in tracks["host/resident"].values][-1] == run.resident.iloc[-1, 1]
    assert tracks["host"].instants == [(0, "assumed")]


def test_perfettos_own_schema_reads_the_same(saved, tmp_path):
    run, tracks = saved
    trace = Theirs.FromString(run.save_perfetto(tmp_path / "a.pftrace").read_bytes())
    named = [p.track_descriptor.name for p in trace.packet if p.HasField("track_descriptor")]
    assert named == [name.rpartition("/")[2] for name in tracks]
    kinds = [p.track_event.type for p in trace.packet if p.HasField("track_event")]
    assert kinds.count(BEGIN) == kinds.count(END) == sum(len(t.slices) for t in tracks.values())
    assert trace.packet[0].sequence_flags == 1
    guest = {name.rpartition("/")[2] for name in under(tracks, "guest")}
    cpus = {
        p.track_descriptor.uuid
        for p in trace.packet
        if p.HasField("track_descriptor") and p.track_descriptor.name in guest
    }
    signs = {BEGIN: -1, END: 1}
    events = ((p.timestamp, p.track_event) for p in trace.packet if p.HasField("track_event"))
    waited = sum(time * signs.get(e.type, 0) for time, e in events if e.track_uuid in cpus)
    assert waited == run.waits["wait_ns"].sum() > 0


def test_a_stored_run_gives_the_same_trace(tmp_path):
    run = fh.simulate(fh.Scenario(memory="64MiB", duration_ns=50_000_000))
    run.save(tmp_path / "run")
    first = run.save_perfetto(tmp_path / "a.pftrace").read_bytes()
    assert fh.Run.load(tmp_path / "run").save_perfetto(tmp_path / "b").read_bytes() == first
    assert "migration/rounds" not in read(tmp_path / "b")


def test_a_trajectory_adds_the_buffers_in_flight(tmp_path):
    scenario = fh.Scenario(memory="64MiB", duration_ns=50_000_000)
    seen = fh.record(scenario, moments=200)
    tracks = read(seen.run.save_perfetto(tmp_path / "a", seen))
    values = [value for _, value in tracks["v24/ring: in flight"].values]
    assert max(values) == seen.arrays["in_flight"].max() > 0
    other = fh.simulate(scenario.with_values({"seed": 2}))
    with pytest.raises(fh.InputError, match="trajectory must be of the run that is saved"):
        other.save_perfetto(tmp_path / "b", seen)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_recorded_guests_cpus_tell_how_late_they_are(tmp_path):
    guest = fh.RecordedGuest("linux-6.1/traces/idle20")
    run = fh.simulate(fh.Scenario(policy="v24", workload=guest, duration_ns=50_000_000))
    tracks = read(run.save_perfetto(tmp_path / "a"))
    late = {int(n.split()[1][:-1]): t for n, t in tracks.items() if n.endswith("than recorded")}
    assert set(late) == set(run.work["cpu"])
    for cpu, rows in run.work.groupby("cpu"):
        assert late[cpu].values[-1][1] == rows["slip_ns"].iloc[-1]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    run = fh.simulate(fh.Scenario(memory="64MiB", duration_ns=50_000_000))
    (tmp_path / "file").write_text("")
    with pytest.raises(fh.InputError, match="file/a: cannot be written"):
        run.save_perfetto(tmp_path / "file" / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_slices_may_lie_in_each_other_and_values_may_be_negative(tmp_path):
    trace = Trace()
    track, count = trace.track("a"), trace.track("b", unit="pages")
    trace.begin(track, 1, "outer", why="text", blocks=-1)
    trace.slice(track, 2, 3, "inner")
    trace.end(track, 1 << 40)
    trace.count(count, 0, -5)
    tracks = read(trace.save(tmp_path / "a"))
    assert tracks["a"].slices == [(2, 3, "inner"), (1, (1 << 40) - 1, "outer")]
    assert tracks["b"].values == [(0, (1 << 64) - 5)]


def test_simulate_writes_a_trace(tmp_path, capsys):
    quick = ["--memory", "64MiB", "--set", "duration_ns=20000000"]
    out = tmp_path / "deep" / "run.pftrace"
    assert main(["simulate", *quick, "--perfetto", str(out)]) == 0
    assert f"trace: {out}" in capsys.readouterr().out
    assert "v24/strokes" in read(out)
    several = ["--policy", "none", "--policy", "v24"]
    assert main(["simulate", *quick, *several, "--perfetto", str(tmp_path / "b")]) == 2
    assert "--perfetto takes one policy, got 2: none, v24" in capsys.readouterr().err
