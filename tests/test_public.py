"""The public names: each is imported when it is first used, and is what its module defines."""

import pickle
import subprocess
import sys
from importlib import import_module

import pytest

import freehint as fh

FOLDERS = ("figures", "widgets")


def python(script: str) -> list[str]:
    """What a Python of its own prints, in words."""
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()


def test_each_name_is_what_its_module_defines():
    assert len(fh.__all__) == len(set(fh.__all__)) > 60
    for name, module in fh._MODULES.items():
        if name in FOLDERS:
            assert getattr(fh, name) is import_module(f"freehint.{name}")
        else:
            assert getattr(fh, name) is getattr(import_module(module), name), name


def test_dir_has_every_name_before_any_is_imported():
    script = "import sys, freehint as fh; print('numpy' in sys.modules, *dir(fh))"
    loaded, *names = python(script)
    assert loaded == "False" and set(fh.__all__) <= set(names)


def test_a_star_import_brings_every_name():
    got = python("from freehint import *; print(*dir())")
    assert set(fh.__all__) <= set(got)


@pytest.mark.parametrize("before", ["", "import freehint.replay.commands, freehint.data; "])
@pytest.mark.parametrize("after", ["", "import freehint.replay.validate, freehint.data; "])
def test_a_function_keeps_the_name_it_shares_with_a_folder(before, after):
    script = f"{before}import freehint as fh; first = fh.replay, fh.data; {after}"
    script += (
        "from freehint import replay, data; print(all(map(callable, (*first, replay, data))), "
    )
    script += "first == (fh.replay, fh.data))"
    assert python(script) == ["True", "True"]


def test_a_name_can_be_replaced(monkeypatch):
    monkeypatch.setattr(fh, "simulate", len)
    assert fh.simulate is len


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="module 'freehint' has no attribute 'simulat'"):
        fh.simulat  # noqa: B018
    with pytest.raises(ImportError):
        from freehint import simulat  # noqa: F401


def test_what_a_name_stands_for_can_be_pickled():
    scenario = fh.Scenario(memory="64MiB")
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert pickle.loads(pickle.dumps(fh.simulate)) is fh.simulate
