"""To do a thing a little later, once, however often it was asked for meanwhile.

The timer is the kernel's own event loop's: no thread, so nothing runs beside a callback.
"""

import asyncio


def running_loop():
    """The event loop that is running, or None, as in a script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Later:
    """Acts some time after it was asked to; without an event loop, at once.

    Parameters
    ----------
    act : callable
        Called without arguments; it looks at the newest values itself.
    seconds : float
    restarts : bool
        Each question begins the time anew, so that ``act`` waits for quiet; else the first
        counts, and a knob that is dragged is followed.
    loop : callable
        Returns what has ``call_later``, or None.
    """

    def __init__(self, act, seconds: float, restarts: bool = False, loop=running_loop):
        self._act, self._seconds, self._restarts, self._loop = act, seconds, restarts, loop
        self._handle = None

    def ask(self) -> None:
        """Ask for it."""
        loop = self._loop()
        if loop is None:
            self._act()
            return
        if self._handle is not None:
            if not self._restarts:
                return
            self._handle.cancel()
        self._handle = loop.call_later(self._seconds, self._due)

    def _due(self) -> None:
        self._handle = None
        self._act()
