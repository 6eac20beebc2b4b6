"""The figures below the bench's players, and the bench as one picture for pages without scripts."""

import io

import numpy as np
from matplotlib.image import imread, imsave

from freehint import figures
from freehint.runs.tables.compare import summaries
from freehint.studies.parking import by_cause, last_parks
from freehint.widgets.player.png import moment_png
from freehint.widgets.run_figures import PANELS

PANELS_OF_A_RUN = ("walk", "lock")
WIDTH, ROW_HEIGHT, DPI = 9.6, 2.5, 125  # inches, inches, pixels per inch


def draw_runs(runs: dict):
    """Draw the walk map and the lock timeline of one or two runs, and their migrations or parks.

    Parameters
    ----------
    runs : dict
        Name -> Run, one or two; two runs stand side by side.
    """
    migrated = {name: run for name, run in runs.items() if "migration" in run.summary}
    parked = {name: run for name, run in runs.items() if len(run.parks)}
    rows = len(runs) + bool(migrated) + bool(parked)
    figure, axes = figures.quick_figure(
        WIDTH, ROW_HEIGHT * rows, rows, 2, DPI, left=0.075, right=0.985, top=1 - 0.12 / rows,
        bottom=0.2 / rows, hspace=0.5, wspace=0.26,
    )  # fmt: skip
    axes = figures.every(axes)
    panels = [(panel, name) for panel in PANELS_OF_A_RUN for name in runs]
    for (panel, name), ax in zip(panels, axes[: len(panels)], strict=True):
        title, draw = PANELS[panel]
        draw(runs[name], ax, runs[name].provenance["parameters"]["duration_ns"])
        whose = f"{name}: " if len(runs) == 2 else ""
        ax.set_title(whose + title, loc="left", fontsize=10)
    if len(runs) == 2:
        _same_heights(axes[:2])
    below = axes[len(panels) :]
    if migrated:
        _draw_migrations(migrated, *below[:2])
    if parked:
        _draw_parks(parked, *below[-2:])
    return figure


def _same_heights(axes) -> None:
    ends = [end for ax in axes for end in ax.get_ylim()]
    lowest, highest = min(ends), max(ends)
    for ax in axes:
        ax.set_ylim(lowest, highest)


def _draw_migrations(runs: dict, fate, dirty) -> None:
    table = summaries(runs.values()).set_axis(list(runs))
    figures.pages_by_fate(table, fate)
    _legend_above(fate)
    figures.dirty_at_each_sync({name: run.rounds for name, run in runs.items()}, dirty)
    if len(runs) > 1:
        dirty.legend(frameon=False, fontsize=9, loc="upper right")


def _draw_parks(runs: dict, causes, times) -> None:
    figures.stranded_by_cause(by_cause(runs), causes)
    causes.set_xlabel("memory in the snapshot (MiB)")
    figures.time_to_resume(last_parks(runs), times)
    for ax in (causes, times):
        _legend_above(ax)


def _legend_above(ax) -> None:
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(-0.05, 1.0),
              columnspacing=1.0, handlelength=1.2, borderpad=0)  # fmt: skip


def stacked_png(trajectories, moments, below: bytes) -> bytes:
    """One PNG of players' moments, one above the other, with a given PNG below them."""
    pictures = [moment_png(seen, at) for seen, at in zip(trajectories, moments, strict=True)]
    images = [imread(io.BytesIO(png))[..., :3] for png in (*pictures, below)]
    width = max(image.shape[1] for image in images)
    padded = [
        np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=1)
        for image in images
    ]
    buffer = io.BytesIO()
    imsave(buffer, np.concatenate(padded), format="png")
    return buffer.getvalue()
