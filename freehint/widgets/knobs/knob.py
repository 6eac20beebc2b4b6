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
MOST_LETTERS = 22  # of all labels, so that the buttons stand in one line


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
        pairs = with_positions(options)
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

    def offer(self, value) -> None:
        """Add a position, if there is none with this value."""
        if value in self.options:
            return
        present, marked = self.value, self.options[self.default] if self.default >= 0 else MISSING
        pairs = with_positions(list(zip(self.labels, self.options, strict=True)), [value])
        self.options = tuple(position for _, position in pairs)
        with self.hold_sync():
            self.labels = [text for text, _ in pairs]
            self.kind = _kind(self.options, self.labels)
            self.index, self.default = self.position(present), self.position(marked)

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


def with_positions(options, values=()) -> list:
    """A knob's positions as pairs (text, value), extended by values that are not among them.

    Numbers are in order if there is a further one.
    """
    pairs = [one if isinstance(one, tuple) else (_text(one), one) for one in options]
    known = [value for _, value in pairs]
    further = [value for value in dict.fromkeys(values) if value not in known]
    pairs += [(_label(value, pairs), value) for value in further]
    numbers = all(map(_is_number, (*known, *further)))
    return sorted(pairs, key=lambda pair: pair[1]) if numbers and further else pairs


def _label(value, pairs) -> str:
    """The label of a further position: a number gets the unit of the others."""
    for text, known in pairs:
        number, _, unit = text.replace(",", "").partition(" ")
        if _is_number(value) and known and unit:
            return f"{value / known * float(number):,g} {unit}"
    return _text(value).rpartition("/")[2]


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value) -> str:
    return f"{value:,}" if _is_number(value) and isinstance(value, int) else str(value)


def _kind(options: tuple, labels: list) -> str:
    if all(map(_is_number, options)):
        return SLIDER
    return BUTTONS if sum(map(len, labels)) <= MOST_LETTERS and len(labels) <= 4 else DROPDOWN
