"""What a panel has in the browser: its style, and its conduct while the kernel is busy or gone."""

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

FOLDER = Path(__file__).parents[1]


class Turns(anywidget.AnyWidget):
    """A widget without a view: its script works on the knobs in the page.

    A knob stays where the user left it while the kernel's answer to another knob is on its way.
    After a restart of the kernel the panel says that its cell has to be run again.

    Attributes
    ----------
    knobs : list of Knob
        They cannot change later.
    """

    _esm = (FOLDER / "js" / "turns.js").read_text()
    _css = "".join((FOLDER / name).read_text() for name in ("knobs.css", "lab.css"))
    knobs = traitlets.List().tag(sync=True, **widgets.widget_serialization)
