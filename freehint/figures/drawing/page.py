"""The page that shows a kernel's figures: the browser tells its theme, and what room there is."""

from pathlib import Path

import anywidget
import traitlets

from freehint.figures.drawing.palette import THEMES


class Page(anywidget.AnyWidget):
    """A widget without a view.

    Attributes
    ----------
    theme : str
        "light" or "dark"; the browser sets it.
    figures : list of str
        The CSS classes of the figures about whose room the browser is asked.
    """

    _esm = Path(__file__).with_name("page.js").read_text()
    theme = traitlets.Enum(tuple(THEMES), "light").tag(sync=True)
    figures = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self):
        super().__init__()
        self._fits = {}
        self.on_msg(self._told)

    def watch(self, name: str, fit) -> None:
        """Call ``fit`` with the width in pixels that the figure of a class may have."""
        self._fits[name] = fit
        self.figures = [*self._fits]

    def forget(self, name: str) -> None:
        """Watch a figure no longer."""
        self._fits.pop(name, None)
        self.figures = [*self._fits]

    def _told(self, _widget, content, _buffers) -> None:
        fit, width = self._fits.get(content.get("figure")), content.get("width")
        if fit and isinstance(width, int) and width > 0:
            fit(width)
