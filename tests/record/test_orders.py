"""What the user orders: knobs, workloads, sizes, tools; each refusal is one sentence."""

import sys

import pytest

from freehint.cli import main
from freehint.config import InputError
from freehint.record import WORKLOADS
from freehint.record.commands import memory_of
from freehint.record.policy import parse_policy
from freehint.record.tools import require_tools
from freehint.record.workloads import workload_of
from freehint.replay.walker.knobs import KNOBS


def test_knobs_by_name_and_number():
    found = parse_policy("rotate=on_exit resume=cursor capacity=96 lock=0 full=stop")
    assert found == {"rotate": 2, "resume": 2, "capacity": 96, "lock": 0, "full": 1}
    assert parse_policy("five_step=1 keep=0") == {"five_step": 1, "keep": 0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spin=1", f"--policy: there is no knob 'spin'; the knobs are {', '.join(KNOBS)}"),
        ("rotate", "--policy: 'rotate' must be KNOB=VALUE"),
        ("rotate=1 rotate=2", "--policy: knob 'rotate' is set twice"),
        ("", "--policy: sets no knob"),
        ("rotate=always", "or be one of never, each_report, on_exit, got 'always'"),
        ("min_order=11", "--policy: knob 'min_order' must lie in 0..10, got '11'"),
        ("capacity=-1", "--policy: knob 'capacity' must lie in 0.."),
        ("capacity=²", "got '²'"),
        ("capacity=1;reboot", "got '1;reboot'"),
    ],
)
def test_a_bad_policy_is_refused_before_anything_runs(text, sentence, tmp_path, capsys):
    command = ["record", "guest", "a", "--out", str(tmp_path / "out"), "--policy", text]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_workloads(tmp_path):
    assert workload_of("fork 20", "workload").command == "wl_fork 20"
    assert workload_of("idle", "before") == ("wl_idle", None, ())
    script = tmp_path / "mine.sh"
    script.write_text("sleep 1\n")
    assert workload_of(str(script), "before") == ("sh /bin/before.sh", script, ())


@pytest.mark.parametrize("text", ["fork 5; fork x", "fork -1", "fork 1 $(x)", "fork 0"])
def test_a_workloads_numbers_are_numbers(text):
    with pytest.raises(InputError, match=r"must be a whole number in 1\.\."):
        workload_of(text, "workload")


@pytest.mark.parametrize("text", ["", "forks", "/no/such/file.sh"])
def test_an_unknown_workload_is_refused(text):
    with pytest.raises(InputError, match=f"the workloads are {', '.join(WORKLOADS)}"):
        workload_of(text, "workload")


def test_every_workload_is_a_function_of_the_guest():
    from freehint.record.initramfs import GUEST

    functions = (GUEST / "lib.sh").read_text()
    for name in WORKLOADS:
        assert f"\nwl_{name}() {{" in functions


def test_sizes():
    assert (memory_of("512M"), memory_of("2GiB")) == (512 << 20, 2 << 30)
    for text in ("1", "1T", "-1G", "G", "1 G"):
        with pytest.raises(InputError, match="--memory must be a size"):
            memory_of(text)


def test_missing_tools_are_named_with_their_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, content in (("cpio", "#!/bin/sh\n"), ("busybox", "/lib64/ld-linux-x86-64.so.2")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(InputError) as error:
        require_tools(("qemu-system-x86_64", "busybox", "cpio", "gcc-12"), "recording")
    assert str(error.value) == (
        "recording needs qemu-system-x86_64, busybox, gcc-12, which are not installed"
        " (Debian: apt-get install qemu-system-x86 busybox-static gcc-12)"
    )


def test_without_drgn_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "drgn", None)
    command = ["record", "snapshot", "--live", "--out", str(tmp_path / "a.T0")]
    assert main(command) == 2
    assert "needs drgn, which is not installed; the extra 'record'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--cpus", "0"], "--cpus must be a whole number in 1..8, got 0"),
        (["--memory", "64M"], "--memory in bytes must be a whole number"),
        (["--postcopy"], "unrecognized arguments: --postcopy"),
    ],
)
def test_an_order_out_of_bounds_is_refused(more, sentence, tmp_path, capsys):
    assert main(["record", "guest", "a", "--out", str(tmp_path / "out"), *more]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_name_is_no_path(tmp_path, capsys):
    assert main(["record", "guest", "../a", "--out", str(tmp_path)]) == 2
    assert "NAME must be letters" in capsys.readouterr().err
