"""What keeps a knob where the hand left it while the kernel's answer to another is on its way."""

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets


class LabTurns(anywidget.AnyWidget):
    """Works in the page, without a view of its own.

    Attributes
    ----------
    knobs : list of Widget
        Fixed when it is made.
    """

    _esm = (Path(__file__).parent / "js" / "lab_turns.js").read_text()
    knobs = traitlets.List().tag(sync=True, **widgets.widget_serialization)
