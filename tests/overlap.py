"""Text of a figure that cannot be read: it lies on other text or leaves the figure."""

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

TOUCH = 0.5  # pixels that boxes may share: glyphs do not fill them


def texts_of(axes: Axes) -> list[Text]:
    """All text that is drawn with some axes, also that of their legend."""
    found = [*axes.texts, axes.title, axes._left_title, axes._right_title]
    if axes.axison:
        for axis in (axes.xaxis, axes.yaxis):
            found += [axis.label, axis.offsetText, *tick_labels(axis)]
    legend = axes.get_legend()
    return found + (list(legend.get_texts()) if legend else [])


def tick_labels(axis) -> list[Text]:
    """Labels of the ticks that lie within the axis and are shown."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    within = [t for t in ticks if low <= t.get_loc() <= high and t.get_visible()]
    labels = [label for tick in within for label in (tick.label1, tick.label2)]
    return [label for label in labels if label.get_visible() and label.get_text().strip()]


def unreadable(figure: Figure) -> list[str]:
    """One sentence for each text outside the figure, and each pair of texts that overlap."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # which lays everything out
    texts = [*figure.texts, figure._suptitle, figure._supxlabel, figure._supylabel]
    for legend in figure.legends:
        texts += legend.get_texts()
    for axes in figure.axes:
        texts += texts_of(axes)
    boxes = {}
    for text in texts:
        if text is not None and text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            boxes[text] = box.padded(-TOUCH)
    outside = [
        f"{text.get_text()!r} leaves the figure: {box.extents.round()} of {figure.bbox.extents}"
        for text, box in boxes.items()
        if box.x0 < 0 or box.y0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1
    ]
    return outside + [
        f"{one.get_text()!r} lies on {other.get_text()!r}"
        for (one, box), (other, its) in combinations(boxes.items(), 2)
        if box.overlaps(its)
    ]
