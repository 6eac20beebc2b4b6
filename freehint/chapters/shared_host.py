"""Chapter overcommit: guests that share a host."""

from freehint.figures import Picture, new_figure
from freehint.overcommit_figures import residents


def who_has_the_memory(runs: dict, host_mib: float) -> Picture:
    """Each guest's resident and swapped memory over time, a panel a run.

    Parameters
    ----------
    runs : dict
        Title -> Overcommit.
    host_mib : float
        The host's memory, a dashed line.
    """
    figure, _ = new_figure(width=12, height=3.6, columns=len(runs), sharey=True)
    residents(runs, figure, host_mib)
    return figure
