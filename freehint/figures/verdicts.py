"""The figure of the verdicts: how far each difference stands out of its own noise."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLUE, GREY, PALE
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import SMALL, axes_or_new
from freehint.sweeps.paired import amount

FARTHEST = 300  # half widths at the ends of the axis
TICKS = (-100, -10, -1, 0, 1, 10, 100)


@figure(
    "Differences found for each dispute, in half widths of their own 95 % intervals over the seeds"
    " (symmetrically logarithmic beyond 1). In the grey band the interval holds 0: no difference is"
    " seen. Numbers are the differences in their units.",
    source="freehint.verdicts",
    unitless="xy",
    wide=True,
)
def verdict_intervals(table: pd.DataFrame, ax=None) -> Axes:
    """Each dispute's difference, in half widths of its interval.

    A grey dot is no difference that is seen, or none that counts.  Each number is the difference
    with its interval.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.verdicts`.
    """
    ax = axes_or_new(ax, width=9.0, height=0.36 * len(table) + 1.0)
    y = np.arange(len(table))
    half = table["half_width"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(table["value"] == 0, 0, table["value"] / half)
    far = np.clip(np.nan_to_num(far), -FARTHEST, FARTHEST)
    sure = ~table["verdict"].str.startswith(("no difference", "undecided")).to_numpy()
    ax.axvspan(-1, 1, color=PALE, zorder=0)
    ax.axvline(0, color=GREY, lw=0.8, zorder=1)
    for dots, colour in ((sure, BLUE), (~sure, GREY)):
        ax.plot(far[dots], y[dots], "o", ms=6, color=colour)
    for row, x, at in zip(table.itertuples(), far, y, strict=True):
        text = amount(row.value, row.half_width, row.unit)
        shift, align = (-8, "right") if x > 0 else (8, "left")
        ax.annotate(
            text, (x, at), (shift, 0), textcoords="offset points", va="center", ha=align,
            fontsize=SMALL,
        )  # fmt: skip
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(-FARTHEST, FARTHEST)
    ax.set_xticks(TICKS, [f"{x:g}" for x in TICKS])
    ax.set_xlabel("difference, in half widths of its 95 % interval")
    ax.set_yticks(y, table["dispute"])
    ax.set_ylim(len(table) - 0.5, -0.5)
    return ax
