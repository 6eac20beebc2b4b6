"""Figures of a memory's free lists at one moment, or at two."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from freehint.figures.drawing.palette import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
)
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    HEADING,
    LABEL,
    SMALL,
    TICK,
    axes_or_new,
    colour_of,
    order_axis,
)
from freehint.mm.memory import MIGRATETYPE_NAMES, NR_ORDERS, Memory
from freehint.studies.blocks import NR_PAGES, TOP_ORDER, Blocks
from freehint.units import MIB


@figure(
    "Free memory of a guest by the order of the free block, coloured by migratetype. The last bar"
    " is memory on per-CPU lists, which no walker of free lists sees.",
    source="Memory: nr_free, pcp",
    unitless="x",
)
def free_by_order(memory: Memory, ax=None) -> Axes:
    """Free memory (MiB) by order and migratetype, and on pcp lists.

    The last bar, the memory on pcp lists, is out of reach for a walker of free lists.
    """
    ax = axes_or_new(ax)
    pages = (memory.nr_free.sum(axis=0) << np.arange(NR_ORDERS)[:, None]) * MIB
    bottom = np.zeros(NR_ORDERS)
    for migratetype, name in enumerate(MIGRATETYPE_NAMES[: pages.shape[1]]):
        if pages[:, migratetype].any():
            ax.bar(
                np.arange(NR_ORDERS),
                pages[:, migratetype],
                bottom=bottom,
                color=colour_of(name),
                label=name,
            )
            bottom += pages[:, migratetype]
    ax.bar(
        NR_ORDERS, _on_pcp(memory), color=colour_of("pcp"), label="pcp lists: no walker sees them"
    )
    return _by_order(ax)


@figure(
    "Free memory of a guest by the order of the free block at two moments, T0 and T1; the last"
    " bars are memory on per-CPU lists.",
    source="two Memory: nr_free, pcp",
    unitless="x",
)
def two_memories(before: Memory, after: Memory, ax=None) -> Axes:
    """Free memory (MiB) by order at two moments, side by side; pcp lists last."""
    ax = axes_or_new(ax)
    width = 0.4
    for shift, memory, colour, label in ((-1, before, GREY, "T0"), (1, after, BLUE, "T1")):
        pages = memory.nr_free.sum(axis=(0, 2)) << np.arange(NR_ORDERS)
        heights = [*(pages * MIB), _on_pcp(memory)]
        ax.bar(np.arange(NR_ORDERS + 1) + shift * width / 2, heights, width, color=colour,
               label=label)  # fmt: skip
    return _by_order(ax)


def _on_pcp(memory: Memory) -> float:
    return float(memory.pcp["count"].sum()) * MIB


def _by_order(ax) -> Axes:
    order_axis(ax, NR_ORDERS - 1, "pcp")
    ax.set(xlabel="order of the free block", ylabel="free memory (MiB)")
    ax.legend()
    return ax


@figure(
    "32 pages in the order of their addresses, and below them the free list of each order with its"
    " head at the left. Grey blocks are handed out, blue ones are free, and the next allocation"
    " takes its pages from the orange one.",
    source="freehint.studies.blocks.block_story",
    wide=True,
)
def block_lists(told: Blocks, ax=None) -> Axes:
    """32 pages by address, and below them the free list of each order, head at the left."""
    ax = axes_or_new(ax, height=4.4)
    _page_strip(told, ax)
    for order in range(TOP_ORDER + 1):
        y, x = -1.5 - (TOP_ORDER - order), 0.0
        ax.text(-0.6, y + 0.32, f"order {order}", ha="right", va="center", fontsize=LABEL)
        for page in told.lists[order]:
            is_next = page <= told.next_page < page + (1 << order)
            _box(ax, x, y, 1 << order, page, ORANGE if is_next else colour_of("free"))
            x += (1 << order) + 0.25
        if not told.lists[order]:
            ax.text(0, y + 0.32, "(empty)", va="center", color=GREY, fontsize=TICK)
    ax.text(0, -0.62, "head", fontsize=TICK, color=GREY)
    ax.set(xlim=(-6.5, NR_PAGES + 3), ylim=(-1.7 - TOP_ORDER, 1.0))
    ax.axis("off")
    ax.set_title(told.sentence, fontsize=HEADING)
    return ax


def _page_strip(told: Blocks, ax) -> None:
    ax.text(-0.6, 0.42, "by address", ha="right", va="center", fontsize=LABEL)
    for page in told.held:
        _box(ax, page, 0.1, 1 << told.order, page, colour_of("used"))
    for order, blocks in enumerate(told.lists):
        for page in blocks:
            is_next = page <= told.next_page < page + (1 << order)
            _box(ax, page, 0.1, 1 << order, page, ORANGE if is_next else colour_of("free"))
    shown = (colour_of("used"), "handed out"), (colour_of("free"), "free"), (ORANGE, "taken next")
    for colour, label in shown:
        ax.scatter([], [], marker="s", s=90, c=colour, label=label)
    between = {"bbox_to_anchor": (NR_PAGES + 1, -0.5), "bbox_transform": ax.transData}
    ax.legend(loc="center right", ncols=3, **between)


def _box(ax, x, y, width, page, colour) -> None:
    paper = colour_of("paper")
    ax.add_patch(Rectangle((x + 0.06, y), width - 0.12, 0.64, facecolor=colour, edgecolor=paper))
    ink = colour_of("ink") if colour == colour_of("used") else BLACK
    ax.text(x + width / 2, y + 0.31, str(page), ha="center", va="center", fontsize=SMALL, color=ink)


@figure(
    "The share of the pages that was reused later, in each part of one free list, from head to"
    " tail.",
    source="freehint.studies.tables.reuse_by_position",
    unitless="x",
)
def reused_shares(table: pd.DataFrame, ax=None) -> Axes:
    """The share (%) of each part of a list, from head to tail, that was reused."""
    ax = axes_or_new(ax, height=2.6)
    ax.bar(table["part"], table["reused"] * 100, color=colour_of("reused"), width=0.9)
    ax.set_xticks([0, len(table) - 1], ["head", "tail"])
    ax.set(xlabel="place in the list at the start", ylabel="reused (%)", ylim=(0, 100))
    return ax


@figure(
    "Blocks offered to the ring, by their order: those that it took, and those that were lost"
    " because it was full.",
    source="Run.reports",
    unitless="x",
)
def blocks_by_order(reports: pd.DataFrame, ax=None) -> Axes:
    """Blocks offered to the ring, taken or lost because it was full, by order."""
    ax = axes_or_new(ax)
    bottom = np.zeros(NR_ORDERS)
    for taken, meaning, label in ((True, "hinted", "taken by the ring"), (False, "lost", "lost")):
        orders = reports.loc[reports["taken"] == taken, "order"]
        counts = np.bincount(orders, minlength=NR_ORDERS)
        ax.bar(range(NR_ORDERS), counts, bottom=bottom, color=colour_of(meaning), label=label)
        bottom += counts
    order_axis(ax, NR_ORDERS - 1)
    ax.set(xlabel="order of the block", ylabel="offered (blocks)")
    ax.legend()
    return ax
