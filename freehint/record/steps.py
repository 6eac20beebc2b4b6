"""The steps of a recording: their wall times, and their end by a signal."""

import contextlib
import signal
import threading
import time


class Steps:
    """Wall times of the steps, which are printed as they end.

    Attributes
    ----------
    seconds : dict of str to float
    """

    def __init__(self):
        self.seconds = {}

    @contextlib.contextmanager
    def step(self, name: str):
        """Measure what happens inside of the ``with`` block."""
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)
        print(f"{name:10} {self.seconds[name]:7.1f} s", flush=True)


@contextlib.contextmanager
def signals_end_it():
    """Let SIGTERM and SIGHUP end the recording in order, so that no guest and no file is left."""

    def end(number, _frame):
        raise ChildProcessError(f"the recording was ended by {signal.Signals(number).name}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
