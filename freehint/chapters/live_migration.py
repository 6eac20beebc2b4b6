"""Chapter 09, live migration: what hints save, knob by knob."""

from freehint.figures import Picture, new_figure
from freehint.migration_figures import effects


def knob_by_knob(saved_bytes: dict, saved_s: dict) -> Picture:
    """A panel a knob, and the legend in the place of the last.

    Parameters
    ----------
    saved_bytes, saved_s : dict
        Title -> table of :func:`freehint.migration_figures.savings`, drawn as a share of the
        bytes (%) or as time (s).
    """
    panels = {title: (table, "saved_bytes") for title, table in saved_bytes.items()}
    panels |= {title: (table, "saved_s") for title, table in saved_s.items()}
    figure, _ = new_figure(width=12, height=6, rows=2, columns=len(panels) // 2 + 1)
    effects(panels, figure)
    return figure
