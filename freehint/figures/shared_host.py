"""Figures of guests that share a host: their resident memory, swap traffic and lost time."""

import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    policy_colour,
    policy_mark,
)
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    axes_or_new,
    every,
    legend_above,
    new_figure,
    stacked_rows,
)
from freehint.units import MIB, NS_PER_S

GUEST_COLOURS = (SKY, GREEN, ORANGE, PURPLE, YELLOW, BLUE)
TIME_LOST = (
    ("swap_in_ns", VERMILION, "waiting for swap"),
    ("reclaim_ns", ORANGE, "direct reclaim"),
    ("minor_fault_ns", SKY, "first touches, cleared by the host"),
)


@figure(
    "Each guest's resident memory over time, stacked above zero, and its memory in swap, stacked"
    " below zero. The dashed line is the memory of the host.",
    source="Overcommit.guests",
)
def guests_resident(guests: pd.DataFrame, ax=None, host_mib=None) -> Axes:
    """Each guest's resident memory, and below zero its memory in swap (MiB), over time (s).

    There is a legend only if ``ax`` is None; :func:`residents` has one legend for all panels.

    Parameters
    ----------
    guests : DataFrame
        ``Overcommit.guests``.
    host_mib : float, optional
        The host's memory, for a dashed line.
    """
    alone = ax is None
    ax = axes_or_new(ax, height=3.0)
    for column, sign, alpha in (("resident_pages", 1, 1.0), ("swapped_pages", -1, 0.45)):
        wide = guests.pivot_table(index="time_s", columns="guest", values=column, sort=False)
        wide = wide.sort_index().fillna(0) * MIB
        names = wide.columns if sign > 0 else [None] * len(wide.columns)
        ax.stackplot(wide.index, sign * wide.to_numpy().T, labels=names, alpha=alpha, lw=0,
                     colors=GUEST_COLOURS[: len(wide.columns)])  # fmt: skip
    ax.axhline(0, color=BLACK, lw=0.8)
    if host_mib is not None:
        ax.axhline(host_mib, color=BLACK, lw=1, ls="--")
    ax.yaxis.set_major_formatter(lambda mib, _: f"{abs(mib):,.0f}")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="time (s)", ylabel="in swap | resident (MiB)", xlim=(0, guests["time_s"].max()))
    if alone:
        legend_above(ax, 6)
    return ax


@figure(
    "Each guest's resident memory over time, stacked above zero, and its memory in swap, stacked"
    " below zero; each panel is one run. The dashed line is the memory of the host.",
    source="Overcommit.guests",
    wide=True,
)
def residents(results: dict, axes=None, host_mib=None):
    """Each guest's memory, with one panel per run, drawn by :func:`guests_resident`.

    Parameters
    ----------
    results : dict
        Title -> Overcommit.
    axes : sequence of Axes, optional
        One per result; they share their y axis.
    host_mib : float, optional
        The host's memory, for a dashed line.
    """
    if axes is None:
        axes = new_figure(12, 3.6, columns=len(results), sharey=True)[1]
    axes = every(axes)
    for (title, result), ax in zip(results.items(), axes, strict=True):
        guests_resident(result.guests, ax, host_mib).set_title(title)
        ax.label_outer()
    legend = axes[0].get_legend_handles_labels()
    axes[0].get_figure().legend(*legend, loc="outside upper right", ncols=6)
    return axes


@figure(
    "Memory that the host has written to swap (dashed) and read back (solid) since the beginning,"
    " by the policy of the guests.",
    source="Overcommit.host",
)
def swap_traffic(host_of: dict, ax=None) -> Axes:
    """Memory (MiB) written to swap (dashed) and read back (solid) over time (s), by policy.

    Parameters
    ----------
    host_of : dict
        Policy -> ``Overcommit.host``.
    """
    ax = axes_or_new(ax, height=3.0)
    for policy, host in host_of.items():
        colour = policy_colour(policy)
        ax.plot(host["time_s"], host["swap_outs"] * MIB, color=colour, ls="--")
        ax.plot(host["time_s"], host["swap_ins"] * MIB, color=colour, label=policy)
    ax.plot([], [], color=BLACK, lw=1.5, ls="--", label="written to swap")
    ax.plot([], [], color=BLACK, lw=1.5, label="read back")
    ax.set(xlabel="time (s)", ylabel="swap traffic (MiB)", ylim=(0, None))
    ax.set_xlim(0, max(host["time_s"].max() for host in host_of.values()))
    ax.legend(loc="upper left")
    return ax


@figure(
    "CPU time that all guests together lost to the shortage of memory and to giving memory back,"
    " by the policy of the guests.",
    source="Overcommit.summary",
    unitless="y",
)
def time_lost(summary_of: dict, ax=None) -> Axes:
    """CPU time (s) that guests lost to the shortage of memory and to giving memory back.

    Parameters
    ----------
    summary_of : dict
        Policy -> ``Overcommit.summary``.
    """
    ax = axes_or_new(ax, height=0.4 * len(summary_of) + 1.3)
    seconds = [
        ([s[name].sum() / NS_PER_S for s in summary_of.values()], colour, label)
        for name, colour, label in TIME_LOST
    ]
    stacked_rows(ax, list(summary_of), seconds, height=0.7)
    ax.set_ylim(len(summary_of) - 0.4, -0.6)
    ax.set(xlabel="time of the guests' CPUs (s)")
    legend_above(ax, 3, x=-0.05)
    return ax


@figure(
    "How many times slower guests run than alone on the host, by the number of guests that share"
    " it. Each line is one policy, at the mean of the guests.",
    source="Overcommit.summary",
    unitless="x",
)
def slowdown_by_guests(table: pd.DataFrame, ax=None) -> Axes:
    """How many times slower guests run than alone, by their number and policy.

    Parameters
    ----------
    table : DataFrame
        policy, guests (their number), slowdown; one row per guest or per run.
    """
    ax = axes_or_new(ax, width=6.0)
    for policy, rows in table.groupby("policy", sort=False):
        means = rows.groupby("guests")["slowdown"].mean()
        colour, mark = policy_colour(policy), policy_mark(policy)
        ax.plot(means.index, means, color=colour, marker=mark, label=policy)
    ax.axhline(1, color=BLACK, lw=0.8, ls=":")
    ax.set(xlabel="guests on the host", ylabel="slower than alone (times)")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax
