"""Pictures that answer the debate's questions, a notebook each; drawn like :mod:`freehint.figures`.

Each is a function (table, axes) -> axes, with units; what needs more than a run's own table
comes with a function that makes it.
"""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from freehint.blocks import NR_PAGES, TOP_ORDER, Blocks
from freehint.figures.registry import figure
from freehint.figures.style import (
    HEADING,
    LABEL,
    LINES,
    MIB,
    PENS,
    SMALL,
    TICK,
    axes_or_new,
    legend_above,
    legend_beside,
    order_axis,
)
from freehint.formats.tables import free_lists
from freehint.mm.memory import MIGRATETYPE_NAMES, NR_ORDERS, Memory
from freehint.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, SKY, VERMILION
from freehint.units import NS_PER_MS

ORDER_GROUPS = (("order 9 and 10", 9, 10, GREEN), ("order 4 to 8", 4, 8, BLUE),
                ("order 0 to 3", 0, 3, SKY))  # fmt: skip


@figure(
    "32 pages as they lie in memory, and below them the free list of each order with its head"
    " at the left. Grey: handed out; blue: free; orange: free, and taken from next.",
    source="freehint.blocks.block_story",
    wide=True,
)
def block_lists(told: Blocks, ax=None) -> Axes:
    """32 pages as they lie, and below them the free list of each order, head at the left."""
    ax = axes_or_new(ax, height=4.4)
    _page_strip(told, ax)
    for order in range(TOP_ORDER + 1):
        y, x = -1.5 - (TOP_ORDER - order), 0.0
        ax.text(-0.6, y + 0.32, f"order {order}", ha="right", va="center", fontsize=LABEL)
        for page in told.lists[order]:
            is_next = page <= told.next_page < page + (1 << order)
            _box(ax, x, y, 1 << order, page, ORANGE if is_next else SKY)
            x += (1 << order) + 0.25
        if not told.lists[order]:
            ax.text(0, y + 0.32, "(empty)", va="center", color=GREY, fontsize=TICK)
    ax.text(0, -0.62, "head", fontsize=TICK, color=GREY)
    ax.set(xlim=(-6.5, NR_PAGES + 3), ylim=(-1.7 - TOP_ORDER, 1.0))
    ax.axis("off")
    ax.set_title(told.sentence, fontsize=HEADING)
    return ax


def _page_strip(told: Blocks, ax) -> None:
    ax.text(-0.6, 0.42, "as they lie", ha="right", va="center", fontsize=LABEL)
    for page in told.held:
        _box(ax, page, 0.1, 1 << told.order, page, GREY)
    for order, blocks in enumerate(told.lists):
        for page in blocks:
            is_next = page <= told.next_page < page + (1 << order)
            _box(ax, page, 0.1, 1 << order, page, ORANGE if is_next else SKY)
    for colour, label in ((GREY, "handed out"), (SKY, "free"), (ORANGE, "free, taken from next")):
        ax.scatter([], [], marker="s", s=90, c=colour, label=label)
    between = {"bbox_to_anchor": (NR_PAGES + 1, -0.5), "bbox_transform": ax.transData}
    ax.legend(loc="center right", ncols=3, **between)


def _box(ax, x, y, width, page, colour) -> None:
    ax.add_patch(Rectangle((x + 0.06, y), width - 0.12, 0.64, facecolor=colour, edgecolor="white"))
    ax.text(x + width / 2, y + 0.31, str(page), ha="center", va="center", fontsize=SMALL)


def reuse_by_position(before: Memory, after: Memory, order=10, parts=10) -> pd.DataFrame:
    """Of the longest list of an order, from head to tail: what is no longer free later.

    Returns
    -------
    DataFrame
        part (0 at the head), blocks, reused (share of the pages).
    """
    lists = free_lists(before)
    lists = lists[lists["order"] == order]
    sizes = lists.groupby(["zone", "migratetype"], observed=True).size()
    zone, migratetype = sizes.idxmax()
    chosen = lists[(lists["zone"] == zone) & (lists["migratetype"] == migratetype)]
    free = np.zeros(after.nr_pages, np.bool_)
    for k, pfn in free_lists(after)[["order", "pfn"]].itertuples(index=False):
        free[pfn - after.base_pfn : pfn - after.base_pfn + (1 << k)] = True
    starts = chosen["pfn"].to_numpy() - before.base_pfn
    reused = [1 - free[start : start + (1 << order)].mean() for start in starts]
    part = np.arange(len(chosen)) * parts // len(chosen)
    table = pd.DataFrame({"part": part, "reused": reused}).groupby("part")["reused"]
    return pd.DataFrame({"blocks": table.size(), "reused": table.mean()}).reset_index()


@figure(
    "Of one free list, from head to tail, the share of the pages that was reused later.",
    source="freehint.answers.reuse_by_position",
    unitless="x",
)
def reused_shares(table: pd.DataFrame, ax=None) -> Axes:
    """Share of each part of a list, head to tail, that was reused (%)."""
    ax = axes_or_new(ax, height=2.6)
    ax.bar(table["part"], table["reused"] * 100, color=ORANGE, width=0.9)
    ax.set_xticks([0, len(table) - 1], ["head", "tail"])
    ax.set(xlabel="place in the list at the start", ylabel="reused (%)", ylim=(0, 100))
    return ax


@figure(
    "Memory that the host was told of, each page counted once, by the order of the blocks"
    " reported.",
    source="Run.reports",
)
def hints_over_time(reports: pd.DataFrame, ax=None, span_ns=None) -> Axes:
    """Memory that the host was told of (MiB, each page once) since the first report (ms)."""
    ax = axes_or_new(ax)
    told = reports[reports["taken"] & ~reports["duplicate"]]
    begin = reports["time_ns"].min() if len(reports) else 0
    span = span_ns or (reports["time_ns"].max() - begin if len(reports) else NS_PER_MS)
    times = np.linspace(0, span, 300)
    heights = []
    for _, low, high, _ in ORDER_GROUPS:
        rows = told[told["order"].between(low, high)]
        sums = np.concatenate([[0], rows["nr_pages"].cumsum() * MIB])
        heights.append(sums[np.searchsorted(rows["time_ns"] - begin, times, side="right")])
    colours, labels = [g[3] for g in ORDER_GROUPS], [g[0] for g in ORDER_GROUPS]
    ax.stackplot(times / NS_PER_MS, heights, colors=colours, labels=labels)
    ax.set(xlabel="time since the first report (ms)", ylabel="told to the host (MiB)")
    ax.set_xlim(0, span / NS_PER_MS)
    ax.set_ylim(0, 1.05 * max(1, np.sum(heights, axis=0).max()))
    legend_above(ax, 3)
    return ax


@figure(
    "Memory that the host was told of, each page counted once, a line a run: what is told"
    " again does not raise it.",
    source="Run.reports",
)
def told_over_time(reports_of: dict, ax=None, span_ns=None) -> Axes:
    """Memory that the host was told of (MiB) over time (ms), a line a run; repeats do not count."""
    ax = axes_or_new(ax)
    for (name, reports), (colour, style) in zip(reports_of.items(), PENS):
        rows = reports[reports["taken"] & ~reports["duplicate"]]
        times = (rows["time_ns"] - reports["time_ns"].min()) / NS_PER_MS
        ax.step(times, rows["nr_pages"].cumsum() * MIB, where="post", color=colour,
                ls=style, label=name)  # fmt: skip
    ax.set(xlabel="time since the first report (ms)", ylabel="told to the host (MiB)")
    ax.set_xlim(0, span_ns / NS_PER_MS if span_ns else None)
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


@figure(
    "How long a walk that takes the zone lock list by list held it, a dot a list, by the"
    " order of the list and coloured by zone; the larger a dot, the more blocks on the list."
    " Logarithmic.",
    source="freehint.answers.holds_of_lists",
    unitless="x",
)
def holds_by_order(table: pd.DataFrame, ax=None) -> Axes:
    """How long the zone lock was held (ms), a dot a list, by the order of the list."""
    ax = axes_or_new(ax)
    for (zone, rows), colour in zip(table.groupby("zone", observed=True), cycle(LINES)):
        ax.scatter(rows["order"], rows["held_ns"] / NS_PER_MS, s=10 + rows["blocks"] / 20,
                   color=colour, alpha=0.7, label=str(zone))  # fmt: skip
    ax.set_yscale("log")
    order_axis(ax, NR_ORDERS - 1)
    ax.set(xlabel="order of the list (a dot's size: its blocks)", ylabel="lock held (ms)")
    ax.margins(y=0.15)
    legend = legend_beside(ax)
    for handle in legend.legend_handles:
        handle.set_sizes([30])
    return ax


def holds_of_lists(run) -> pd.DataFrame:
    """The holds of a walk that takes the lock list by list: which list each was."""
    lists = run.reports.groupby(["user", "stroke"], observed=True)[["order", "migratetype"]].first()
    table = run.locks.merge(lists.reset_index(), on=["user", "stroke"])
    table["migratetype"] = [MIGRATETYPE_NAMES[m] for m in table["migratetype"]]
    return table


@figure(
    "How many hints still held at the end, over how far the walk came, a dot a run; with"
    " lists that are never rotated and with lists rotated at the end of a stroke.",
    source="freehint.sweep",
)
def survival_by_reach(table: pd.DataFrame, ax=None) -> Axes:
    """Survival of the hints (%) over how far the walk came (% of the free memory), a dot a run.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run, with ``reach`` (share) and ``rotate`` added.
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
    "How many events of each kind lasted longer than a duration; both axes are logarithmic.",
    source="Run.locks, Run.waits",
)
def longer_than(durations_of: dict, ax=None) -> Axes:
    """How many of each (named) kind lasted longer than so many microseconds; both logarithmic."""
    ax = axes_or_new(ax)
    for (name, values), (colour, style) in zip(durations_of.items(), PENS):
        values = np.sort(np.asarray(values)) / 1e3
        if len(values):
            ax.step(values, np.arange(len(values), 0, -1), color=colour, ls=style,
                    label=name)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set(
        xlim=(0.1, 1e5), ylim=(0.8, 2e3), xlabel="duration (µs)", ylabel="lasted longer (events)"
    )
    ax.legend(loc="upper right")
    ax.grid()
    return ax


@figure(
    "A share, in per cent, at each pair of two knobs' values.",
    source="freehint.sweep, pivoted",
    unitless="xy",
)
def share_map(table: pd.DataFrame, ax=None, label="") -> Axes:
    """A table of shares as a map, each field with its percentage.

    Parameters
    ----------
    table : DataFrame
        Shares; index and columns are the two knobs, named.
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


@figure(
    "Blocks offered to the ring by their order: taken, and lost because the ring was full.",
    source="Run.reports",
    unitless="x",
)
def blocks_by_order(reports: pd.DataFrame, ax=None) -> Axes:
    """Blocks offered to the ring by order: taken, and lost because it was full."""
    ax = axes_or_new(ax)
    bottom = np.zeros(NR_ORDERS)
    for taken, colour, label in ((True, GREEN, "taken by the ring"), (False, VERMILION, "lost")):
        orders = reports.loc[reports["taken"] == taken, "order"]
        counts = np.bincount(orders, minlength=NR_ORDERS)
        ax.bar(range(NR_ORDERS), counts, bottom=bottom, color=colour, label=label)
        bottom += counts
    order_axis(ax, NR_ORDERS - 1)
    ax.set(xlabel="order of the block", ylabel="offered (blocks)")
    ax.legend()
    return ax


@figure(
    "Free memory over time, per-CPU lists included, a line a run.",
    source="Run.history",
)
def free_lines(histories: dict, ax=None) -> Axes:
    """Free memory on the lists and on pcp lists (MiB) over time (ms), a line a run, named."""
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
    "What the host has given to a recorded guest: resident memory of QEMU over time, with the"
    " phases of the recording.",
    source="a recording of free page reporting: host_rss_KiB",
)
def resident_over_time(rss: pd.DataFrame, ax=None) -> Axes:
    """What the host has given to a recorded guest (MiB) over time (s), its phases marked.

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


def per_block(run) -> pd.Series:
    """What a policy held the zone lock for: in all (ms), a block (ns) and at most (µs)."""
    held = run.locks["held_ns"]
    blocks = len(run.reports)
    return pd.Series(
        {
            "blocks reported": blocks,
            "lock held in all (ms)": round(held.sum() / NS_PER_MS, 1),
            "a block (ns)": round(held.sum() / blocks) if blocks else 0,
            "longest hold (µs)": round(held.max() / 1e3, 1),
        },
        dtype=object,
    )
