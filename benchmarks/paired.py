"""Measure several sides of one thing in short, alternating slices of one run.

A shared machine's speed drifts by more than the differences we look for.  Neighbouring slices
see the same drift, so the median of their ratios holds still where the times do not.  Times are
the thread's own CPU time: time that other processes take does not count.  Around each side's turn
it is asked whether the core is shared (:mod:`benchmarks.core`); what follows from it, and from
several processes, is :func:`benchmarks.rows.merged`'s affair.
"""

import gc
from collections.abc import Callable, Iterable
from time import thread_time_ns
from typing import NamedTuple

import numpy as np

from benchmarks.core import mark_ns


class Slices(NamedTuple):
    """Per slice: each side's thread CPU ns, and the slowest mark of the core meanwhile."""

    times: np.ndarray
    marks: np.ndarray


class Timing(NamedTuple):
    """Times of one side: median ns per unit, and per slice the ratio to the first side's time."""

    side: str
    unit_ns: float
    ratios: tuple[float, ...]
    marks: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median."""
        return float(np.median(self.ratios))

    @property
    def slices(self) -> int:
        """How many."""
        return len(self.ratios)


def measure(sides: dict[str, Callable], work: Iterable, units: int) -> list[Timing]:
    """Give every side each piece of work, in rotating order.

    Parameters
    ----------
    sides : dict
        Name -> function of one piece of work.  Ratios are each side's time / the first's.
    work : iterable
        Pieces of equal size.
    units : int
        Operations in a piece.
    """
    return timings(list(sides), slice_times(sides, work), units)


def slice_times(sides: dict[str, Callable], work: Iterable) -> Slices:
    """Times of each piece of work (rows) on each side (columns)."""

    def timed(name, piece):
        begin = thread_time_ns()
        sides[name](piece)
        return thread_time_ns() - begin

    return in_turn(list(sides), timed, work)


def in_turn(names: list[str], timed: Callable, work: Iterable) -> Slices:
    """Slices whose times ``timed(name, piece)`` tells, sides in rotating order."""
    times, marks = [], []
    mark_ns()  # compiles
    gc.disable()
    try:
        for turn, piece in enumerate(work):
            row, mark = dict.fromkeys(names, 0), mark_ns()
            for place in range(len(names)):
                name = names[(turn + place) % len(names)]
                row[name] = timed(name, piece)
                mark = max(mark, mark_ns())
            times.append([row[name] for name in names])
            marks.append(mark)
    finally:
        gc.enable()
    return Slices(np.array(times, float), np.array(marks))


def joined(found: list[Slices]) -> Slices:
    """The slices of several measurements of the same thing."""
    return Slices(*map(np.concatenate, zip(*found)))


def timings(names: list[str], slices: Slices, units: int) -> list[Timing]:
    """Medians and ratios of slices."""
    ratios = slices.times / slices.times[:, :1]
    marks = tuple(slices.marks.tolist())
    return [
        Timing(name, float(np.median(slices.times[:, i])) / units, tuple(ratios[:, i]), marks)
        for i, name in enumerate(names)
    ]
