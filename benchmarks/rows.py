"""A row of the benchmark's table."""

from typing import NamedTuple

from benchmarks.paired import Timing

RATIO = "ratio"
FREEHINT = "freehint"


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

    @property
    def missed(self) -> bool:
        """Is the ratio below its bar by more than its noise, the upper quartile included?"""
        if self.bar is None:
            return False
        assert self.unit == RATIO, f"{self.what}: a bar is for a ratio, not for {self.unit}"
        return (self.value if self.p75 is None else self.p75) < self.bar


def timing_rows(what: str, timings: list[Timing], unit: str, bars=None) -> list[Row]:
    """Rows of one paired measurement: a time for each side, a ratio for each but the first.

    Parameters
    ----------
    timings : list of Timing
        freehint's first.
    bars : dict, optional
        Side -> least ratio.
    """
    bars = bars or {}
    rows = [Row(what, t.side, t.unit_ns, unit, slices=t.slices) for t in timings]
    for t in timings[1:]:
        spread = (t.ratio_p25, t.ratio_p75, t.slices)
        rows.append(Row(what, f"{t.side} / {FREEHINT}", t.ratio, RATIO, *spread, bars.get(t.side)))
    return rows


def spaced(size: str) -> str:
    """A guest's size as it is written: 16 GiB."""
    return size.replace("GiB", " GiB")
