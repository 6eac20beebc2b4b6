"""Figures of parked guests: what is stranded and why, the wait before, the wait after."""

import pandas as pd
from matplotlib.axes import Axes

from freehint.engine.host.snapshot import CAUSES
from freehint.figures.drawing.palette import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, YELLOW
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    PENS,
    axes_or_new,
    colour_of,
    legend_above,
    legend_beside,
    stacked_rows,
)
from freehint.units import MIB, NS_PER_MS

PUBLISHED = "published_MiB"
# Of CAUSES, in their order.
COLOURS = ("used", "middle", "pcp", "high", "free", "held")
DISCARDED = (
    ("left_MiB", GREEN, "left the host"),
    ("lazy_MiB", YELLOW, "stays until the host is short"),
    ("kept_MiB", ORANGE, "stays: success, and nothing freed"),
    ("refused_MiB", VERMILION, "refused: smaller than a huge page"),
)


@figure(
    "Memory that stays when guests are parked, or that their snapshots store, by cause. Only the"
    " first cause and the page cache are in use; the others are free memory. A black line marks"
    " what was published.",
    source="freehint.studies.parking: six_sandboxes, by_cause",
    unitless="y",
    wide=True,
)
def stranded_by_cause(table: pd.DataFrame, ax=None) -> Axes:
    """Memory of parked guests (MiB) by cause, one bar per row, with published values as lines.

    Parameters
    ----------
    table : DataFrame
        Columns named as the causes, in MiB, and maybe published_MiB; the index names the bars.
    """
    ax = axes_or_new(ax, height=0.42 * len(table) + 1.4)
    colours = [*map(colour_of, COLOURS), YELLOW]
    parts = [
        (table[cause], colour, cause)
        for cause, colour in zip(CAUSES, colours, strict=True)
        if cause in table and table[cause].any()
    ]
    _rows(ax, table.index, parts, "memory (MiB)", max(table.get(PUBLISHED, [0])))
    if PUBLISHED in table:
        for row, published in enumerate(table[PUBLISHED]):
            ax.plot([published] * 2, [row - 0.48, row + 0.48], color=BLACK, lw=2,
                    label=None if row else "as published")  # fmt: skip
    legend_above(ax, 3, x=-0.05)
    return ax


@figure(
    "Resident memory of a guest over time; each line is one run. Parked at a time, a guest would"
    " leave what its line shows there.",
    source="Run.resident",
)
def resident_lines(residents: dict, ax=None) -> Axes:
    """Resident memory (MiB) over time (s), one line per run.

    Parameters
    ----------
    residents : dict
        Name -> ``Run.resident``.
    """
    ax = axes_or_new(ax)
    for (name, table), (colour, dashes) in zip(residents.items(), PENS):
        resident = table["resident_pages"] * MIB
        ax.step(table["time_s"], resident, color=colour, ls=dashes, where="post", label=name)
    ax.set(xlabel="simulated time (s)", ylabel="resident memory (MiB)")
    ax.set_xlim(0, max(table["time_s"].max() for table in residents.values()))
    ax.set_ylim(bottom=0)
    legend_beside(ax)
    return ax


@figure(
    "Time that a guest loses to its restore: before it runs, and later in faults that load chunks"
    " of the snapshot. Each bar is one way to restore.",
    source="Run.parks",
    unitless="y",
)
def time_to_resume(parks: pd.DataFrame, ax=None) -> Axes:
    """Time (ms) that a guest waits before it runs, and in faults afterwards, one bar per row.

    Parameters
    ----------
    parks : DataFrame
        Rows of ``Run.parks``; the index names the bars.
    """
    ax = axes_or_new(ax, height=0.36 * len(parks) + 1.3)
    before = (parks["resume_ns"] - parks["written_ns"]) / NS_PER_MS
    later = parks["fault_ns"] / NS_PER_MS
    parts = [(before, GREY, "before the guest runs"), (later, BLUE, "in faults afterwards")]
    _rows(ax, parks.index, parts, "time lost to the restore (ms)")
    legend_above(ax, 2, x=-0.05)
    return ax


@figure(
    "What became of resident memory that a host was told to take back, by its backend and the"
    " pages that back the guest.",
    source="freehint.studies.parking.given_back",
    unitless="y",
    wide=True,
)
def given_back(table: pd.DataFrame, ax=None) -> Axes:
    """Memory (MiB) that left the host, stays, or was refused, one bar per kind of host.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.studies.parking.given_back`.
    """
    ax = axes_or_new(ax, height=0.34 * len(table) + 1.4)
    parts = [(table[name], colour, label) for name, colour, label in DISCARDED]
    _rows(ax, [", ".join(kind) for kind in table.index], parts, "memory (MiB)")
    legend_above(ax, 2, x=-0.05)
    return ax


def _rows(ax, names, parts, label: str, least=0) -> None:
    """Rows of bars, the first on top, on an axis that shows all of them and at least ``least``."""
    most = max(stacked_rows(ax, [str(name) for name in names], parts).max(), least)
    beyond = 0.5 if len(names) > 1 else 1  # a single bar is not thick
    ax.set(xlabel=label, xlim=(0, 1.04 * most or 1), ylim=(len(names) - 1 + beyond, -beyond))
