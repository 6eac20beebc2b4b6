"""run.violations: a model that keeps the rules shows none, and each rule's check can fail."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.engine.commands import Commands
from freehint.engine.guest.kthreads import end_compact_memory
from freehint.engine.host.device import take_hint
from freehint.engine.monitor import RULES
from freehint.engine.world.clock import schedule
from freehint.engine.world.hints import IN_FLIGHT, pages_allocated
from freehint.engine.world.records import HINT_START
from freehint.engine.world.ring import USED
from freehint.engine.world.violations import (
    AFTER_STOP,
    CHANGED_AFTER_DONE,
    HELD_AFTER_DONE,
    ID_DONE,
    ID_REUSED,
    ID_TWICE,
    NO_DONE,
    NOT_CURRENT,
    NOT_SUPPLIED,
    NR_KINDS,
    OLD_ID,
    REPORTED_IN_USE,
    TIMES,
    WITHOUT_ID,
    WRITTEN_AFTER,
    WRITTEN_BEFORE,
    check_discard,
)
from freehint.jit import as_python
from freehint.reports.page import page
from freehint.reports.reproduce import simulated
from freehint.runs.begin import guest_memory, new_engine
from freehint.runs.simulate import new_run
from freehint.units import NS_PER_MS

WALK_AT = NS_PER_MS
GUEST = {"memory": "64MiB", "duration_ns": 6 * NS_PER_MS, "walk_at_ns": WALK_AT}
DISCARDS = {"host.discard": True}
MIGRATED = {
    "migration": fh.MigrationConfig(start_at_ns=WALK_AT, cancel_at_ns=4 * NS_PER_MS),
}


def scenario(policy="v24", **values) -> fh.Scenario:
    return fh.Scenario(policy=policy, **GUEST).with_values(values)


def simulate(policy="v24", **values) -> fh.Run:
    return fh.simulate(scenario(policy, **values))


def broken(run) -> dict:
    """Kind -> row of run.violations."""
    kinds = {rule: kind for kind, rule in RULES.items()}
    rows = run.violations.itertuples(index=False)
    return {kinds[tuple(map(str, row[:4]))]: row for row in rows}


@pytest.mark.parametrize("policy", list(fh.POLICIES))
@pytest.mark.parametrize("migrated", [False, True])
def test_every_policy_keeps_the_rules(policy, migrated):
    done = {} if migrated else {"control.done_at_ns": 4 * NS_PER_MS}
    given = replace(scenario(policy, **done), **MIGRATED if migrated else {})
    run = fh.simulate(given)
    assert run.violations.empty and "broken" not in repr(run)
    assert policy in ("none", "page_reporting") or len(run.reports)


def test_every_kind_has_a_rule_of_its_own():
    assert sorted(RULES) == list(range(NR_KINDS))
    assert len(set(RULES.values())) == NR_KINDS


def test_a_host_that_discards_what_v24_hints_breaks_three_rules():
    # DONE comes while hints are on the ring.
    run = simulate(**DISCARDS, **{"control.done_at_ns": 2 * NS_PER_MS})
    rows = broken(run)
    assert set(rows) == {NOT_CURRENT, WRITTEN_AFTER, CHANGED_AFTER_DONE}
    assert rows[WRITTEN_AFTER].times == run.summary["lost_to_discard_pages"] > 0
    assert rows[NOT_CURRENT].first_ns >= 2 * NS_PER_MS
    assert {row.who for row in rows.values()} == {"device"}
    assert "virtio rules broken by the device  3" in repr(run)


def test_a_reporter_that_leaves_its_blocks_on_their_lists_breaks_a_rule():
    early = replace(fh.POLICIES["v24"], name="early", delay_ns=WALK_AT)
    run = simulate(early)
    (kind,) = rows = broken(run)
    assert kind == REPORTED_IN_USE and rows[kind].who == "driver" and rows[kind].rule == "MUST"
    assert rows[kind].times == run.summary["stale_pages"] > 0
    # The same walk for a host that asks for it may do that.
    asked = simulate()
    assert asked.summary["stale_pages"] > 0 and asked.violations.empty


def test_of_the_first_time_the_run_tells_when_and_which_page():
    again = WALK_AT + NS_PER_MS // 2
    run = simulate(**{"control.every_ns": again - WALK_AT, "duration_ns": again + 90_000})
    row = broken(run)[OLD_ID]
    late = run.reports[(run.reports["time_ns"] > again) & run.reports["taken"]]
    assert (row.first_ns, row.pfn) == tuple(late[["time_ns", "pfn"]].iloc[0])
    assert row.times == len(late) > 1 and row.user == "v24"


def test_a_driver_that_does_not_stop_is_found(monkeypatch):
    stop = Commands.stop

    def deaf(self, now_ns):
        stop(self, now_ns)
        self.strokes.world.user[0].stop = 0

    monkeypatch.setattr(Commands, "stop", deaf)
    stop_ns = WALK_AT + NS_PER_MS // 2
    run = simulate(**{"control.stop_at_ns": stop_ns})
    row = broken(run)[AFTER_STOP]
    assert row.times == ((run.reports["time_ns"] > stop_ns) & run.reports["taken"]).sum() > 0


def test_an_id_that_the_driver_does_not_wait_for_is_found():
    given = scenario()
    for command, kind in (("stop", WITHOUT_ID), ("again", ID_TWICE)):
        engine = new_engine(given, guest_memory(given)[0])
        engine.advance_to(4 * NS_PER_MS)
        if command == "stop":
            engine.commands.stop(4 * NS_PER_MS)
        schedule(engine.world, engine.strokes.users[0].actor, 4 * NS_PER_MS)
        engine.run()
        run = new_run(given, engine, ())
        row = broken(run)[kind]
        assert (row.times, row.first_ns, row.pfn) == (1, 4 * NS_PER_MS, -1)
        # What follows is under no id.
        assert (AFTER_STOP in broken(run)) == (kind == WITHOUT_ID)


def test_a_device_that_issues_its_last_id_again_is_found(monkeypatch):
    def same(self, now_ns):
        self.strokes.monitor.id_issued(ID_DONE + 1, now_ns)

    assert ID_REUSED not in broken(simulate(**{"control.every_ns": NS_PER_MS // 2}))
    monkeypatch.setattr(Commands, "new_id", same)
    assert broken(simulate(**{"control.every_ns": NS_PER_MS // 2}))[ID_REUSED].who == "device"


def test_a_switch_that_is_off_leaves_an_id_without_hints():
    row = broken(simulate(**{"control.off_at_ns": 0}))[NOT_SUPPLIED]
    assert (row.rule, row.first_ns, row.times) == ("SHOULD", WALK_AT, 1)


@pytest.mark.parametrize("release", [lambda memory, state: 0, None])
def test_blocks_that_stay_held_after_done_are_found(release):
    policy = replace(fh.POLICIES["balloon_alloc"], name="keeps", release=release)
    row = broken(simulate(policy, **{"control.done_at_ns": 4 * NS_PER_MS}))[HELD_AFTER_DONE]
    assert row.first_ns == (4 if release else 6) * NS_PER_MS


def test_a_migration_that_ends_without_done_is_found(monkeypatch):
    given = replace(scenario("balloon_alloc"), **MIGRATED)
    monkeypatch.setattr(Commands, "done", lambda self, now_ns: None)
    row = broken(fh.simulate(given))[NO_DONE]
    assert (row.who, row.rule, row.first_ns) == ("device", "MUST", 4 * NS_PER_MS)


@pytest.fixture
def world():
    """A world in which the guest has sent the host's id after three buffers."""
    given = replace(scenario(**DISCARDS), **MIGRATED)
    world = new_engine(given, guest_memory(given)[0]).world
    record = world.user[0]
    record.id = record.id_sent = 2
    record.id_from = 3
    record.sent_stamp = 100
    return world


@pytest.mark.parametrize(("used", "issued"), [(3, 2), (4, 3), (4, 2)])
def test_a_device_that_takes_hints_under_another_id_is_found(world, used, issued):
    world.dirty.bitmap[:] = ~np.uint64(0)
    world.ring.count[0, USED] = used
    world.user[0].id = issued
    world.user[0].hinting = HINT_START  # and valid_from is 0: the device believes that all is well
    as_python(take_hint)(world, 0, 64, 3)
    assert world.migration[0].hinted == 8
    assert world.violations[0, NOT_CURRENT, TIMES] == ((used, issued) != (4, 2))


def test_what_is_written_since_the_id_was_issued_may_not_be_discarded(world):
    world.fate[64:72] = IN_FLIGHT
    world.version[64:72] = 0, 1, 99, 100, 101, 102, 103, 0
    world.fate[70] = 0  # the guest took it back
    for used in (4, 3):
        as_python(check_discard)(world, 0, 64, 3, used, IN_FLIGHT)
    found = world.violations[0, :, TIMES]
    assert (found[WRITTEN_BEFORE], found[WRITTEN_AFTER], found[NOT_CURRENT]) == (4, 2, 1)
    world.user[0].id = ID_DONE
    as_python(check_discard)(world, 0, 64, 3, 4, IN_FLIGHT)
    assert found[CHANGED_AFTER_DONE] == 6 and found[NOT_CURRENT] == 2


def test_the_host_may_change_reported_pages(world):
    world.user[0].reports = 1
    world.version[64:72] = 1_000
    as_python(check_discard)(world, 0, 64, 3, 0, IN_FLIGHT)
    assert not world.violations.any()


def test_a_page_under_a_hint_and_a_report_counts_for_the_reporter():
    given = scenario(("v24", "page_reporting"))
    world = new_engine(given, guest_memory(given)[0]).world
    hint, report = IN_FLIGHT, IN_FLIGHT << 1
    world.fate[64:68] = 0, hint, report, hint | report
    as_python(pages_allocated)(world, 64, 2)
    assert world.tally[0].stale == 3
    assert world.violations[:, REPORTED_IN_USE, TIMES].tolist() == [0, 2]


@pytest.mark.parametrize("values", [{}, {**DISCARDS, "control.done_at_ns": 2 * NS_PER_MS}])
def test_the_table_is_stored_with_the_run(tmp_path, values):
    run = simulate(**values)
    assert run.violations.empty == (not values)
    back = fh.Run.load(run.save(tmp_path / "run"))
    pd.testing.assert_frame_equal(run.violations, back.violations, check_categorical=False)


def test_a_report_shows_the_rows_if_there_are_any():
    heading = "Rules of the virtio specification"
    assert heading not in page(simulated(scenario(), 10), "")
    html = page(simulated(scenario(**{"control.off_at_ns": 0}), 10), "")
    assert heading in html and RULES[NOT_SUPPLIED].what in html


def test_a_walk_that_waits_for_compaction_does_not_outlive_stop():
    given = scenario(replace(fh.POLICIES["v24"], name="compacts first", compacts=True))
    engine = new_engine(given, guest_memory(given)[0])
    world, (user,) = engine.world, engine.strokes.users
    engine.commands.start(0)
    assert not engine.strokes.begin(user, 0) and world.user[0].awaits
    engine.commands.stop(0)
    as_python(end_compact_memory)(world, 0)
    engine.advance_to(WALK_AT // 2)
    assert not user.walks
    # The next command finds it ready, and it compacts anew.
    engine.run()
    assert len(user.walks) == 1 and new_run(given, engine, ()).violations.empty
