"""Pictures of the debate: each a function (table or memory, axes) -> axes, with units.

Colours are those of :mod:`freehint.palette` and always mean the same thing.
"""

import io
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from freehint.factorial import interactions as interactions_of
from freehint.factorial import main_effects as effects_of
from freehint.mm.fragmentation import extfrag_index, unusable_free_index
from freehint.mm.memory import MIGRATETYPE_NAMES, NR_ORDERS, Memory
from freehint.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, SKY, VERMILION, YELLOW
from freehint.story import LETTERS, Story
from freehint.units import NS_PER_MS, format_ns

LINES = (BLUE, PURPLE, BLACK, SKY)  # one after another, where lines are told apart by name
MIB = 1 / 256  # of a page


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot or its backends."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def new_figure(width=9.0, height=3.2, rows=1, columns=1, **options):
    """A figure without pyplot, so that nothing is kept alive or shown twice; (figure, axes)."""
    figure = Picture(figsize=(width, height), dpi=100, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def quick_figure(width, height, rows=1, columns=1, dpi=80, **margins):
    """A figure with fixed margins: laying one out anew takes longer than drawing it."""
    figure = Picture(figsize=(width, height), dpi=dpi)
    axes = figure.subplots(rows, columns)
    figure.subplots_adjust(**margins)
    return figure, axes


def every(axes) -> list:
    """The axes of a figure in reading order, also where there is only one."""
    return list(np.ravel(axes))


def _axes(ax, **size) -> Axes:
    return ax if ax is not None else new_figure(**size)[1]


def _tidy(ax) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def story(told: Story, ax=None) -> Axes:
    """The thread's example, a row a step: the list from head (left) to tail.

    Parameters
    ----------
    told : Story
    ax : Axes, optional
    """
    ax = _axes(ax, height=0.62 * len(told.steps) + 0.8)
    for row, step in enumerate(told.steps):
        ax.text(-0.3, -row, step.what, ha="right", va="center", fontsize=10)
        x = 0.0
        for name in step.chain:
            if name == "|":
                ax.plot([x - 0.12] * 2, [-row - 0.38, -row + 0.38], color=BLUE, lw=3)
                continue
            _block(ax, x, -row, name, step)
            x += 1.0
        if not step.chain:
            ax.text(0, -row, "(empty)", va="center", color=GREY, fontsize=10)
    ax.set(xlim=(-4.2, len(LETTERS)), ylim=(-len(told.steps) + 0.4, 0.95))
    ax.text(0, 0.68, "head", fontsize=9, color=GREY)
    ax.text(len(LETTERS) - 0.24, 0.68, "tail", fontsize=9, color=GREY, ha="right")
    ax.axis("off")
    ax.set_title(told.sentence, loc="left", fontsize=11)
    return ax


def _block(ax, x, y, name, step) -> None:
    """One block: green when the host knows it, ringed when this stroke reported it."""
    twice = name in step.duplicates
    face = ORANGE if twice else (GREEN if name in step.known else "white")
    edge = BLACK if name in step.reported else GREY
    ax.add_patch(
        FancyBboxPatch(
            (x, y - 0.3),
            0.76,
            0.6,
            boxstyle="round,pad=0.0,rounding_size=0.1",
            facecolor=face,
            edgecolor=edge,
            linewidth=2.2 if name in step.reported else 1.0,
        )
    )
    ax.text(
        x + 0.38,
        y,
        name,
        ha="center",
        va="center",
        fontsize=11,
        color=BLACK if face in ("white", ORANGE) else "white",
        fontweight="bold",
    )


def story_legend(ax) -> None:
    """What the story's colours mean, below its axes."""
    for face, edge, width, label in (
        ("white", GREY, 1.0, "free, host does not know"),
        (GREEN, GREY, 1.0, "host was told"),
        (GREEN, BLACK, 2.2, "reported in this stroke"),
        (ORANGE, BLACK, 2.2, "reported again in this stroke"),
    ):
        ax.scatter(
            [], [], marker="s", s=110, c=face, edgecolors=edge, linewidths=width, label=label
        )
    ax.plot([], [], color=BLUE, lw=3, label="bookmark")
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.42, 0.02),
        ncols=5,
        frameon=False,
        fontsize=9,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def free_by_order(memory: Memory, ax=None) -> Axes:
    """Free memory (MiB) by order and migratetype, and what sits on pcp lists.

    The last bar is what no walker of free lists can see.
    """
    ax = _axes(ax)
    pages = (memory.nr_free.sum(axis=0) << np.arange(NR_ORDERS)[:, None]) * MIB
    bottom = np.zeros(NR_ORDERS)
    for migratetype, colour in enumerate((PURPLE, SKY, YELLOW, VERMILION, GREY)):
        if pages[:, migratetype].any():
            ax.bar(
                np.arange(NR_ORDERS),
                pages[:, migratetype],
                bottom=bottom,
                color=colour,
                label=MIGRATETYPE_NAMES[migratetype],
            )
            bottom += pages[:, migratetype]
    pcp = float(memory.pcp["count"].sum()) * MIB
    ax.bar(NR_ORDERS, pcp, color=BLACK, label="pcp lists: no walker sees them")
    ax.set_xticks(range(NR_ORDERS + 1), [*map(str, range(NR_ORDERS)), "pcp"])
    ax.set(xlabel="order of the free block", ylabel="free memory (MiB)")
    ax.legend(frameon=False, fontsize=9)
    _tidy(ax)
    return ax


def lock_timeline(locks: pd.DataFrame, waits: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """How long the zone lock was held by each stroke, and how long guest CPUs waited.

    Both in microseconds, on a logarithmic axis, over simulated time in milliseconds.
    """
    ax = _axes(ax)
    _dots(ax, waits["since_ns"] / NS_PER_MS, waits["wait_ns"] / 1e3, ORANGE, "a guest CPU waited")
    _dots(ax, locks["since_ns"] / NS_PER_MS, locks["held_ns"] / 1e3, BLUE, "a stroke held the lock")
    ax.set_yscale("log", subs=[])
    ax.set(xlabel="simulated time (ms)", ylabel="duration (µs)", ylim=(0.1, 1e6))
    if span_ns:
        ax.set_xlim(0, span_ns / NS_PER_MS)
    ax.legend(frameon=False, fontsize=9, loc="upper right", markerscale=3, ncols=2)
    _tidy(ax)
    return ax


def _dots(ax, x, y, colour, label) -> None:
    ax.plot(x, y, ls="", marker=".", ms=3, mec="none", color=colour, label=label, rasterized=True)


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


def hint_balance(table: pd.DataFrame, ax=None) -> Axes:
    """What became of the memory that was offered (MiB), a bar a run.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run (:func:`freehint.summaries`).
    """
    ax = _axes(ax, height=0.5 * len(table) + 1.2)
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
    ax.legend(
        frameon=False,
        fontsize=9,
        ncols=4,
        loc="lower left",
        bbox_to_anchor=(-0.05, 1.0),
        columnspacing=1.0,
        handlelength=1.2,
    )
    _tidy(ax)
    return ax


def walk_map(reports: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """Where the walk went: address (GiB) of each block offered over simulated time (ms)."""
    ax = _axes(ax)
    for taken, colour, label in ((True, GREEN, "taken by the ring"), (False, VERMILION, "lost")):
        rows = reports[reports["taken"] == taken]
        _dots(ax, rows["time_ns"] / NS_PER_MS, rows["pfn"] / (1 << 18), colour, label)
    ax.set(xlabel="simulated time (ms)", ylabel="address (GiB)")
    if span_ns:
        ax.set_xlim(0, span_ns / NS_PER_MS)
    ax.legend(frameon=False, fontsize=9, loc="upper right", markerscale=4)
    _tidy(ax)
    return ax


COMPARED = (
    ("coverage", "coverage (%)", 100, False),
    ("survival", "survival (%)", 100, False),
    ("walk_ns", "walk (ms)", 1e-6, False),
    ("lock_held_max_ns", "longest lock hold (µs)", 1e-3, True),
    ("alloc_wait_max_ns", "longest allocation wait (µs)", 1e-3, True),
)


def compare_policies(table: pd.DataFrame, axes=None):
    """Policies side by side: a panel a measure, a dot a seed, a stroke at their median.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run.
    axes : sequence of 5 Axes, optional
    """
    if axes is None:
        axes = new_figure(width=11, height=3.0, columns=len(COMPARED), sharey=True)[1]
    policies = list(dict.fromkeys(table["policy"]))
    for ax, (name, label, factor, logarithmic) in zip(axes, COMPARED, strict=True):
        for y, policy in enumerate(policies):
            values = table.loc[table["policy"] == policy, name].astype(float) * factor
            values = values[values >= 0].dropna()
            if len(values):
                ax.plot([values.median()] * 2, [y - 0.3, y + 0.3], color=BLUE, lw=3)
                ax.scatter(values, [y] * len(values), color=BLACK, s=12, zorder=3)
        ax.set_yticks(range(len(policies)), policies)
        ax.set_xlabel(label, fontsize=9)
        ax.tick_params(labelsize=9)
        ax.grid(axis="y", color=PALE)
        ax.set_axisbelow(True)
        if logarithmic:
            ax.set_xscale("log")
        else:
            ax.set_xlim(0, 105 if factor == 100 else None)
        _tidy(ax)
    axes[0].invert_yaxis()
    return axes


def free_over_time(history: pd.DataFrame, ax=None) -> Axes:
    """Free memory (MiB) by order over time (s), the pages on pcp lists on top.

    Parameters
    ----------
    history : DataFrame
        Of :func:`freehint.replay_history`.
    """
    ax = _axes(ax)
    wide = history.pivot_table(index="time_s", columns="order", values="free_pages") * MIB
    groups = ((range(4), SKY, "order 0 to 3"), (range(4, 9), BLUE, "order 4 to 8"),
              (range(9, 11), GREEN, "order 9 and 10"), ([-1], BLACK, "pcp lists"))  # fmt: skip
    ax.stackplot(
        wide.index,
        [wide[list(orders)].sum(axis=1) for orders, _, _ in groups],
        colors=[colour for _, colour, _ in groups],
        labels=[label for _, _, label in groups],
    )
    ax.set(xlabel="time since the first snapshot (s)", ylabel="free memory (MiB)")
    ax.set_xlim(0, wide.index.max())
    ax.legend(frameon=False, fontsize=9, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    _tidy(ax)
    return ax


def pcp_over_time(histories, ax=None) -> Axes:
    """Free memory on pcp lists (MiB) over time (s): a line a history, named beside it.

    Parameters
    ----------
    histories : dict, or sequence of pairs
        Name -> history, of :func:`freehint.replay_history` or of a run.
    """
    ax = _axes(ax)
    ends = []
    for (name, history), colour in zip(dict(histories).items(), cycle(LINES)):
        rows = history[history["order"] == -1]
        pages = rows["free_pages"] * MIB
        ax.plot(rows["time_s"], pages, color=colour, lw=1.5)
        ends.append((pages.iloc[-1], f"{name}: up to {pages.max():.0f} MiB", colour))
    ax.set(xlabel="time (s)", ylabel="on pcp lists (MiB)")
    ax.margins(x=0)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    _names_beside(ax, ends)
    _tidy(ax)
    return ax


def _names_beside(ax, ends) -> None:
    """Right of the axes, about where each line (y, name, colour) ends, never one on another."""
    top = ax.get_ylim()[1]
    lowest = 0.0
    for y, name, colour in sorted(ends):
        height = max(y / top, lowest)
        lowest = height + 0.13
        beside = {"transform": ax.transAxes, "clip_on": False}
        ax.plot(
            [1.01, 1.04], [height] * 2, color=colour, lw=3, scalex=False, scaley=False, **beside
        )
        ax.text(1.05, height, name, va="center", fontsize=9, **beside)


def fragmentation_over_time(history: pd.DataFrame, order=9, ax=None) -> Axes:
    """The kernel's two fragmentation indices for requests of ``order`` over time (s)."""
    ax = _axes(ax)
    rows = history[history["order"] >= 0]
    wide = rows.pivot_table(index="time_s", columns="order", values="blocks")
    blocks = wide.to_numpy().astype(int)
    unusable = [unusable_free_index(b, order) for b in blocks]
    extfrag = [extfrag_index(b, order) for b in blocks]
    ax.plot(wide.index, unusable, color=BLUE, label="unusable free space index")
    ax.plot(wide.index, extfrag, color=ORANGE, label="extfrag index (-1: would not fail)")
    ax.set(xlabel="time since the first snapshot (s)", ylabel=f"index for order {order}")
    ax.set(ylim=(-1.1, 1.1), xlim=(0, wide.index.max()))
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    _tidy(ax)
    return ax


def two_memories(before: Memory, after: Memory, ax=None) -> Axes:
    """Free memory (MiB) by order at two moments, side by side; pcp lists last."""
    ax = _axes(ax)
    width = 0.4
    for shift, memory, colour, label in ((-1, before, GREY, "T0"), (1, after, BLUE, "T1")):
        pages = memory.nr_free.sum(axis=(0, 2)) << np.arange(NR_ORDERS)
        heights = [*(pages * MIB), float(memory.pcp["count"].sum()) * MIB]
        ax.bar(np.arange(NR_ORDERS + 1) + shift * width / 2, heights, width, color=colour,
               label=label)  # fmt: skip
    ax.set_xticks(range(NR_ORDERS + 1), [*map(str, range(NR_ORDERS)), "pcp"])
    ax.set(xlabel="order of the free block", ylabel="free memory (MiB)")
    ax.legend(frameon=False, fontsize=9)
    _tidy(ax)
    return ax


OUTCOMES = (
    ("lost_pages", "lost (MiB)", MIB),
    ("duplicate_pages", "hinted twice (MiB)", MIB),
    ("coverage", "coverage (points)", 100),
    ("survival", "survival (points)", 100),
    ("lock_held_p99_ns", "lock held p99 (µs)", 1e-3),
    ("alloc_wait_p99_ns", "allocation wait p99 (µs)", 1e-3),
)


def _level(value) -> str:
    """A level's short name: a snapshot by its last part, a time in its unit."""
    if isinstance(value, str):
        return value.rpartition("/")[2]
    return format_ns(value) if value >= NS_PER_MS else f"{value:g}"


def _short(value: float) -> str:
    """Two digits; a rounding error is nothing."""
    if value < 1e-6:
        return "0"
    return f"{value:.2g}" if value < 100 else f"{value / 1000:.2g}k"


def main_effects(table: pd.DataFrame, factors, axes=None):
    """What each level of each factor adds to the mean: a panel an outcome, a dot a level.

    Bars are 95 % intervals over the seeds; levels are compared where all else was the same
    (:mod:`freehint.factorial`).

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.sweep`.
    factors : sequence of str
        All names of its grid.
    axes : sequence of 6 Axes, optional
    """
    if axes is None:
        levels = sum(table[f].nunique() for f in factors) + len(factors)
        axes = new_figure(13, 0.21 * levels + 1, columns=len(OUTCOMES), sharey=True)[1]
    for ax, (outcome, label, factor) in zip(axes, OUTCOMES, strict=True):
        effects = effects_of(table, factors, outcome)
        y = np.arange(len(effects)) + effects["factor"].map(list(factors).index)
        half = effects["half_width"].fillna(0) * factor
        ax.errorbar(effects["effect"] * factor, y, xerr=half, fmt="o", ms=4, color=BLUE, lw=1.2)
        ax.axvline(0, color=GREY, lw=0.8, zorder=0)
        ax.set_xlabel(label, fontsize=9)
        ax.tick_params(labelsize=8)
        ax.locator_params(axis="x", nbins=4)
        _tidy(ax)
    names = effects["factor"].str.rpartition(".")[2] + " " + effects["level"].map(_level)
    axes[0].set_yticks(y, names)
    axes[0].invert_yaxis()
    return axes


def interactions(table: pd.DataFrame, factors, axes=None):
    """How far two factors together are from the sum of both: a heat map an outcome.

    The number is the largest deviation of a pair of levels from the sum, in the outcome's unit.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.sweep`.
    factors : sequence of str
    axes : sequence of 6 Axes, optional
    """
    if axes is None:
        axes = new_figure(13, 7.6, rows=2, columns=3)[1].ravel()
    names = [f.rpartition(".")[2] for f in factors]
    for ax, (outcome, label, factor) in zip(axes, OUTCOMES, strict=True):
        found = interactions_of(table, factors, outcome).to_numpy() * factor
        ax.imshow(found, cmap="Blues", vmin=0)
        top = np.nanmax(found) if np.isfinite(found).any() else 0
        for (row, column), value in np.ndenumerate(found):
            if np.isfinite(value):
                colour = "white" if value > 0.6 * top else BLACK
                ax.text(column, row, _short(value), ha="center", va="center", fontsize=8,
                        color=colour)  # fmt: skip
        ax.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        ax.set_yticks(range(len(names)), names, fontsize=8)
        ax.set_title(label, fontsize=9)
    return axes
