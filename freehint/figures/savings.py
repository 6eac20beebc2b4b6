"""Figures of tables of migrations: the savings of hints, and predictions beside measurements."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    VERMILION,
    policy_colour,
)
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    SMALL,
    Picture,
    axes_or_new,
    every,
    legend_above,
    legend_beside,
    log_axis,
    new_figure,
)
from freehint.policies import BASELINE

STATE_COLOURS = {"idle": GREY, "freed": GREEN, "dirty": ORANGE, "churn": VERMILION, "frag": BLUE}


@figure(
    "What hints save in a migration, compared with the same guest without hints: a group of bars"
    " for each level of one knob, and in it a bar for each policy. Below 0, hints cost.",
    source="freehint.studies.migrations.savings",
    unitless="x",
)
def effect(table: pd.DataFrame, ax=None, column="saved_bytes") -> Axes:
    """What hints save at each level of one knob, with one bar per policy.

    There is a legend only if ``ax`` is None; :func:`effects` has one legend for all panels.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.studies.migrations.savings`.
    column : "saved_bytes" (%) or "saved_s" (s)
    """
    alone = ax is None
    ax = axes_or_new(ax, width=4.5)
    levels, policies = (list(dict.fromkeys(table[name])) for name in ("level", "policy"))
    width = 0.8 / len(policies)
    for i, policy in enumerate(policies):
        rows = table[table["policy"] == policy].set_index("level").loc[levels]
        x = np.arange(len(levels)) + (i - (len(policies) - 1) / 2) * width
        bars = ax.bar(x, rows[column], width, color=policy_colour(policy), label=policy)
        ax.bar_label(bars, fmt="{:.0f}" if column == "saved_bytes" else "{:.1f}", fontsize=SMALL)
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_xticks(range(len(levels)), levels)
    if column == "saved_bytes":
        ax.set(ylabel="bytes saved (%)", ylim=(min(-8, 1.7 * table[column].min()), 109))
    else:
        ax.set(ylabel="time saved (s)", ylim=_around(table[column]))
    if alone:
        legend_above(ax, len(policies))
    return ax


def _around(seconds) -> tuple:
    """Axis limits that leave room for a number at the end of each bar, also below 0."""
    low, high = min(0, seconds.min()), max(0, seconds.max())
    room = 0.15 * max(high - low, 0.1)
    return low - room * (low < 0), high + room


@figure(
    "What hints save in a migration, compared with the same guest without hints. Each panel is one"
    " knob, each group of bars one of its levels, each bar one policy. Below 0, hints cost.",
    source="freehint.studies.migrations.savings",
    unitless="x",
    wide=True,
)
def effects(panels: dict, axes=None):
    """What hints save, with one panel per knob, drawn by :func:`effect`, and then the legend.

    Parameters
    ----------
    panels : dict
        Title -> (table, column), as for :func:`effect`.
    axes : array of Axes, optional
        There must be at least one more than there are panels.
    """
    if axes is None:
        axes = new_figure(12, 3 * (len(panels) // 3 + 1), len(panels) // 3 + 1, 3)[1]
    axes = every(axes)
    for (title, (table, column)), ax in zip(panels.items(), axes):
        effect(table, ax, column).set_title(title)
    for ax in axes[len(panels) :]:
        ax.axis("off")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center")
    return axes


@figure(
    "One measure of each policy: a bar at the mean over the seeds, and a dot for each seed. The"
    " dashed line, if any, is the value before the migration or without hints.",
    source="freehint.summaries, freehint.studies.migrations.after_the_migration",
    unitless="y",
)
def per_policy(table: pd.DataFrame, column: str, ax=None, label="", mark=None) -> Axes:
    """One measure of each policy: a bar at the mean, and a dot for each seed.

    Parameters
    ----------
    table : DataFrame
        policy and ``column``; one row per run.
    label : str
        Name and unit of the measure.
    mark : float, optional
        The place of a dashed line: the value before the migration, or without hints.
    """
    policies = list(dict.fromkeys(table["policy"]))
    ax = axes_or_new(ax, height=0.3 * len(policies) + 1.0)
    means = table.groupby("policy", sort=False)[column].apply(
        lambda rows: rows.astype(float).mean()
    )
    colours = [GREY if policy == BASELINE.name else GREEN for policy in policies]
    ax.barh(policies, means[policies], color=colours, height=0.7)
    at = [policies.index(policy) for policy in table["policy"]]
    ax.scatter(table[column].astype(float), at, color=BLACK, s=10, zorder=3)
    if mark is not None:
        ax.axvline(mark, color=BLACK, lw=1, ls="--")
    ax.set_ylim(len(policies) - 0.4, -0.6)
    ax.set(xlabel=label or column)
    return ax


@figure(
    "Recorded migrations of QEMU: measured values on the x axis, predicted values on the y axis,"
    " both logarithmic. With hints the symbols are filled; the grey band is 10 % to either side.",
    source="freehint.validate_migration",
)
def predicted_beside_measured(table: pd.DataFrame, counter: str, ax=None, unit=1.0, label=""):
    """Measured (x) and predicted (y) values of recorded migrations, both logarithmic.

    With hints the symbols are filled; the grey band is 10 % to either side.  There is a legend
    only if ``ax`` is None.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.validate_migration`.
    counter : str
        "transferred_B", "total_time_ms", ..
    unit : float
        The unit of the axes, in units of the counter.
    label : str
        Name and unit on the axes.
    """
    alone = ax is None
    ax = axes_or_new(ax, width=6.0, height=4.2)
    both = table[[f"measured_{counter}", f"predicted_{counter}"]].astype(float) / unit
    ends = np.array([both.min().min() / 1.3, both.max().max() * 1.3])
    ax.fill_between(ends, ends / 1.1, ends * 1.1, color=PALE, lw=0, zorder=0)
    ax.plot(ends, ends, color=GREY, lw=1, zorder=1)
    for state, colour in STATE_COLOURS.items():
        for hint, face in (("off", "none"), ("on", colour)):
            rows = both[(table["state"] == state) & (table["hint"] == hint)]
            name = f"{state}, hints {hint}" if len(rows) else None
            ax.scatter(*rows.to_numpy().T, s=34, facecolors=face, edgecolors=colour, lw=1.3,
                       label=name, zorder=2)  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis, *ends)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.set(xlabel=f"measured {label or counter}", ylabel=f"predicted {label or counter}")
    if alone:
        legend_beside(ax)
    return ax


def bytes_and_times(table: pd.DataFrame, bw_MBps=50) -> Picture:
    """Predicted over measured: bytes of every migration, and times at one bandwidth.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.validate_migration`.
    """
    figure, axes = new_figure(width=11.5, height=4.6, columns=2)
    predicted_beside_measured(table, "transferred_B", axes[0], 1e6, "bytes (MB)")
    at_one = table[table["bw_MBps"] == bw_MBps]
    label = f"time at {bw_MBps} MB/s (s)"
    predicted_beside_measured(at_one, "total_time_ms", axes[1], 1e3, label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def measures(table: pd.DataFrame, labels: dict, marks: dict) -> Picture:
    """Several measures of each policy side by side, each drawn by :func:`per_policy`.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.studies.migrations.afterwards`.
    labels : dict
        Column -> name and unit.
    marks : dict
        Column -> place of a dashed line.
    """
    figure, axes = new_figure(width=12, height=3.4, columns=len(labels), sharey=True)
    for (column, label), ax in zip(labels.items(), every(axes), strict=True):
        per_policy(table, column, ax, label, mark=marks.get(column))
    return figure
