"""Figures of free memory, and of a guest's resident memory, over time."""

import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLUE, GREY, ORANGE, ORDERS, PALE
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import PENS, TICK, axes_or_new, colour_of, legend_above
from freehint.formats.tables import extfrag_index, unusable_free_index
from freehint.units import MIB


@figure(
    "Free memory of a guest over time by the order of its blocks; on top the memory on per-CPU"
    " lists.",
    source="freehint.replay_history",
)
def free_over_time(history: pd.DataFrame, ax=None) -> Axes:
    """Free memory (MiB) by order over time (s), with the pages on pcp lists on top.

    Parameters
    ----------
    history : DataFrame
        The result of :func:`freehint.replay_history`.
    """
    ax = axes_or_new(ax)
    wide = history.pivot_table(index="time_s", columns="order", values="free_pages") * MIB
    orders = zip((range(4), range(4, 9), range(9, 11)), ORDERS.items(), strict=True)
    groups = [(its, colour_of(shade), name) for its, (name, shade) in orders]
    groups.append(([-1], colour_of("pcp"), "pcp lists"))
    ax.stackplot(
        wide.index,
        [wide[list(orders)].sum(axis=1) for orders, _, _ in groups],
        colors=[colour for _, colour, _ in groups],
        labels=[label for _, _, label in groups],
    )
    ax.set(xlabel="time since the first snapshot (s)", ylabel="free memory (MiB)")
    ax.set_xlim(0, wide.index.max())
    legend_above(ax, 4)
    return ax


@figure(
    "Free memory on per-CPU lists over time. Each line is one history, named with its maximum.",
    source="freehint.replay_history, Run.history",
)
def pcp_over_time(histories, ax=None) -> Axes:
    """Free memory on pcp lists (MiB) over time (s) in each history, named beside its line.

    Parameters
    ----------
    histories : dict, or sequence of pairs
        Name -> history, from :func:`freehint.replay_history` or ``Run.history``.
    """
    ax = axes_or_new(ax)
    ends = []
    for (name, history), (colour, style) in zip(dict(histories).items(), PENS):
        rows = history[history["order"] == -1]
        pages = rows["free_pages"] * MIB
        ax.plot(rows["time_s"], pages, color=colour, ls=style)
        ends.append((pages.iloc[-1], f"{name}: up to {pages.max():.0f} MiB", colour, style))
    ax.set(xlabel="time (s)", ylabel="on pcp lists (MiB)")
    ax.margins(x=0)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    _names_beside(ax, ends)
    return ax


def _names_beside(ax, ends) -> None:
    """Write names right of the axes, near the ends of their lines (y, name, pen), but apart."""
    top = ax.get_ylim()[1]
    lowest = 0.0
    for y, name, colour, style in sorted(ends):
        height = max(y / top, lowest)
        lowest = height + 0.13
        beside = {"transform": ax.transAxes, "clip_on": False}
        ax.plot([1.01, 1.06], [height] * 2, color=colour, ls=style, scalex=False, scaley=False,
                **beside)  # fmt: skip
        ax.text(1.07, height, name, va="center", fontsize=TICK, **beside)


@figure(
    "The kernel's two fragmentation indices for requests of one order over time. One is the share"
    " of free memory in blocks that are too small; the other tells whether a failure would be due"
    " to lack of memory (near 0) or to fragmentation (near 1), or is -1 if the request would not"
    " fail.",
    source="freehint.replay_history",
    unitless="y",
)
def fragmentation_over_time(history: pd.DataFrame, ax=None, order=9) -> Axes:
    """The kernel's two fragmentation indices for requests of ``order`` over time (s)."""
    ax = axes_or_new(ax)
    rows = history[history["order"] >= 0]
    wide = rows.pivot_table(index="time_s", columns="order", values="blocks")
    blocks = wide.to_numpy().astype(int)
    unusable = [unusable_free_index(b, order) for b in blocks]
    extfrag = [extfrag_index(b, order) for b in blocks]
    ax.plot(wide.index, unusable, color=BLUE, label="unusable free space index")
    ax.plot(wide.index, extfrag, color=ORANGE, label="extfrag index (-1: would not fail)")
    ax.set(xlabel="time since the first snapshot (s)", ylabel=f"index for order {order}")
    ax.set(ylim=(-1.1, 1.1), xlim=(0, wide.index.max()))
    legend_above(ax, 2)
    return ax


@figure(
    "Free memory over time, per-CPU lists included. Each line is one run.",
    source="Run.history",
)
def free_lines(histories: dict, ax=None) -> Axes:
    """Free memory (MiB, pcp lists included) over time (ms), one line per run."""
    ax = axes_or_new(ax)
    for (name, history), (colour, style) in zip(histories.items(), PENS):
        free = history.groupby("time_s")["free_pages"].sum() * MIB
        ax.plot(free.index * 1e3, free, color=colour, ls=style, label=name)
    ax.set(xlabel="simulated time (ms)", ylabel="free memory (MiB)")
    ax.margins(x=0)
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


@figure(
    "Memory that the host has given to a recorded guest: the resident memory of QEMU over time,"
    " with the phases of the recording.",
    source="a recording of free page reporting: host_rss_KiB",
)
def resident_over_time(rss: pd.DataFrame, ax=None) -> Axes:
    """Resident memory (MiB) of a recorded guest over time (s), with the recording's phases.

    Parameters
    ----------
    rss : DataFrame
        t_s, phase, host_rss_KiB, as in the recordings of free page reporting.
    """
    ax = axes_or_new(ax)
    ax.plot(rss["t_s"], rss["host_rss_KiB"] / 1024, color=BLUE, drawstyle="steps-post")
    lasting = rss.groupby("phase", sort=False).filter(lambda rows: len(rows) > 1)
    for phase, rows in lasting.groupby("phase", sort=False):
        ax.axvline(rows["t_s"].iloc[0], color=PALE, lw=1, zorder=0)
        ax.text(rows["t_s"].iloc[0] + 0.3, 0.98, phase, fontsize=TICK, color=GREY, va="top",
                transform=ax.get_xaxis_transform())  # fmt: skip
    ax.set(xlabel="time since QEMU's start (s)", ylabel="QEMU's resident memory (MiB)")
    ax.set_ylim(0, 1.15 * rss["host_rss_KiB"].max() / 1024)
    ax.margins(x=0)
    return ax
