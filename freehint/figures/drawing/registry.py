"""The registry of figures: :func:`figure` enters a figure, ``FIGURES`` has them all by name."""

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
        Sentences that explain the figure to a reader who sees nothing else.
    source : str
        The table, run or recording that the figure shows.
    unitless : str
        The axes ("x", "y" or "xy") that show counts or names, and so have no unit.
    wide : bool
        Whether one column of a journal is too narrow, so that the figure needs the text's width.

    Returns
    -------
    callable
        A decorator.  It gives the function these four as attributes and enters it in ``FIGURES``
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
