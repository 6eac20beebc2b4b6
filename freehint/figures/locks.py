"""A walk and the zone lock over simulated time."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLUE, meanings_in
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    LINES,
    PENS,
    TICK,
    axes_or_new,
    colour_of,
    legend_above,
    legend_beside,
    order_axis,
    span_in_ms,
)
from freehint.mm.memory import NR_ORDERS
from freehint.units import NS_PER_MS

MOST_CPUS = 6  # tracks of CPUs in a picture
ONE_PIXEL = 0.8  # points: no bar is narrower at 90 dots per inch


@figure(
    "When the strokes of a policy held the lock of each zone (black), and when each guest CPU"
    " waited for a zone lock (wine), over simulated time. A bar lasts from begin to end; the"
    " shortest ones are drawn one pixel wide.",
    source="Run.locks, Run.waits",
    unitless="y",
)
def lock_timeline(locks: pd.DataFrame, waits: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """When strokes held the zone locks, and when guest CPUs waited, over simulated time (ms).

    There is one track for each zone and for each CPU.  If more than MOST_CPUS CPUs waited, those
    that waited least share the last track.
    """
    tracks = [*_tracks(locks, "zone", "held_ns", "hold", str)]
    tracks += _shared(_tracks(waits, "cpu", "wait_ns", "wait", "CPU {}".format))
    ax = axes_or_new(ax, height=0.9 + 0.24 * max(len(tracks), 3))
    for y, (_, meaning, begins, lengths) in enumerate(tracks):
        bars = [*zip(begins / NS_PER_MS, lengths / NS_PER_MS)]
        colour = colour_of(meaning)
        ax.broken_barh(bars, (y - 0.36, 0.72), facecolors=colour, edgecolors=colour, lw=ONE_PIXEL,
                       rasterized=len(bars) > 1000)  # fmt: skip
    for meaning, label in (("hold", "lock held"), ("wait", "CPU waits")):
        ax.bar(0, 0, color=colour_of(meaning), label=label)
    ax.set_yticks(range(len(tracks)), [name for name, *_ in tracks])
    ax.set(xlabel="simulated time (ms)", ylim=(max(len(tracks), 1) - 0.4, -0.6))
    span_in_ms(ax, span_ns)
    legend_above(ax, 2, x=1)
    return ax


def _tracks(rows: pd.DataFrame, by: str, length: str, meaning: str, name):
    """(name, meaning, begins, lengths) of the bars of each zone or CPU, in ns."""
    for which, bars in rows.groupby(by, observed=True):
        yield name(which), meaning, bars["since_ns"].to_numpy(), bars[length].to_numpy()


def _shared(tracks) -> list:
    """The tracks, with those of the CPUs that waited least joined into one if there are many."""
    tracks = [*tracks]
    if len(tracks) <= MOST_CPUS:
        return tracks
    longest = sorted(tracks, key=lambda track: -track[3].sum())[: MOST_CPUS - 1]
    others = [track for track in tracks if not any(track is one for one in longest)]
    begins, lengths = (np.concatenate([track[i] for track in others]) for i in (2, 3))
    alone = [track for track in tracks if any(track is one for one in longest)]
    return [*alone, (f"{len(others)} CPUs", "wait", begins, lengths)]


@figure(
    "Where the walk went: the guest-physical address of each block that was offered to the host,"
    " over simulated time. Green: taken by the ring; vermilion: lost, because the ring was full.",
    source="Run.reports",
)
def walk_map(reports: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """Where the walk went: the address (GiB) of each block offered, over simulated time (ms)."""
    ax = axes_or_new(ax)
    for taken, meaning, label in ((True, "hinted", "taken"), (False, "lost", "lost")):
        rows = reports[reports["taken"] == taken]
        x, y = rows["time_ns"] / NS_PER_MS, rows["pfn"] / (1 << 18)
        _dots(ax, x, y, colour_of(meaning), label)
    ax.set(xlabel="simulated time (ms)", ylabel="address (GiB)")
    span_in_ms(ax, span_ns)
    legend_above(ax, 2, x=1)
    return ax


def _dots(ax, x, y, colour, label) -> None:
    ax.plot(x, y, ls="", marker=".", ms=3, mec="none", color=colour, rasterized=True)
    ax.plot([], [], ls="", marker=".", ms=9, mec="none", color=colour, label=label)


@figure(
    "How long a walk that takes the zone lock list by list held it (logarithmic). Each dot is one"
    " list, at its order and coloured by zone; the larger the dot, the more blocks are on the"
    " list.",
    source="freehint.studies.tables.holds_of_lists",
    unitless="x",
)
def holds_by_order(table: pd.DataFrame, ax=None) -> Axes:
    """How long the zone lock was held (ms) for each list, by the order of the list."""
    ax = axes_or_new(ax)
    for (zone, rows), colour in zip(table.groupby("zone", observed=True), cycle(LINES)):
        ax.scatter(rows["order"], rows["held_ns"] / NS_PER_MS, s=10 + rows["blocks"] / 20,
                   color=colour, alpha=0.7, label=str(zone))  # fmt: skip
    ax.set_yscale("log")
    order_axis(ax, NR_ORDERS - 1)
    ax.set(xlabel="order of the list (a dot's size: its blocks)", ylabel="lock held (ms)")
    ax.margins(y=0.15)
    legend = legend_beside(ax)
    for handle in legend.legend_handles:
        handle.set_sizes([30])
    return ax


@figure(
    "How many events of each kind lasted longer than a duration; both axes are logarithmic.",
    source="Run.locks, Run.waits",
)
def longer_than(durations_of: dict, ax=None) -> Axes:
    """How many events of each kind lasted longer than a duration (µs); both logarithmic.

    Parameters
    ----------
    durations_of : dict
        Name of the kind -> durations in ns.
    """
    ax = axes_or_new(ax)
    for (name, values), (colour, style) in zip(durations_of.items(), PENS):
        values = np.sort(np.asarray(values)) / 1e3
        if len(values):
            for meaning in meanings_in(name) & {"hold", "wait"}:
                colour = colour_of(meaning)
            ax.step(values, np.arange(len(values), 0, -1), color=colour, ls=style,
                    label=name)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set(
        xlim=(0.1, 1e5), ylim=(0.8, 2e3), xlabel="duration (µs)", ylabel="lasted longer (events)"
    )
    ax.legend(loc="upper right")
    ax.grid()
    return ax


@figure(
    "How many blocks a walk looked at under one hold of a zone's lock (logarithmic). Each dot is a"
    " hold, and the largest has its number. Holds that found an empty list are left out.",
    source="rows of a recorded walker, freehint.studies.real_walks.blocks_in_holds",
    unitless="xy",
)
def blocks_in_a_hold(blocks_of: dict, ax=None) -> Axes:
    """How many blocks were looked at under each hold of a zone's lock; logarithmic.

    Parameters
    ----------
    blocks_of : dict
        Name of a walk -> numbers of blocks, one per hold.
    """
    ax = axes_or_new(ax, height=0.45 * len(blocks_of) + 1.0)
    for y, values in enumerate(blocks_of.values()):
        values = np.asarray(values)[np.asarray(values) > 0]
        # Spread dots of the same size, by their place, so that all can be seen.
        spread = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.6
        ax.plot(values, y + spread, ls="", marker=".", ms=4, mec="none", color=BLUE, alpha=0.5,
                rasterized=True)  # fmt: skip
        if len(values):
            ax.annotate(f"{values.max():,}", (values.max(), y), (8, 0),
                        textcoords="offset points", va="center", fontsize=TICK)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yticks(range(len(blocks_of)), blocks_of)
    ax.set(xlabel="blocks looked at under one hold", xlim=(0.8, None))
    ax.margins(x=0.15)
    ax.invert_yaxis()
    return ax
