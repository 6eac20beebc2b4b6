"""Pre-copy, dirty bitmaps, programs: predicted against recordings; no write may be lost."""

import gzip
import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import freehint as fh
from freehint.cli import main
from freehint.engine.host.device import take_hint
from freehint.engine.host.migration import lost_writes
from freehint.engine.host.precopy import (
    NORMAL_PAGE_BYTES,
    WINDOW_NS,
    ZERO_PAGE_BYTES,
    begin_window,
)
from freehint.engine.world.dirty import (
    G1,
    G2,
    G3,
    LOGGING,
    clear_chunk,
    clear_hinted,
    log_write,
    new_dirty_log,
    next_dirty,
    sync_bitmap,
)
from freehint.engine.world.records import HINT_START, MIGRATION_DTYPE, new_record
from freehint.engine.world.ring import USED
from freehint.jit import as_python
from freehint.mm.bitmap import clear_bit, count_bits, set_bit
from freehint.mm.bitmap import test_bit as bit_is_set
from freehint.mm.buddy import FPI_NONE, free_block, rmqueue_smallest
from freehint.mm.memory import MOVABLE
from freehint.replay.migrations import predict, read_migrations
from freehint.replay.validate import validate_migration
from freehint.runs.begin import guest_memory, new_engine
from freehint.studies.histories import migrating
from freehint.units import NS_PER_MS, NS_PER_S

BOOT = "linux-6.1/proc/boot_1g.txt.gz"


def booted():
    return fh.memory_from_proc(fh.data(BOOT), seed=1)


# The dirty bitmap, word by word.


@pytest.mark.parametrize("seed", range(20))
def test_bitmap_kernels_agree_with_sets(seed):
    chance = np.random.default_rng(seed)
    log = new_dirty_log(1024, G1)
    log.rule[LOGGING] = 1
    written = set(chance.integers(0, 1024, 200).tolist())
    for page in written:
        log_write(log, page)
    left = set(chance.integers(0, 1024, 50).tolist())
    for page in left:
        set_bit(log.bitmap, page)
    everything = written | left
    assert sync_bitmap(log) == (len(written - left), len(everything))
    assert count_bits(log.bitmap) == len(everything) and count_bits(log.log) == 0
    for page in range(1024):
        assert bool(bit_is_set(log.bitmap, page)) == (page in everything)
        later = [other for other in everything if other >= page]
        assert next_dirty(log, page) == (min(later) if later else -1)
    assert clear_hinted(log, 256, 8) == len([p for p in everything if 256 <= p < 512])


def story(generation, *steps):
    """Do these steps, printed, to a page that a sync saw dirty; will it be sent?

    Page 5 lies in the block that is hinted, page 300 in the same chunk outside it.
    """
    log = new_dirty_log(1024, generation, chunk_shift=9)
    log.rule[LOGGING] = 1
    log_write(log, 5)
    sync_bitmap(log)  # page 5 was written in the round before
    set_bit(log.bitmap, 300)
    for step in steps:
        print(step)
        if step == "the guest takes the block back and writes page 5":
            log_write(log, 5)
        elif step == "the host uses the late hint for the block":
            clear_hinted(log, 0, 4)
        elif step == "page 300 is sent":
            clear_bit(log.bitmap, 300)
            clear_chunk(log, 300)
        elif step == "sync":
            sync_bitmap(log)
    print("page 5 will be sent:", bool(bit_is_set(log.bitmap, 5)))
    return bool(bit_is_set(log.bitmap, 5))


LATE_HINT = (
    "the guest takes the block back and writes page 5",
    "the host uses the late hint for the block",
)


def test_g1_a_write_after_the_sync_is_logged_anew_and_survives_a_late_hint():
    assert story(G1, *LATE_HINT, "page 300 is sent", "sync")


def test_g3_stale_hint_with_lazy_clear_loses_the_write():
    # Before the hint nothing had cleared the chunk: the log's bit is still the old one.
    assert not story(G3, *LATE_HINT, "sync")


@pytest.mark.parametrize("chunk_shift", [6, 8, 10])
def test_g3_a_hint_clears_the_log_over_its_whole_range(chunk_shift):
    log = new_dirty_log(2048, G3, chunk_shift)
    log.rule[LOGGING] = 1
    for page in range(2048):
        log_write(log, page)
    sync_bitmap(log)
    assert clear_hinted(log, 512, 9) == 512
    # 512..1023 are hinted; a chunk of 1024 pages is cleared whole.
    cleared = range(0, 1024) if chunk_shift == 10 else range(512, 1024)
    assert [page for page in range(2048) if not bit_is_set(log.log, page)] == [*cleared]


def test_g3_a_hint_in_time_is_harmless():
    write, hint = LATE_HINT
    assert story(G3, hint, write, "sync")


def test_g2_keeps_its_bit_as_long_as_no_other_page_of_the_chunk_is_sent():
    assert story(G2, *LATE_HINT, "sync")


def test_g2_loses_it_too_once_a_neighbour_in_the_chunk_is_sent():
    assert not story(G2, *LATE_HINT, "page 300 is sent", "sync")


def test_g2_sends_a_hinted_page_again_g3_does_not():
    for generation, again in ((G2, True), (G3, False)):
        assert story(generation, "the host uses the late hint for the block", "sync") == again


@pytest.mark.parametrize("generation", [G2, G3])
def test_a_write_that_no_sync_has_seen_outlives_the_clearing_of_its_chunk(generation):
    log = new_dirty_log(1024, generation, chunk_shift=9)
    log.rule[LOGGING] = 1
    sync_bitmap(log)
    log_write(log, 5)
    clear_chunk(log, 300)
    assert sync_bitmap(log) == (1, 1) and bit_is_set(log.bitmap, 5)


# A moment of a migration.


def test_what_a_window_carried_tells_how_much_the_downtime_limit_allows():
    record = new_record(MIGRATION_DTYPE, quota_bytes=10**9, downtime_limit_ns=3 * WINDOW_NS)
    record[0].window_bytes = 5_000
    as_python(begin_window)(record[0], 7)
    assert (record[0].threshold_bytes, record[0].window_end) == (15_000, 7 + WINDOW_NS)
    # A window that carried nothing tells nothing.
    as_python(begin_window)(record[0], 8)
    assert (record[0].threshold_bytes, record[0].window_end) == (15_000, 8 + WINDOW_NS)


@pytest.fixture
def engine():
    """The engine of a small guest that is to be migrated, before its first event."""
    scenario = fh.Scenario(memory="64MiB", policy="v24", migration=fh.MigrationConfig())
    return new_engine(scenario, guest_memory(scenario)[0])


def test_a_page_in_use_of_which_the_destination_has_another_version_is_a_lost_write(engine):
    world = engine.world
    written, cleared = (rmqueue_smallest(world.memory, 1, 0, MOVABLE) for _ in range(2))
    free = rmqueue_smallest(world.memory, 1, 0, MOVABLE)
    free_block(world.memory, free, 1, 0, FPI_NONE)
    world.copy[:] = world.version
    assert lost_writes(engine.pinned) == 0
    world.version[[written, cleared, free]] = 2, 0, 2
    world.copy[[written, cleared, free]] = 1, 1, 1
    assert lost_writes(engine.pinned) == 2


@pytest.mark.parametrize(("used", "pages"), [(3, 0), (4, 8)])
def test_a_buffer_from_before_the_command_is_popped_and_ignored(engine, used, pages):
    world = engine.world
    world.dirty.bitmap[:] = ~np.uint64(0)
    world.user[0].hinting, world.user[0].valid_from = HINT_START, 3
    world.ring.count[0, USED] = used
    as_python(take_hint)(world, 0, 64, 3)
    assert world.migration[0].hinted == pages
    assert count_bits(world.dirty.bitmap) == world.memory.nr_pages - pages


# Whole migrations.


def migrate(policy="none", memory="64MiB", values=None, **program):
    scenario = fh.Scenario(
        memory=memory,
        policy=policy,
        workload=fh.Program(**program),
        migration=fh.MigrationConfig(start_at_ns=100 * NS_PER_MS, bandwidth_Bps=50_000_000),
        duration_ns=30 * NS_PER_S,
    )
    return fh.simulate(scenario.with_values({"host.gap_ns": 0, **(values or {})}))


def test_bytes_pages_and_rounds_add_up():
    run = migrate("balloon_alloc", state="dirty", fill_MiB=16, dirty_MiB=4, rate_MiBps=2.0)
    s, rounds = run.summary, run.rounds
    assert s["migration"] == "completed" and s["lost_writes"] == 0
    sent = s["normal_pages"] * NORMAL_PAGE_BYTES + s["zero_pages"] * ZERO_PAGE_BYTES
    assert s["sent_bytes"] == sent
    assert s["rounds"] == len(rounds)
    assert rounds["left_pages"].iloc[0] == run.memory.nr_pages
    for name in ("sent_bytes", "normal_pages", "hinted_pages", "time_ns"):
        assert rounds[name].is_monotonic_increasing
    assert s["skipped_pages"] > 0
    assert 0 < s["downtime_ns"] < s["total_ns"]
    fh.check_memory(run.memory)
    # DONE gave everything back.
    assert not (run.memory.frame & 0x40).any()


def test_the_hole_below_4_gib_is_neither_sent_nor_filled():
    idle = fh.Program(state="idle")
    migration = fh.MigrationConfig(bandwidth_Bps=1 << 34)
    run = fh.simulate(fh.Scenario(memory="4GiB", workload=idle, migration=migration))
    pages = 4 << 18
    assert run.memory.nr_pages == pages + (1 << 18)  # node space goes on over the hole
    assert run.rounds["left_pages"].iloc[0] == pages
    zones = run.memory.zones
    in_use = pages - int(zones["nr_free_pages"].sum())
    assert abs(run.summary["normal_pages"] - in_use) <= 2 * idle.background_pages


def test_bandwidth_is_kept_and_few_pages_are_left_at_the_end():
    run = migrate(state="freed", fill_MiB=32)
    s = run.summary
    before_stop = s["total_ns"] - s["downtime_ns"]
    most = 50_000_000 * (before_stop / NS_PER_S + 0.1)
    at_stop = run.rounds["sent_bytes"].iloc[-1]
    assert at_stop <= most + NORMAL_PAGE_BYTES
    assert run.rounds["left_pages"].iloc[-1] * 4096 < 50_000_000 * 0.3 * 1.01


def test_a_zero_guest_costs_nine_bytes_a_page():
    s = migrate().summary
    assert s["zero_pages"] > 0.8 * (64 << 8)
    assert s["normal_pages"] + s["zero_pages"] >= 64 << 8


def test_hints_save_free_pages_with_content_and_little_else():
    saved = {}
    for state in ("idle", "freed"):
        fill = {} if state == "idle" else {"fill_MiB": 700}
        off, on = (
            migrate(policy, booted(), state=state, **fill).summary["sent_bytes"]
            for policy in ("none", "balloon_alloc")
        )
        saved[state] = 1 - on / off
    assert saved["freed"] > 0.75 and 0 <= saved["idle"] < 0.05


def test_init_on_alloc_dirties_what_was_hinted():
    plain, zeroing = (
        migrate("balloon_alloc", values={"policy.zeroes": z}, state="freed", fill_MiB=32).summary
        for z in (False, True)
    )
    # Cleared pages come back at the next sync, as zero pages.
    assert zeroing["zero_pages"] - plain["zero_pages"] > 0.9 * plain["skipped_pages"]


def test_cancel_gives_everything_back_and_the_guest_goes_on():
    scenario = migrating(1).with_values({"policy": "balloon_alloc"})
    scenario = scenario.with_values(
        {"migration.bandwidth_Bps": 1 << 27, "migration.cancel_at_ns": 10 * NS_PER_MS}
    )
    run = fh.simulate(scenario)
    assert run.summary["migration"] == "cancelled"
    assert not (run.memory.frame & 0x40).any()
    assert run.summary["allocations"] > 0


def test_the_first_touch_of_a_page_that_was_not_sent_faults_once():
    scenario = fh.Scenario(
        memory="64MiB",
        policy="v24",
        migration=fh.MigrationConfig(start_at_ns=0, bandwidth_Bps=1 << 33),
        workload=fh.Workload(nr_cpus=1),
        duration_ns=150 * NS_PER_MS,
    ).with_values({"host.gap_ns": 0})
    run = fh.simulate(scenario)
    s = run.summary
    assert s["migration"] == "completed"
    assert 0 < s["faults"] <= run.memory.nr_pages - s["normal_pages"]
    assert s["fault_ns"] == s["faults"] * scenario.costs.fault_ns


def discarding(policy, **knobs):
    """Pages of a busy guest's data that a slow host destroys by discarding."""
    scenario = fh.Scenario(
        memory="64MiB",
        policy=policy,
        workload=fh.Workload(nr_cpus=2, interval_ns=1000, live_share=0.9),
        duration_ns=60 * NS_PER_MS,
    ).with_values({"host.discard": True, "host.service_ns": 200_000, **knobs})
    summary = fh.simulate(scenario).summary
    assert summary["discarded_pages"] > 0
    return summary["lost_to_discard_pages"]


@pytest.mark.parametrize("policy", ["v24", "balloon_alloc"])
def test_a_late_hint_lets_a_discarding_host_destroy_live_data(policy):
    # Firecracker's warning: the guest may take a page back before the range is received.
    assert discarding(policy) > 500


def test_step_5_gives_blocks_back_before_the_host_has_answered():
    # The callback cannot call a buffer back: what was in flight is discarded under its new owner.
    assert 0 < discarding("five_step") < 50


def test_who_puts_blocks_back_only_when_the_host_has_answered_loses_nothing():
    quick = {"policy.delay_ns": NS_PER_MS, "policy.report_order": 5}
    assert discarding("page_reporting", **quick) == 0


def test_free_page_reporting_gives_the_host_its_memory_in_the_recorded_steps():
    scenario = fh.Scenario(
        memory="linux-6.1/reporting/fpr_fill.T0",
        policy="page_reporting",
        workload=fh.Program(state="freed", fill_MiB=640),
        duration_ns=10 * NS_PER_S,
    ).with_values({"host.discard": True, "host.gap_ns": 0})
    resident = fh.simulate(scenario).resident["resident_pages"].to_numpy() / 256
    steps = -np.diff(resident)[np.diff(resident) != 0]
    path = fh.data("linux-6.1/reporting/fpr_fill.info.json.gz")
    recorded = np.array([kib for _, kib in json.load(gzip.open(path))["rss"]]) / 1024
    fell = recorded[np.argmax(recorded) :]
    measured = -np.diff(fell)[np.diff(fell) < -20]
    # 248, 256, 104 MiB against 250, 256, 96.
    assert len(steps) == len(measured) == 3
    assert np.abs(steps - measured).max() < 10


# Against recordings.


FOLDER = fh.data("linux-6.1/migration")


@pytest.fixture(scope="module")
def validated():
    """What every recorded migration was predicted to be, and the bars."""
    return validate_migration(FOLDER)


def test_every_recorded_migration_is_predicted_within_the_bars_but_idle_guests_with_hints(
    validated,
):
    """On held-out rows one bar of 3 % is missed: two idle guests sent 1,500 to 2,000 pages less."""
    table, bars, _ = validated
    missed = bars[~bars["good"]]
    assert missed["what"].tolist() == ["transferred_B, idle, init_on_alloc=0"], bars
    assert missed["found"].item() < 0.04
    idle = table[(table["state"] == "idle") & (table["hint"] == "on") & (table["bw_MBps"] == 50)]
    less = (idle["predicted_normal_pages"] - idle["measured_normal_pages"]).tolist()
    assert len(less) == 2 and all(1_500 <= pages <= 2_000 for pages in less)
    assert len(table) == 48
    assert {"frag", "churn", "dirty", "freed", "idle"} == set(table["state"])
    assert (bars["rows"] > 0).all() and len(bars) == 9
    assert table.filter(like="predicted_").notna().all().all()


def test_rows_that_were_calibrated_on_are_judged_apart(tmp_path, validated):
    table, bars, _ = validated
    judged = bars.set_index("what")["rows"]
    known = table[table["calibrated"]]
    assert set(zip(known["state"], known["hint"])) == {("idle", "off")} and len(known) >= 6
    assert judged["dirty_sync_count within 1"] == len(table) - len(known)
    rows = pd.read_csv(FOLDER / "migrations.csv")
    rows = rows[(rows["state"] == "idle") & (rows["hint"] == "off")].head(1)
    rows["normal_pages"] += 1  # somebody else's recording of the same guest
    rows.to_csv(tmp_path / "migrations.csv", index=False)
    assert not validate_migration(tmp_path)[0]["calibrated"].any()


def test_where_no_row_is_held_out_nothing_is_judged(tmp_path, capsys):
    rows = pd.read_csv(FOLDER / "migrations.csv")
    rows[(rows["state"] == "idle") & (rows["hint"] == "off")].to_csv(
        tmp_path / "migrations.csv", index=False
    )
    assert main(["validate", "migration", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "no row here is held out, so nothing is judged" in told and "bars hold" not in told


def test_predictions_look_at_no_measured_column():
    table = read_migrations(FOLDER / "migrations.csv")
    row = table[table["state"] == "freed"].iloc[0]
    blind = row.drop([c for c in row.index if c in ("transferred_B", "normal_pages", "mbps")])
    assert predict(row, "here") == predict(blind, "here")


def test_a_model_without_hints_fails_the_bars(tmp_path, monkeypatch):
    rows = pd.read_csv(FOLDER / "migrations.csv")
    rows[rows["state"] == "freed"].to_csv(tmp_path / "migrations.csv", index=False)
    module = import_module("freehint.replay.migrations")  # fh.replay is the function
    monkeypatch.setattr(module, "BalloonAlloc", lambda: fh.POLICIES["none"])
    bars = validate_migration(tmp_path)[1].set_index("what")["good"]
    assert not bars["transferred_B, freed, init_on_alloc=0"]


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("state", "asleep", "row 0: state 'asleep' is not known; there are idle, freed"),
        ("hint", "maybe", "row 0: hint 'maybe' is neither on nor off"),
        ("mem", "huge", "row 0: mem 'huge' is no size such as 1G"),
        ("fill_MiB", "lots", "row 0: fill_MiB 'lots' is not usable"),
        ("fill_MiB", 640.9, "row 0: fill_MiB must be a whole number in 0..8388608, got 640.9"),
        ("rep", 0.9, "row 0: rep must be a whole number in 0..2147483648, got 0.9"),
        (
            "dirty_MiB",
            float("nan"),
            "row 0: dirty_MiB must be a whole number in 0..8388608, got nan",
        ),
        (
            "downtime_limit_ms",
            float("inf"),
            "row 0: downtime_limit_ms must be a whole number in 0..1000000, got inf",
        ),
        ("bw_MBps", float("inf"), "row 0: bw_MBps must be a number in 0.001..1000000, got inf"),
        ("rate_MiBps", -1, "row 0: rate_MiBps must be a number in 0..1000000, got -1.0"),
        ("bw_MBps", -5.0, "row 0: bw_MBps must be a number in 0.001..1000000, got -5.0"),
        (
            "state",
            "churn",
            "migrations.csv: row 0: workload.rate_MiBps must be above 0 for 'churn'",
        ),
        ("total_time_ms", float("inf"), "row 0: total_time_ms must be a number > 0, got inf"),
        ("cmdline", "init_on_alloc=2", "row 0: cmdline init_on_alloc='2' is neither 0 nor 1"),
    ],
)
def test_bad_rows_are_refused_with_file_row_and_value(column, value, sentence, tmp_path, capsys):
    table = pd.read_csv(FOLDER / "migrations.csv").astype({column: object}).head(1)
    table.loc[table.index[0], column] = value
    table.to_csv(tmp_path / "migrations.csv", index=False)
    assert main(["validate", "migration", str(tmp_path), "--out", str(tmp_path / "o.parquet")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "o.parquet").exists()


def test_a_table_without_a_column_or_rows_is_refused(tmp_path):
    table = pd.read_csv(FOLDER / "migrations.csv")
    table.drop(columns="state").to_csv(tmp_path / "migrations.csv", index=False)
    with pytest.raises(fh.InputError, match=r"migrations\.csv: column 'state' is missing"):
        validate_migration(tmp_path)
    table.head(0).to_csv(tmp_path / "migrations.csv", index=False)
    with pytest.raises(fh.InputError, match=r"migrations\.csv: has no rows"):
        validate_migration(tmp_path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"workload.state": "asleep"}, "workload.state must be one of idle, freed"),
        ({"workload.state": "dirty"}, "workload.rate_MiBps must be above 0 for 'dirty'"),
        ({"migration.generation": "G4"}, "migration.generation must be one of G1, G2, G3"),
        ({"migration.bandwidth_Bps": 0}, "migration.bandwidth_Bps must be a whole number"),
    ],
)
def test_bad_values_are_refused(values, sentence):
    scenario = fh.Scenario(workload=fh.Program(), migration=fh.MigrationConfig())
    with pytest.raises(fh.InputError, match=sentence):
        scenario.with_values(values)


def test_a_fill_that_does_not_fit_is_refused():
    with pytest.raises(fh.InputError, match="has no 512 MiB to fill, only"):
        migrate(state="freed", fill_MiB=512)
