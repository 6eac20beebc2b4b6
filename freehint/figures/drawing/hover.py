"""Tell what lies under the mouse in a figure: the series, and the values with their units.

mplcursors, which does this for points and lines, knows neither the bars of a time axis nor stacked
areas, of which most figures here are made.
"""

import re

import numpy as np
from matplotlib.category import StrCategoryFormatter
from matplotlib.collections import FillBetweenPolyCollection, PathCollection, PolyCollection
from matplotlib.colors import same_color
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

NAMED = re.compile(r"(.*?)\s*(?:\(([^()]+)\))?")
PIXELS = 12  # between the mouse and the box, and from the mouse to a point


class Hover:
    """Shows a box beside the mouse while it is over something that was drawn.

    Only the box is drawn anew, over a copy of the canvas.

    Parameters
    ----------
    figure : Figure
        Its canvas is one that the mouse can reach.
    """

    def __init__(self, figure: Figure):
        self._figure, self._words, self._under = figure, "", None
        self._left = False  # the mouse; the browser sends its last move a little late, after that
        self.renew()
        handlers = (
            ("draw_event", self._drawn),
            ("motion_notify_event", self._moved),
            ("figure_enter_event", self._entered),
            ("figure_leave_event", self._leave),
        )
        self._handlers = [figure.canvas.mpl_connect(*handler) for handler in handlers]

    def close(self) -> None:
        """Leave the figure as it was."""
        for handler in self._handlers:
            self._figure.canvas.mpl_disconnect(handler)
        self._box.remove()

    def renew(self) -> None:
        """Put the box into a figure that was emptied."""
        self._box = self._figure.text(
            0, 0, "", fontsize=9, linespacing=1.4, ma="left", visible=False, in_layout=False,
            animated=True, bbox={"boxstyle": "round,pad=0.4", "lw": 0.8},
        )  # fmt: skip

    def dress(self, colours: dict) -> None:
        """Give the box the colours of a theme."""
        self._box.set_color(colours["ink"])
        self._box.get_bbox_patch().set(facecolor=colours["paper"], edgecolor=colours["faint"])

    def _drawn(self, _event) -> None:
        canvas = self._figure.canvas
        if canvas.is_saving():  # at another size
            return
        self._under, self._words = canvas.copy_from_bbox(self._figure.bbox), ""

    def _entered(self, _event) -> None:
        self._left = False

    def _leave(self, _event) -> None:
        self._left = True
        self._show("")

    def _moved(self, event) -> None:
        if self._left:
            return
        free = not event.buttons and event.inaxes is not None
        self._show(words_under(event) if free else "", event.x, event.y)

    def _show(self, words: str, x=0.0, y=0.0) -> None:
        if self._under is None or words == self._words:
            return
        self._words = words
        canvas, box = self._figure.canvas, self._box
        canvas.restore_region(self._under)
        if words:
            width, height = self._figure.bbox.size
            right, above = x < width / 2, y < height / 2
            x, y = x + (PIXELS if right else -PIXELS), y + (PIXELS if above else -PIXELS)
            box.set(text=words, position=(x / width, y / height), visible=True,
                    ha="left" if right else "right", va="bottom" if above else "top")  # fmt: skip
            self._figure.draw_artist(box)
            box.set_visible(False)
        canvas.blit(self._figure.bbox)


def words_under(event) -> str:
    """The words for the uppermost thing under the mouse; empty if there is none.

    Parameters
    ----------
    event : MouseEvent
        It is inside some axes.
    """
    ax = event.inaxes
    bars = [(bar, box) for box in ax.containers if isinstance(box, BarContainer) for bar in box]
    things = [*bars, *((one, None) for one in (*ax.lines, *ax.collections, *ax.images))]
    for artist, box in sorted(things, key=lambda one: one[0].get_zorder(), reverse=True):
        found, index = _is_under(artist, event)
        if found:
            values = _values(artist, box, index, event) if ax.axison else []
            return "\n".join([*_name(box or artist, artist, ax), *values])
    return ""


def _is_under(artist, event) -> tuple:
    """Whether an artist is under the mouse, and the index of its point or bar that is."""
    if not artist.get_visible():
        return False, 0
    found, details = artist.contains(event)
    if not found and isinstance(artist, PolyCollection):
        radius = artist.get_pickradius()
        artist.set_pickradius(0)  # not only its outline, but all of it
        found, details = artist.contains(event)
        artist.set_pickradius(radius)
    return found, details.get("ind", [0])


def _name(labelled, artist, ax) -> list:
    """The label of a series, or that of its colour in the legend; empty if it has none."""
    label = str(labelled.get_label())
    if label and not label.startswith("_"):
        return [label]
    legend = ax.get_legend()
    if legend is None or not (mine := _colour(artist)):
        return []
    for handle, text in zip(legend.legend_handles, legend.get_texts()):
        other = _colour(handle)
        if other and same_color(mine, other):
            return [text.get_text()]
    return []


def _colour(artist):
    """The colour of a line, or of the face of the first of several; None if there is none."""
    if isinstance(artist, Line2D):
        return artist.get_color()
    faces = getattr(artist, "get_facecolor", lambda: ())()
    return tuple(np.reshape(faces, (-1, 4))[0]) if len(faces) else None


def _values(artist, box, index, event) -> list:
    """One line for each value of what is under the mouse."""
    ax = event.inaxes
    if box is not None:
        (x, y), wide, tall = artist.get_xy(), artist.get_width(), artist.get_height()
        if box.orientation == "horizontal":
            return [_value(ax.yaxis, y + tall / 2), _value(ax.xaxis, wide)]
        return [_value(ax.xaxis, x + wide / 2), _value(ax.yaxis, tall)]
    if isinstance(artist, AxesImage):
        row, column = round(event.ydata), round(event.xdata)
        cell = f"{artist.get_array()[row, column]:.3g}"
        return [_value(ax.xaxis, column), _value(ax.yaxis, row), cell]
    if isinstance(artist, (Line2D, PathCollection)):
        x, y = _nearest(artist, index, event)
        return [_value(ax.xaxis, x), _value(ax.yaxis, y)]
    path = artist.get_paths()[index[0]]
    if isinstance(artist, FillBetweenPolyCollection):
        high = _height(path.vertices, event.xdata)
        return [_value(ax.xaxis, event.xdata), _value(ax.yaxis, high)]
    ends = path.get_extents()
    return [_between(ax.xaxis, ends.intervalx), _value(ax.yaxis, ends.intervaly.mean())]


def _nearest(artist, index, event) -> tuple:
    """The point nearest to the mouse; where a line has none close by, the mouse's own place."""
    is_line = isinstance(artist, Line2D)
    if is_line and artist.get_transform() != event.inaxes.transData:
        return event.xdata, event.ydata  # as of a line across the axes
    points = np.asarray(artist.get_xydata() if is_line else artist.get_offsets(), float)
    points = points[np.clip([*index, *(i + is_line for i in index)], 0, len(points) - 1)]
    away = np.hypot(*(event.inaxes.transData.transform(points) - (event.x, event.y)).T)
    best = int(np.nanargmin(away))
    if is_line and away[best] > PIXELS:
        return event.xdata, event.ydata
    return tuple(points[best])


def _height(vertices: np.ndarray, at: float) -> float:
    """The height of a filled area at an x."""
    x, y = vertices.T
    low, high = np.minimum(x[:-1], x[1:]), np.maximum(x[:-1], x[1:])
    cut = np.flatnonzero((low <= at) & (at <= high) & (low < high))
    crossings = y[cut] + (at - x[cut]) / (x[cut + 1] - x[cut]) * (y[cut + 1] - y[cut])
    return float(np.ptp(crossings)) if len(cut) else 0.0


def _between(axis, interval) -> str:
    begin, end = interval
    if begin == end:
        return _value(axis, begin)
    name, unit = _name_and_unit(axis)
    begins, ends, lasts = (_number(at, (end - begin) / 1000) for at in (begin, end, end - begin))
    return f"{name}{begins} to {ends}{unit}, {lasts}{unit} long"


def _value(axis, value: float) -> str:
    """A value with the name and the unit of its axis, or the name of its row or column."""
    name, unit = _name_and_unit(axis)
    if _has_names(axis):
        ticks = np.asarray(axis.get_majorticklocs(), float)
        nearest = int(np.abs(ticks - value).argmin())
        return f"{name}{axis.get_major_formatter().format_ticks(ticks)[nearest]}"
    low, high = axis.get_view_interval()
    step = abs(value) / 1000 if axis.get_scale() == "log" else abs(high - low) / 1000
    return f"{name}{_number(value, step)}{unit}"


def _has_names(axis) -> bool:
    """Whether the ticks of an axis are names, each of a row or column one wide."""
    if isinstance(axis.get_major_formatter(), StrCategoryFormatter):
        return True
    ticks = np.sort(np.asarray(axis.get_majorticklocs(), float))
    named = isinstance(axis.get_major_formatter(), FuncFormatter)
    return (
        named
        and isinstance(axis.get_major_locator(), FixedLocator)
        and (len(ticks) > 0 and bool(np.all(np.diff(ticks) == 1)))
    )


def _name_and_unit(axis) -> tuple:
    """The words before a value, and after it, from the label of its axis, such as "time (ms)"."""
    name, unit = NAMED.fullmatch(" ".join(axis.get_label_text().split())).groups()
    unit = f" {unit}" if unit else ""
    return f"{name}: " if name else "", unit.replace(" %", "%") if unit == " %" else unit


def _number(value: float, step: float) -> str:
    """A number with as many digits as tell values apart that differ by a step."""
    digits = int(np.clip(np.ceil(-np.log10(step)), 0, 9)) if step > 0 else 3
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
