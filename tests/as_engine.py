"""Kernels as tests call them: as the engine does, with pinned tuples.

There is less to compile for a kernel that takes them.  Late kernels stay apart from it, and are
those that the engine has compiled already; compiled for plain tuples, it would hold all of them
once more.
"""

import sys
from pathlib import Path

from freehint.jit import Kernel
from freehint.jit.pinned import pinned

TESTS = str(Path(__file__).parent)
MOST = 16
_pins = {}  # id -> the tuple, which keeps its id, and its pin
_call = Kernel.__call__


def call(kernel, *arguments):
    """Call a kernel; if a test calls it and it is compiled, with pinned tuples."""
    compiled = kernel.from_python or kernel.compile_helpers
    if compiled and sys._getframe(1).f_globals.get("__file__", "").startswith(TESTS):
        return _call(kernel, *map(_pin, arguments))
    return _call(kernel, *arguments)


def _pin(value):
    if not hasattr(value, "_fields"):
        return value
    if id(value) not in _pins:
        if len(_pins) == MOST:
            _pins.clear()
        _pins[id(value)] = value, pinned(value)
    return _pins[id(value)][1]
