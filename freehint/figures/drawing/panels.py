"""The same figure for several tables, in panels."""

from collections.abc import Callable

from freehint.figures import Picture, every, new_figure


def small_multiples(
    draw: Callable, tables: dict, columns: int | None = None, width=11.0, height=3.2, **options
) -> Picture:
    """Draw the same figure for several tables, each in a panel under its title.

    Parameters
    ----------
    draw : callable
        (table, axes) -> axes, as all functions of :mod:`freehint.figures`.
    tables : dict
        Title -> table, or another first argument of ``draw``.
    columns : int, optional
        The number of panels in a row; by default all are in one row.
    width : float
        The width of the figure, in inches.
    height : float
        The height of a row of panels, in inches.
    options
        Options of ``Figure.subplots``, such as ``sharey=True``.

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
