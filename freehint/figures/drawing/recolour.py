"""Give a drawn figure the colours of another theme; each keeps its meaning."""

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from freehint.figures.drawing.palette import BLACK, THEMES

PARTS = {
    Line2D: ("color", "markerfacecolor", "markeredgecolor"),
    Patch: ("facecolor", "edgecolor"),
    Collection: ("facecolor", "edgecolor"),
    Text: ("color",),
}
# Text in these colours lies on a bar, box or map, whose colour stays.
ON_COLOUR = {BLACK, "#FFFFFF"}


def recolour(figure: Figure, old: str, new: str) -> None:
    """Change a figure that was drawn in the theme ``old`` to the theme ``new``.

    A colour changes if ``palette.THEMES`` has it in ``old`` with another value in ``new``.

    Parameters
    ----------
    figure : Figure
    old, new : str
        Keys of ``palette.THEMES``.
    """
    changed = {THEMES[old][name]: colour for name, colour in THEMES[new].items()}
    recolourings = [(figure.set_facecolor, _changed(figure.get_facecolor(), changed))]
    for artist in figure.findobj(lambda one: isinstance(one, tuple(PARTS))):
        for kind, parts in PARTS.items():
            if isinstance(artist, kind):
                its = changed if kind is not Text else _of_text(changed)
                recolourings += [_recolouring(artist, part, its) for part in parts]
    for ax in figure.axes:  # for ticks that a zoom adds
        ink = THEMES[new]["ink"]
        ax.tick_params(which="both", color=ink, labelcolor=ink, grid_color=THEMES[new]["used"])
    for set_colour, colour in recolourings:
        set_colour(colour)


def _of_text(changed: dict) -> dict:
    return {colour: new for colour, new in changed.items() if colour not in ON_COLOUR}


def _recolouring(artist, part: str, changed: dict) -> tuple:
    """The method that sets a part's colour, and the colour to set."""
    colour = getattr(artist, f"get_{part}")()
    return getattr(artist, f"set_{part}"), _changed(colour, changed)


def _changed(colour, changed: dict):
    """The colour or array of colours, changed, each as opaque as before."""
    if isinstance(colour, np.ndarray) and colour.ndim == 2:
        return [_changed(tuple(one), changed) for one in colour]
    red, green, blue, alpha = to_rgba(colour)
    found = changed.get(to_hex((red, green, blue)).upper())
    return to_rgba(found, alpha) if found and alpha else (red, green, blue, alpha)
