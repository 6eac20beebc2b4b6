"""A picture with knobs; each turn of a knob draws the picture again.

One figure is drawn anew in its place (:class:`freehint.widgets.shown.Shown`), which is quicker than
an output of its own.  A panel also carries its picture as ``image/png``, so that a page without a
kernel shows it.
"""

import base64
from functools import partial
from html import escape

import ipywidgets as widgets

from freehint.config import InputError
from freehint.widgets.knobs.bar import bar_of, button
from freehint.widgets.knobs.history import History
from freehint.widgets.knobs.knob import knob_help
from freehint.widgets.knobs.turns import Turns
from freehint.widgets.later import Later, answer_here
from freehint.widgets.shown import Shown

SOON_S, QUIET_S = 0.002, 0.35


class KnobPanel(widgets.VBox):
    """Knobs above a picture, with undo and reset.

    Parameters
    ----------
    knobs : dict
        Name -> :class:`freehint.widgets.knobs.knob.Knob`.
    draw : callable
        ``draw(**values)`` returns a :class:`freehint.figures.Picture`.  If it raises InputError,
        the panel shows the message and keeps the last picture.
    """

    def __init__(self, knobs: dict, draw):
        self.knobs = knobs
        self._draw, self._turning, self._history = draw, False, History()
        self._soon = Later(self.redraw, SOON_S)
        self._quiet = Later(self._history.rest, QUIET_S, restarts=True)
        self.picture = Shown()
        self.message = widgets.HTML()
        self._undo = button("undo", self.undo, "take back the last turn of a knob")
        self._reset = button("reset", self.reset, "the values with which this panel began")
        self._turns = Turns(knobs=list(knobs.values()))
        self._begun = self.values()
        grid = widgets.Box(list(knobs.values()))
        grid.add_class("fh-knob-grid")
        bar = bar_of(self._undo, self._reset, *self._more_buttons())
        super().__init__([grid, knob_help(), bar, self.message, self.picture])
        self.add_class(f"freehint-{type(self).__name__.lower()}")
        for name in ("fh-knobs", "fh-panel"):
            self.add_class(name)
        for name, knob in knobs.items():
            knob.observe(partial(self._turned, name), names="value")
        self.redraw()
        answer_here(self)

    def _more_buttons(self) -> tuple:
        """Further widgets for the line of buttons."""
        return ()

    def values(self) -> dict:
        """The values of the knobs, {name: value}."""
        return {name: knob.value for name, knob in self.knobs.items()}

    def redraw(self) -> None:
        """Draw the picture for the current values."""
        self._undo.disabled = not len(self._history)
        try:
            self.picture.show(partial(self._draw, **self.values()))
            self.say("")
        except InputError as error:
            self.say(str(error))

    def say(self, sentence: str) -> None:
        """Show a sentence above the picture, in place of the last one."""
        self.message.value = f"<b class='fh-knob-said'>{escape(sentence)}</b>" if sentence else ""

    def undo(self) -> None:
        """Take back the last turn of a knob, or the last reset."""
        if len(self._history):
            self._restore(self._history.back())

    def reset(self) -> None:
        """Give the knobs the values with which the panel began."""
        self._history.note(self.values(), "reset")
        self._restore(self._begun)

    def _restore(self, values: dict) -> None:
        self._turning = True
        try:
            for name, value in values.items():
                self.knobs[name].offer(value)
                self.knobs[name].value = value
        finally:
            self._turning = False
        self._history.rest()
        self._changed()

    def _turned(self, name: str, change) -> None:
        if self._turning:
            return
        self._history.note({**self.values(), name: change["old"]}, name)
        self._changed()

    def _changed(self) -> None:
        self._soon.ask()
        self._quiet.ask()

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        data["image/png"] = base64.b64encode(self.picture.png).decode()
        return data, metadata
