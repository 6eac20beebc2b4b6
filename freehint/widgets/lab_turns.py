"""Keeps a knob where the user left it while the kernel's answer to another knob is on its way."""

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets


class LabTurns(anywidget.AnyWidget):
    """A widget without a view: its script works on the knobs in the page.

    Attributes
    ----------
    knobs : list of Widget
        They cannot change later.
    """

    _esm = (Path(__file__).parent / "js" / "lab_turns.js").read_text()
    knobs = traitlets.List().tag(sync=True, **widgets.widget_serialization)
