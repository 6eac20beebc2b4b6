"""Figures of sweeps: main effects, interactions, survival over reach, maps of shares."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLACK, BLUE, GREEN, GREY, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import LABEL, SMALL, TICK, axes_or_new, every, new_figure
from freehint.studies.factorial import interactions as interactions_of
from freehint.studies.factorial import main_effects as effects_of
from freehint.units import MIB, NS_PER_MS, format_ns

NOISE = 1e-6  # A smaller number is a rounding error.
OUTCOMES = (
    ("lost_pages", "lost (MiB)", MIB),
    ("duplicate_pages", "hinted twice (MiB)", MIB),
    ("coverage", "coverage (points)", 100),
    ("survival", "survival (points)", 100),
    ("lock_held_p99_ns", "lock held p99 (µs)", 1e-3),
    ("alloc_wait_p99_ns", "allocation wait p99 (µs)", 1e-3),
)


def _level(value) -> str:
    """A level's short name: the last part of a snapshot's name, a time with its unit."""
    if isinstance(value, str):
        return value.rpartition("/")[2]
    return format_ns(value) if value >= NS_PER_MS else f"{value:g}"


def _short(value: float) -> str:
    """A number with two digits; a rounding error becomes 0."""
    if value < NOISE:
        return "0"
    return f"{value:.2g}" if value < 100 else f"{value / 1000:.2g}k"


@figure(
    "How much each level of each factor adds to the mean of an outcome, one panel per outcome."
    " Bars are 95 % intervals over the seeds. Levels are compared where all else was the same.",
    source="freehint.sweep, freehint.studies.factorial.main_effects",
    unitless="y",
    wide=True,
)
def main_effects(table: pd.DataFrame, factors, axes=None):
    """How much each level of each factor adds to the mean of each outcome.

    There is one panel per outcome and one dot per level.  Bars are 95 % intervals over the seeds;
    levels are compared where all else was the same (:mod:`freehint.studies.factorial`).

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep`.
    factors : sequence of str
        All names of its grid.
    axes : sequence of 6 Axes, optional
    """
    if axes is None:
        levels = sum(table[f].nunique() for f in factors) + len(factors)
        axes = new_figure(9.5, 0.4 * levels + 1.4, rows=2, columns=3, sharey=True)[1]
    axes = every(axes)
    for ax, (outcome, label, factor) in zip(axes, OUTCOMES, strict=True):
        effects = effects_of(table, factors, outcome)
        y = np.arange(len(effects)) + effects["factor"].map(list(factors).index)
        effect, half = (
            (effects[column].fillna(0) * factor).where(lambda e: abs(e) >= NOISE, 0)
            for column in ("effect", "half_width")
        )
        ax.errorbar(effect, y, xerr=half, fmt="o", ms=4, color=BLUE, lw=1.2)
        ax.axvline(0, color=GREY, lw=0.8, zorder=0)
        if not (abs(effect) + half).any():  # Otherwise the axis would show rounding errors.
            ax.set_xlim(-1, 1)
        ax.set_xlabel(label)
        ax.locator_params(axis="x", nbins=4)
    names = effects["factor"].str.rpartition(".")[2] + " " + effects["level"].map(_level)
    axes[0].set_yticks(y, names)
    axes[0].invert_yaxis()
    return axes


@figure(
    "How far the joint effect of two factors is from the sum of both, one map per outcome. A"
    " number is the largest deviation of any pair of their levels, in the unit named above the"
    " map.",
    source="freehint.sweep, freehint.studies.factorial.interactions",
    unitless="xy",
    wide=True,
)
def interactions(table: pd.DataFrame, factors, axes=None):
    """How far the joint effect of two factors is from the sum of both, one map per outcome.

    The number is the largest deviation of a pair of levels from the sum, in the outcome's unit.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.sweep`.
    factors : sequence of str
    axes : sequence of 6 Axes, optional
    """
    if axes is None:
        axes = new_figure(9.5, 6.4, rows=2, columns=3, sharex=True, sharey=True)[1]
    axes = every(axes)
    names = [f.rpartition(".")[2] for f in factors]
    for ax, (outcome, label, factor) in zip(axes, OUTCOMES, strict=True):
        found = interactions_of(table, factors, outcome).to_numpy() * factor
        top = np.nanmax(found, initial=NOISE)
        ax.imshow(found, cmap="Blues", vmin=0, vmax=top)
        for (row, column), value in np.ndenumerate(found):
            if np.isfinite(value):
                colour = "white" if value > 0.6 * top else BLACK
                ax.text(column, row, _short(value), ha="center", va="center", fontsize=SMALL,
                        color=colour)  # fmt: skip
        ax.set_xticks(range(len(names)), names, rotation=90)
        ax.set_yticks(range(len(names)), names)
        ax.set_title(label)
    return axes


@figure(
    "The share of the hints that still hold at the end, over how far the walk came. Each dot is"
    " one run, with lists that are never rotated or lists that are rotated at the end of a stroke.",
    source="freehint.sweep",
)
def survival_by_reach(table: pd.DataFrame, ax=None) -> Axes:
    """Survival of the hints (%) over how far the walk came (% of free memory), for each run.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run, with ``reach`` (share) and ``rotate`` added.
    """
    ax = axes_or_new(ax)
    for rotate, colour, marker in (("never", VERMILION, "o"), ("on_exit", GREEN, "s")):
        rows = table[table["rotate"] == rotate].sort_values("reach")
        ax.plot(rows["reach"] * 100, rows["survival"] * 100, color=colour, marker=marker, ms=5,
                ls="", alpha=0.8, label=f"rotate: {rotate}")  # fmt: skip
    ax.set(xlabel="how far the walk came (% of free memory hinted)", ylabel="survival (%)")
    ax.set(xlim=(0, 103), ylim=(0, 103))
    ax.legend()
    ax.grid()
    return ax


@figure(
    "A share, in per cent, for each pair of values of two knobs.",
    source="freehint.sweep, pivoted",
    unitless="xy",
)
def share_map(table: pd.DataFrame, ax=None, label="") -> Axes:
    """A table of shares as a map with percentages.

    Parameters
    ----------
    table : DataFrame
        Shares; the index and the columns are the values of two knobs and have the knobs' names.
    """
    ax = axes_or_new(ax, height=0.45 * len(table) + 1.2)
    ax.imshow(table, cmap="Oranges", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(table.to_numpy()):
        for x, value in enumerate(row):
            colour = "white" if value > 0.6 else BLACK
            ax.text(x, y, f"{value:.0%}", ha="center", va="center", fontsize=TICK, color=colour)
    ax.set_xticks(range(table.shape[1]), table.columns)
    ax.set_yticks(range(table.shape[0]), table.index)
    ax.set(xlabel=table.columns.name, ylabel=table.index.name)
    ax.set_title(label, fontsize=LABEL)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
