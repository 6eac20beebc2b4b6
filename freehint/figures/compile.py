"""The figure of the compile benchmark, complete enough to be posted alone."""

import numpy as np
import pandas as pd

from freehint.engine.world.records import Costs
from freehint.figures.drawing.palette import BLACK, BLUE, GREEN, GREY, SKY, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import (
    LABEL,
    SMALL,
    TICK,
    colour_of,
    legend_above,
    new_figure,
    stacked_rows,
)
from freehint.policies import BASELINE
from freehint.studies.compile import FOOTPRINTS, by_policy, on_a_host_that_discards
from freehint.version import __version__

FOOTNOTE = (
    "freehint {version}: the allocations and frees that a Linux 6.1 guest made while gcc compiled"
    " Lua (1 GiB, 1 CPU), run again by the model's allocator;\nQEMU's pre-copy at"
    " {bandwidth:g} MB/s. Assumed: {fault_us:g} µs per first-touch fault; every page is written"
    " once at allocation.\nHow long the guest is stopped also depends on the pages left at the last"
    " sync.{discards}"
)


@figure(
    "A compiling guest under each policy. Left: how long its live migration takes, as a bar for a"
    " guest that has been up for long, as a ring for a guest that has just booted. Right: the time"
    " that the compilation loses by the migration.",
    source="freehint.studies.compile.compile_benchmark",
    unitless="y",
    wide=True,
)
def compile_figure(table: pd.DataFrame, bandwidth_MBps=50, speed=1, axes=None):
    """How long the migration takes, and the time that the guest loses by it, for each policy.

    Left: the migration time (s) of a guest that has been up for long (bar) and of a guest that has
    just booted (ring).  Right: the time (ms) that the former loses while it is stopped, by waits
    and faults during the migration, and in the minutes that follow.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`freehint.studies.compile.compile_benchmark`.
    axes : sequence of 2 Axes, optional
    """
    used, fresh = (
        by_policy(table, memory=name, bandwidth_MBps=bandwidth_MBps, speed=speed)
        for name in FOOTPRINTS
    )
    if axes is None:
        axes = new_figure(11, 0.36 * len(used) + 2.0, 1, 2, sharey=True)[1]
    left, right = axes
    whole = left.get_figure()
    rows = np.arange(len(used))
    _times(left, rows, used, fresh)
    _losses(right, rows, used)
    left.set_yticks(rows, [f"{BASELINE.name} (legacy)", *used.index[1:]], fontsize=LABEL)
    left.invert_yaxis()
    reporting = on_a_host_that_discards(used.index)
    fastest = used["migration_s"].drop(reporting).min()
    whole.suptitle(
        f"Live migration of a compiling guest: {used['migration_s'].iloc[0]:.1f} s without hints,"
        f" {fastest:.1f} s with",
        x=0.01, ha="left", fontsize=14, fontweight="bold",
    )  # fmt: skip
    discards = f" {', '.join(reporting)}: on a host that discards." if reporting else ""
    said = {"version": __version__, "bandwidth": bandwidth_MBps, "discards": discards}
    whole.supxlabel(
        FOOTNOTE.format(fault_us=Costs().fault_ns / 1e3, **said),
        x=0.01, ha="left", fontsize=SMALL, color=colour_of("faint"),
    )  # fmt: skip
    return axes


def _times(ax, rows, used, fresh) -> None:
    colours = [GREY if name == BASELINE.name else GREEN for name in used.index]
    ax.barh(rows, used["migration_s"], color=colours, height=0.66)
    ax.plot(fresh["migration_s"], rows, "o", mfc=colour_of("paper"), mec=BLACK, ms=6, lw=0)
    most = used["migration_s"].max()
    for row, seconds, megabytes in zip(rows, used["migration_s"], used["sent_MB"]):
        text = f"{seconds:.1f} s, {megabytes:,.0f} MB"
        inside = seconds > 0.7 * most
        ax.text(
            seconds + (-0.02 if inside else 0.035) * most, row, text, va="center", fontsize=TICK,
            ha="right" if inside else "left", color="white" if inside else colour_of("ink"),
        )  # fmt: skip
    ax.set(xlim=(0, 1.04 * most), xlabel="migration time (s)")
    ax.set_title("bar: guest up for long; ring: just booted", fontsize=LABEL)
    ax.tick_params(axis="y", length=0)


def _losses(ax, rows, used) -> None:
    during = used["slip_ms"] - used["downtime_ms"]
    parts = (
        (used["downtime_ms"], BLUE, "stopped"),
        (during, VERMILION, "otherwise during it"),
        (used["slip_after_ms"], SKY, f"in {used['after_s'].min():.0f} s after it"),
    )
    start = stacked_rows(ax, rows, parts, height=0.66)
    for row, total in zip(rows, start):
        ax.text(total + 0.01 * start.max(), row, f"{total:.1f} ms", va="center", fontsize=TICK)
    ax.set(xlim=(0, 1.15 * start.max()), xlabel="time that the compilation lost (ms)")
    legend_above(ax, 3, x=-0.03)
    ax.tick_params(axis="y", length=0)
