"""Pictures of live migrations: what was sent, what a hint saved, and what came afterwards.

Each is a function (table, axes) -> axes, with units; what needs more than a run's own table comes
with a function that makes it.  Drawn like :mod:`freehint.figures`.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    axes_or_new,
    legend_above,
    legend_beside,
    log_axis,
    new_figure,
    stacked_rows,
)
from freehint.units import MIB, NS_PER_S


@figure(
    "What became of the guest's memory in a migration, a bar a run: sent whole, sent as zero"
    " pages, and not sent because of a hint; a page that is sent twice counts twice.",
    source="freehint.summaries",
    unitless="y",
)
def pages_by_fate(table: pd.DataFrame, ax=None) -> Axes:
    """What became of the guest's memory (MiB), a bar a run: sent, zero pages, skipped.

    Parameters
    ----------
    table : DataFrame
        One row of summary a run (:func:`freehint.summaries`); the index names the bars.  A page
        that is sent twice counts twice.
    """
    ax = axes_or_new(ax, height=0.42 * len(table) + 1.2)
    parts = (
        ("normal_pages", VERMILION, "sent whole, 4,104 B a page"),
        ("zero_pages", SKY, "sent as a zero page, 9 B"),
        ("skipped_pages", GREEN, "not sent: a hint"),
    )
    mib = [(table[name].astype(float) * MIB, colour, label) for name, colour, label in parts]
    stacked_rows(ax, [str(name) for name in table.index], mib)
    ax.invert_yaxis()
    ax.set(xlabel="memory (MiB)")
    legend_above(ax, 3, x=-0.05)
    return ax


@figure(
    "Pages that each bitmap sync of a migration found newly dirty, a line a run, on a"
    " symmetric logarithmic axis; the first sync, which sets every page, is left out.",
    source="Run.rounds",
    unitless="x",
)
def dirty_at_each_sync(rounds_of: dict, ax=None) -> Axes:
    """Pages that each bitmap sync found newly dirty (a symmetric logarithm), a line a run."""
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
    "The rounds of migrations, a row a run: how long each round took (left), and how much it"
    " sent (right, logarithmic). The last round is that with the guest stopped.",
    source="Run.rounds, Run.summary",
    unitless="y",
    wide=True,
)
def rounds_side_by_side(runs, axes=None):
    """Migrations' rounds, a row a run: how long each took, and what each sent.

    Parameters
    ----------
    runs : sequence of Run
        Each with a migration that has begun; named by their policies.
    axes : sequence of 2 Axes, optional
    """
    if axes is None:
        axes = new_figure(11, 0.42 * len(runs) + 1.2, columns=2, sharey=True)[1]
    rounds_over_time(runs, axes[0])
    sent_by_round(runs, axes[1])
    return axes


@figure(
    "The rounds of migrations, one after another, a row a run, with a line at each bitmap"
    " sync; in the last the guest is stopped.",
    source="Run.rounds, Run.summary",
    unitless="y",
)
def rounds_over_time(runs, ax=None) -> Axes:
    """The rounds of migrations, one after another (s), a row a run, a line at each sync.

    Parameters
    ----------
    runs : sequence of Run
        Each with a migration that has begun; named by their policies.
    """
    ax = axes_or_new(ax, height=0.42 * len(runs) + 1.2)
    for at, run in enumerate(runs):
        ends_s = _round_ends(run)
        for (begin, end), colour in zip(pairwise(ends_s), _round_colours(run), strict=True):
            ax.barh(at, end - begin, left=begin, color=colour, height=0.6)
        # Rounds may be too short to be seen.
        ax.vlines(ends_s[1:], at - 0.36, at + 0.36, color=BLACK, lw=0.8)
    for colour, label in ((SKY, "first round"), (BLUE, "later rounds"), (VERMILION, "stopped")):
        ax.barh(0, 0, color=colour, label=label)
    legend_above(ax, 3)
    ax.locator_params(axis="x", nbins=5)
    return _row_a_run(runs, ax, "time since the migration began (s)")


@figure(
    "How much each round of a migration sent, a dot a round and a row a run, logarithmic; a"
    " round that sent nothing has no dot.",
    source="Run.rounds, Run.summary",
    unitless="y",
)
def sent_by_round(runs, ax=None) -> Axes:
    """What each round of a migration sent (MB, a logarithm), a row a run, a dot a round."""
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
    """What each round of a run sent, in MB."""
    return np.diff(np.append(run.rounds["sent_bytes"], run.summary["sent_bytes"])) / 1e6


def _row_a_run(runs, ax, label: str) -> Axes:
    ax.set_yticks(range(len(runs)), [run.summary["policy"] for run in runs])
    ax.set(xlabel=label, ylim=(len(runs) - 0.4, -0.6))
    return ax


def _round_ends(run) -> np.ndarray:
    """When each round of a run ended, the first entry its begin, in s since then."""
    times = run.rounds["time_ns"].to_numpy() - run.rounds["time_ns"].iloc[0]
    total_ns = run.summary["total_ns"]
    return np.append(times, total_ns if total_ns >= 0 else times[-1]) / NS_PER_S


def _round_colours(run) -> list:
    """The first round, later ones, and the one with the guest stopped."""
    later = [BLUE] * (len(run.rounds) - 1)
    if run.summary["downtime_ns"] >= 0:
        later[-1] = VERMILION
    return [SKY, *later]


@figure(
    "Resident memory below its most since the guest's program left: recorded (VmRSS of QEMU)"
    " and simulated.",
    source="a recording of a migration: rss; Run.resident",
)
def resident_beside(measured: pd.DataFrame, simulated: pd.DataFrame, ax=None) -> Axes:
    """Resident memory below its most (MiB) over the time since the program left (s).

    Parameters
    ----------
    measured : DataFrame
        Of :func:`recorded_resident`.
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
