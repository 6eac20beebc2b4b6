"""What a search is to look for, as people state it."""

import re
from dataclasses import dataclass

from freehint.config import require

STATED = re.compile(r"(minimise|maximise) (\w+)(?: subject to (.+))?")
BOUND = re.compile(r"(\w+) (<=|>=) ([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True)
class Objective:
    """What is wanted of the means over a trial's seeds.

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
        """Every entry of the summary that it names."""
        return [self.column, *(name for name, _, _ in self.bounds)]

    def excess(self, means) -> list:
        """How far each bound is missed; 0 or less: it holds."""
        return [
            means[name] - bound if sign == "<=" else bound - means[name]
            for name, sign, bound in self.bounds
        ]


def stated(text: str) -> Objective:
    """An objective as people state it: ``minimise alloc_wait_max_ns subject to coverage >= 0.9``.

    Raises
    ------
    InputError
        It cannot be read.
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
