"""Recording with a stand-in for QEMU: whole or not at all, and no guest outlives its recorder."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import stand_in_recorder
from freehint.config import InputError
from freehint.formats.traces.recording import load_recording
from freehint.record.guest import record_guest
from stand_in_recorder import SCRIPT, ended


def test_a_recording_is_whole_and_loads(folder, capsys):
    abandoned = folder / "out/.freehint-killed"
    abandoned.mkdir(parents=True)
    os.utime(abandoned, (0, 0))
    stem = record_guest(stand_in_recorder.order(folder / "out"))
    assert not abandoned.exists()
    assert stem == folder / "out/made"
    names = {path.name.partition(".")[2] for path in stem.parent.iterdir()}
    kinds = ("freelist.parquet", "pcp.parquet", "pageblock.parquet", "meta.json")
    assert names == {"trace.parquet", "info.json.gz"} | {
        f"{moment}.{kind}" for moment in ("T0", "T1") for kind in kinds
    }
    recording = load_recording(stem)
    assert recording.trace["gfp"].tolist() == ["FH T1"]
    info = json.loads(gzip.decompress((stem.parent / "made.info.json.gz").read_bytes()))
    assert {"command", "pre", "trace_stats", "trace_setup", "qemu_args", "rss"} <= info.keys()
    assert info["rows"] == 4 and info["command"] == "wl_idle 1"
    assert not [word for word in info["qemu_args"] if str(folder) in word]
    said = capsys.readouterr().out
    for step in ("boot", "T0", "workload", "T1", "trace", "lists T0", "lists T1", "parquet"):
        assert f"\n{step} " in said and info["steps_s"][step] >= 0
    assert ended(folder)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("full", "QEMU's dump-guest-memory failed: dump: failed to save memory: No space left"),
        ("lost", "the trace lost rows: overrun 1"),
        ("complains", "the guest's kernel complains: .* WARNING: CPU: 0"),
        ("dies", "the guest has ended: stand-in: killed by the host"),
    ],
)
def test_what_fails_is_one_sentence_and_leaves_nothing(folder, monkeypatch, what, sentence):
    monkeypatch.setenv("STAND_IN", what)
    with pytest.raises((InputError, ChildProcessError), match=f"^{sentence}") as error:
        record_guest(stand_in_recorder.order(folder / "out"))
    assert "\n" not in str(error.value)
    assert list((folder / "out").iterdir()) == []
    assert ended(folder)


def test_a_torn_dump_leaves_nothing(folder, monkeypatch):
    monkeypatch.setattr(stand_in_recorder.Reader, "torn", True)
    with pytest.raises(InputError, match=r"^T1: the snapshot is torn"):
        record_guest(stand_in_recorder.order(folder / "out"))
    assert list((folder / "out").iterdir()) == []


def test_a_full_disk_is_told_before_a_guest_begins(folder, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="the disk has 100 MiB, and two dumps of the guest may"):
        record_guest(stand_in_recorder.order(folder / "out"))
    assert list((folder / "out").iterdir()) == []
    assert not (folder / "pid").exists()


def test_no_recording_is_overwritten(folder):
    (folder / "out").mkdir()
    (folder / "out/made.T0.meta.json").write_text("{}")
    with pytest.raises(InputError, match=r"made\.T0\.meta\.json: exists already"):
        record_guest(stand_in_recorder.order(folder / "out"))
    assert not (folder / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_guest_outlives_its_recorder(folder, monkeypatch, number):
    monkeypatch.setenv("STAND_IN", "hangs")
    out = folder / "out"
    command = [sys.executable, SCRIPT, folder / "bin", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as recorder:
        for line in recorder.stdout:
            if line.startswith(b"T0 "):
                break
        recorder.send_signal(number)
        assert recorder.wait(20) == (-number if number == signal.SIGKILL else 1)
        assert ended(folder)
        if number != signal.SIGKILL:
            said = recorder.stderr.read().decode()
            assert said == f"the recording was ended by {signal.Signals(number).name}\n"
            assert list(out.iterdir()) == []
