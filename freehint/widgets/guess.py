"""A question whose answer can be guessed, and the sentence that tells how far off a guess was."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from freehint.config import InputError, Named, one_of, require
from freehint.sweeps.paired import NO_DIFFERENCE, ONE_SEED, interval, number

LEAST_FACTOR = 2  # a guess that is farther off is told by its factor too
SHARES = {"%": "points"}  # the unit of a difference of two shares


class Measured(NamedTuple):
    """A measured number.

    value : float        mean over the seeds, if there are any
    half_width : float   of its 95 % interval; nan if there is none
    seeds : int          0 if the number does not depend on a seed
    difference : bool    whether it is the difference of two settings
    """

    value: float
    half_width: float = math.nan
    seeds: int = 0
    difference: bool = False


@dataclass(frozen=True)
class Question(Named):
    """A question with a number or one of a few choices as its answer.

    Attributes
    ----------
    text : str
    between : (float, float) or None
        The least and the largest number that can be guessed.
    choices : tuple of str
        What can be chosen; empty if the answer is a number.
    unit : str
        The unit of the number.
    """

    text: str
    between: tuple | None = None
    choices: tuple = ()
    unit: str = ""

    def __post_init__(self):
        good = isinstance(self.text, str) and self.text.strip() != ""
        require(good, "question", "be a text", self.text)
        require(isinstance(self.unit, str), "unit", "be a text", self.unit)
        if (self.between is None) == (not self.choices):
            raise InputError("a question has either between, for a number, or choices")
        if self.choices:
            texts = all(isinstance(one, str) and one for one in self.choices)
            several = len(set(self.choices)) == len(self.choices) > 1
            require(texts and several, "choices", "be different texts, at least two", self.choices)
        else:
            two = isinstance(self.between, tuple) and len(self.between) == 2
            good = two and all(map(_is_number, self.between)) and self.between[0] < self.between[1]
            require(good, "between", "be two numbers, the smaller one first", self.between)

    def check(self, name: str, value) -> None:
        """Refuse a value that cannot be guessed.

        Parameters
        ----------
        name : str
            The value's name in the message.
        value : object

        Raises
        ------
        InputError
            It is no choice, no number, or out of range.
        """
        if self.choices:
            one_of(name, value, self.choices)
            return
        low, high = self.between
        must = f"be a number from {low:,g} to {high:,g}{_after(self.unit)}"
        require(_is_number(value) and low <= value <= high, name, must, value)

    def sentence(self, guess, answer) -> str:
        """How far off a guess was.

        Parameters
        ----------
        guess : float or str
        answer : Measured or str
            A str if the question has choices.

        Examples
        --------
        >>> share = Question("How much?", between=(0, 100), unit="%")
        >>> share.sentence(40, Measured(70.8, 4.6, 10))
        'You said 40 %. It is 71 % (66 to 75 over 10 seeds): 31 points too low.'
        >>> gain = Question("How much more?", between=(-50, 100), unit="points")
        >>> gain.sentence(20, Measured(0.13, 0.16, 10, difference=True))[21:]
        'It is +0.13 points (-0.03 to +0.29 over 10 seeds), no difference seen: 20 points too high.'
        >>> Question("Which?", choices=("head", "tail")).sentence("head", "tail")
        'You said “head”, but the answer is “tail”.'
        """
        if self.choices:
            right = "and you are right" if guess == answer else f"but the answer is “{answer}”"
            return f"You said “{guess}”, {right}."
        sign = "+" if answer.difference else ""
        digits = _digits(answer)
        value = _text(answer.value, digits, sign) + _after(self.unit)
        over = _interval(answer, digits, sign, self.between)
        said = f"{guess:{sign},g}{_after(self.unit)}"
        return f"You said {said}. It is {value}{over}: {self._distance(guess, answer, digits)}."

    def _distance(self, guess: float, answer: Measured, digits) -> str:
        off = guess - answer.value
        if off and digits is not None:  # two digits of a distance are enough
            digits = max(0, min(digits, 1 - math.floor(math.log10(abs(off)))))
        far = _text(abs(off), digits)
        if not float(far.replace(",", "")):
            return "you are right"
        if abs(off) <= answer.half_width:
            return "your guess is within the interval"
        unit = SHARES.get(self.unit, self.unit)
        words = f"{far}{_after(unit)} too {'high' if off > 0 else 'low'}"
        ratio = guess / answer.value if answer.value > 0 and guess > 0 else 1
        ratio = max(ratio, 1 / ratio)
        if unit != "points" and ratio >= LEAST_FACTOR:
            words += f", by a factor of {number(float(f'{ratio:.2g}'))}"
        return words


def measured(answer, scale: float = 1) -> Measured:
    """A number as the chapters have it, with its interval if it was measured over seeds.

    Parameters
    ----------
    answer : float, sequence of float, or namedtuple
        A number; one number for each seed; or a row of :func:`freehint.paired`, from its
        ``itertuples()``, which is the difference of two settings.
    scale : float
        The unit of the question in the unit of ``answer``.

    Raises
    ------
    InputError
        It is none of these, or not finite.
    """
    if hasattr(answer, "half_width"):
        found = Measured(answer.difference, answer.half_width, answer.seeds, difference=True)
    elif isinstance(answer, Iterable) and not isinstance(answer, str):
        values = list(answer)
        good = bool(values) and all(map(_is_number, values))
        require(good, "answer", "be numbers, one for each seed", answer)
        found = Measured(*interval(values), len(values))
    else:
        found = Measured(answer)
    must = "be a finite number, one for each seed, or a row of paired()"
    require(_is_number(found.value), "answer", must, answer)
    return found._replace(value=found.value / scale, half_width=found.half_width / scale)


def _is_number(value) -> bool:
    try:
        return not isinstance(value, bool | str) and math.isfinite(value)
    except TypeError:
        return False


def _after(unit: str) -> str:
    return f" {unit}" if unit else ""


def _digits(answer: Measured) -> int | None:
    """Decimal places: one digit of the half width, or two if the interval holds 0."""
    if not answer.half_width > 0:
        return None
    unsure = answer.difference and abs(answer.value) <= answer.half_width
    return max(0, unsure - math.floor(math.log10(answer.half_width)))


def _text(value: float, digits: int | None, sign: str = "") -> str:
    if digits is not None:
        return f"{value:{sign}z,.{digits}f}"  # z: no -0
    return (sign if value > 0 else "") + number(value)


def _interval(answer: Measured, digits: int | None, sign: str, between: tuple) -> str:
    if not answer.seeds:
        return ""
    if math.isnan(answer.half_width):
        return f" ({ONE_SEED})"
    seen = answer.difference and abs(answer.value) <= answer.half_width
    unseen = f", {NO_DIFFERENCE}" if seen else ""
    if not answer.half_width:
        return f" (the same in all {answer.seeds} seeds){unseen}"
    ends = (answer.value - answer.half_width, answer.value + answer.half_width)
    if between[0] <= answer.value <= between[1]:  # no share below 0, no time
        ends = max(ends[0], between[0]), min(ends[1], between[1])
    low, high = (_text(end, digits, sign) for end in ends)
    return f" ({low} to {high} over {answer.seeds} seeds){unseen}"
