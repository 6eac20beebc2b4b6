"""The style of all figures: sizes, lines, grid, legends, logarithmic axes.

Figures are light, for paper; within :func:`theme` they can be drawn for a dark page.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, NullLocator

from freehint.figures.drawing.live import as_drawn, live_view
from freehint.figures.drawing.palette import BLACK, BLUE, PALE, PURPLE, SKY, THEMES

HEADING, LABEL, TICK, SMALL = 11, 10, 9, 8  # points
STYLE = {
    "font.family": "sans-serif",
    "font.size": LABEL,
    "axes.labelsize": LABEL,
    "axes.titlelocation": "left",
    "axes.titlesize": LABEL,
    "axes.axisbelow": True,
    "axes.grid": False,
    "figure.titlesize": HEADING,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": TICK,
    "legend.columnspacing": 1.0,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.8,
    "xtick.labelsize": TICK,
    "ytick.labelsize": TICK,
}

INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color",
         "ytick.color")  # fmt: skip
_THEME: ContextVar = ContextVar("theme", default="light")


@contextmanager
def theme(name: str) -> Iterator[None]:
    """A context in which all figures are drawn in a theme of ``palette.THEMES``."""
    before = _THEME.set(name)
    try:
        yield
    finally:
        _THEME.reset(before)


def colour_of(meaning: str) -> str:
    """The colour of a meaning, a key of ``palette.THEMES``, in the current theme."""
    return THEMES[_THEME.get()][meaning]


def style() -> dict:
    """Matplotlib's settings for the current theme."""
    colours = THEMES[_THEME.get()]
    paper = dict.fromkeys(("figure.facecolor", "axes.facecolor"), colours["paper"])
    return STYLE | dict.fromkeys(INKED, colours["ink"]) | paper


LINES = (BLUE, PURPLE, BLACK, SKY)  # for lines that a legend names
# Pairs of colour and dashes for more lines; no pair comes twice.
PENS = [(LINES[i % 4], ("-", "--", ":", "-.")[(i + i // 4) % 4]) for i in range(16)]


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot.

    While JupyterLab shows the notebook, the figure can be hovered, zoomed and saved, and has the
    colours of the page (:mod:`freehint.figures.drawing.live`).
    """

    def __init__(self, *args, **options):
        """Make a figure from what matplotlib's Figure takes, in the theme of the moment."""
        super().__init__(*args, **options)
        self.drawn_theme = _THEME.get()

    def _repr_mimebundle_(self, **_options) -> dict | None:
        return live_view(self, self.drawn_theme)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with as_drawn(self):
            self.savefig(buffer, format="png")
        return buffer.getvalue()


def new_figure(width=9.0, height=3.2, rows=1, columns=1, **options):
    """(figure, axes) made without pyplot, so that nothing is kept alive or shown twice."""
    with rc_context(style()):
        figure = Picture((width, height), dpi=100, layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


def quick_figure(width, height, rows=1, columns=1, dpi=80, **margins):
    """(figure, axes) with fixed margins, because the layout takes longer than the drawing."""
    with rc_context(style()):
        figure = Picture((width, height), dpi=dpi)
        axes = figure.subplots(rows, columns)
    figure.subplots_adjust(**margins)
    return figure, axes


def every(axes) -> list:
    """The axes of a figure in reading order, also where there is only one."""
    return list(np.ravel(axes))


def axes_or_new(ax, **size) -> Axes:
    """The axes given, or if None the axes of a new figure of a size."""
    return ax if ax is not None else new_figure(**size)[1]


def tidy(ax) -> None:
    """Remove the box around the data, and give tick labels their size and colour."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=TICK, colors=THEMES[_THEME.get()]["ink"])


_ABOVE: WeakKeyDictionary = WeakKeyDictionary()  # axes -> their legend's (columns, place)


def legend_above(ax, ncols, x=0.0) -> None:
    """Put a legend of ``ncols`` columns above the axes.

    It begins at ``x``, which is negative to begin above the names of rows.  If ``x`` is 1, it ends
    at the right edge instead and leaves room for a title.
    """
    place = {"loc": "lower right" if x == 1 else "lower left", "bbox_to_anchor": (x, 1.0)}
    _ABOVE[ax] = ncols, place
    ax.legend(ncols=ncols, **place)


def fit_legend_above(ax, points) -> None:
    """Fit the legend above the axes into a narrow figure: fewer columns, text of ``points``."""
    if ax not in _ABOVE:
        return
    most, place = _ABOVE[ax]
    beside = ax.yaxis.get_tightbbox()
    room = ax.get_figure().bbox.width - (beside.width if beside else 0) - 2 * points
    with rc_context(style() | {"legend.fontsize": points}):
        for ncols in range(most, 0, -1):
            ax.legend(ncols=ncols, **place)
            if ax.get_legend().get_window_extent().width <= room:
                break


def legend_beside(ax):
    """Put a legend right of the axes, at their top."""
    return ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def span_in_ms(ax, span_ns) -> None:
    """Let the time axis (ms) show the whole span; None changes nothing."""
    if span_ns:
        ax.set_xlim(0, span_ns / 1e6)


def order_axis(ax, last, *more) -> None:
    """Label the x axis with the orders 0 to ``last``, and with further names after them."""
    ax.set_xticks(range(last + 1 + len(more)), [*map(str, range(last + 1)), *more])


def stacked_rows(ax, rows, parts, height=0.8) -> np.ndarray:
    """Draw rows of bars, in each row end to end.

    Parameters
    ----------
    rows : sequence of str or numbers
        Names or places of the rows.
    parts : sequence of (values, colour, label)
        One value for each row.

    Returns
    -------
    ndarray
        The end of each row.
    """
    ends = np.zeros(len(rows))
    for values, colour, label in parts:
        ax.barh(rows, values, left=ends, color=colour, label=label, height=height)
        ends = ends + np.asarray(values, float)
    return ends


class LogTicks(Locator):
    """Ticks at 1, 2, 5, 10, .. or at fewer of these, so that their labels do not touch."""

    STEPS = ((1, 2, 5), (1, 3), (1,))

    def __call__(self):
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, low, high):
        """Ticks between two positive values; not even every decade if labels would touch."""
        across = self.axis.axis_name == "x"
        box = self.axis.axes.bbox
        points = (box.width if across else box.height) * 72 / self.axis.axes.figure.dpi
        room = (4.5 if across else 2) * TICK
        decades = np.arange(np.floor(np.log10(low)) - 1, np.ceil(np.log10(high)) + 1)
        for steps in self.STEPS:
            ticks = np.outer(10**decades, steps).ravel()
            gap = np.diff(np.log10([*steps, 10])).min() / np.log10(high / low) * points
            if gap >= room:
                break
        else:
            ticks = ticks[:: int(np.ceil(room / gap))]
        return ticks[(ticks >= low * 0.999) & (ticks <= high * 1.001)]


def plain(value, _position=None) -> str:
    """A number on an axis without a power of ten: 0.5, 20, 10,000."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def log_axis(axis, low, high) -> None:
    """Make an axis logarithmic, at least a decade wide, with plain numbers as labels."""
    middle = np.sqrt(low * high)
    ends = min(low / 1.25, middle / 10**0.5), max(high * 1.25, middle * 10**0.5)
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": ends})
    axis.set_major_locator(LogTicks())
    axis.set_major_formatter(plain)
    axis.set_minor_locator(NullLocator())
