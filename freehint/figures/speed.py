"""Figures of speed: freehint beside other programs, the growth of costs, the machine's limits."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLUE, GREY, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import PENS, SMALL, axes_or_new, log_axis, new_figure
from freehint.studies.speed import LEAST_SIZES, fitted

ABOUT_EQUAL = 1.0


@figure(
    "How many times as fast as other programs freehint is, on the same work in the same run. Each"
    " row is one measurement: a dot at the median of its slices, and a line from quartile to"
    " quartile. Right of the vertical line freehint is the faster one.",
    source="benchmarks.run, bench.csv",
    unitless="y",
    wide=True,
)
def beside_others(table: pd.DataFrame, ax=None) -> Axes:
    """How many times as fast as other programs freehint is, with quartiles.

    Parameters
    ----------
    table : DataFrame
        what, side, value, unit, p25, p75, as ``make bench`` writes it; only ratios are drawn.
    """
    rows = table[table["unit"] == "ratio"].reset_index(drop=True)
    ax = axes_or_new(ax, width=10.5, height=0.24 * len(rows) + 1.0)
    y = np.arange(len(rows))
    low, high = rows["p25"].fillna(rows["value"]), rows["p75"].fillna(rows["value"])
    colours = [BLUE if value >= ABOUT_EQUAL else VERMILION for value in rows["value"]]
    ax.hlines(y, low, high, color=colours, lw=2.5)
    ax.scatter(rows["value"], y, color=colours, s=20, zorder=3)
    ax.axvline(ABOUT_EQUAL, color=GREY, lw=0.8, zorder=0)
    others = rows["side"].str.removesuffix(" / freehint")
    ax.set_yticks(y, rows["what"] + ": " + others, fontsize=SMALL)
    for at, value, right in zip(y, rows["value"], high):
        ax.annotate(f"{value:.2f}" if value < 10 else f"{value:.0f}", (max(value, right), at),
                    (5, 0), textcoords="offset points", va="center", fontsize=SMALL)  # fmt: skip
    log_axis(ax.xaxis, min(low.min(), ABOUT_EQUAL), high.max() * 1.6)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("the other's time / freehint's (times)")
    return ax


@figure(
    "Time and memory that tasks take, by the size of their input; all axes are logarithmic. Each"
    " line is the fitted power law of one task, with its exponent and the exponent's standard"
    " error.",
    source="benchmarks.growth, growth.csv",
    unitless="x",
    wide=True,
)
def cost_growth(table: pd.DataFrame, axes=None):
    """Time and memory of tasks over size, with the exponent of the growth of each.

    Parameters
    ----------
    table : DataFrame
        Rows with the same ``along``, as ``make growth`` writes them: size, size_label, task,
        seconds, MiB (memory that the task took; NaN if not measured).
    axes : sequence of 2 Axes, optional
    """
    if axes is None:
        axes = new_figure(10.5, 3.6, columns=2)[1]
    labels = (("seconds", "time (s)"), ("MiB", "memory (MiB)"))
    for ax, (column, label) in zip(axes, labels, strict=True):
        rows = table[table[column] > 0]
        for (task, own), pen in zip(rows.groupby("task", sort=False), PENS):
            _fitted_line(ax, own["size"], own[column], task, *pen)
        log_axis(ax.xaxis, table["size"].min(), table["size"].max())
        if len(rows):
            log_axis(ax.yaxis, rows[column].min(), rows[column].max())
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0))
        _size_ticks(ax, table)
        ax.set(xlabel=table["along"].iloc[0], ylabel=label)
    return axes


def _fitted_line(ax, sizes, costs, task, colour, style) -> None:
    few = sizes.nunique() < LEAST_SIZES
    ax.plot(sizes, costs, "o", ms=4, color=colour, label=task if few else None)
    if few:
        return
    found = fitted(sizes, costs)
    ends = np.array([sizes.min(), sizes.max()], float)
    said = f"{task}: n^{found.exponent:.2f} ± {found.error:.2f}"
    ax.plot(ends, found.scale * ends**found.exponent, color=colour, ls=style, lw=1.4, label=said)


def _size_ticks(ax, table) -> None:
    """Label as many sizes as there is room for."""
    sizes = table.drop_duplicates("size").sort_values("size")
    every = int(np.ceil(len(sizes) / 5))
    ax.xaxis.set_ticks(sizes["size"].iloc[::every], sizes["size_label"].iloc[::every])


@figure(
    "The time of a load that waits for the load before it, by the size of the working set: links"
    " through cache lines in random order.",
    source="freehint.studies.limits.dependent_load_ns",
)
def load_by_working_set(table: pd.DataFrame, ax=None, marks=None) -> Axes:
    """Time of a dependent load (ns) over the working set, both logarithmic.

    Parameters
    ----------
    table : DataFrame
        nr_bytes, load_ns.
    marks : dict, optional
        Other times to compare, name -> ns; each is a dashed line.
    """
    ax = axes_or_new(ax, height=3.4)
    ax.plot(table["nr_bytes"] / 1024, table["load_ns"], "o-", color=BLUE, ms=4)
    marks = marks or {}
    for name, ns in marks.items():
        ax.axhline(ns, color=GREY, lw=1, ls="--")
        ax.annotate(f"{name}: {ns:.0f} ns", (0.01, ns), (0, 3), textcoords="offset points",
                    xycoords=("axes fraction", "data"), fontsize=SMALL)  # fmt: skip
    values = [*table["load_ns"], *marks.values()]
    log_axis(ax.xaxis, table["nr_bytes"].min() / 1024, table["nr_bytes"].max() / 1024)
    log_axis(ax.yaxis, min(values), max(values))
    ax.set(xlabel="working set (KiB)", ylabel="a dependent load (ns)")
    return ax
