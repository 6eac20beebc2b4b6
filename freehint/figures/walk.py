"""A walk and the zone lock over simulated time."""

import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.registry import figure
from freehint.figures.style import axes_or_new, legend_above, span_in_ms
from freehint.palette import BLUE, GREEN, ORANGE, VERMILION
from freehint.units import NS_PER_MS


@figure(
    "How long each stroke of the policy held the zone lock (blue), and how long a guest CPU waited"
    " for it (orange), over simulated time; durations are logarithmic.",
    source="Run.locks, Run.waits",
)
def lock_timeline(locks: pd.DataFrame, waits: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """How long the zone lock was held by each stroke, and how long guest CPUs waited.

    Both in microseconds, on a logarithmic axis, over simulated time in milliseconds.
    """
    ax = axes_or_new(ax)
    _dots(ax, waits["since_ns"] / NS_PER_MS, waits["wait_ns"] / 1e3, ORANGE, "a guest CPU waited")
    _dots(ax, locks["since_ns"] / NS_PER_MS, locks["held_ns"] / 1e3, BLUE, "a stroke held the lock")
    ax.set_yscale("log", subs=[])
    ax.set(xlabel="simulated time (ms)", ylabel="duration (µs)", ylim=(0.1, 1e6))
    span_in_ms(ax, span_ns)
    ax.legend(loc="upper right", ncols=2)
    return ax


@figure(
    "Where the walk went: the guest-physical address of each block that was offered to the host,"
    " over simulated time. Green: taken by the ring; vermilion: lost, because the ring was full.",
    source="Run.reports",
)
def walk_map(reports: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """Where the walk went: address (GiB) of each block offered over simulated time (ms)."""
    ax = axes_or_new(ax)
    for taken, colour, label in ((True, GREEN, "taken"), (False, VERMILION, "lost")):
        rows = reports[reports["taken"] == taken]
        _dots(ax, rows["time_ns"] / NS_PER_MS, rows["pfn"] / (1 << 18), colour, label)
    ax.set(xlabel="simulated time (ms)", ylabel="address (GiB)")
    span_in_ms(ax, span_ns)
    legend_above(ax, 2, x=1)
    return ax


def _dots(ax, x, y, colour, label) -> None:
    ax.plot(x, y, ls="", marker=".", ms=3, mec="none", color=colour, rasterized=True)
    ax.plot([], [], ls="", marker=".", ms=9, mec="none", color=colour, label=label)
