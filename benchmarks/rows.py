"""A row of the benchmark's table, and how rows of several processes become one.

**Noise.**  A row's median and quartiles are over all slices of all processes that measured it, so
what differs between processes (where their memory and code lie, what the neighbours did meanwhile)
is in them.  All processes count alike, however many slices they have left.  A bar is missed if the
upper quartile lies below it; so a ratio that is high in one process of three and low in two is not
missed, one that has fallen in all of them is.

**Shared cores.**  Slices during which the core was shared (:mod:`benchmarks.core`) are left out.
If that leaves too few, the row has all of them, says so, and is told but not judged.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.core import ALONE
from benchmarks.paired import Timing

RATIO = "ratio"
FREEHINT = "freehint"
# Of a row's slices, those that must have had the core for themselves.
LEAST_ALONE, LEAST_SHARE_ALONE = 5, 0.25


class Row(NamedTuple):
    """One figure.

    A ratio is always the other side's time or bytes / freehint's: above 1 freehint is the better.
    ``bar`` is the least that a ratio must be.  Only ratios of one run have one: other figures say
    more of the machine than of freehint.
    """

    what: str
    side: str
    value: float
    unit: str
    p25: float | None = None
    p75: float | None = None
    slices: int | None = None
    bar: float | None = None
    shared: bool = False

    @property
    def missed(self) -> bool:
        """Is the ratio below its bar by more than its noise, the upper quartile included?"""
        if self.bar is None or self.shared:
            return False
        assert self.unit == RATIO, f"{self.what}: a bar is for a ratio, not for {self.unit}"
        return (self.value if self.p75 is None else self.p75) < self.bar


class Part(NamedTuple):
    """A row as one process measured it: ratios and marks of single slices, where there are any."""

    row: Row
    ratios: tuple[float, ...] = ()
    marks: tuple[float, ...] = ()


def timing_rows(what: str, timings: list[Timing], unit: str, bars=None) -> list[Part]:
    """Rows of one paired measurement: a time for each side, a ratio for each but the first.

    Parameters
    ----------
    timings : list of Timing
        freehint's first.
    bars : dict, optional
        Side -> least ratio.
    """
    bars = bars or {}
    found = [Part(Row(what, t.side, t.unit_ns, unit, slices=t.slices)) for t in timings]
    for t in timings[1:]:
        side = f"{t.side} / {FREEHINT}"
        row = Row(what, side, t.ratio, RATIO, slices=t.slices, bar=bars.get(t.side))
        found.append(Part(row, t.ratios, t.marks))
    return found


def part_of(found: Row | Part) -> Part:
    """A row that has no slices of its own, as such."""
    return found if isinstance(found, Part) else Part(found)


def least_mark(processes: list[list[Part]]) -> float:
    """The least mark of all, of a core that was alone if any was; infinite if there is none."""
    marks = (part.marks for parts in processes for part in parts)
    return min((min(one) for one in marks if one), default=float("inf"))


def merged(processes: list[list[Part]], alone_ns: float) -> list[Row]:
    """One row of each that processes measured, in the order in which they come first.

    Parameters
    ----------
    processes : list of list of Part
        What each process measured.
    alone_ns : float
        The mark of a core that is alone.

    Raises
    ------
    ValueError
        Two rows have the same name and another unit, or one process has two rows of one name.
    """
    together = {}
    for parts in processes:
        names = [(part.row.what, part.row.side) for part in parts]
        for name, part in zip(names, parts):
            of_name = together.setdefault(name, [])
            of_name.append(part)
            if names.count(name) > 1 or part.row.unit != of_name[0].row.unit:
                raise ValueError(f"two rows are called {name[0]!r}, {name[1]!r}")
    return [_one(parts, alone_ns) for parts in together.values()]


def _one(parts: list[Part], alone_ns: float) -> Row:
    row = parts[0].row
    slices = None if row.slices is None else sum(part.row.slices for part in parts)
    if not row.slices or not parts[0].ratios:
        values = [part.row.value for part in parts]
        return row._replace(value=float(np.median(values)), slices=slices)
    alone = [np.array(p.marks) <= ALONE * alone_ns for p in parts]
    enough = max(LEAST_ALONE, LEAST_SHARE_ALONE * slices)
    shared = sum(map(np.sum, alone)) < min(enough, slices)
    kept = [np.array(p.ratios)[... if shared else mine] for p, mine in zip(parts, alone)]
    p25, value, p75 = quartiles([ratios for ratios in kept if len(ratios)])
    left = sum(map(len, kept))
    return row._replace(value=value, p25=p25, p75=p75, slices=left, shared=bool(shared))


def quartiles(processes: list[np.ndarray]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the slices of processes that count alike."""
    ratios = np.concatenate(processes)
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in processes])
    order = np.argsort(ratios)
    below = np.cumsum(weights[order]) - weights[order] / 2
    shares = np.array((0.25, 0.5, 0.75)) * len(processes)
    return tuple(map(float, np.interp(shares, below, ratios[order])))


def spaced(size: str) -> str:
    """A guest's size as it is written: 16 GiB."""
    return size.replace("GiB", " GiB")
