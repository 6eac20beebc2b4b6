"""Every figure by name, with its caption and what it shows: :func:`figure`, ``FIGURES``."""

from collections.abc import Callable
from functools import wraps
from weakref import WeakKeyDictionary

from matplotlib import rc_context

from freehint.figures.drawing.style import every, style, tidy

FIGURES: dict[str, Callable] = {}  # "walk_map", "told_over_time", ..
_DRAWN: WeakKeyDictionary = WeakKeyDictionary()  # axes -> the figure that was drawn there


def figure(caption: str, source: str, unitless="", wide=False):
    """Register a function (table, axes) -> axes as a figure, drawn in the common style.

    Parameters
    ----------
    caption : str
        What a reader needs who sees the figure only; sentences.
    source : str
        Which table, run or recording it shows.
    unitless : str
        Letters of the axes ("x", "y", "xy") that count or name, and so have no unit.
    wide : bool
        It needs the width of the text: one column of a journal is too narrow.

    Returns
    -------
    callable
        A decorator; the function gets these four as attributes, and ``FIGURES`` the function
        under its own name.
    """

    def register(draw):
        @wraps(draw)
        def drawn(*args, **options):
            with rc_context(style()):
                axes = draw(*args, **options)
            for ax in every(axes):
                tidy(ax)
                _DRAWN[ax] = drawn
            return axes

        drawn.caption, drawn.source, drawn.unitless, drawn.wide = caption, source, unitless, wide
        if draw.__name__ in FIGURES:
            raise ValueError(f"two figures have the name {draw.__name__}")
        FIGURES[draw.__name__] = drawn
        return drawn

    return register


def drawn_on(axes) -> list[Callable]:
    """The figures that were drawn on some axes, each once, in the order of the axes."""
    return list(dict.fromkeys(_DRAWN[ax] for ax in axes if ax in _DRAWN))
