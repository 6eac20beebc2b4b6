"""Guards against verbs of other people: a watchdog, and arrays that show a write beside them.

A verb that does not return is named, and the process ends: nothing else can end a compiled loop.
The watchdog is a thread of its own, and kernels release the interpreter's lock, so it runs beside
them.  It counts its own turns, not the clock: a process that was stopped for an hour has lost no
time.
"""

import os
import sys
import threading
import time

import numpy as np

LONGEST_S = 120  # a verb's first call compiles it too
TURN_S = 0.25
BAD_INPUT = 2  # the exit code
ROWS = 64  # on each side
CANARY = 0x5A

_running = {}  # thread -> [what it calls, turns of the watchdog since]
_thread = None


def begin(what: str) -> None:
    """Watch this thread, which calls ``what`` now."""
    global _thread
    if _thread is None or not _thread.is_alive():  # no thread survives a fork
        _thread = threading.Thread(target=_watch, name="watchdog of verbs", daemon=True)
        _thread.start()
    _running[threading.get_ident()] = [what, 0]


def end() -> None:
    """Watch this thread no longer."""
    _running.pop(threading.get_ident(), None)


def _watch() -> None:
    while True:
        time.sleep(TURN_S)
        for one in list(_running.values()):
            one[1] += 1
            if one[1] * TURN_S > LONGEST_S:
                print(f"{one[0]} has not returned for {LONGEST_S} s", file=sys.stderr, flush=True)
                os._exit(BAD_INPUT)


class Guarded:
    """A copy of an array; ``inside`` is what a verb gets.

    Examples
    --------
    >>> guarded = Guarded(np.zeros(3))
    >>> guarded.untouched
    True
    >>> guarded.inside.base[-1] = 7
    >>> guarded.untouched
    False
    """

    def __init__(self, array: np.ndarray):
        self._all = np.full((len(array) + 2 * ROWS, *array.shape[1:]), CANARY, array.dtype)
        self.inside = self._all[ROWS:-ROWS]
        self.inside[:] = array

    @property
    def untouched(self) -> bool:
        """Are the rows on both sides as they were?"""
        return bool((self._all[:ROWS] == CANARY).all() and (self._all[-ROWS:] == CANARY).all())
