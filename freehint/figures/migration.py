"""Figures of live migrations: the fate of pages, rounds, syncs, and resident memory afterwards."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    axes_or_new,
    colour_of,
    legend_above,
    legend_beside,
    log_axis,
    new_figure,
    stacked_rows,
)
from freehint.units import MIB, NS_PER_S


@figure(
    "What became of the guest's memory in a migration: sent whole, sent as zero pages, or not sent"
    " because of a hint. Each bar is one run; a page that is sent twice counts twice.",
    source="freehint.summaries",
    unitless="y",
)
def pages_by_fate(table: pd.DataFrame, ax=None) -> Axes:
    """What became of the guest's memory (MiB) in each run: sent, zero pages, skipped.

    Parameters
    ----------
    table : DataFrame
        One row of summary per run (:func:`freehint.summaries`); the index names the bars.  A page
        that is sent twice counts twice.
    """
    ax = axes_or_new(ax, height=0.42 * len(table) + 1.2)
    parts = (
        ("normal_pages", colour_of("ink"), "sent whole, 4,104 B per page"),
        ("zero_pages", colour_of("middle"), "sent as a zero page, 9 B"),
        ("skipped_pages", colour_of("hinted"), "not sent: a hint"),
    )
    mib = [(table[name].astype(float) * MIB, colour, label) for name, colour, label in parts]
    stacked_rows(ax, [str(name) for name in table.index], mib)
    ax.invert_yaxis()
    ax.set(xlabel="memory (MiB)")
    legend_above(ax, 3, x=-0.05)
    return ax


@figure(
    "Pages that each bitmap sync of a migration found newly dirty, on a symmetric logarithmic"
    " axis. Each line is one run; the first sync, which sets every page, is left out.",
    source="Run.rounds",
    unitless="x",
)
def dirty_at_each_sync(rounds_of: dict, ax=None) -> Axes:
    """Pages that each bitmap sync of a run found newly dirty, on a symmetric logarithmic axis."""
    ax = axes_or_new(ax, height=3.0)
    pens = zip((GREY, GREEN, BLUE, VERMILION, BLACK), "osD^v", (12, 9, 7, 6, 5), strict=True)
    for (name, rounds), (colour, mark, size) in zip(rounds_of.items(), pens):
        dirty = rounds["dirty_pages"].to_numpy()[1:]
        ax.plot(np.arange(1, len(dirty) + 1), dirty, color=colour, lw=1.5, marker=mark, ms=size,
                label=name)  # fmt: skip
    ax.set_yscale("symlog", linthresh=10)
    ax.set_yticks([0, 10, 100, 1_000, 10_000, 100_000],
                  ["0", "10", "100", "1,000", "10,000", "100,000"])  # fmt: skip
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="bitmap sync (the first is left out)")
    ax.set(ylabel="newly dirty (pages)", ylim=(0, 500_000))
    if len(rounds_of) > 1:
        legend_beside(ax)
    return ax


@figure(
    "The rounds of migrations, one row per run: how long each round took (left), and how much it"
    " sent (right, logarithmic). In the last round the guest is stopped.",
    source="Run.rounds, Run.summary",
    unitless="y",
    wide=True,
)
def rounds_side_by_side(runs, axes=None):
    """The rounds of migrations, one row per run: how long each took, and how much each sent.

    Parameters
    ----------
    runs : sequence of Run
        In each a migration must have begun; the rows are named by the runs' policies.
    axes : sequence of 2 Axes, optional
    """
    if axes is None:
        axes = new_figure(11, 0.42 * len(runs) + 1.2, columns=2, sharey=True)[1]
    rounds_over_time(runs, axes[0])
    sent_by_round(runs, axes[1])
    return axes


@figure(
    "The rounds of migrations, one after another, one row per run, with a line at each bitmap"
    " sync. In the last round the guest is stopped.",
    source="Run.rounds, Run.summary",
    unitless="y",
)
def rounds_over_time(runs, ax=None) -> Axes:
    """The rounds of migrations over time (s), one row per run, with a line at each sync.

    Parameters
    ----------
    runs : sequence of Run
        In each a migration must have begun; the rows are named by the runs' policies.
    """
    ax = axes_or_new(ax, height=0.42 * len(runs) + 1.2)
    for at, run in enumerate(runs):
        ends_s = _round_ends(run)
        for (begin, end), colour in zip(pairwise(ends_s), _round_colours(run), strict=True):
            ax.barh(at, end - begin, left=begin, color=colour, height=0.6)
        # The line marks a round even if its bar is too short to be seen.
        ax.vlines(ends_s[1:], at - 0.36, at + 0.36, color=BLACK, lw=0.8)
    for colour, label in ((SKY, "first round"), (BLUE, "later rounds"), (VERMILION, "stopped")):
        ax.barh(0, 0, color=colour, label=label)
    legend_above(ax, 3)
    ax.locator_params(axis="x", nbins=5)
    return _row_a_run(runs, ax, "time since the migration began (s)")


@figure(
    "How much each round of a migration sent (logarithmic), one row per run and one dot per round."
    " A round that sent nothing has no dot.",
    source="Run.rounds, Run.summary",
    unitless="y",
)
def sent_by_round(runs, ax=None) -> Axes:
    """How much each round of a migration sent (MB, logarithmic), one row per run."""
    ax = axes_or_new(ax, height=0.42 * len(runs) + 1.2)
    for at, run in enumerate(runs):
        sent = _sent_mb(run)
        some = sent > 0
        ax.scatter(
            sent[some], np.full(some.sum(), at), s=55, color=np.array(_round_colours(run))[some]
        )
    mb = np.concatenate([_sent_mb(run) for run in runs])
    if (mb > 0).any():
        log_axis(ax.xaxis, mb[mb > 0].min(), mb.max())
    return _row_a_run(runs, ax, "sent in a round (MB)")


def _sent_mb(run) -> np.ndarray:
    """How much each round of a run sent, in MB."""
    return np.diff(np.append(run.rounds["sent_bytes"], run.summary["sent_bytes"])) / 1e6


def _row_a_run(runs, ax, label: str) -> Axes:
    ax.set_yticks(range(len(runs)), [run.summary["policy"] for run in runs])
    ax.set(xlabel=label, ylim=(len(runs) - 0.4, -0.6))
    return ax


def _round_ends(run) -> np.ndarray:
    """The begin of a run's first round (0) and the end of each round, in s."""
    times = run.rounds["time_ns"].to_numpy() - run.rounds["time_ns"].iloc[0]
    total_ns = run.summary["total_ns"]
    return np.append(times, total_ns if total_ns >= 0 else times[-1]) / NS_PER_S


def _round_colours(run) -> list:
    """A colour per round: the first one, later ones, and the one with the guest stopped."""
    later = [BLUE] * (len(run.rounds) - 1)
    if run.summary["downtime_ns"] >= 0:
        later[-1] = VERMILION
    return [SKY, *later]


@figure(
    "Resident memory, as the change since the guest's program ended: recorded (VmRSS of QEMU) and"
    " simulated.",
    source="a recording of a migration: rss; Run.resident",
)
def resident_beside(measured: pd.DataFrame, simulated: pd.DataFrame, ax=None) -> Axes:
    """The change of resident memory (MiB) over the time (s) since the guest's program ended.

    Parameters
    ----------
    measured : DataFrame
        The result of :func:`freehint.studies.migrations.recorded_resident`.
    simulated : DataFrame
        ``run.resident``.
    """
    ax = axes_or_new(ax, height=3.0)
    pages = simulated["resident_pages"] * MIB
    for time_s, mib, colour, style, name in (
        (measured["time_s"], measured["resident_MiB"], BLACK, "-", "recorded: VmRSS of QEMU"),
        (simulated["time_s"], pages, ORANGE, "--", "simulated: pages that the host gives"),
    ):
        ax.step(time_s, mib - mib.iloc[0], color=colour, ls=style, lw=2, where="post", label=name)
    ax.set(xlabel="time since the memory was freed (s)", ylabel="resident memory, change (MiB)")
    ax.set_xlim(0, simulated["time_s"].max())
    ax.legend()
    return ax
