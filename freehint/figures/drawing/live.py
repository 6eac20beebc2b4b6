"""Figures that can be hovered, zoomed and saved while a notebook is open in JupyterLab.

This is the one place that decides how a figure is shown.  In a cell that JupyterLab runs it is a
widget of ipympl in the colours of the page; everywhere else, as in reports, batches and scripts, it
is the picture that it always was.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import RLock
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure

from freehint.figures.drawing.hover import Hover
from freehint.figures.drawing.palette import THEMES
from freehint.figures.drawing.recolour import recolour

TOOLBAR = 44  # pixels beside a figure
LEAST_DPI = 25
VIEW = "application/vnd.jupyter.widget-view+json"
# JupyterLab lets a thread of its own answer the browser, also while a cell still draws.
_LOCK = RLock()
_OPEN: dict = {}  # cell -> (its last execution, the live figures that it shows)
_PLACE: ContextVar = ContextVar("place", default=None)
_LIVE: WeakKeyDictionary = WeakKeyDictionary()  # figure -> its LiveFigure


def running_cell() -> tuple | None:
    """The cell that JupyterLab runs now, and the execution; None if JupyterLab does not ask.

    JupyterLab and Notebook 7 tell the kernel which cell they run and which cells were deleted;
    papermill and nbconvert do not.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):
        return None
    asked = shell.get_parent()
    about = asked.get("metadata", {})
    return (about.get("cellId"), asked["header"]["msg_id"]) if "deletedCells" in about else None


@cache
def _page():
    """The widget by which the browser tells the page's theme."""
    from freehint.figures.drawing.page import Page

    return Page()


@contextmanager
def in_place_of(figure: Figure) -> Iterator[None]:
    """A context in which the next new figure takes the place of one that is there."""
    before = _PLACE.set(figure)
    try:
        yield
    finally:
        _PLACE.reset(before)


def place_to_draw() -> Figure | None:
    """The emptied figure on which a new one is to be drawn; None if there is none."""
    figure = _PLACE.get()
    if figure is not None:
        _PLACE.set(None)
        figure.clear()
    return figure


class LiveFigure:
    """A figure on a canvas of ipympl, in the theme of the page and no wider than its place there.

    Parameters
    ----------
    figure : Picture
    """

    def __init__(self, figure: Figure):
        # Importing it takes a fifth of a second, which scripts do not need.
        from freehint.figures.drawing.canvas import LiveCanvas

        self.figure, self.theme, self._dpi = figure, figure.drawn_theme, figure.dpi
        self.canvas = LiveCanvas(figure, _LOCK)
        self._hover = Hover(figure)
        self._dress()
        self._class = f"fh-figure-{self.canvas.model_id}"
        self.canvas.add_class(self._class)
        _LIVE[figure] = self
        _page().observe(self._follow, "theme")
        _page().watch(self._class, self._fit)

    @contextmanager
    def redrawn(self) -> Iterator[None]:
        """A context whose next new figure is drawn here, in place of what is shown."""
        with _LOCK:
            with in_place_of(self.figure):
                yield
            self.theme = self.figure.drawn_theme
            self._hover.renew()
            self._dress()
        self.canvas.draw()

    def _follow(self, _change) -> None:
        self._dress()
        self.canvas.draw_idle()

    def _dress(self) -> None:
        with _LOCK:
            self.recolour(_page().theme)
            self._hover.dress(THEMES[self.theme])

    def _fit(self, width: int) -> None:
        with _LOCK:
            fits = min(self._dpi, (width - TOOLBAR) / self.figure.get_size_inches()[0])
            dpi = max(fits, LEAST_DPI) * self.canvas.device_pixel_ratio
            if width > TOOLBAR and abs(dpi - self.figure.dpi) > 0.5:
                self.figure.set_dpi(dpi)
                self.canvas.draw_idle()

    def recolour(self, theme: str) -> None:
        """Give the figure the colours of a theme, without drawing it."""
        recolour(self.figure, self.theme, theme)
        self.theme = theme

    def close(self) -> None:
        """Take the canvas out of the page; the figure is again as it was drawn."""
        _page().unobserve(self._follow, "theme")
        _page().forget(self._class)
        self.canvas.close()
        with _LOCK:
            del _LIVE[self.figure]
            self._hover.close()
            self.recolour(self.figure.drawn_theme)
            self.figure.set_dpi(self._dpi)


def live_view(figure: Figure) -> dict | None:
    """The view of a Picture for a cell that JupyterLab runs; None for any other reader."""
    asked = running_cell()
    if asked is None:
        return None
    cell, execution = asked
    if _OPEN.get(cell, (None,))[0] != execution:  # the cell shows new figures in place of these
        for old in _OPEN.pop(cell, (None, ()))[1]:
            old.close()
        _OPEN[cell] = execution, []
    shown = _LIVE.get(figure) or LiveFigure(figure)
    _OPEN[cell][1].append(shown)
    return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": shown.canvas.model_id}}


@contextmanager
def as_drawn(figure: Figure) -> Iterator[None]:
    """A context in which a figure has the colours in which it was drawn, whatever the page has."""
    live = _LIVE.get(figure)
    if live is None:
        yield
        return
    with _LOCK:
        theme = live.theme
        live.recolour(figure.drawn_theme)
        try:
            yield
        finally:
            live.recolour(theme)
