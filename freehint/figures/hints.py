"""What became of hints, and policies side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.registry import figure
from freehint.figures.style import MIB, axes_or_new, legend_above, log_axis, new_figure
from freehint.palette import BLACK, BLUE, GREEN, ORANGE, VERMILION, YELLOW

BALANCE = (
    ("hint held", GREEN),
    ("reused by the guest", ORANGE),
    ("hinted twice", YELLOW),
    ("lost: ring full", VERMILION),
)


def balance(summary) -> dict:
    """Offered pages (MiB) of one run by what became of them; the parts add up to offered."""
    first = summary["hinted_pages"] - summary["duplicate_pages"]
    parts = (
        first - summary["reused_pages"],
        summary["reused_pages"],
        summary["duplicate_pages"],
        summary["lost_pages"],
    )
    return {name: part * MIB for (name, _), part in zip(BALANCE, parts, strict=True)}


@figure(
    "What became of the memory that a policy offered to the host, a bar a run: hints that held,"
    " pages that the guest reused, pages hinted twice, and pages lost to a full ring.",
    source="freehint.summaries",
    unitless="y",
)
def hint_balance(table: pd.DataFrame, ax=None) -> Axes:
    """What became of the memory that was offered (MiB), a bar a run.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run (:func:`freehint.summaries`).
    """
    ax = axes_or_new(ax, height=0.5 * len(table) + 1.2)
    names = table["policy"].astype(str)
    if table["policy"].duplicated().any():
        names = names + " #" + table["seed"].astype(str)
    left = np.zeros(len(table))
    parts = pd.DataFrame([balance(row) for _, row in table.iterrows()])
    for name, colour in BALANCE:
        ax.barh(names, parts[name], left=left, color=colour, label=name)
        left += parts[name].to_numpy()
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
    "Policies side by side, a panel a measure: a dot for each seed and a stroke at their median."
    " Lock hold and allocation wait are logarithmic.",
    source="freehint.summaries",
    unitless="y",
    wide=True,
)
def compare_policies(table: pd.DataFrame, axes=None):
    """Policies side by side: a panel a measure, a dot a seed, a stroke at their median.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run.
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
