"""Act once, a little later, however often it is asked for meanwhile.

The timer belongs to the kernel's own event loop.  There is no thread, so nothing runs in parallel
with a callback.
"""

import asyncio


def running_loop():
    """The event loop that is running; None if there is none, as in a script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Later:
    """Calls a function some time after :meth:`ask`; without an event loop at once.

    Parameters
    ----------
    act : callable
        Called without arguments; it looks at the newest values itself.
    seconds : float
        The time from :meth:`ask` to the call.
    restarts : bool
        True: each further :meth:`ask` restarts the time, so that the call waits for quiet.  False:
        the time runs from the first one, so that calls follow a knob while it is dragged.
    loop : callable
        Returns an event loop (an object with ``call_later``) or None.
    """

    def __init__(self, act, seconds: float, restarts: bool = False, loop=running_loop):
        self._act, self._seconds, self._restarts, self._loop = act, seconds, restarts, loop
        self._handle = None

    def ask(self) -> None:
        """Ask for a call."""
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
