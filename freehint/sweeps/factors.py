"""The factors of a sweep: parameters of a scenario, each a list of choices or a range of numbers.

A *key* identifies a combination.  It holds one plain number per factor: the place of a choice in
its list, or the number itself.  A Space turns a key and a seed into a scenario; a worker needs
nothing else.
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

from freehint.config import InputError, Named, one_of, require
from freehint.policies import find_policy
from freehint.policies.policy import Policy
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import told

SCALES = ("linear", "log", "log2")


def label(value):
    """A value as the table shows it; a policy is shown by its name."""
    if isinstance(value, Policy):
        return value.name
    if isinstance(value, tuple) and all(isinstance(v, Policy) for v in value):
        return " + ".join(v.name for v in value)
    value = told(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def listed(name: str, values) -> tuple:
    """Check that there is at least one value and that no two are equal.

    Returns
    -------
    tuple
        The values; names of policies are replaced by the policies.
    """
    good = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    require(good, name, "be a list of values", values)
    values = tuple(map(_policy, values) if name == "policy" else values)
    require(len(values) > 0, name, "have at least one value", list(values))
    seen = set()
    for value in values:
        text = label(value)
        require(text not in seen, name, "have values of different names", text)
        seen.add(text)
    return values


def _policy(value):
    return tuple(map(find_policy, value)) if isinstance(value, list | tuple) else find_policy(value)


@dataclass(frozen=True)
class Choices:
    """A list of values; a key holds a value's place in it."""

    values: tuple

    def at(self, share: float) -> int:
        """The place of the value at a share, 0..1, of the list."""
        return min(int(share * len(self.values)), len(self.values) - 1)

    def value(self, place: int):
        """The value that the scenario gets."""
        return self.values[place]

    def facts(self) -> list:
        """The list as JSON."""
        return [label(value) for value in self.values]


@dataclass(frozen=True)
class Range(Named):
    """Numbers from low to high, both included; if both are whole, all are.

    Attributes
    ----------
    low, high : int or float
    scale : str
        "linear"; "log": numbers are uniform in their logarithm; "log2": only powers of two.
    """

    low: object
    high: object
    scale: str = "linear"

    def __post_init__(self):
        for name in ("low", "high"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            require(number and math.isfinite(value), name, "be a number", value)
        require(self.low < self.high, "low", f"be below high {self.high}", self.low)
        one_of("scale", self.scale, SCALES)
        if self.scale != "linear":
            require(self.low > 0, "low", f"be above 0 on scale {self.scale!r}", self.low)
        if self.scale == "log2":
            for name in ("low", "high"):
                value = getattr(self, name)
                power = isinstance(value, int) and value.bit_count() == 1
                require(power, name, "be a power of two on scale 'log2'", value)

    @property
    def whole(self) -> bool:
        """Does the range hold only whole numbers?"""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, share: float):
        """The number at a share, 0..1, of the range.

        On a linear scale every whole number gets an equal share.
        """
        low, high = self.low, self.high
        if self.scale == "log2":
            low, high = low.bit_length() - 1, high.bit_length() - 1
            return 1 << min(low + int(share * (high - low + 1)), high)
        end = high + 1 if self.whole else high
        if self.scale == "log":
            number = low * (end / low) ** share
        else:
            number = low + share * (end - low)
        return min(math.floor(number), high) if self.whole else min(float(number), float(high))

    def value(self, number):
        """The value that the scenario gets."""
        return number

    def facts(self) -> dict:
        """The range as JSON."""
        return dataclasses.asdict(self)


def factors_of(ranges, what: str = "ranges") -> dict:
    """Read a dict of ranges and lists.

    Parameters
    ----------
    ranges : dict
        Parameter (named as in ``Scenario.with_values``) -> a list of choices, or a range such as
        ``{"low": 8, "high": 4096, "scale": "log2"}``.
    what : str
        The dict's name in error messages.

    Returns
    -------
    dict
        Parameter -> Choices or Range.

    Raises
    ------
    InputError
        A value is neither a list nor a range; the message names the parameter.
    """
    require(isinstance(ranges, dict), what, "be a dict", ranges)
    require("seed" not in ranges, what, "leave seed to seeds", list(ranges))
    found = {}
    for name, value in ranges.items():
        require(isinstance(name, str), what, "have names of parameters", name)
        if not isinstance(value, dict):
            found[name] = Choices(listed(name, value))
            continue
        for end in ("low", "high"):
            require(end in value, name, "have low and high", value)
        try:
            found[name] = Range(**value)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    return found


@dataclass(frozen=True)
class Space:
    """A scenario and the parameters of it that a sweep varies.

    scenario : Scenario
        It gives all parameters that are no factors.
    factors : dict
        name -> Choices or Range.
    inputs : tuple of Input
        The files that memories and workloads were loaded from, with the sha256 of the bytes loaded.
    """

    scenario: Scenario
    factors: dict
    inputs: tuple = ()

    def values_of(self, key: tuple) -> dict:
        """The values of a key, {name: value}."""
        return {name: factor.value(one) for (name, factor), one in zip(self.factors.items(), key)}

    def scenario_of(self, key: tuple, seed: int) -> Scenario:
        """The scenario of a key, with a seed.

        Raises
        ------
        InputError
            The combination contradicts itself, or a value is refused.
        """
        return dataclasses.replace(self.scenario.with_values(self.values_of(key)), seed=seed)

    def row(self, number: int, key: tuple, seed: int) -> dict:
        """The columns that identify a run."""
        row = {name: label(value) for name, value in self.values_of(key).items()}
        if "policy" not in row:
            row["policy"] = label(self.scenario.policy)
        return {"run": number, **row, "seed": seed}

    def policies(self) -> list:
        """Every policy that the sweep names, before factors change its knobs."""
        named = self.factors.get("policy")
        return list(named.values) if named else [self.scenario.policy]
