"""A recorded guest that migrates, with a stand-in for both QEMUs; and what is written of it."""

import gzip
import json
import signal
import subprocess
import sys

import pandas as pd
import pytest

import freehint as fh
import stand_in_recorder
from freehint.cli import main
from freehint.config import InputError
from freehint.formats.traces.recording import load_recording
from freehint.record import commands
from freehint.record.guest import record_guest
from freehint.record.migration import move
from freehint.record.migration.move import Migration
from freehint.record.migration.table import COLUMNS
from freehint.record.workloads import NOTHING, Workload
from freehint.replay.migrations import PARAMETERS, STATES, read_migrations
from stand_in_recorder import SCRIPT, ended

RECORDED = fh.data("linux-6.12/hints/freed.migration.json.gz")


def json_of(path) -> dict:
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture
def migrating(folder, monkeypatch):
    """Record a guest that migrates into ``out``; the stem."""

    def record(name="made", **changes):
        changes = {"workload": NOTHING, "migration": Migration()} | changes
        order = stand_in_recorder.order(folder / "out")
        return record_guest(order._replace(name=name, **changes))

    monkeypatch.setattr(move, "SAMPLE_S", 0.01)
    return record


def test_a_migration_is_recorded_on_both_sides(folder, migrating):
    stem = migrating(migration=Migration(80_000_000, 120, hints=True))
    recording = load_recording(stem)
    assert recording.trace["gfp"].tolist() == ["FH after"]
    record = json_of(stem.with_name("made.migration.json.gz"))
    assert set(json_of(RECORDED)) - set(record) == {"fill_out"}
    assert (record["hint"], record["bw_MBps"], record["downtime_limit_ms"]) == ("on", 80.0, 120)
    assert record["samples_columns"] == json_of(RECORDED)["samples_columns"]
    assert {len(row) for row in record["samples"]} == {len(record["samples_columns"])}
    assert record["query_migrate"]["status"] == "completed"
    words = json_of(stem.with_name("made.info.json.gz"))["qemu_args"]
    assert "virtio-balloon-pci,free-page-hint=on,iothread=hints" in words
    assert "iothread,id=hints" in words
    assert len((folder / "pid").read_text().split()) == 2 and ended(folder)


def test_without_hints_the_balloon_has_none(migrating):
    stem = migrating()
    assert json_of(stem.with_name("made.migration.json.gz"))["hint"] == "off"
    words = json_of(stem.with_name("made.info.json.gz"))["qemu_args"]
    assert "virtio-balloon-pci" in words and not [word for word in words if "iothread" in word]


def test_the_table_gets_a_row_for_each_migration(migrating, monkeypatch):
    table = migrating().parent / "migrations.csv"
    migrating("again")
    monkeypatch.setenv("FILL_MIB", "150")
    migrating("filled", before=Workload("wl_fill 60"))
    migrating("hinted", migration=Migration(hints=True))
    migrating("beside", workload=Workload("wl_churn 9"))
    rows = read_migrations(table)
    assert rows[["state", "rep", "fill_MiB"]].to_numpy().tolist() == [
        ["idle", 0, 0],
        ["idle", 1, 0],
        ["freed", 0, 150],
    ]
    assert set(rows["state"]) < set(STATES) and set(PARAMETERS) < set(rows)
    assert rows["pages_sent"].tolist() == [11] * 3
    shipped = pd.read_csv(fh.data("linux-6.1/migration/migrations.csv"))
    assert tuple(shipped) == COLUMNS == tuple(rows)
    assert json_of(table.with_name("again.migration.json.gz"))["rep"] == 1
    assert json_of(table.with_name("beside.migration.json.gz"))["state"] == "other"


def test_a_table_of_others_is_refused_before_anything_begins(folder, migrating):
    (folder / "out").mkdir()
    (folder / "out/migrations.csv").write_text("qemu,state\n7.2,idle\n")
    with pytest.raises(InputError, match=r"migrations\.csv: no row can be added, for column 'bw_"):
        migrating()
    assert not (folder / "pid").exists()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("fails", "the migration failed: Unable to write to socket: Broken pipe$"),
        ("refuses", "the migration failed: .*; the destination has ended: stand-in: no such dev"),
        ("endless", "the migration does not end: after 0 s and 7 rounds 3 MiB remain; a higher"),
        ("damages", "the migration damaged the guest: its file /tmp/ck had the md5 900d"),
        ("complains", "the guest's kernel complains: "),
    ],
)
def test_a_migration_that_fails_leaves_nothing(
    folder,
    migrating,
    monkeypatch,
    what,
    sentence,
):
    monkeypatch.setenv("STAND_IN", what)
    monkeypatch.setattr(move, "PATIENCE_S", 0)
    monkeypatch.setattr(move, "PASSES", 0 if what == "endless" else 10)
    with pytest.raises((InputError, ChildProcessError), match=f"^{sentence}") as error:
        migrating()
    assert "\n" not in str(error.value)
    assert list((folder / "out").iterdir()) == []
    assert len((folder / "pid").read_text().split()) == 2 and ended(folder)


def test_neither_qemu_outlives_its_recorder(folder, monkeypatch):
    monkeypatch.setenv("STAND_IN", "endless")
    command = [sys.executable, SCRIPT, folder / "bin", folder / "out", "--migrate"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            if line.startswith(b"T0 "):
                break
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert len((folder / "pid").read_text().split()) == 2 and ended(folder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--bandwidth 50MB/s", "--bandwidth needs --migrate or --hints"),
        ("--downtime-limit 20", "--downtime-limit needs --migrate or --hints"),
        ("--migrate --bandwidth 50", "--bandwidth must be a rate such as 50MB/s, got '50'"),
        ("--hints --bandwidth 0MB/s", "--bandwidth in bytes per second must be a whole number"),
        ("--migrate --downtime-limit 0", "--downtime-limit in ms must be a whole number in 1.."),
        ("--migrate --policy rotate=1", "a recording has a walk or a migration"),
    ],
)
def test_a_bad_order_is_refused(options, sentence, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["record", "guest", "a", "--out", str(out), *options.split()]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "migration", "command"),
    [
        ("", None, "wl_fork"),
        ("--migrate", Migration(), "true"),
        ("--hints --bandwidth 8MB/s", Migration(8_000_000, hints=True), "true"),
        ("--migrate --workload cache", Migration(), "wl_cache"),
    ],
)
def test_what_the_options_order(options, migration, command, monkeypatch):
    orders = []
    monkeypatch.setattr(commands, "record_guest", orders.append)
    assert main(["record", "guest", "a", "--out", "nowhere", *options.split()]) == 0
    assert (orders[0].migration, orders[0].workload.command) == (migration, command)
