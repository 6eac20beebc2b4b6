"""A row of the benchmark's table."""

from typing import NamedTuple

from benchmarks.paired import Timing

RATIO = "ratio"
FREEHINT = "freehint"


class Row(NamedTuple):
    """One figure.  ``bar`` is what it must hold, e.g. ``">= 1.2"``, or empty.

    A ratio is always the other side's time or bytes / freehint's: above 1 freehint is the better.
    """

    what: str
    side: str
    value: float
    unit: str
    p25: float | None = None
    p75: float | None = None
    slices: int | None = None
    bar: str = ""

    @property
    def missed(self) -> bool:
        """Is there a bar, and does the figure miss it?"""
        if not self.bar:
            return False
        comparison, limit = self.bar.split()
        return not (
            self.value >= float(limit) if comparison == ">=" else self.value <= float(limit)
        )


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
        bar = f">= {bars[t.side]}" if t.side in bars else ""
        spread = (t.ratio_p25, t.ratio_p75, t.slices)
        rows.append(Row(what, f"{t.side} / {FREEHINT}", t.ratio, RATIO, *spread, bar))
    return rows


def spaced(size: str) -> str:
    """A guest's size as it is written: 16 GiB."""
    return size.replace("GiB", " GiB")
