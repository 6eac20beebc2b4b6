"""The figures below the bench's players, and the bench as one picture for where no script runs."""

import io

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.image import imread, imsave
from matplotlib.patches import Patch
from matplotlib.text import Text

from freehint import figures
from freehint.palette import BLACK, THEMES
from freehint.widgets.player_png import frame_png
from freehint.widgets.scenario import PANELS

OF_EVERY_RUN, OF_A_MIGRATION = ("walk", "lock"), ("fate", "dirty")


def draw_runs(runs: dict, dark: bool = False):
    """Pictures of one run side by side, or of two: a column a run.

    Parameters
    ----------
    runs : dict
        Name -> Run.
    dark : bool
        For a dark page.
    """
    migrates = any(_migrates(run) for run in runs.values())
    panels = OF_EVERY_RUN + (OF_A_MIGRATION if migrates else ())
    rows = len(panels) if len(runs) == 2 else len(panels) // 2
    figure, axes = figures.quick_figure(
        12, 2.75 * rows, rows, 2, left=0.065, right=0.99, top=1 - 0.14 / rows, bottom=0.18 / rows,
        hspace=0.42, wspace=0.17,
    )  # fmt: skip
    cells = [(run, name) for name in panels for run in runs.values()]
    for (run, panel), ax in zip(cells, figures.every(axes), strict=True):
        _draw(run, panel, ax)
    if len(runs) == 2:
        _say_whose(runs, figures.every(axes))
    if dark:
        darken(figure)
    return figure


def _migrates(run) -> bool:
    return "migration" in run.summary


def _draw(run, panel: str, ax) -> None:
    if panel in OF_A_MIGRATION and not _migrates(run):
        ax.axis("off")
        ax.text(0, 0.5, "no migration", transform=ax.transAxes, color=figures.GREY)
        return
    title, draw = PANELS[panel]
    draw(run, ax, run.provenance["parameters"]["duration_ns"])
    if title:
        ax.set_title(title, loc="left", fontsize=10)


def _say_whose(runs: dict, axes) -> None:
    for at, ax in enumerate(axes):
        name = list(runs)[at % 2]
        ax.set_title(f"{name}: {ax.get_title(loc='left')}".removesuffix(": "), loc="left",
                     fontsize=10)  # fmt: skip
    highest = max(ax.get_ylim()[1] for ax in axes[:2])
    lowest = min(ax.get_ylim()[0] for ax in axes[:2])
    for ax in axes[:2]:
        ax.set_ylim(lowest, highest)


def darken(figure) -> None:
    """The same figure for a dark page: paper and ink change, colours that mean something stay."""
    theme = THEMES["dark"]
    figure.set_facecolor(theme["paper"])
    for ax in figure.axes:
        ax.set_facecolor(theme["paper"])
        ax.tick_params(which="both", colors=theme["faint"])
        for spine in ax.spines.values():
            spine.set_color(theme["line"])
        for patch in ax.patches:
            _whiten(patch, theme)
    for text in figure.findobj(Text):
        text.set_color(theme["ink"])


def _whiten(patch: Patch, theme) -> None:
    if to_hex(patch.get_facecolor()) == BLACK:
        patch.set_facecolor(theme["ink"])


def stacked_png(trajectories, frames, below: bytes) -> bytes:
    """Players' frames one above the other, and a PNG below them, as one PNG."""
    pictures = [frame_png(seen, at) for seen, at in zip(trajectories, frames, strict=True)]
    images = [imread(io.BytesIO(png))[..., :3] for png in (*pictures, below)]
    width = max(image.shape[1] for image in images)
    padded = [
        np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=1)
        for image in images
    ]
    buffer = io.BytesIO()
    imsave(buffer, np.concatenate(padded), format="png")
    return buffer.getvalue()
