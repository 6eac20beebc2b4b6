"""Files appear whole or not at all; a full disk is one sentence; a kill leaves nothing behind."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from matplotlib.figure import Figure

import freehint as fh
from freehint.files import ABANDONED_S, UNFINISHED, remove_abandoned, whole_file, whole_folder
from freehint.reports.batch.folder import begun_folder, finish


@contextmanager
def files_of_at_most(nr_bytes: int):
    """Let every write beyond so many bytes fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores the signal, so the write raises OSError.
    resource.setrlimit(resource.RLIMIT_FSIZE, (nr_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def run():
    return fh.simulate(fh.Scenario(memory="64MiB", policy="v24", duration_ns=25_000_000))


def save_run(run, folder):
    run.save(folder / "run")


def save_memory(run, folder):
    fh.save_snapshot(run.memory, folder / "made.T0")


def save_figure(run, folder):
    fh.figures.export(Figure(), folder / "empty.pdf")


@pytest.mark.parametrize("save", [save_run, save_memory, save_figure])
def test_a_full_disk_is_one_sentence_and_nothing_is_left(save, run, tmp_path):
    sentence = rf"^{tmp_path}/.*: cannot be written: "
    with files_of_at_most(100), pytest.raises(fh.InputError, match=sentence) as told:
        save(run, tmp_path)
    assert len(str(told.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    save(run, tmp_path)
    assert len(list(tmp_path.iterdir())) > 0


def test_a_batch_on_a_full_disk_is_one_sentence(tmp_path):
    (tmp_path / "runs").mkdir()
    folder = begun_folder(tmp_path, 1)
    with files_of_at_most(5), pytest.raises(fh.InputError, match=r"run\.json: cannot be written: "):
        finish(folder, tmp_path, {"run": 1, "status": "done"})
    with pytest.raises(fh.InputError, match=r"\.0001: cannot be written: File exists"):
        begun_folder(tmp_path, 1)


KILLED = """
import sys, time
from pathlib import Path
from freehint import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as temporary:
    print(temporary.name, flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize("kind", [whole_file, whole_folder], ids=lambda kind: kind.__name__)
def test_what_a_killed_process_began_is_removed_by_the_next(kind, tmp_path):
    command = [sys.executable, "-c", KILLED, kind.__name__, str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    left = tmp_path / process.stdout.readline().strip()
    later = time.time() + ABANDONED_S + 60
    assert left.exists() and left.name.startswith(UNFINISHED)
    assert remove_abandoned(tmp_path, later) == []  # the process holds its lock
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert remove_abandoned(tmp_path) == [] and left.exists()  # it is young
    os.utime(left, (0, 0))
    with kind(tmp_path / "next") as temporary:
        if kind is whole_file:
            temporary.write_text("next")
    assert [path.name for path in tmp_path.iterdir()] == ["next"]


def test_other_hidden_files_stay(tmp_path):
    other = tmp_path / ".notes-12345678"
    other.write_text("")
    os.utime(other, (0, 0))
    assert remove_abandoned(tmp_path) == [] and other.exists()
