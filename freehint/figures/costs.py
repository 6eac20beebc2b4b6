"""Figures of costs: assumed ones halved and doubled, and whom clearing could be saved."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from freehint.figures.drawing.palette import BLUE, GREEN, GREY, ORANGE, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    SMALL,
    axes_or_new,
    colour_of,
    every,
    legend_above,
    new_figure,
)
from freehint.studies.costs.tornado import COLUMN, VERDICT

SHOWN, LEAST = 5, 3  # costs in a panel: the most, and room for at least so many
PANELS = 3  # in a row
# Words for an outcome.
WORDS = {
    "coverage": "coverage",
    "lock_held_p99_ns": "lock held p99",
    "lock_held_max_ns": "lock held max",
    "alloc_wait_sum_ns": "allocations' waits",
    "alloc_wait_max_ns": "longest wait",
    "stale_pages": "stale pages",
    "survival": "survival",
    "allocations": "allocations",
    "total_ns": "migration time",
    "sent_bytes": "bytes sent",
    "fault_ns": "time in faults",
    "stall_ns": "stalls in reclaim",
    "jobs_ns": "time of the jobs",
}
FACE = 0.35  # opacity, so that the words on a colour can be read


def _panels(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """(outcome, subject, rows), each outcome once, from the first case that has it."""
    columns = table[table["kind"] == COLUMN]
    first = columns.drop_duplicates("outcome")[["outcome", "subject"]]
    rows = {tuple(one): found for one, found in columns.groupby(["outcome", "subject"])}
    return [(*one, rows[one]) for one in first.itertuples(index=False, name=None)]


@figure(
    "What halving (blue) and doubling (red) one assumed cost changes in each outcome, in % of its"
    " mean with the assumed costs; the costs that move it most, from the top. Lines are 95 %"
    " intervals over paired seeds. The case of each panel is named below its title.",
    source="make tornado",
    unitless="y",
    wide=True,
)
def tornado(table: pd.DataFrame, axes=None):
    """What halving and doubling each assumed cost changes in the summary's main columns.

    Parameters
    ----------
    table : DataFrame
        As :func:`freehint.studies.costs.tornado.tornado` returns it.
    axes : array of Axes, optional
        At least one more than there are outcomes in the table.
    """
    panels = _panels(table)
    rows = len(panels) // PANELS + 1  # with room for the legend
    if axes is None:
        axes = new_figure(12, 2.3 * rows, rows, PANELS)[1]
    axes = every(axes)
    for ax, (outcome, subject, found) in zip(axes, panels):
        _panel(ax, found)
        ax.set_title(f"{WORDS.get(outcome, outcome)}\n{subject}", fontsize=SMALL + 1)
    for ax in axes[len(panels) :]:
        ax.axis("off")
    handles = {}
    for ax in axes[: len(panels)]:
        handles |= dict(zip(*ax.get_legend_handles_labels()[::-1]))
    axes[-1].legend(handles.values(), handles, loc="center")
    return axes


def _panel(ax: Axes, found: pd.DataFrame) -> None:
    """The bars of one outcome."""
    base = found["against"].abs().where(found["against"] != 0)
    share = (100 * found[["difference", "half_width"]].div(base, axis=0)).fillna(0)
    found = found.assign(change=share["difference"], half=share["half_width"])
    seen = found[found["changed"]]
    swing = seen.groupby("knob")["change"].agg(lambda change: change.abs().max())
    knobs = swing[swing > 0].nlargest(SHOWN).index.tolist()
    for factor, rows in found[found["knob"].isin(knobs)].groupby("factor"):
        y = rows["knob"].map(knobs.index) + (-0.19 if factor < 1 else 0.19)
        colour, label = (BLUE, "halved") if factor < 1 else (VERMILION, "doubled")
        ax.barh(y, rows["change"], height=0.36, color=colour, alpha=0.75, label=label)
        ax.errorbar(rows["change"], y, xerr=rows["half"], fmt="none", ecolor=GREY, lw=1.2)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.set_yticks(range(len(knobs)), [knob.rpartition(".")[2] for knob in knobs])
    ax.set_ylim(max(len(knobs), LEAST) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.set_xlabel("change (%)")
    if not knobs:
        ax.set_xlim(-1, 1)
        ax.text(0, 1, "no change seen", ha="center", va="center", fontsize=SMALL)


@figure(
    "Which verdicts of fh.verdicts() keep their words when one assumed cost is halved or doubled."
    " Green: both. Orange: the words change when it is halved (½) or doubled (2). Empty: the cost"
    " does not enter.",
    source="make tornado",
    unitless="xy",
    wide=True,
)
def verdicts_under_costs(table: pd.DataFrame, ax=None) -> Axes:
    """Which verdicts survive halving and doubling of each assumed cost.

    Parameters
    ----------
    table : DataFrame
        As :func:`freehint.studies.costs.tornado.tornado` returns it.
    """
    table = table[table["kind"] == VERDICT]
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("subject", "knob"))
    ax = axes_or_new(ax, width=9.0, height=0.36 * len(rows) + 1.6)
    for (subject, knob), both in table.groupby(["subject", "knob"]):
        x, y = columns.index(knob), rows.index(subject)
        lost = both[both["changed"]]["factor"].tolist()
        colour = ORANGE if lost else GREEN
        place = (x - 0.46, y - 0.44)
        ax.add_patch(Rectangle(place, 0.92, 0.88, facecolor=colour, alpha=FACE, lw=0))
        words = ", ".join("½" if factor < 1 else "2" for factor in lost)
        ax.text(x, y, words, ha="center", va="center", fontsize=SMALL)
    names = [name.rpartition(".")[2] for name in columns]
    ax.set_xticks(np.arange(len(columns)), names, rotation=90)
    ax.set_yticks(np.arange(len(rows)), rows)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False)
    return ax


@figure(
    "Share of a program's allocations that land on memory of which the guest knows that the host"
    " has zeroed it, by the way it is reported. Full dots: both halves of a split keep the mark;"
    " rings: a split takes it away, as it takes the Reported flag up to Linux 7.3. Lines are 95 %"
    " intervals over the seeds.",
    source="freehint.studies.costs.zeroing.churning",
    unitless="y",
    wide=True,
)
def zeroed_shares(table: pd.DataFrame, ax=None) -> Axes:
    """The share (%) of allocations that are known to be zeroed, by way and size of pages.

    Parameters
    ----------
    table : DataFrame
        As :func:`freehint.studies.costs.zeroing.told` returns it.
    """
    ways = list(dict.fromkeys(table.index.get_level_values("way")))
    ax = axes_or_new(ax, width=9.0, height=0.3 * len(ways) + 1.2)
    for (pages, rows), colour, shift in zip(
        table.groupby("pages", sort=False), (BLUE, VERMILION), (-0.14, 0.14), strict=False
    ):
        y = np.array([ways.index(way) for way in rows.index.get_level_values("way")]) + shift
        for rule, face in (("block", colour), ("first", colour_of("paper"))):
            share, half = 100 * rows[rule], 100 * rows[f"{rule}_half_width"]
            label = f"{pages}" if rule == "block" else f"{pages}, splits forget"
            ax.errorbar(
                share, y, xerr=half, fmt="o", ms=5, color=colour, mfc=face, lw=1.2, label=label
            )
    ax.set_xlim(left=-0.5)
    ax.set_xlabel("allocations of known zeroed memory (%)")
    ax.set_yticks(range(len(ways)), ways)
    ax.set_ylim(len(ways) - 0.5, -0.5)
    legend_above(ax, 4)
    return ax
