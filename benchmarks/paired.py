"""Measure several sides of one thing in short, alternating slices of one run.

A shared machine's speed drifts by more than the differences we look for.  Neighbouring slices
see the same drift, so the median of their ratios holds still where the times do not.  Times are
the thread's own CPU time: time that other processes take does not count.
"""

import gc
from collections.abc import Callable, Iterable
from time import thread_time_ns
from typing import NamedTuple

import numpy as np


class Timing(NamedTuple):
    """Times of one side: median ns per unit, and per slice the ratio to the first side's time."""

    side: str
    unit_ns: float
    ratio: float
    ratio_p25: float
    ratio_p75: float
    slices: int


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


def slice_times(sides: dict[str, Callable], work: Iterable) -> np.ndarray:
    """Thread CPU ns of each piece of work (rows) on each side (columns)."""
    names = list(sides)
    times = []
    gc.disable()
    try:
        for turn, piece in enumerate(work):
            row = dict.fromkeys(names, 0)
            for place in range(len(names)):
                name = names[(turn + place) % len(names)]
                begin = thread_time_ns()
                sides[name](piece)
                row[name] = thread_time_ns() - begin
            times.append([row[name] for name in names])
    finally:
        gc.enable()
    return np.array(times, float)


def timings(names: list[str], times: np.ndarray, units: int) -> list[Timing]:
    """Medians and ratios of slices, as :func:`slice_times` gave them."""
    ratios = times / times[:, :1]
    return [
        Timing(
            name,
            float(np.median(times[:, i])) / units,
            *map(float, np.percentile(ratios[:, i], (50, 25, 75))),
            len(times),
        )
        for i, name in enumerate(names)
    ]
