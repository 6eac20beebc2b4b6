"""Export of figures for papers: SVG, PDF or PNG of a journal's width, the same bytes each time."""

import contextlib
import json
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from freehint.config import InputError, one_of
from freehint.figures.drawing.live import as_drawn
from freehint.figures.drawing.registry import drawn_on
from freehint.figures.drawing.style import TICK, every, fit_legend_above
from freehint.files import whole_file
from freehint.version import __version__

FORMATS = ("svg", "pdf", "png")
WIDTHS = {"column": (3.35, 0.75), "text": (7.0, 0.8)}  # inches; factor on the size of text
LEAST_POINTS = 6  # the smallest text that journals print
DOTS_PER_INCH = 300
# PDF gets TrueType fonts; SVG gets outlines, which look the same without the font, and fixed ids.
EXPORT = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "freehint",
    "savefig.bbox": None,
}


def export(shown, path, caption=True, width="text", provenance=None, beside=False) -> str:
    """Write a figure in a size for papers; the figure itself does not change.

    The file holds the figure's title, its caption and source, freehint's version and, if given,
    its provenance, but no date: the same figure makes the same bytes.

    Parameters
    ----------
    shown : Axes, sequence of Axes or Figure
        Axes must belong to one figure.
    path : str or Path
        The suffix, .svg, .pdf or .png, is the format.
    caption : bool or str
        True: the captions of the figures drawn (:data:`freehint.figures.FIGURES`).  A text: your
        own caption.  False: no caption.
    width : "column" or "text"
        3.35 or 7.0 inches.
    provenance : Run or dict, optional
        The provenance to keep in the file, as JSON.
    beside : bool
        Whether to write the caption also to a text file of the same name.

    Returns
    -------
    str
        The caption.

    Raises
    ------
    InputError
        It is no figure, the suffix or width is unknown, ``beside`` has no caption to write, or the
        figure is too wide for a column.  No file is written then.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{path.name}: a figure's file ends in .svg, .pdf or .png")
    one_of("width", width, tuple(WIDTHS))
    parts = [shown] if isinstance(shown, Figure) else every(shown)
    if not parts or not all(isinstance(part, Axes | Figure) for part in parts):
        what = f"a {type(shown).__name__}"
        raise InputError(f"shown must be the axes that a figure returned, or a Figure, got {what}")
    whole = shown if isinstance(shown, Figure) else parts[0].get_figure(root=True)
    drawn = drawn_on(whole.axes)
    if width == "column" and any(draw.wide for draw in drawn):
        names = ", ".join(draw.__name__ for draw in drawn if draw.wide)
        raise InputError(f"width: {names} does not fit a column; use 'text'")
    words = _words(caption, drawn)
    if beside and not words:
        raise InputError("beside: this figure has no caption to write; give one as caption=")
    said = _metadata(kind, _title(whole, drawn), words, _made_by(provenance))
    with contextlib.ExitStack() as files:
        temporary = files.enter_context(whole_file(path))
        if beside:
            text = files.enter_context(whole_file(path.with_suffix(".txt")))
            text.write_text(words + "\n", encoding="utf-8")
        with as_drawn(whole), _resized(whole, *WIDTHS[width]), rc_context(EXPORT):
            whole.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=said)
    return words


def _words(caption, drawn) -> str:
    """The caption; the captions of several figures get letters in their order."""
    if isinstance(caption, str):
        return caption
    if not caption:
        return ""
    parts = [f"{draw.caption} Shown: {draw.source}." for draw in drawn]
    if len(parts) > 1:
        parts = [f"({chr(ord('a') + i)}) {part}" for i, part in enumerate(parts)]
    return " ".join(parts)


def _title(whole, drawn) -> str:
    """The heading, or else the first panel's title, or else the figure's name."""
    titles = [whole.get_suptitle()]
    titles += [ax.get_title(loc) for ax in whole.axes for loc in ("left", "center", "right")]
    titles += [draw.__name__.replace("_", " ") for draw in drawn]
    return next(filter(None, titles), "")


def _made_by(provenance) -> str:
    if provenance is None:
        return ""
    facts = getattr(provenance, "provenance", provenance)
    if not isinstance(facts, dict):
        raise InputError(f"provenance must be a Run or a dict, got {provenance!r}")
    return json.dumps(facts, sort_keys=True)


def _metadata(kind, title, words, facts) -> dict:
    """Title, caption, program and provenance under each format's own names, without a date."""
    program = f"freehint {__version__}"
    names = {
        "svg": ("Title", "Description", "Creator", "Source"),
        "pdf": ("Title", "Subject", "Creator", "Keywords"),
        "png": ("Title", "Description", "Software", "Source"),
    }[kind]
    said = {k: v for k, v in zip(names, (title, words, program, facts), strict=True) if v}
    return said | {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})


@contextlib.contextmanager
def _resized(whole, width, scale):
    """Give a figure a width in inches and scale its height and text; afterwards restore it."""
    whole.draw_without_rendering()  # The first drawing makes the ticks and their labels.
    size = whole.get_size_inches()
    axes = [axis for ax in whole.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = {axis: axis.get_tick_params().get("labelsize") for axis in axes}
    texts = {text: text.get_fontsize() for text in whole.findobj(Text)}
    whole.set_size_inches(width, size[1] * scale, forward=False)
    for axis, points in ticks.items():
        if points is not None:
            axis.set_tick_params(labelsize=max(points * scale, LEAST_POINTS))
    for text, points in texts.items():
        text.set_fontsize(max(points * scale, LEAST_POINTS))
    alone = whole.axes if len(whole.axes) == 1 else ()
    for ax in alone:
        fit_legend_above(ax, max(TICK * scale, LEAST_POINTS))
    try:
        yield
    finally:
        whole.set_size_inches(*size, forward=False)
        for axis, points in ticks.items():
            if points is not None:
                axis.set_tick_params(labelsize=points)
        for text, points in texts.items():
            text.set_fontsize(points)
        for ax in alone:
            fit_legend_above(ax, TICK)
