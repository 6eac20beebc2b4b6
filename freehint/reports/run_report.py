"""Report one run: the question, its answer, a player, tables, figures and the provenance."""

import shlex
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import exists
from freehint.reports.page import page
from freehint.reports.pdf import find_chromium, pdf_beside, write_page
from freehint.reports.reproduce import Reproduction, reproduce, simulated
from freehint.runs.scenario_file import read_scenario

MOMENTS = 600


def write_run_report(source, path, pdf: bool = False, moments: int = MOMENTS) -> Reproduction:
    """Write the report of a stored run, or of a scenario, as one offline HTML file.

    Parameters
    ----------
    source : str or Path
        Either a folder that ``Run.save`` wrote; then its scenario is rebuilt from the provenance,
        simulated again and compared.  Or a TOML file with a scenario's fields.
    path : str or Path
        The file to write; it appears whole or not at all.
    pdf : bool
        Print the page as PDF too, beside ``path``.
    moments : int
        Number of moments in the player.

    Returns
    -------
    Reproduction
        The run that is shown, and its comparison with the stored one.

    Raises
    ------
    InputError
        The source is neither of the two, or Chromium is missing for the PDF.
    """
    source, path = Path(source), Path(path)
    if pdf:
        pdf_beside(path)
        find_chromium()
    if source.is_dir():
        shown = reproduce(source, moments)
    elif exists(source):
        shown = simulated(read_scenario(source), moments)
    else:
        raise InputError(f"{source}: there is no such folder of a run, nor file of a scenario")
    command = ["freehint", "report", str(source), "-o", str(path), *(["--pdf"] if pdf else [])]
    try:
        html = page(shown, shlex.join(command))
    except (KeyError, AttributeError, TypeError) as error:
        if shown.trajectory is not None:
            raise
        raise InputError(f"{source}: these are not a run's tables: {error!r}") from None
    write_page(path, html, pdf)
    return shown
