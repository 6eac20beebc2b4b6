"""Figures that can be hovered, zoomed and saved while a notebook is open in JupyterLab.

This is the one place that decides how a figure is shown.  In a cell that JupyterLab runs it is a
widget of ipympl in the colours of the page; everywhere else, as in reports, batches and scripts, it
is the picture that it always was.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure

from freehint.figures.drawing.hover import Hover
from freehint.figures.drawing.palette import THEMES
from freehint.figures.drawing.recolour import recolour

VIEW = "application/vnd.jupyter.widget-view+json"
_OPEN: dict = {}  # cell -> (its last execution, the live figures that it shows)
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


def page_theme() -> str:
    """The theme of the page, a key of ``palette.THEMES``; "light" where nobody looks."""
    return _page().theme if _page.cache_info().currsize else "light"


def follow_theme(act: Callable[[], None]) -> None:
    """Call ``act`` whenever the user switches JupyterLab's theme, if a JupyterLab is there."""
    if running_cell():
        _page().observe(lambda _: act(), "theme")


class LiveFigure:
    """A figure on a canvas of ipympl, in the theme of the page.

    Parameters
    ----------
    figure : Figure
    theme : str
        The theme in which it was drawn.
    """

    def __init__(self, figure: Figure, theme: str):
        # Importing it takes a fifth of a second, which scripts do not need.
        from ipympl.backend_nbagg import Canvas, FigureManager

        self.figure, self.drawn_theme, self.theme = figure, theme, theme
        self.canvas = Canvas(figure)
        self.canvas.header_visible = self.canvas.footer_visible = False
        self.canvas.toolbar_position = "right"
        FigureManager(self.canvas, 0).set_window_title(figure.get_label() or "figure")
        self._hover = Hover(figure)
        self._dress()
        _page().observe(self._follow, "theme")

    def _follow(self, _change) -> None:
        self._dress()
        self.canvas.draw_idle()

    def _dress(self) -> None:
        self.recolour(_page().theme)
        self._hover.dress(THEMES[self.theme])

    def recolour(self, theme: str) -> None:
        """Give the figure the colours of a theme, without drawing it."""
        recolour(self.figure, self.theme, theme)
        self.theme = theme

    def close(self) -> None:
        """Stop following the page, and take the canvas out of it."""
        _page().unobserve(self._follow, "theme")
        self.canvas.close()


def live_view(figure: Figure, theme: str) -> dict | None:
    """The view of a figure for a cell that JupyterLab runs; None for any other reader.

    Parameters
    ----------
    figure : Figure
    theme : str
        The theme in which it was drawn.
    """
    asked = running_cell()
    if asked is None:
        return None
    cell, execution = asked
    if _OPEN.get(cell, (None,))[0] != execution:  # the cell shows new figures in place of these
        for old in _OPEN.pop(cell, (None, ()))[1]:
            old.close()
        _OPEN[cell] = execution, []
    shown = _LIVE[figure] = LiveFigure(figure, theme)
    _OPEN[cell][1].append(shown)
    return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": shown.canvas.model_id}}


@contextmanager
def as_drawn(figure: Figure) -> Iterator[None]:
    """A context in which a figure has the colours in which it was drawn, whatever the page has."""
    live = _LIVE.get(figure)
    if live is None:
        yield
        return
    theme = live.theme
    live.recolour(live.drawn_theme)
    try:
        yield
    finally:
        live.recolour(theme)
