"""Every ``>>>`` example of the package runs and prints the lines below it."""

import doctest
import re
from importlib import import_module

import pytest

from freehint.jit import Kernel
from freehint.jit.closure import PACKAGE
from imports import modules_of

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WITH_EXAMPLES = [
    name
    for name, path in modules_of(PACKAGE).items()
    if re.search(r"^\s*>>> ", path.read_text(), re.M)
]


def examples_of(module) -> list:
    """The examples of a module's docstrings; doctest does not look into kernels by itself."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(module)
    for name, thing in vars(module).items():
        if isinstance(thing, Kernel) and thing.py_func.__module__ == module.__name__:
            found += finder.find(thing.py_func, f"{module.__name__}.{name}", module)
    return [one for one in found if one.examples]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_show(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples, runner = examples_of(import_module(name)), doctest.DocTestRunner(optionflags=OPTIONS)
    for one in examples:
        runner.run(one)
    assert examples and runner.summarize(verbose=False).failed == 0


def test_a_wrong_example_is_found():
    text = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    assert runner.run(text, out=lambda _: None).failed == 1
