"""Act a little later, once for many questions; and work in slices that newer work replaces.

The timers belong to the kernel's own event loop, and so do the answers to what the page says
(:func:`answer_here`).  So nothing runs in parallel with a callback.
"""

import asyncio
import time
from functools import partial

from ipywidgets import Widget


def running_loop():
    """The event loop that is running; None if there is none, as in a script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def answer_here(panel: Widget) -> None:
    """Answer the messages to a panel's widgets on the event loop that runs now, in their order.

    JupyterLab 4.4 and later sends the first messages to the kernel's main thread and the others to
    a subshell, which is a thread of its own.  Two of them at once would undo each other's work.

    Parameters
    ----------
    panel : Widget
        Everything that it shows is included.  Without an event loop nothing happens.
    """
    if (loop := running_loop()) is not None:
        for widget in _parts(panel):
            widget.comm.on_msg(partial(loop.call_soon_threadsafe, widget._handle_msg))


def _parts(panel: Widget) -> list:
    """A widget and the widgets in its traits, and in theirs."""
    found, waiting = {}, [panel]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, Widget) and one.model_id not in found:
            found[one.model_id] = one
            waiting += (getattr(one, name) for name in one.keys)
    return list(found.values())


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

    def forget(self) -> None:
        """Do not call after all."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


SLICE_S = 0.01


class InSlices:
    """Works through a generator on the event loop, so that messages are read between its steps.

    Newer work replaces the work under way, whose result nobody sees.  Without an event loop all
    work is done at once.

    Parameters
    ----------
    loop : callable
        Returns an event loop (an object with ``call_later``) or None.
    """

    def __init__(self, loop=running_loop):
        self._loop, self._work = loop, None

    @property
    def busy(self) -> bool:
        """Is there work under way?"""
        return self._work is not None

    @property
    def at_once(self) -> bool:
        """Is there no event loop?"""
        return self._loop() is None

    def begin(self, work) -> None:
        """Work through a generator in place of what is under way."""
        self.stop()
        if self.at_once:
            for _ in work:
                pass
        else:
            self._work = work
            self._go_on_later(work)

    def stop(self) -> None:
        """Give up the work under way."""
        if self._work is not None:
            self._work.close()
            self._work = None

    def _go_on_later(self, work) -> None:
        self._loop().call_later(0, self._go_on, work)

    def _go_on(self, work) -> None:
        if work is not self._work:  # replaced meanwhile
            return
        until = time.perf_counter() + SLICE_S
        for _ in work:
            if work is not self._work:
                return
            if time.perf_counter() > until:
                self._go_on_later(work)
                return
        self._work = None
