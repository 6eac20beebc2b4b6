"""Kernels that are compiled when a running kernel calls them first."""

import sys
from typing import NamedTuple

import pytest

import freehint as fh
from freehint.engine.loop import advance
from freehint.jit import Kernel, kernel, late
from freehint.jit.apart import NUMBER
from freehint.jit.pinned import pinned
from freehint.jit.pipeline import KernelCompiler
from freehint.jit.progress import kernels_inside

# Its guest falls back to other migratetypes, which Linux 6.12 does by claiming pageblocks.
CLAIMS = fh.Scenario(memory="256MiB", kernel="6.12", policy="v24", duration_ns=20_000_000)
CLAIM = "late.freehint.mm.fallback.claim_or_steal."


def claim_slot():
    """The words of the kernel that claims, with no address: as if nobody had called it yet."""
    fh.simulate(fh.Scenario(memory="64MiB", policy="none", duration_ns=1_000_000))
    (slot,) = (slot for name, slot in late._slots.items() if name.startswith(CLAIM))
    slot.words[late.ADDRESS] = 0
    return slot


def test_the_loop_holds_no_late_kernel():
    """A bound on what every first result compiles: the loop once held 218 functions."""
    inside = kernels_inside(
        advance.py_func, lambda value: isinstance(value, Kernel) and value.late is None
    )
    names = {function.__name__ for function in inside}
    assert not names & {"fault", "claim_or_steal", "rmqueue_reserve", "check_discard", "may_free"}
    assert len(inside) < 185


def test_a_late_kernel_is_compiled_when_it_is_called():
    slot = claim_slot()
    result = fh.simulate(CLAIMS)
    assert slot.words[late.ADDRESS] != 0
    assert result.summary.equals(fh.simulate(CLAIMS).summary)


def test_an_interrupt_of_a_late_compilation_comes_through(monkeypatch):
    slot = claim_slot()

    def interrupted(_slot):
        raise KeyboardInterrupt("while it compiles")

    with monkeypatch.context() as patched:
        patched.setattr(late.Slot, "fill", interrupted)
        with pytest.raises(KeyboardInterrupt, match="while it compiles"):
            fh.simulate(CLAIMS)
    assert slot.words[late.ADDRESS] == 0
    fh.simulate(CLAIMS)  # the next try compiles it
    assert slot.words[late.ADDRESS] != 0


def test_all_that_can_be_called_late_can_be_compiled():
    """Each returns what it says it does; else ``compiled_address`` raises."""
    claim_slot()
    late.compile_all()
    assert all(slot.words[late.ADDRESS] for slot in late._slots.values())


class Number(NamedTuple):
    """What a late kernel takes."""

    value: int


@kernel(cold=True, late=NUMBER)
def late_double(given):
    return 2 * given.value


def double(given):
    return late_double(given)


def test_an_entry_that_is_called_by_itself_tells_why(monkeypatch):
    module = sys.modules["freehint.jit.kernel"]
    monkeypatch.setattr(module, "_compiler", lambda function: KernelCompiler)
    monkeypatch.setattr(late, "_failed", [])
    why = MemoryError("all of it")

    def fails(_slot):
        raise why

    entry, given = kernel(double).python_entry(), pinned(Number(21))
    with monkeypatch.context() as patched:
        patched.setattr(late.Slot, "fill", fails)
        with pytest.raises(late.NotCompiledError) as caught:
            entry(given)
    assert caught.value.__cause__ is why
    assert entry(given) == 42
