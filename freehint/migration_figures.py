"""Pictures of live migrations: what was sent, what a hint saved, and what came afterwards.

Each is a function (table, axes) -> axes, with units; what needs more than a run's own table comes
with a function that makes it.  Drawn like :mod:`freehint.figures`.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from freehint.figures.registry import figure
from freehint.figures.style import (
    MIB,
    SMALL,
    axes_or_new,
    every,
    legend_above,
    legend_beside,
    log_axis,
    new_figure,
    stacked_rows,
)
from freehint.formats.tables import free_lists, pageblocks
from freehint.mm.memory import UNMOVABLE
from freehint.palette import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, SKY, VERMILION
from freehint.simulate import Scenario, simulate
from freehint.units import NS_PER_S

POLICY_COLOURS = {"v24": GREEN, "balloon_alloc": BLUE}
STATE_COLOURS = {"idle": GREY, "freed": GREEN, "dirty": ORANGE, "churn": VERMILION, "frag": BLUE}


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


def share_of_order(scenario: Scenario, order=10) -> float:
    """Of all free memory at a scenario's start, pcp lists too, the share in blocks of an order."""
    run = simulate(scenario.with_values({"policy": "none", "migration": None, "duration_ns": 1}))
    first = run.history[run.history["time_s"] == 0]
    return first.loc[first["order"] == order, "free_pages"].sum() / first["free_pages"].sum()


def savings(table: pd.DataFrame, knob: str, labels=None) -> pd.DataFrame:
    """What each policy saved against "none" with the same knob at the same value.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.sweep`, over "policy" and ``knob``.
    labels : sequence of str, optional
        Names for the knob's values, in the order of the table.

    Returns
    -------
    DataFrame
        policy, level (the knob's value as text), saved_bytes (%; below 0: hints cost bytes),
        saved_s.
    """
    values = list(dict.fromkeys(table[knob]))
    named = dict(zip(values, labels or map(str, values), strict=True))
    base = table[table["policy"] == "none"].set_index(knob)
    rows = table[table["policy"] != "none"].reset_index(drop=True)
    before = base.loc[rows[knob]].reset_index()
    return pd.DataFrame(
        {
            "policy": rows["policy"],
            "level": rows[knob].map(named),
            "saved_bytes": 100 * (1 - rows["sent_bytes"] / before["sent_bytes"]).astype(float),
            "saved_s": (before["total_ns"] - rows["total_ns"]).astype(float) / NS_PER_S,
        }
    )


@figure(
    "What hints save in a migration against the same guest without hints, a group of bars a"
    " level of one knob and a bar a policy; below 0, hints cost.",
    source="freehint.migration_figures.savings",
    unitless="x",
)
def effect(table: pd.DataFrame, ax=None, column="saved_bytes") -> Axes:
    """What hints save at each level of one knob: a group of bars a level, a bar a policy.

    A legend comes with a figure of its own; :func:`effects` has one for all panels.

    Parameters
    ----------
    table : DataFrame
        Of :func:`savings`.
    column : "saved_bytes" (%) or "saved_s" (s)
    """
    alone = ax is None
    ax = axes_or_new(ax, width=4.5)
    levels, policies = (list(dict.fromkeys(table[name])) for name in ("level", "policy"))
    width = 0.8 / len(policies)
    for i, policy in enumerate(policies):
        rows = table[table["policy"] == policy].set_index("level").loc[levels]
        x = np.arange(len(levels)) + (i - (len(policies) - 1) / 2) * width
        colour = POLICY_COLOURS.get(policy, GREY)
        bars = ax.bar(x, rows[column], width, color=colour, label=policy)
        ax.bar_label(bars, fmt="{:.0f}" if column == "saved_bytes" else "{:.1f}", fontsize=SMALL)
    ax.axhline(0, color=BLACK, lw=0.8)
    ax.set_xticks(range(len(levels)), levels)
    if column == "saved_bytes":
        ax.set(ylabel="bytes saved (%)", ylim=(min(-8, 1.7 * table[column].min()), 109))
    else:
        ax.set(ylabel="time saved (s)", ylim=_around(table[column]))
    if alone:
        legend_above(ax, len(policies))
    return ax


def _around(seconds) -> tuple:
    """Limits with room for a number beyond each bar, also where nothing was saved or hints cost."""
    low, high = min(0, seconds.min()), max(0, seconds.max())
    room = 0.15 * max(high - low, 0.1)
    return low - room * (low < 0), high + room


@figure(
    "What hints save in a migration against the same guest without hints, a panel a knob: a"
    " group of bars a level and a bar a policy; below 0, hints cost.",
    source="freehint.migration_figures.savings",
    unitless="x",
    wide=True,
)
def effects(panels: dict, axes=None):
    """What hints save, a panel a knob as :func:`effect` draws it, then the legend.

    Parameters
    ----------
    panels : dict
        Title -> (table, column), as for :func:`effect`.
    axes : array of Axes, optional
        At least one more than there are panels.
    """
    if axes is None:
        axes = new_figure(12, 3 * (len(panels) // 3 + 1), len(panels) // 3 + 1, 3)[1]
    axes = every(axes)
    for (title, (table, column)), ax in zip(panels.items(), axes):
        effect(table, ax, column).set_title(title)
    for ax in axes[len(panels) :]:
        ax.axis("off")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center")
    return axes


def after_the_migration(scenario: Scenario, window_ns: int) -> pd.Series:
    """What a guest does, and pays, in ``window_ns`` of simulated time after its switch-over.

    The same scenario is run twice, up to the switch-over and ``window_ns`` longer; the same seed
    makes the same first part, so the difference is what came afterwards.

    Returns
    -------
    Series
        policy, seed, sent_bytes, total_ns, survival, lost_writes; of the window: faults, fault_ns,
        work (allocations, frees and writes), waited_ns (allocations and frees, for the zone lock);
        unmovable (pageblocks, at the end) and large_MiB (free, in blocks of order >= 9).

    Raises
    ------
    ValueError
        The migration does not end within the scenario's duration.
    """
    total_ns = simulate(scenario).summary["total_ns"]
    if total_ns < 0:
        raise ValueError(f"the migration has not ended after {scenario.duration_ns} ns")
    end_ns = scenario.migration.start_at_ns + total_ns + 1
    first, whole = (
        simulate(replace(scenario, duration_ns=end)) for end in (end_ns, end_ns + window_ns)
    )

    def gained(*names):
        return int(sum(whole.summary[name] - first.summary[name] for name in names))

    large = free_lists(whole.memory).query("order >= 9")["order"].to_numpy(np.int64)
    kept = ("policy", "seed", "sent_bytes", "total_ns", "survival", "lost_writes")
    return pd.Series(
        {name: whole.summary[name] for name in kept}
        | {
            "faults": gained("faults"),
            "fault_ns": gained("fault_ns"),
            "work": gained("allocations", "frees", "writes"),
            "waited_ns": int(whole.waits["wait_ns"].sum() - first.waits["wait_ns"].sum()),
            "unmovable": int((pageblocks(whole.memory)["migratetype"] == UNMOVABLE).sum()),
            "large_MiB": float((1 << large).sum() * MIB),
        },
        dtype=object,
    )


def against_none(table: pd.DataFrame, column: str) -> pd.Series:
    """How much more (%) of a measure a run has than "none" with the same seed."""
    none = table[table["policy"] == "none"].set_index("seed")[column]
    base = none.loc[table["seed"]].astype(float).to_numpy()
    return (table[column].astype(float) / base - 1) * 100


@figure(
    "One measure of each policy: a bar at the mean over the seeds and a dot a seed; the"
    " dashed line, if any, is the value before the migration or without hints.",
    source="freehint.summaries, freehint.migration_figures.after_the_migration",
    unitless="y",
)
def per_policy(table: pd.DataFrame, column: str, ax=None, label="", mark=None) -> Axes:
    """One measure of each policy: a bar at the mean, a dot a seed.

    Parameters
    ----------
    table : DataFrame
        policy and ``column``, a row a run.
    label : str
        Name and unit of the measure.
    mark : float, optional
        Where a dashed line goes: the value before the migration, or without hints.
    """
    policies = list(dict.fromkeys(table["policy"]))
    ax = axes_or_new(ax, height=0.3 * len(policies) + 1.0)
    means = table.groupby("policy", sort=False)[column].apply(
        lambda rows: rows.astype(float).mean()
    )
    colours = [GREY if policy == "none" else GREEN for policy in policies]
    ax.barh(policies, means[policies], color=colours, height=0.7)
    at = [policies.index(policy) for policy in table["policy"]]
    ax.scatter(table[column].astype(float), at, color=BLACK, s=10, zorder=3)
    if mark is not None:
        ax.axvline(mark, color=BLACK, lw=1, ls="--")
    ax.set_ylim(len(policies) - 0.4, -0.6)
    ax.set(xlabel=label or column)
    return ax


@figure(
    "Recorded migrations of QEMU: measured (across) and predicted (upwards), both"
    " logarithmic. Filled: hints on; the grey band is 10 % to either side.",
    source="freehint.validate_migration",
)
def predicted_beside_measured(table: pd.DataFrame, counter: str, ax=None, unit=1.0, label=""):
    """Each recorded migration: measured across, predicted upwards, both logarithmic.

    Parameters
    ----------
    table : DataFrame
        Of :func:`freehint.validate_migration`.
    counter : str
        "transferred_B", "total_time_ms", ..
    unit : float
        What the counter is divided by for the axes.
    label : str
        Name and unit on the axes.

    Returns
    -------
    Axes
        Filled: hints on; the grey band is 10 % to either side.  A legend comes with a figure of
        its own.
    """
    alone = ax is None
    ax = axes_or_new(ax, width=6.0, height=4.2)
    both = table[[f"measured_{counter}", f"predicted_{counter}"]].astype(float) / unit
    ends = np.array([both.min().min() / 1.3, both.max().max() * 1.3])
    ax.fill_between(ends, ends / 1.1, ends * 1.1, color=PALE, lw=0, zorder=0)
    ax.plot(ends, ends, color=GREY, lw=1, zorder=1)
    for state, colour in STATE_COLOURS.items():
        for hint, face in (("off", "none"), ("on", colour)):
            rows = both[(table["state"] == state) & (table["hint"] == hint)]
            name = f"{state}, hints {hint}" if len(rows) else None
            ax.scatter(*rows.to_numpy().T, s=34, facecolors=face, edgecolors=colour, lw=1.3,
                       label=name, zorder=2)  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis, *ends)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.set(xlabel=f"measured {label or counter}", ylabel=f"predicted {label or counter}")
    if alone:
        legend_beside(ax)
    return ax


def recorded_resident(info: dict) -> pd.DataFrame:
    """QEMU's resident memory in a recording: time_s since its program left, resident_MiB.

    The program leaves when the memory has grown to its most.
    """
    table = pd.DataFrame(info["rss"], columns=["time_s", "resident_KiB"])
    top = table["time_s"][table["resident_KiB"].idxmax()]
    table["time_s"] -= top
    table["resident_MiB"] = table["resident_KiB"] / 1024
    return table[table["time_s"] >= 0].reset_index(drop=True)


def steps_down(time_s, resident_mib, least=8.0) -> pd.DataFrame:
    """Where resident memory (MiB) falls by at least ``least`` from one sample to the next.

    Returns
    -------
    DataFrame
        time_s, MiB.
    """
    fall = -np.diff(np.asarray(resident_mib, float))
    at = np.flatnonzero(fall >= least)
    return pd.DataFrame({"time_s": np.asarray(time_s, float)[at + 1], "MiB": fall[at]})


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
