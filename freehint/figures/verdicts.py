"""Figures of what was judged: the verdicts, each beside its noise, and the decision chart."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from freehint.figures.drawing.palette import (
    BLUE,
    GREEN,
    GREY,
    PALE,
    policy_colour,
    policy_mark,
)
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import SMALL, axes_or_new
from freehint.studies.chart.study import NO_DIFFERENCE, NOT_KNOWN, OR
from freehint.sweeps.paired import amount

FARTHEST = 300  # half widths at the ends of the axis
TICKS = (-100, -10, -1, 0, 1, 10, 100)
IN_A_ROW = 5  # marks in a cell


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


@figure(
    "What the best policy saves of the column that the operator of each kind of host looks at, for"
    " each kind of guest, in % of its mean without hints (darker: more). Marks: the policies that"
    " nothing tells apart from the best one, by paired seeds. =: no difference measured. ?: not"
    " known.",
    source="make chart",
    unitless="xy",
    wide=True,
)
def decision_chart(table: pd.DataFrame, ax=None) -> Axes:
    """What to choose for each kind of guest (columns) and of host (rows).

    Parameters
    ----------
    table : DataFrame
        As :func:`freehint.studies.chart.chart.evidence` returns it.
    """
    table = table[table["knob"] == "policy"]
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("host", "workload"))
    ax = axes_or_new(ax, width=9.0, height=0.5 * len(rows) + 2.0)
    seen = []
    for cell in table.itertuples():
        chosen = cell.choice.split(OR) if cell.choice not in (NO_DIFFERENCE, NOT_KNOWN) else []
        seen += [name for name in chosen if name not in seen]
        _cell(ax, columns.index(cell.workload), rows.index(cell.host), cell, chosen)
    ax.set_xticks(range(len(columns)), [_folded(name) for name in columns])
    ax.set_yticks(range(len(rows)), [_folded(name) for name in rows])
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False)
    marks = [
        Line2D([], [], ls="", marker=policy_mark(one), color=policy_colour(one), label=one)
        for one in seen
    ]
    ax.legend(handles=marks, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return ax


def _folded(name: str) -> str:
    """A name on two lines, broken where they are most alike in length."""
    words = name.split()
    cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return "\n".join(min(cuts, key=lambda cut: max(map(len, cut)))) if cuts else name


def _cell(ax: Axes, x: int, y: int, cell, chosen: list[str]) -> None:
    """One cell: what is saved, and the marks of the policies that save it."""
    saved = 1 - cell.best_value / cell.without if chosen else 0.0
    colour, opacity = (GREEN, 0.1 + 0.4 * saved) if chosen else (PALE, 0.5)
    place = (x - 0.48, y - 0.46)
    ax.add_patch(Rectangle(place, 0.96, 0.92, facecolor=colour, alpha=opacity, lw=0))
    if not chosen:
        ax.text(x, y, "?" if cell.choice == NOT_KNOWN else "=", ha="center", va="center")
        return
    ax.text(x, y - 0.24, f"{100 * saved:.0f} %", ha="center", va="center", fontsize=SMALL)
    for at, name in enumerate(chosen):
        line, place = divmod(at, IN_A_ROW)
        in_line = min(IN_A_ROW, len(chosen) - line * IN_A_ROW)
        ax.plot(
            x + 0.17 * (place - (in_line - 1) / 2),
            y + 0.07 + 0.24 * line,
            marker=policy_mark(name),
            color=policy_colour(name),
            ms=4,
            ls="",
        )
