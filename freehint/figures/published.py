"""The figure of published numbers: how near the model comes to each."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import GREEN, GREY, ORANGE, PALE, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import axes_or_new
from freehint.studies.verify.verify import FITTED, HALF_DECADE, MISSED, RIGHT, WITHIN

MARKS = {WITHIN: (GREEN, "o"), RIGHT: (ORANGE, "s"), MISSED: (VERMILION, "X"), FITTED: (GREY, "D")}
FARTHEST = 10  # times, at the ends of the axis
TICKS = (0.1, 0.3, 0.5, 1, 2, 3, 10)


@figure(
    "Prediction / published value of every row, by source. Green circles: within the row's"
    " tolerance (grey band: 15 %). Orange squares: sign and order right. Red crosses: missed; at"
    " the left edge also where a change goes the other way. Grey diamonds: fitted, not judged.",
    source="make verify",
    unitless="y",
    wide=True,
)
def published_beside(table: pd.DataFrame, ax=None) -> Axes:
    """Every predicted row of :func:`freehint.verify`, as a multiple of what was published.

    Parameters
    ----------
    table : DataFrame
        As :func:`freehint.verify` returns it.
    """
    table = table[table["verdict"].isin(MARKS)]
    files = list(dict.fromkeys(table["file"]))
    ax = axes_or_new(ax, width=9.0, height=0.5 * len(files) + 1.6)
    ax.axvspan(0.85, 1.15, color=PALE, zorder=0)
    ax.axvline(1, color=GREY, lw=0.8, zorder=1)
    place = table.groupby("file").cumcount() / table.groupby("file")["id"].transform("size")
    y = table["file"].map(files.index) + 0.7 * (place - 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = (table["predicted"] / table["published"]).fillna(1)  # 0 predicted, 0 published
    times = times.clip(1 / FARTHEST, FARTHEST)
    for verdict, (colour, mark) in MARKS.items():
        rows = table["verdict"] == verdict
        label = f"{verdict} ({rows.sum()})"
        ax.plot(times[rows], y[rows], mark, ms=6, color=colour, label=label, zorder=2)
    for edge in (1 / HALF_DECADE, HALF_DECADE):
        ax.axvline(edge, color=GREY, lw=0.8, ls=":", zorder=1)
    ax.set_xscale("log")
    ax.set_xlim(0.9 / FARTHEST, 1.1 * FARTHEST)
    ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    ax.minorticks_off()
    ax.set_xlabel("prediction / published value (1)")
    ax.set_yticks(range(len(files)), [name.removesuffix(".toml") for name in files])
    ax.set_ylim(len(files) - 0.5, -0.5)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=4)
    return ax
