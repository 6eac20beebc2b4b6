"""Watchers are handed to an engine: they see every moment, and nobody derives from it."""

import ast
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import freehint as fh
from freehint.engine.engine import Engine
from freehint.engine.host.migration import Migration
from freehint.engine.strokes import Strokes
from freehint.engine.watcher import Watcher
from freehint.engine.world.clock import NEVER
from freehint.engine.world.records import HOST_DTYPE, MIGRATION_DTYPE, STATE_DTYPE
from freehint.runs.begin import guest_memory, new_engine

GUEST = fh.Scenario(memory="64MiB", policy="five_step", duration_ns=20_000_000).with_values(
    {"walk_at_ns": 1_000_000, "control.done_at_ns": 15_000_000, "policy.capacity": 4}
)


class Counting(Watcher):
    """Counts its calls, and stops a few times."""

    def __init__(self, stops=()):
        self.seen, self.stops, self.reached = Counter(), list(stops), []
        self.settled = []

    def begin(self, engine):
        self.seen["begin"] += 1
        self.engine = engine

    def next_stop_ns(self):
        return self.stops[0] if self.stops else NEVER

    def advanced(self, time_ns):
        self.reached.append(time_ns)
        if self.stops and self.stops[0] == time_ns:
            self.stops.pop(0)

    def stroke_chosen(self, user, now_ns):
        self.seen["stroke_chosen"] += 1
        assert self.engine.world.user[user.number].filled > 0

    def stroke_settled(self, user, now_ns):
        self.settled.append(int(self.engine.world.user[user.number].stroke))

    def called_back(self, now_ns):
        self.seen["called_back"] += 1

    def round_synced(self, now_ns):
        self.seen["round_synced"] += 1

    def done(self, now_ns):
        self.seen["done"] += 1

    def finish(self):
        self.seen["finish"] += 1


def test_a_watcher_sees_every_stroke_and_changes_nothing():
    watcher, other = Counting([7, 1_234_567]), Counting([1_234_567])
    run = fh.simulate(GUEST, watchers=[watcher, other])
    strokes = run.reports["stroke"].nunique()
    assert strokes > 3
    assert watcher.seen["stroke_chosen"] == len(watcher.settled) == strokes
    # The count of strokes has grown by one when a stroke is settled.
    assert watcher.settled == [stroke + 1 for stroke in run.reports["stroke"].unique()]
    assert [watcher.seen[name] for name in ("begin", "done", "finish")] == [1, 1, 1]
    assert watcher.stops == other.stops == [] and watcher.reached == other.reached
    assert {7, 1_234_567, GUEST.duration_ns} <= set(watcher.reached)
    alone = fh.simulate(GUEST)
    assert alone.summary.equals(run.summary) and alone.reports.equals(run.reports)


def test_a_watcher_sees_each_round_of_a_migration():
    watcher = Counting()
    migration = fh.MigrationConfig(bandwidth_Bps=1 << 30)
    scenario = replace(GUEST, policy="balloon_alloc", migration=migration)
    run = fh.simulate(scenario.with_values({"duration_ns": 200_000_000}), watchers=[watcher])
    assert watcher.seen["round_synced"] == len(run.rounds) > 1


@pytest.mark.parametrize("folder", ["freehint", "benchmarks", "tests"])
def test_nobody_derives_from_the_engine(folder):
    names = {"Engine", "Strokes", "WatchedEngine", "TimedEngine"}
    for path in (Path(__file__).parents[2] / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base).split(".")[-1] for base in node.bases}
                assert not bases & names, f"{path}: class {node.name}"


def test_strokes_are_a_member_of_the_engine():
    engine = new_engine(GUEST, guest_memory(GUEST)[0])
    assert Engine.__bases__ == (object,)
    assert isinstance(engine.strokes, Strokes) and engine.strokes.users[0].walks == []


@pytest.mark.parametrize("module", ["engine", "commands", "host/migration", "host/shared"])
def test_no_part_of_the_engine_reaches_into_another(module):
    """Private names are read of ``self`` alone, but for those that NamedTuples have."""
    path = Path(fh.__file__).parent / "engine" / f"{module}.py"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            assert ast.unparse(node.value) == "self" or node.attr == "_replace", ast.unparse(node)


def test_a_migration_is_the_engines_when_it_is_told_so():
    engine = new_engine(GUEST, guest_memory(GUEST)[0])
    Migration(engine, fh.MigrationConfig())
    assert engine.migration is None
    assert engine.migrate(fh.MigrationConfig()) is engine.migration is not None


def test_what_the_host_backs_is_a_record_of_its_own():
    of_host = {"discards", "faulting", "noting", "faults", "fault_ns", "fault_debt_ns"}
    of_host |= {"fault_sum_ns"}
    assert set(HOST_DTYPE.names) == of_host
    assert not of_host & {*MIGRATION_DTYPE.names, *STATE_DTYPE.names}
