"""Figures of guests under pressure: recorded and predicted."""

import numpy as np
from matplotlib.axes import Axes

from freehint.figures.drawing.palette import BLACK, GREY, ORANGE, PALE, VERMILION
from freehint.figures.drawing.registry import figure
from freehint.figures.drawing.style import SMALL, axes_or_new, legend_above, log_axis
from freehint.replay.pressure.compare import Comparison, own_times
from freehint.units import MIB

WATERMARKS = ("min", "low", "high")
STRIP = 0.04  # height of the strip of kswapd's runs, in axes


@figure(
    "Free memory of a recorded guest under pressure (black) and as predicted (orange) over time,"
    " logarithmic. Each predicted step is stretched to its recorded length. Grey lines: the"
    " watermarks min, low and high, added up over the zones, without lowmem_reserve. Below: when"
    " kswapd balanced in the recording. Red lines: kills by the OOM killer, dashed if predicted.",
    source="freehint.replay.pressure.compare: a recording under pressure and its prediction",
    wide=True,
)
def free_under_pressure(compared: Comparison, ax=None) -> Axes:
    """Free memory (MiB, logarithmic) over time (s), recorded and predicted, with watermarks.

    Parameters
    ----------
    compared : Comparison
        The result of :func:`freehint.replay.pressure.compare.compare`.
    """
    ax = axes_or_new(ax)
    measured, predicted = compared.measured, compared.predicted
    courses = measured.free.sum(axis=1) * MIB, compared.course * MIB
    marks = measured.start.zones["watermark"].sum(axis=0) * MIB
    ends = min(*(course[course > 0].min() for course in courses), marks[0]), max(map(max, courses))
    log_axis(ax.yaxis, ends[0] / 1.5, ends[1])
    for mark, name, beside in zip(marks, WATERMARKS, ("top", "center", "bottom"), strict=True):
        ax.axhline(mark, color=GREY, lw=0.8, zorder=1)
        if beside != "center":
            ax.annotate(name, (1.0, mark), (3, 0), xycoords=ax.get_yaxis_transform(), va=beside,
                        textcoords="offset points", fontsize=SMALL, color=GREY)  # fmt: skip
    ax.plot(measured.time_s, courses[0], color=BLACK, lw=1.2, label="recorded", zorder=2)
    ax.plot(measured.time_s, courses[1], color=ORANGE, lw=1.2, label="predicted", zorder=3)
    said = np.interp(predicted.oom_s, own_times(measured, predicted), measured.time_s)
    for kills, dashes in ((measured.oom_s, "-"), (said, "--")):
        for at in kills:
            ax.axvline(at, color=VERMILION, lw=1.2, ls=dashes, zorder=1)
    runs = measured.kswapd
    spans = zip(runs["begin_s"], runs["end_s"] - runs["begin_s"], strict=True)
    ax.broken_barh(list(spans), (0, STRIP), transform=ax.get_xaxis_transform(), lw=0.3,
                   color=GREY, label="kswapd balances")  # fmt: skip
    for begin in measured.steps["begin_s"].iloc[1:]:
        ax.axvline(begin, color=PALE, lw=1, zorder=0)
    ax.set(xlabel="time since the first step began (s)", ylabel="free memory (MiB)")
    ax.set_xlim(0, measured.time_s[-1])
    legend_above(ax, 3)
    return ax
