"""One moment of a player as a picture, for pages without scripts."""

import io

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from freehint.figures.drawing.palette import STATES, THEMES
from freehint.mm.memory import (
    NO_PAGEBLOCK,
    NR_ORDERS,
    PAGEBLOCK_ORDER,
)
from freehint.runs.trajectory.look import ENTRY_HOST_HAS, ENTRY_IN_FLIGHT, ENTRY_NODE
from freehint.runs.trajectory.trajectory import Trajectory
from freehint.units import format_ns

COLOURS = THEMES["light"]
LABELS = {
    "used": "in use",
    "pcp": "on pcp lists",
    "free": "free",
    "hinted": "free, host told",
    "stale": "taken while on the ring",
    "reused": "taken after the host used it",
    "held": "held",
}
SHOWN_LISTS = 14


def moment_png(trajectory: Trajectory, moment: int) -> bytes:
    """A PNG of the map and the free lists at a moment."""
    shown, hidden = _shown_lists(trajectory, moment)
    rows = len(shown) + 1
    figure = Figure(figsize=(11, 4.2 + 0.2 * rows), dpi=90, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=[17, rows])
    _draw_map(trajectory, moment, above)
    _draw_lists(trajectory, moment, below, shown, hidden)
    policies = " + ".join(trajectory.meta["policies"]) or "none"
    time = format_ns(trajectory.arrays["time_ns"][moment]).replace("us", "µs")
    figure.suptitle(
        f"{policies}: {time}, moment {moment + 1} of {len(trajectory)}", x=0.01, ha="left"
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def cell_colours(trajectory: Trajectory, moment: int) -> np.ndarray:
    """The mixed colour of each cell; a hole is white.

    Returns
    -------
    ndarray
        float64[cells, 3]
    """
    levels = {name: trajectory.arrays[f"cells.{name}"][moment] / 255.0
              for name in ("free", "pcp", "held", "hinted", "stale", "reused")}  # fmt: skip
    hinted = np.minimum(levels["hinted"], levels["free"])
    shares = {
        "pcp": levels["pcp"],
        "free": levels["free"] - hinted,
        "hinted": hinted,
        "stale": levels["stale"],
        "reused": levels["reused"],
        "held": levels["held"],
    }
    shares["used"] = np.clip(1 - sum(shares.values()), 0, 1)
    mixed = sum(shares[name][:, None] * np.array(to_rgb(COLOURS[name])) for name in STATES)
    mixed /= sum(shares.values())[:, None]
    per_block = max(trajectory.meta["cell_shift"] - PAGEBLOCK_ORDER, 0)
    kind = trajectory.arrays["types"][moment][:: 1 << per_block]
    kind = np.repeat(kind, len(mixed) // len(kind))
    mixed[kind == NO_PAGEBLOCK] = 1.0
    return mixed


def _draw_map(trajectory: Trajectory, moment: int, ax) -> None:
    colours = cell_colours(trajectory, moment)
    columns = 1 << int(np.ceil(np.log2(np.sqrt(len(colours) * 3.5))))
    short = -len(colours) % columns
    grid = np.concatenate([colours, np.ones((short, 3))]).reshape(-1, columns, 3)
    ax.imshow(grid, aspect="auto", interpolation="nearest")
    ax.axis("off")
    for name, label in LABELS.items():
        ax.scatter([], [], color=COLOURS[name], marker="s", s=50, label=label)
    ax.legend(ncols=7, loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=9,
              handletextpad=0.2, columnspacing=1.2)  # fmt: skip


def _shown_lists(trajectory: Trajectory, moment: int) -> tuple:
    """The lists to show (with blocks, largest orders first), and the number of further lists."""
    types = len(trajectory.meta["migratetypes"])
    nr_lists = len(trajectory.meta["zones"]) * NR_ORDERS * types
    there = [w for w in range(nr_lists) if trajectory.window(moment, w)[0]]
    there.sort(key=lambda w: (-(w // types % NR_ORDERS), -w))
    return there[:SHOWN_LISTS], len(there[SHOWN_LISTS:])


def _draw_lists(trajectory: Trajectory, moment: int, ax, shown, hidden) -> None:
    zones, types = trajectory.meta["zones"], len(trajectory.meta["migratetypes"])
    for row, which in enumerate(shown):
        blocks, head, tail = trajectory.window(moment, which)
        entries = np.concatenate([head, tail])
        entries = entries[entries & ENTRY_NODE == 0]
        x = np.arange(len(entries)) + 5 * (np.arange(len(entries)) >= len(head))
        known = np.where(entries & ENTRY_HOST_HAS, COLOURS["hinted"], COLOURS["free"])
        edge = np.where(entries & (ENTRY_IN_FLIGHT | ENTRY_HOST_HAS), COLOURS["hinted"], known)
        ax.scatter(x, np.full(len(x), -row), c=known, edgecolors=edge, marker="s", s=26)
        order, kind = divmod(which % (NR_ORDERS * types), types)
        zone = zones[which // (NR_ORDERS * types)]["name"]
        kind = trajectory.meta["migratetypes"][kind].capitalize()
        ax.text(-1.5, -row, f"{zone}  {order}  {kind}  {blocks:,}", ha="right", va="center",
                fontsize=8)  # fmt: skip
    ax.set(xlim=(-22, 86), ylim=(-len(shown) + 0.3, 0.8))
    ax.axis("off")
    more = f"; {hidden} more lists" if hidden else ""
    ax.set_title(f"free lists, head at the left{more}", loc="left", fontsize=10)
