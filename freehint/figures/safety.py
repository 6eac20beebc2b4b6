"""The figure of the explorer: which policies lose data with which host."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from freehint.figures.drawing.palette import GREEN, PALE, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import SMALL, axes_or_new
from freehint.safety.verdicts import SAFE, VIOLATED

FACE = 0.35  # opacity, so that the words on a colour can be read


@figure(
    "Verdict of each policy with each host, in the explorer's small guest. Green: every schedule"
    " was searched, and none has a violation. Red: the number of steps of the shortest schedule"
    " found that has one. Grey: not decided.",
    source="make explore",
    unitless="xy",
    wide=True,
)
def explored_cells(table: pd.DataFrame, ax=None) -> Axes:
    """Each policy's verdict with each host: safe, or the steps to a violation.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.safety.exhaust.matrix.table`.
    """
    table = table.assign(
        row=table["policy"] + ", " + table["report"].str.replace("_", " "),
        column=table["generation"]
        + "\n"
        + table["chunk_pages"].astype(str)
        + np.where(table["discard"], "\ndiscards", "\nkeeps"),
    ).sort_values(["discard", "generation", "chunk_pages"], kind="stable")
    rows, columns = table["row"].drop_duplicates().tolist(), table["column"].unique().tolist()
    rows.sort()
    ax = axes_or_new(ax, width=9.0, height=0.36 * len(rows) + 1.2)
    for cell in table.itertuples():
        x, y = columns.index(cell.column), rows.index(cell.row)
        safe, decided = cell.verdict in SAFE, cell.verdict in (*SAFE, VIOLATED)
        colour = GREEN if safe else VERMILION if decided else PALE
        opacity = FACE if decided else 1.0
        place = (x - 0.48, y - 0.46)
        ax.add_patch(Rectangle(place, 0.96, 0.92, facecolor=colour, alpha=opacity, lw=0))
        words = "safe" if safe else f"{cell.length} steps" if decided else "open"
        ax.text(x, y, words, ha="center", va="center", fontsize=SMALL)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel("generation of the dirty log, pages of a chunk, what the host does with a hint")
    ax.grid(visible=False)
    return ax
