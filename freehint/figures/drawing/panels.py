"""One picture of several tables, beside or below each other."""

from collections.abc import Callable

from freehint.figures import Picture, every, new_figure


def small_multiples(
    draw: Callable, tables: dict, columns: int | None = None, width=11.0, height=3.2, **options
) -> Picture:
    """The same picture of several tables, each under its title.

    Parameters
    ----------
    draw : callable
        (table, axes) -> axes, as all of :mod:`freehint.figures`.
    tables : dict
        Title -> table, or whatever ``draw`` takes.
    columns : int, optional
        Panels beside each other; all of them if not said.
    width : float
        Of the figure, inches.
    height : float
        Of a row of panels, inches.
    options
        Of ``Figure.subplots``: ``sharey=True``.

    Examples
    --------
    >>> from freehint.figures.drawing.panels import small_multiples
    >>> figure = small_multiples(lambda y, ax: ax.plot(y), {"up": [1, 2], "down": [2, 1]})
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['up', 'down']
    """
    columns = columns or len(tables)
    rows = -(-len(tables) // columns)
    figure, axes = new_figure(width, height * rows, rows, columns, **options)
    for (title, table), ax in zip(tables.items(), every(axes)):
        draw(table, ax)
        ax.set_title(title, loc="left", fontsize=10)
    for ax in every(axes)[len(tables) :]:
        ax.axis("off")
    return figure
