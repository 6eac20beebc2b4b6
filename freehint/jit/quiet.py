"""What Numba tells while it compiles, and nobody hears: a tenth of the time that it compiles.

It times each function, tells listeners whenever LLVM is asked for something (30,000 times for the
event loop), and catches warnings around each statement.  Here the outermost kernel alone catches
warnings, and what has no listener is not told.
"""

import contextlib
import functools
import threading

from numba.core import errors, event

from freehint.jit.linking import is_inner

_untimed = threading.local()
_install_listener = event.install_timer
_catch_warnings = errors.WarningsFixer.catch_warnings


@contextlib.contextmanager
def untimed():
    """Nobody wants to know how long LLVM takes meanwhile."""
    before, _untimed.now = getattr(_untimed, "now", False), True
    try:
        yield
    finally:
        _untimed.now = before


def _install_timer(kind, callback):
    """Time other people's functions alone; each inner kernel would listen to all events as well."""
    if is_inner() or getattr(_untimed, "now", False):
        return contextlib.nullcontext()
    return _install_listener(kind, callback)


def _if_heard(tell):
    """An event that is told if somebody listens."""

    @functools.wraps(tell)
    def tell_if_heard(kind, *about, **more):
        if event._registered.get(kind):
            tell(kind, *about, **more)

    return tell_if_heard


def _catch_outside(fixer, filename=None, lineno=None):
    """Catch warnings where the outermost kernel does, which catches those of all within."""
    if is_inner():
        return contextlib.nullcontext()
    return _catch_warnings(fixer, filename, lineno)


def install() -> None:
    """Let Numba be quiet."""
    event.install_timer = _install_timer
    event.start_event = _if_heard(event.start_event)
    event.end_event = _if_heard(event.end_event)
    errors.WarningsFixer.catch_warnings = _catch_outside
