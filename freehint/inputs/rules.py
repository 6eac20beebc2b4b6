"""Rules of fields: the values that a field may have, said where the field is declared.

A dataclass that inherits from :class:`Checked` declares ``size: Annotated[int, Whole(1, 64)]``.
A value that no rule admits is refused when the object is made, in one sentence with the field and
the value.  The same rules document the fields (``docs/parameters.md``).

The bounds are there for a reason: in a compiled loop a number that is too large wraps silently.
"""

import typing
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from freehint.config import Named, require

# The longest time in a run: 13 days.  A key of the event loop holds 32 times that.
MOST_NS = 1 << 50
# The most that one operation may cost: with as many blocks as a node index can name, its time
# still fits a key of the event loop.
MOST_COST_NS = 1 << 26
MOST_PAGES = 1 << 31
MOST_MIB = MOST_PAGES >> 8


class Whole(NamedTuple):
    """A whole number in ``low..high``."""

    low: int
    high: int

    @property
    def must(self) -> str:
        return f"be a whole number in {self.low}..{self.high}"

    def admits(self, value) -> bool:
        good = isinstance(value, int) and not isinstance(value, bool)
        return good and self.low <= value <= self.high


class PowerOfTwo(NamedTuple):
    """A power of two in ``low..high``."""

    low: int
    high: int

    @property
    def must(self) -> str:
        return f"be a power of two in {self.low}..{self.high}"

    def admits(self, value) -> bool:
        return Whole(self.low, self.high).admits(value) and value.bit_count() == 1


class Real(NamedTuple):
    """A finite number in ``low..high``, or above ``low`` and up to ``high``."""

    low: float
    high: float
    above: bool = False

    @property
    def must(self) -> str:
        begin = f"above {self.low} and up to " if self.above else f"in {self.low}.."
        return f"be a number {begin}{self.high}"

    def admits(self, value) -> bool:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        # nan fails every comparison
        return good and self.low <= value <= self.high and not (self.above and value == self.low)


class OneOf(NamedTuple):
    """One of a few texts."""

    choices: tuple

    @property
    def must(self) -> str:
        return f"be one of {', '.join(map(str, self.choices))}"

    def admits(self, value) -> bool:
        return isinstance(value, str) and value in self.choices


class Flag(NamedTuple):
    """True or false."""

    must = "be true or false"

    def admits(self, value) -> bool:
        return isinstance(value, bool)


def storable(text: str) -> bool:
    """Can a text be written to a file?  Half of a surrogate pair is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Text(NamedTuple):
    """A text that is not empty."""

    most: int = 200

    @property
    def must(self) -> str:
        return f"be a text of 1 to {self.most} characters"

    def admits(self, value) -> bool:
        return isinstance(value, str) and 0 < len(value) <= self.most and storable(value)


class Stem(NamedTuple):
    """A text or path that names files, or an object of another kind."""

    what: str
    other: tuple = ()

    @property
    def must(self) -> str:
        return f"be {self.what}"

    def admits(self, value) -> bool:
        return isinstance(value, self.other) or (
            isinstance(value, str | Path) and storable(str(value))
        )


class Weights(NamedTuple):
    """Up to ``most`` numbers in 0..``largest`` that are not all 0."""

    most: int
    largest: float = 1e12

    @property
    def must(self) -> str:
        return f"be 1 to {self.most} numbers in 0..{self.largest:g} that are not all 0"

    def admits(self, value) -> bool:
        good = isinstance(value, list | tuple) and 0 < len(value) <= self.most
        return good and all(map(Real(0, self.largest).admits, value)) and sum(value) > 0


class Kind(NamedTuple):
    """An object of a class, or of one of several."""

    kind: object
    must: str

    def admits(self, value) -> bool:
        return isinstance(value, self.kind)


class Maybe(NamedTuple):
    """None, or what another rule admits."""

    rule: object

    @property
    def must(self) -> str:
        return f"{self.rule.must}, or None"

    def admits(self, value) -> bool:
        return value is None or self.rule.admits(value)


Switch = Annotated[bool, Flag()]
Share = Annotated[float, Real(0, 1)]
Time = Annotated[int, Whole(0, MOST_NS)]
TimeOrNever = Annotated[int, Whole(-1, MOST_NS)]  # -1: never
Duration = Annotated[int, Whole(1, MOST_NS)]
Cost = Annotated[int, Whole(0, MOST_COST_NS)]
Pages = Annotated[int, Whole(0, MOST_PAGES)]
Mebibytes = Annotated[int, Whole(0, MOST_MIB)]


@cache
def rules_of(kind: type) -> dict:
    """The rules of a class's fields.

    A subclass that declares a field again without a rule keeps the rule of its base.

    Returns
    -------
    dict
        Field name -> rule, in the order of the fields; a field without a rule is not in it.
    """
    found = {}
    for one in reversed(kind.__mro__):
        if "__annotations__" not in vars(one):
            continue
        for name, hint in typing.get_type_hints(one, include_extras=True).items():
            if name in vars(one)["__annotations__"] and hasattr(hint, "__metadata__"):
                found[name] = hint.__metadata__[0]
    return {field.name: found[field.name] for field in fields(kind) if field.name in found}


class Checked(Named):
    """The base of dataclasses whose fields have rules; ``where`` begins their names in messages."""

    where = ""

    def __post_init__(self):
        for name, rule in rules_of(type(self)).items():
            value = getattr(self, name)
            require(rule.admits(value), f"{self.where}{name}", rule.must, value)
