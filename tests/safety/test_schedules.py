"""Replays of schedules from the command line: bad strings, and readers that leave early."""

import os
import subprocess
import sys

import pytest

from freehint.cli import main

LOSES = "five_step,generation=G3,initially_set=True:004050200b20020330414141"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "v24",
        "v24:0",
        "v24:zz",
        "v24:4\u0660",
        "v24:40 40",
        "v24,:40",
        "v24,bug=what:40",
        "v24,ring=3:40",
        "v24,ring=99999999999:40",
        "v24,discard=yes:40",
        "v24,policy=none:40",
        "v24,ring=2,ring=4:40",
        "v24:ff",
        "v24:" + "40" * 1001,
        "x" * 10_000,
        "v24,report=acknowledged:40",
    ],
)
def test_what_is_no_schedule_is_refused_in_one_sentence(text, capsys):
    assert main(["explore", "--replay", text]) == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and len(error) < 700


def test_a_step_that_cannot_be_taken_ends_the_replay_with_its_sentence(capsys):
    assert main(["explore", "--replay", "v24:4040404141ff"]) == 2
    assert "step ff cannot be taken here" in capsys.readouterr().err


@pytest.mark.parametrize("lines", ["1", "3"])
def test_a_reader_that_leaves_early_ends_the_command_without_a_traceback(lines):
    command = [sys.executable, "-m", "freehint", "explore", "--replay", LOSES]
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    ours = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=unbuffered, text=True
    )
    head = subprocess.run(["head", "-n", lines], stdin=ours.stdout, capture_output=True, text=True)
    ours.stdout.close()
    assert len(head.stdout.splitlines()) == int(lines)
    assert ours.stderr.read() == "" and ours.wait() == 1
    ours.stderr.close()


def test_another_number_of_threads_ends_the_same():
    command = [sys.executable, "-m", "freehint", "explore", "--replay", LOSES]
    told = {
        subprocess.run(
            command, capture_output=True, env=os.environ | {"NUMBA_NUM_THREADS": number}
        ).stdout
        for number in "12"
    }
    assert len(told) == 1 and b"P1" in told.pop()
