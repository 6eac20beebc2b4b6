"""The folder of a recording that is made with stand-ins for QEMU."""

import os

import pytest

import stand_in_recorder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the stand-in, whose process writes its id to the file ``pid``."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("PID", str(tmp_path / "pid"))
    made = tmp_path / "bin"
    made.mkdir()
    stand_in_recorder.install(made, monkeypatch.setattr)
    return tmp_path
