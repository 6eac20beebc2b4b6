"""The free lists of a memory at one moment, or at two."""

import numpy as np
from matplotlib.axes import Axes

from freehint.figures.registry import figure
from freehint.figures.style import MIB, axes_or_new, order_axis
from freehint.mm.memory import MIGRATETYPE_NAMES, NR_ORDERS, Memory
from freehint.palette import BLACK, BLUE, GREY, PURPLE, SKY, VERMILION, YELLOW


@figure(
    "Free memory of a guest by the order of the free block, coloured by migratetype; the last bar"
    " is what lies on per-CPU lists, where no walker of free lists sees it.",
    source="Memory: nr_free, pcp",
    unitless="x",
)
def free_by_order(memory: Memory, ax=None) -> Axes:
    """Free memory (MiB) by order and migratetype, and what sits on pcp lists.

    The last bar is what no walker of free lists can see.
    """
    ax = axes_or_new(ax)
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
    ax.bar(NR_ORDERS, _on_pcp(memory), color=BLACK, label="pcp lists: no walker sees them")
    return _by_order(ax)


@figure(
    "Free memory of a guest by the order of the free block at two moments, T0 and T1; the last"
    " bars are what lies on per-CPU lists.",
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
