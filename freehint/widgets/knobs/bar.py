"""The buttons that every panel of scenarios has: undo, reset, 5 seeds and share."""

import ipywidgets as widgets

from freehint.widgets.knobs.seeds import NR_SEEDS
from freehint.widgets.knobs.share import Share


def bar_of(*buttons) -> widgets.Box:
    """Buttons in a line that wraps."""
    for button in buttons:
        if hasattr(button, "style"):
            button.style.description_width = button.style.button_width = "auto"
    bar = widgets.Box(buttons)
    bar.add_class("fh-knob-bar")
    return bar


def button(text: str, act, tooltip: str = "") -> widgets.Button:
    """A button that calls ``act`` without arguments."""
    made = widgets.Button(description=text, tooltip=tooltip)
    made.on_click(lambda _: act())
    return made


class Actions:
    """Undo, reset, 5 seeds and share, as widgets.

    Parameters
    ----------
    undo, reset, seeds : callable
        Called without arguments when the button is pressed.
    opened : callable
        Called with the text of a setting that the user wants to open.
    """

    def __init__(self, undo, reset, seeds, opened):
        self.undo = button("undo", undo, "take back the last turn of a knob")
        self.reset = button("reset", reset, "the values with which this panel began")
        self.seeds = button(
            f"{NR_SEEDS} seeds", seeds, f"run {NR_SEEDS} seeds and tell how far the numbers spread"
        )
        self.share = Share(opened)

    @property
    def widgets(self) -> tuple:
        """The widgets in the order of the bar."""
        return self.undo, self.reset, self.seeds, self.share
