"""The page that shows a kernel's figures: the browser tells its theme."""

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
    """

    _esm = Path(__file__).with_name("page.js").read_text()
    theme = traitlets.Enum(tuple(THEMES), "light").tag(sync=True)
