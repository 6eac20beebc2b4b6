"""Figures of hints: what became of them, policies side by side, hints over time."""

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    ORDERS,
    PURPLE,
    SKY,
)
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    PENS,
    axes_or_new,
    colour_of,
    legend_above,
    log_axis,
    new_figure,
    stacked_rows,
)
from freehint.units import MIB, NS_PER_MS

BALANCE = (
    ("hint held", "hinted"),
    ("reused by the guest", "reused"),
    ("hinted twice", "twice"),
    ("lost: ring full", "lost"),
)


def balance(summary) -> dict:
    """What became of the pages that one run offered, {name: MiB}; the parts add up to offered."""
    first = summary["hinted_pages"] - summary["duplicate_pages"]
    parts = (
        first - summary["reused_pages"],
        summary["reused_pages"],
        summary["duplicate_pages"],
        summary["lost_pages"],
    )
    return {name: part * MIB for (name, _), part in zip(BALANCE, parts, strict=True)}


@figure(
    "What became of the memory that a policy offered to the host: hints that held, pages that the"
    " guest reused, pages hinted twice, and pages lost to a full ring. Each bar is one run.",
    source="freehint.summaries",
    unitless="y",
)
def hint_balance(table: pd.DataFrame, ax=None) -> Axes:
    """What became of the memory (MiB) that each run offered to the host.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run (:func:`freehint.summaries`).
    """
    ax = axes_or_new(ax, height=0.5 * len(table) + 1.2)
    names = table["policy"].astype(str)
    if table["policy"].duplicated().any():
        names = names + " #" + table["seed"].astype(str)
    parts = pd.DataFrame([balance(row) for _, row in table.iterrows()])
    bars = [(parts[name], colour_of(meaning), name) for name, meaning in BALANCE]
    stacked_rows(ax, list(names), bars)
    ax.invert_yaxis()
    ax.set(xlabel="memory offered (MiB)")
    legend_above(ax, 4, x=-0.05)
    return ax


COMPARED = (
    ("coverage", "coverage (%)", 100, False),
    ("survival", "survival (%)", 100, False),
    ("walk_ns", "walk (ms)", 1e-6, False),
    ("lock_held_max_ns", "longest lock\nhold (µs)", 1e-3, True),
    ("alloc_wait_max_ns", "longest allocation\nwait (µs)", 1e-3, True),
)


@figure(
    "Policies side by side, one panel per measure: a dot for each seed and a bar at their median."
    " Lock hold and allocation wait are logarithmic.",
    source="freehint.summaries",
    unitless="y",
    wide=True,
)
def compare_policies(table: pd.DataFrame, axes=None):
    """Policies side by side in five measures, with a dot per seed and a bar at the median.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run.
    axes : sequence of 5 Axes, optional
    """
    policies = list(dict.fromkeys(table["policy"]))
    if axes is None:
        axes = new_figure(11, 0.3 * len(policies) + 1.2, columns=len(COMPARED), sharey=True)[1]
    for ax, (name, label, factor, logarithmic) in zip(axes, COMPARED, strict=True):
        values = table[name].astype(float).where(lambda v: v >= 0) * factor
        for y, policy in enumerate(policies):
            own = values[table["policy"] == policy].dropna()
            if len(own):
                ax.plot([own.median()] * 2, [y - 0.3, y + 0.3], color=BLUE, lw=3)
                ax.scatter(own, [y] * len(own), color=BLACK, s=12, zorder=3)
        ax.set_yticks(range(len(policies)), policies)
        ax.set_xlabel(label)
        ax.grid(axis="y")
        positive = values[values > 0]
        if logarithmic and len(positive):
            log_axis(ax.xaxis, positive.min(), positive.max())
        else:
            ax.set_xlim(0, 105 if factor == 100 else None)
    axes[0].set_ylim(len(policies) - 0.4, -0.6)
    return axes


ORDER_GROUPS = (("order 9 and 10", 9, 10), ("order 4 to 8", 4, 8), ("order 0 to 3", 0, 3))


@figure(
    "Memory reported to the host over time, by the order of the blocks reported. Each page counts"
    " once.",
    source="Run.reports",
)
def hints_over_time(reports: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """Memory reported to the host (MiB, each page once) since the first report (ms)."""
    ax = axes_or_new(ax)
    told = reports[reports["taken"] & ~reports["duplicate"]]
    begin = reports["time_ns"].min() if len(reports) else 0
    span = span_ns or (reports["time_ns"].max() - begin if len(reports) else NS_PER_MS)
    times = np.linspace(0, span, 300)
    heights = []
    for _, low, high in ORDER_GROUPS:
        rows = told[told["order"].between(low, high)]
        sums = np.concatenate([[0], rows["nr_pages"].cumsum() * MIB])
        heights.append(sums[np.searchsorted(rows["time_ns"] - begin, times, side="right")])
    labels = [name for name, *_ in ORDER_GROUPS]
    colours = [colour_of(ORDERS[name]) for name in labels]
    ax.stackplot(times / NS_PER_MS, heights, colors=colours, labels=labels)
    ax.set(xlabel="time since the first report (ms)", ylabel="told to the host (MiB)")
    ax.set_xlim(0, span / NS_PER_MS)
    ax.set_ylim(0, 1.05 * max(1, np.sum(heights, axis=0).max()))
    legend_above(ax, 3, x=1)
    return ax


@figure(
    "Memory reported to the host over time, one line per run. Each page counts once: a repeated"
    " report does not raise the line.",
    source="Run.reports",
)
def told_over_time(reports_of: dict, ax=None, span_ns=None) -> Axes:
    """Memory reported to the host (MiB, each page once) over time (ms), one line per run."""
    ax = axes_or_new(ax)
    for (name, reports), (colour, style) in zip(reports_of.items(), PENS):
        rows = reports[reports["taken"] & ~reports["duplicate"]]
        times = (rows["time_ns"] - reports["time_ns"].min()) / NS_PER_MS
        sums = rows["nr_pages"].cumsum() * MIB
        if len(rows):  # A walk that tells nothing new goes on up to its last report.
            times = [*times, (reports["time_ns"].max() - reports["time_ns"].min()) / NS_PER_MS]
            sums = [*sums, sums.iloc[-1]]
        ax.step(times, sums, where="post", color=colour, ls=style, label=name)
    ax.set(xlabel="time since the first report (ms)", ylabel="told to the host (MiB)")
    ax.set_xlim(0, span_ns / NS_PER_MS if span_ns else None)
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


# How a row of fh.counterfactual came about, and its line.
RUNS = {"recorded": "-", "predicted exactly": "--", "simulated": ":"}


@figure(
    "Share of the hinted memory that the guest had taken again, over the memory that it had used"
    " since the hint. Each colour is a policy; a full line was recorded in a real kernel, a dashed"
    " one was predicted for the same demand.",
    source="freehint.counterfactual",
)
def reuse_by_volume(table: pd.DataFrame, ax=None) -> Axes:
    """Hinted memory that was used again (%), over the memory used since the hint (MiB).

    Parameters
    ----------
    table : DataFrame
        Rows of :func:`freehint.counterfactual`.
    """
    ax = axes_or_new(ax)
    columns = [name for name in table if re.fullmatch("reused_[0-9]+MiB", name)]
    volumes = [int(name.removeprefix("reused_").removesuffix("MiB")) for name in columns]
    # By name, so that a policy has the same colour in every panel.
    colours = dict(zip(sorted(set(table["policy"])), (BLUE, ORANGE, GREEN, PURPLE, SKY)))
    for _, row in table.iterrows():
        shares = row[columns].to_numpy(float) * 100
        ax.plot(volumes, shares, RUNS[row["run"]], marker="o", ms=4, color=colours[row["policy"]])
    for name, colour in colours.items():
        ax.plot([], [], "o", ms=6, color=colour, label=name)
    for run in dict.fromkeys(table["run"]):
        ax.plot([], [], RUNS[run], color=GREY, label=run)
    ax.set(xlabel="memory used since the hint (MiB)", ylabel="hinted memory used again (%)")
    ax.set(xlim=(0, 1.05 * max(volumes)), ylim=(-3, 103))
    legend_above(ax, 4, x=1)
    return ax
