"""The objective of a search, and how to read it from a sentence."""

import re
from dataclasses import dataclass

from freehint.config import require

STATED = re.compile(r"(minimise|maximise) (\w+)(?: subject to (.+))?")
BOUND = re.compile(r"(\w+) (<=|>=) ([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Objective:
    """What a search optimises: columns of the summary, each a mean over a trial's seeds.

    direction : str
        minimise or maximise.
    column : str
        An entry of the summary.
    bounds : tuple of (column, "<=" or ">=", number)
    """

    direction: str
    column: str
    bounds: tuple = ()

    def columns(self) -> list:
        """Every entry of the summary that the objective names."""
        return [self.column, *(name for name, _, _ in self.bounds)]

    def excess(self, means) -> list:
        """How far the means miss each bound; a bound holds if this is 0 or less."""
        return [
            means[name] - bound if sign == "<=" else bound - means[name]
            for name, sign, bound in self.bounds
        ]


def stated(text: str) -> Objective:
    """Read an objective such as ``minimise alloc_wait_max_ns subject to coverage >= 0.9``.

    Raises
    ------
    InputError
        The text has another form; the message shows the right one.
    """
    form = "be 'minimise COLUMN subject to COLUMN >= NUMBER and COLUMN <= NUMBER'"
    require(isinstance(text, str), "objective", form, text)
    found = STATED.fullmatch(" ".join(text.split()))
    require(found is not None, "objective", form, text)
    direction, column, bounds = found.groups()
    limits = []
    for bound in bounds.split(" and ") if bounds else ():
        read = BOUND.fullmatch(bound)
        require(read is not None, "objective", form, text)
        name, sign, number = read.groups()
        limits.append((name, sign, float(number)))
    return Objective(direction, column, tuple(limits))
