"""Figures of guests under pressure: recorded and predicted; compaction; balloons."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLACK, GREY, ORANGE, PALE, VERMILION, WINE
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    PENS,
    SMALL,
    axes_or_new,
    every,
    legend_above,
    legend_beside,
    log_axis,
    new_figure,
)
from freehint.replay.pressure.compare import Comparison, own_times
from freehint.studies.pressure.compacting import COMPACTS, LEAVES
from freehint.units import MIB

WATERMARKS = ("min", "low", "high")
PASSES = {LEAVES: GREY, COMPACTS: WINE}
STRIP = 0.04  # height of the strip of kswapd's runs, in axes


@figure(
    "Free memory of a recorded guest under pressure (black) and as predicted (orange) over time,"
    " logarithmic. Each predicted step is stretched to its recorded length. Grey lines: the"
    " watermarks min, low and high, added up over the zones, without lowmem_reserve. Below: when"
    " kswapd balanced in the recording. Red lines: kills by the OOM killer, dashed if predicted.",
    source="freehint.replay.pressure.compare: a recording under pressure and its prediction",
    wide=True,
)
def free_under_pressure(compared: Comparison, ax=None) -> Axes:
    """Free memory (MiB, logarithmic) over time (s), recorded and predicted, with watermarks.

    Parameters
    ----------
    compared : Comparison
        The result of :func:`freehint.replay.pressure.compare.compare`.
    """
    ax = axes_or_new(ax)
    measured, predicted = compared.measured, compared.predicted
    courses = measured.free.sum(axis=1) * MIB, compared.course * MIB
    marks = measured.start.zones["watermark"].sum(axis=0) * MIB
    ends = min(*(course[course > 0].min() for course in courses), marks[0]), max(map(max, courses))
    log_axis(ax.yaxis, ends[0] / 1.5, ends[1])
    for mark, name, beside in zip(marks, WATERMARKS, ("top", "center", "bottom"), strict=True):
        ax.axhline(mark, color=GREY, lw=0.8, zorder=1)
        if beside != "center":
            ax.annotate(name, (1.0, mark), (3, 0), xycoords=ax.get_yaxis_transform(), va=beside,
                        textcoords="offset points", fontsize=SMALL, color=GREY)  # fmt: skip
    ax.plot(measured.time_s, courses[0], color=BLACK, lw=1.2, label="recorded", zorder=2)
    ax.plot(measured.time_s, courses[1], color=ORANGE, lw=1.2, label="predicted", zorder=3)
    said = np.interp(predicted.oom_s, own_times(measured, predicted), measured.time_s)
    for kills, dashes in ((measured.oom_s, "-"), (said, "--")):
        for at in kills:
            ax.axvline(at, color=VERMILION, lw=1.2, ls=dashes, zorder=1)
    runs = measured.kswapd
    spans = zip(runs["begin_s"], runs["end_s"] - runs["begin_s"], strict=True)
    ax.broken_barh(list(spans), (0, STRIP), transform=ax.get_xaxis_transform(), lw=0.3,
                   color=GREY, label="kswapd balances")  # fmt: skip
    for begin in measured.steps["begin_s"].iloc[1:]:
        ax.axvline(begin, color=PALE, lw=1, zorder=0)
    ax.set(xlabel="time since the first step began (s)", ylabel="free memory (MiB)")
    ax.set_xlim(0, measured.time_s[-1])
    legend_above(ax, 3)
    return ax


@figure(
    "Memory that can leave for the host in free blocks of a granularity or more, with compaction"
    " before the report and without; a group of bars for each size of the pieces in which the"
    " guest gave memory back. Each panel is one granularity, each bar a mean, each dot a seed.",
    source="freehint.studies.pressure.compacting.compacting",
    unitless="x",
    wide=True,
)
def memory_that_can_leave(table: pd.DataFrame, axes=None):
    """Memory that can leave (MiB) by granularity, with compaction and without.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.studies.pressure.compacting.compacting`.
    axes : array of Axes, optional
        One for each granularity.
    """
    orders, pieces = (list(dict.fromkeys(table[name])) for name in ("order", "piece"))
    if axes is None:
        axes = new_figure(12, 3.2, columns=len(orders), sharey=True)[1]
    axes = every(axes)
    for order, ax in zip(orders, axes, strict=True):
        _bars_by_piece(table[table["order"] == order], pieces, ax)
        ax.set_title(f"in blocks of {size_of(order)} or more")
        ax.set_xlabel("given back in pieces of")
    axes[0].set_ylabel("memory that can leave (MiB)")
    legend_beside(axes[-1])
    return axes


def size_of(order: int) -> str:
    """The size of a block, such as "2 MiB"."""
    kib = 4 << order
    return f"{kib} KiB" if kib < 1024 else f"{kib >> 10} MiB"


def _bars_by_piece(table, pieces, ax) -> None:
    for i, (name, colour) in enumerate(PASSES.items()):
        rows = table[table["policy"] == name]
        x = np.arange(len(pieces)) + (i - 0.5) * 0.4
        means = rows.groupby("piece")["can_leave_MiB"].mean()[pieces]
        ax.bar(x, means, 0.4, color=colour, label=name)
        at = x[[pieces.index(piece) for piece in rows["piece"]]]
        ax.scatter(at, rows["can_leave_MiB"], color=BLACK, s=10, zorder=3)
    names = [size_of(int(piece).bit_length() - 1) for piece in pieces]
    ax.set_xticks(range(len(pieces)), names)


@figure(
    "The balloon of each guest over time. The dashed line is the target.",
    source="Run.balloon",
)
def balloon_course(courses: dict, ax=None) -> Axes:
    """The size of the balloon (MiB) over time (s), with one line per guest.

    Parameters
    ----------
    courses : dict
        Name -> ``Run.balloon`` of runs of the same length.
    """
    ax = axes_or_new(ax)
    target = max(course["target_pages"].max() for course in courses.values()) * MIB
    last_s = max(course["time_s"].max() for course in courses.values())
    for (name, course), (colour, dashes) in zip(courses.items(), PENS):
        time_s = [*course["time_s"], last_s]
        size = np.array([*course["pages"], course["pages"].iloc[-1]]) * MIB
        ax.plot(time_s, size, color=colour, ls=dashes, label=name, drawstyle="steps-post")
    ax.axhline(target, color=GREY, lw=1, ls="--")
    ax.set(xlabel="simulated time (s)", ylabel="balloon (MiB)")
    ax.set_ylim(0, 1.15 * target)
    ax.margins(x=0)
    legend_beside(ax)
    return ax
