"""Knobs in a notebook: a picture of the thread's example, and of a real guest."""

from freehint.widgets.guest import GuestKnobs
from freehint.widgets.panel import KnobPanel
from freehint.widgets.thread import ThreadExample

__all__ = ["GuestKnobs", "KnobPanel", "ThreadExample"]
