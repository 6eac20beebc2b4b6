"""The place in a widget where a figure is drawn again and again."""

from collections.abc import Callable

import ipywidgets as widgets

from freehint.figures import Picture
from freehint.figures.drawing.live import LiveFigure, running_cell


class Shown(widgets.Box):
    """A figure in a widget: live while JupyterLab shows it, else a picture.

    A live figure can be hovered, zoomed and saved, and follows the theme; a new one is drawn on the
    canvas of the last, so that nothing jumps.

    Attributes
    ----------
    figure : Picture or None
        What is shown.
    """

    def __init__(self):
        super().__init__()
        self.figure = self._live = None
        if running_cell() is None:
            self._image = widgets.Image(format="png", layout={"max_width": "100%"})
            self.children = [self._image]

    def show(self, draw: Callable[[], Picture]) -> None:
        """Show the figure that ``draw`` makes; if it raises, the last one stays."""
        if self._live is not None:
            with self._live.redrawn():
                draw()
            return
        self.figure = draw()
        if self.children:
            self._image.value = self.figure._repr_png_()
        else:
            self._live = LiveFigure(self.figure)
            self.children = [self._live.canvas]

    @property
    def png(self) -> bytes:
        """What is shown, as a PNG for a page without a kernel."""
        return self.figure._repr_png_() if self._live else self._image.value
