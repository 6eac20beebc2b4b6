"""Guests under reclaim: their steps, drives and probes, and what a recording of one has."""

import gzip
import json
import struct

import pandas as pd
import pytest

import stand_in_recorder
from freehint.cli import main
from freehint.config import InputError
from freehint.formats.traces.recording import load_recording
from freehint.formats.traces.table import NUMBERS, PROBE_EVENTS, TEXT_EVENTS
from freehint.record import STEPS, WORKLOADS, commands, tools
from freehint.record.guest import record_guest
from freehint.record.initramfs import GUEST
from freehint.record.kernels import Kernel
from freehint.record.machine import Machine
from freehint.record.probes import DRAIN_OF_ZONE, Chosen, choose_probes
from freehint.record.reclaim import balloon
from freehint.record.reclaim.disks import disk_files, disk_mib, drives_bytes, make_drives
from freehint.record.reclaim.probes import (
    PLACES,
    PROBES,
    TRACEPOINTS,
    UNKNOWN_PLACE,
    reclaim_probes,
)
from freehint.record.reclaim.steps import Balloon, Drives, parse_steps
from freehint.record.workloads import workload_of

RELEASE = "6.1.0-57-cloud-amd64"


# -- steps


def test_steps_become_lines_of_the_guest_and_steps_of_the_host():
    drives = Drives({"a": 210, "b": 200}, 600)
    text = "read a b; copy b c;write z 125; balloon 192 9; rm c a ; load dirty 290 60 14"
    assert parse_steps(text, drives) == (
        "step 1 read a b && step 2 copy b c && step 3 write z 125",
        Balloon(4, "balloon 192 9", 192, 9),
        "step 5 rm c a && step 6 load dirty 290 60 14",
    )
    assert drives.files == {"b": 200, "z": 125}
    assert drives.disk_mib == 210 + 200 + 200 + 125
    assert workload_of("balloon 64; fork 1", "workload") == (
        "step 1 balloon 64 && step 2 fork 1",
        None,
        (Balloon(1, "balloon 64", 64, 60), "step 2 fork 1"),
    )


def test_a_plain_workload_has_no_steps():
    assert workload_of("fork 3", "workload") == ("wl_fork 3", None, ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "read a; jump",
            f"step 'jump': is unknown; the steps are {', '.join((*WORKLOADS, *STEPS))}",
        ),
        ("load jump 3", "step 'load jump 3': is unknown"),
        ("read a;;sync", "step 2 is empty"),
        ("read", "step 'read': must be read FILE ...$"),
        ("copy a", "step 'copy a': must be copy FILE NEW$"),
        ("sync now", "step 'sync now': must be sync$"),
        ("read a c", "step 'read a c': there is no file 'c' then; the files are a, b"),
        ("rm a; read a", "step 'read a': there is no file 'a' then; the files are b"),
        ("rm a a", "step 'rm a a': removes 'a' twice"),
        ("copy a ../x", r"'\.\./x' is no file name"),
        ("write z 0", r"step 'write z 0': '0' must be a whole number in 1\.\.1000000"),
        ("write z $(x)", r"'\$\(x\)' must be a whole number"),
        ("load frag 60 101 1", r"'101' must be a whole number in 1\.\.100"),
        ("drop_caches 4", r"'4' must be a whole number in 1\.\.3"),
        ("fork 1; fork -1", "step 'fork -1': '-1' must be a whole number"),
        ("sysctl ../../x 1", r"'\.\./\.\./x' is no file of /proc/sys/vm"),
        ("sysctl swappiness -1", "'-1' must be a whole number in 0"),
        ("thp enabled never;thp enabled defer", "'defer' must be one of always, madvise, never$"),
        ("thp disabled always", "'disabled' must be one of enabled, defrag$"),
        ("balloon", r"step 'balloon': must be balloon MIB \[SECONDS\]$"),
        ("swapon", "step 'swapon': needs --swap"),
    ],
)
def test_a_bad_step_is_refused(text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        parse_steps(text, Drives({"a": 210, "b": 200}))
    assert "\n" not in str(error.value)


def test_a_file_needs_a_disk():
    with pytest.raises(InputError, match="step 'write z 5': needs --disk"):
        parse_steps("write z 5", Drives({}, 600))


def test_every_step_of_the_guest_is_a_function():
    functions = (GUEST / "lib.sh").read_text()
    for name in {name.split()[0] for name in STEPS} - {"balloon"}:
        assert f"\nwl_{name}() {{" in functions
    loads = (GUEST / "load.c").read_text()
    for name in (name.split()[1] for name in STEPS if name.startswith("load ")):
        assert f'strcmp(word[1], "{name}")' in loads


# -- drives


def test_the_files_of_a_disk():
    assert disk_files("a=210 b=1") == {"a": 210, "b": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a=0", r"--disk: file 'a' must have 1\.\.65536 MiB, got '0'"),
        ("a", "file 'a' must have"),
        ("a=-5", "got '-5'"),
        ("a=1 a=2", "'a=2' must be NAME=MIB"),
        ("A=1", "'A=1' must be NAME=MIB"),
        ("", "--disk: names no file"),
    ],
)
def test_a_bad_disk_is_refused(text, sentence):
    with pytest.raises(InputError, match=sentence):
        disk_files(text)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for mkfs.ext4 and mkswap, which write down their arguments and what they see."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\necho "${{0##*/}} $*" >> {tmp_path}/said\n'
    script += f'[ ! -d "$5" ] || wc -c "$5"/* >> {tmp_path}/said\n'
    for name in ("mkfs.ext4", "mkswap"):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return tmp_path


def test_the_images_of_drives(programs):
    drives = Drives({"a": 1, "b": 2}, 40)
    parse_steps("copy b c; write z 16", drives)
    made = make_drives(programs, {"a": 1, "b": 2}, drives)
    assert [path.name for path in made] == ["disk.img", "swap.img"]
    said = (programs / "said").read_text()
    size = disk_mib(drives)
    assert size > 1 + 2 + 2 + 16 and f"disk.img {size}M\n" in said
    assert "1048576 " in said and "2097152 " in said
    assert not (programs / "disk").exists()
    assert made[1].stat().st_size == 40 << 20
    assert drives_bytes(drives) == size + 40 << 20
    assert make_drives(programs, {}, Drives({})) == () and drives_bytes(Drives({})) == 0


def test_missing_tools_of_drives_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "SYSTEM_PATH", str(tmp_path))
    with pytest.raises(InputError) as error:
        make_drives(tmp_path, {"a": 1}, Drives({"a": 1}, 9))
    assert str(error.value) == (
        "a guest with drives needs mkfs.ext4, mkswap, which are not installed (Debian: apt-get"
        " install e2fsprogs util-linux)"
    )


def test_the_machine_has_the_drives_and_the_command_line(tmp_path):
    kernel = Kernel("p", "v", RELEASE, *[tmp_path] * 4, None)
    words = Machine(kernel, tmp_path, 256 << 20, 1).arguments()
    assert "-drive" not in words
    assert words[words.index("-append") + 1].endswith("transparent_hugepage=never init_on_alloc=0")
    machine = Machine(
        *(kernel, tmp_path, 256 << 20, 1),
        drives=(tmp_path / "a,b",),
        append="transparent_hugepage=always quiet",
    )
    words = machine.arguments()
    assert f"file={tmp_path}/a,,b,if=virtio,format=raw,cache=unsafe" in words
    line = words[words.index("-append") + 1]
    assert line.endswith("no_timer_check transparent_hugepage=always init_on_alloc=0 quiet")


# -- orders


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--swap -1", "--swap in MiB must be a whole number in 0..65536, got -1"),
        ("--append console=tty0", "--append: 'console=tty0' must be NAME or NAME=VALUE, and none"),
        ("--append $(x)", "--append: '$(x)' must be"),
        ("--disk a=0", "--disk: file 'a' must have 1..65536 MiB"),
        ("--workload balloon,2000", "step 'balloon 2000': the guest has 1024 MiB, and a balloon"),
        ("--migrate --workload balloon,99", "step 'balloon 99': needs a guest without --policy"),
        ("--workload read,a", "step 'read a': needs --disk"),
    ],
)
def test_a_bad_order_is_refused(options, sentence, tmp_path, capsys):
    out = tmp_path / "out"
    words = [word.replace(",", " ") for word in options.split()]
    assert main(["record", "guest", "a", "--out", str(out), *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not out.exists()


def test_what_the_options_order(monkeypatch):
    orders = []
    monkeypatch.setattr(commands, "record_guest", orders.append)
    command = ["record", "guest", "a", "--out", "nowhere"]
    disk = ["--disk", "a=5", "--before", "copy a b", "--workload", "read b; swapon"]
    assert main([*command, *disk, "--swap", "60"]) == 0
    assert main(command) == 0 and main([*command, "--reclaim"]) == 0
    assert [order.reclaim for order in orders] == [True, False, True]
    assert (orders[0].files, orders[0].drives.files) == ({"a": 5}, {"a": 5, "b": 5})
    assert orders[0].workload.command == "step 1 read b && step 2 swapon"


# -- probes


def elf(path, address: int, code: bytes) -> None:
    """A file with one section of code."""
    head = struct.pack("<4sBB", b"\x7fELF", 2, 1).ljust(0x28, b"\0") + struct.pack("<Q", 64)
    head = head.ljust(0x3A, b"\0") + struct.pack("<HH", 64, 1)
    section = struct.pack("<IIQQQQ", 0, 1, 6, address, 128, len(code))
    path.write_bytes(head.ljust(64, b"\0") + section.ljust(64, b"\0") + code)


@pytest.fixture
def kernel(tmp_path):
    """A kernel of 6.1 whose compaction_alloc() is the known one."""
    symbols, vmlinux = tmp_path / "System.map", tmp_path / "vmlinux"
    symbols.write_text("ffffffff81001000 t compaction_alloc\n")
    elf(vmlinux, 0xFFFFFFFF81000000, b"\x90" * 0x12A6 + PLACES["6.1"][1] + b"\x90" * 9)
    return Kernel("p", "v", RELEASE, tmp_path, tmp_path, vmlinux, symbols, None)


SYMBOLS = {
    *("free_pcppages_bulk", "free_one_page.constprop.0", "rmqueue_bulk", "__isolate_free_page"),
    *("__putback_isolated_page", "balance_pgdat", "move_freelist_tail", "compaction_alloc"),
}


def test_the_probes_of_reclaim(kernel):
    chosen = reclaim_probes(choose_probes(RELEASE, SYMBOLS), kernel, SYMBOLS)
    events = [probe.event for probe in chosen.probes]
    assert events[-4:] == ["kswapd_balance", "kswapd_balance_ret", "turn", "turn_head"]
    assert not {"drain", "bulk"} & {probe.event for probe in (*chosen.probes, *chosen.missing)}
    assert chosen.probes[-1].line() == (
        "p:fh/turn_head compaction_alloc+0x2a6 pfn=%dx:b32@6/64 order=%bx:u32"
    )


def test_other_code_gets_no_probe(kernel):
    elf(kernel.vmlinux, 0xFFFFFFFF81000000, b"\x90" * 0x2000)
    chosen = reclaim_probes(choose_probes(RELEASE, SYMBOLS), kernel, SYMBOLS)
    assert UNKNOWN_PLACE in chosen.missing
    assert "turn_head" not in {probe.event for probe in chosen.probes}
    of_5_10 = kernel._replace(release="5.10.0-32-cloud-amd64")
    drain = Chosen((DRAIN_OF_ZONE,), ())
    chosen = reclaim_probes(drain, of_5_10, SYMBOLS)
    assert UNKNOWN_PLACE in chosen.missing and DRAIN_OF_ZONE in chosen.probes  # it alone tells
    kernel.vmlinux.write_bytes(b"no kernel".ljust(99))
    with pytest.raises(InputError, match="vmlinux: is no ELF file of 64 bits"):
        reclaim_probes(choose_probes(RELEASE, SYMBOLS), kernel, SYMBOLS)


def test_every_row_of_reclaim_has_a_place_in_the_table():
    for probe in (*PROBES, *(probe for probe, _ in PLACES.values())):
        assert probe.event in PROBE_EVENTS
        names = {argument.partition("=")[0] for argument in probe.arguments.split()}
        assert names <= set(NUMBERS)
    events = {name.partition("/")[2] for name in TRACEPOINTS}
    assert events - set(TEXT_EVENTS) == {"mm_vmscan_write_folio"}


# -- a recording


def json_of(stem) -> dict:
    return json.loads(gzip.decompress((stem.parent / f"{stem.name}.info.json.gz").read_bytes()))


def test_a_guest_under_reclaim_is_recorded(folder, capsys):
    order = stand_in_recorder.order(folder / "out")._replace(reclaim=True, append="quiet")
    stem = record_guest(order)
    info = json_of(stem)
    assert info["vmstat_delta"] == {"pgfree": 100}  # the mark of T1 comes after
    assert info["reclaim"] and info["append"] == "quiet" and info["steps"] == []
    recording = load_recording(stem, in_lock_order=True)
    assert recording.contexts and recording.trace["irq"].tolist() == [1]
    lru = pd.read_parquet(f"{stem}.T1.lru.parquet")
    assert lru["pfn"].tolist() == [7, 5]
    said = capsys.readouterr().out
    assert "no probe 'turn_head': kernel 6.1.0-57-cloud-amd64 has no known place of move_" in said


@pytest.mark.parametrize(("what", "reached"), [("", True), ("stuck", False)])
def test_a_balloon_step_and_its_course(folder, monkeypatch, what, reached):
    monkeypatch.setenv("STAND_IN", what)
    monkeypatch.setattr(balloon, "SAMPLE_S", 0.01)
    monkeypatch.setitem(stand_in_recorder.ENTRIES, "T1", 5)
    order = stand_in_recorder.order(folder / "out")
    workload = workload_of("balloon 64 1", "workload")
    info = json_of(record_guest(order._replace(workload=workload)))
    (course,) = info["balloon"]
    assert (course["step"], course["target_MiB"], course["reached"]) == (1, 64, reached)
    assert course["course"][-1][1] == (64 << 20) + (not reached) * (1 << 20)
    assert reached or (len(course["course"]) > 2 and course["course"][-1][0] >= 1)
    (step,) = info["steps"]
    assert (step["text"], step["status"]) == ("balloon 64 1", int(not reached))
    assert step["end_row"] == step["begin_row"] + 1
