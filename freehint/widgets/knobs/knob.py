"""A knob: a slider of numbers, or a choice of words as buttons or a dropdown.

A knob marks its default, and tells its range and meaning while it has the pointer or the focus.
It is an own widget, because JupyterLab keeps the arrow keys of ipywidgets' dropdown for itself.
"""

from dataclasses import MISSING
from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

from freehint.config import one_of
from freehint.widgets.knobs.facts import UNITS, facts_of

FOLDER = Path(__file__).parents[1]
SLIDER, BUTTONS, DROPDOWN = KINDS = ("slider", "buttons", "dropdown")
MOST_LETTERS = 26  # of all labels, so that the buttons stand in one line


class Knob(anywidget.AnyWidget):
    """One knob.

    Parameters
    ----------
    description : str
        The label.
    options : sequence
        The positions: values, or pairs (text, value).
    value : object
        The first value, one of the positions.
    default : object, optional
        The value to mark.  By default it is ``value``.
    unit, help : str
        The unit of the positions if their texts lack it; one sentence on the knob's meaning.

    Attributes
    ----------
    value : object
        The present value; setting another than a position raises InputError.
    index : int
        Its position.
    disabled : bool
        Whether the knob has no effect at present.
    """

    _esm = (FOLDER / "js" / "knob.js").read_text()
    _css = (FOLDER / "knobs.css").read_text()
    description = traitlets.Unicode().tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    default = traitlets.Int(-1).tag(sync=True)  # a position; -1 if none is the default
    kind = traitlets.Enum(KINDS).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    help = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    value = traitlets.Any()

    def __init__(self, description: str, options, value, default=MISSING, unit="", help=""):
        pairs = [one if isinstance(one, tuple) else (_text(one), one) for one in options]
        self.options = tuple(position for _, position in pairs)
        one_of(description, value, self.options)
        marked = value if default is MISSING else default
        labels = [text for text, _ in pairs]
        super().__init__(
            description=description,
            labels=labels,
            index=self.options.index(value),
            default=self.position(marked),
            kind=_kind(self.options, labels),
            unit=unit,
            help=help,
            value=value,
        )

    def position(self, value) -> int:
        """The index of a value; -1 if it is no position."""
        return self.options.index(value) if value in self.options else -1

    @property
    def label(self) -> str:
        """The text of the present position."""
        return self.labels[self.index]

    @traitlets.validate("value")
    def _a_position(self, proposal):
        one_of(self.description, proposal["value"], self.options)
        return proposal["value"]

    @traitlets.validate("index")
    def _inside(self, proposal):
        return min(max(proposal["value"], 0), len(self.options) - 1)

    @traitlets.observe("index")
    def _index_changed(self, change):
        self.value = self.options[change["new"]]

    @traitlets.observe("value")
    def _value_changed(self, change):
        self.index = self.options.index(change["new"])


def knob_of(field: str, label: str, options, value, default=MISSING) -> Knob:
    """A knob of a scenario's field, with what the code says of that field.

    Parameters
    ----------
    field : str
        The field's name, such as ``"ring.size"``.
    label : str
    options, value
        See :class:`Knob`.
    default : object, optional
        The value to mark.  By default it is the field's default, or ``value`` if that is no
        position.
    """
    facts = facts_of(field)
    positions = [one[1] if isinstance(one, tuple) else one for one in options]
    if default is MISSING:
        default = facts.default if facts.default in positions else value
    return Knob(label, options, value, default, UNITS.get(field, ""), facts.explanation)


def knob_help() -> widgets.HTML:
    """The line in which a panel's knobs explain themselves."""
    line = widgets.HTML("Point at a knob to read what it does.")
    line.add_class("fh-knob-help")
    return line


def _text(value) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if whole else str(value)


def _kind(options: tuple, labels: list) -> str:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in options)
    if numbers:
        return SLIDER
    return BUTTONS if sum(map(len, labels)) <= MOST_LETTERS and len(labels) <= 4 else DROPDOWN
