"""Reports: a notebook that papermill runs, rendered as one HTML file without other hosts.

nbconvert's own template loads scripts from other hosts; here every such address is emptied, and
widgets are shown as the pictures that they carry.
"""

import tempfile
from importlib import resources
from pathlib import Path

from freehint.config import InputError, extra
from freehint.inputs.reading import json_of, read_bytes
from freehint.reports.parameters import check_parameter, known_parameters
from freehint.reports.pdf import find_chromium, pdf_beside, write_page

OTHER_HOSTS = (
    "mathjax_url",
    "require_js_url",
    "jquery_url",
    "mermaid_js_url",
    "widget_renderer_url",
)
NAVIGATION = "navigation"  # tag of the links to the chapters before and after a notebook
# The best format stands first.  The widget view needs a kernel or another host, so it is left out.
DISPLAY = (
    "text/html",
    "image/svg+xml",
    "image/png",
    "text/markdown",
    "text/plain",
)


def report_notebook() -> Path:
    """The path of the report's notebook, in a checkout or inside an installed wheel."""
    package = Path(str(resources.files("freehint")))
    for place in (package.parent / "notebooks", package / "_notebooks"):
        if (place / "report.ipynb").is_file():
            return place / "report.ipynb"
    raise InputError("report.ipynb is missing from this installation of freehint")


def check_given(notebook: Path, parameters: dict) -> None:
    """Refuse parameters that a notebook of freehint does not have, and values of another type.

    nbformat does not check the notebook, as its import takes longer than that of pandas.

    Raises
    ------
    InputError
        The message names the parameter and those that exist.
    """
    known = known_parameters(json_of(read_bytes(notebook), notebook))
    for name, value in parameters.items():
        check_parameter(notebook.name, known, name, value)


def run_notebook(notebook, parameters: dict, executed: Path) -> None:
    """Run a notebook by papermill, and write it with its output, even after a failure.

    Raises
    ------
    InputError
        A cell failed.  The message is that of the cell's error.
    """
    papermill = extra("papermill", "a report", "lab")
    check_given(notebook, parameters)
    try:
        papermill.execute_notebook(
            str(notebook), str(executed), parameters=parameters, progress_bar=True, log_output=False
        )
    except papermill.PapermillExecutionError as error:
        raise InputError(f"{Path(notebook).name}: {error.ename}: {error.evalue}") from None


def is_progress(output) -> bool:
    """Whether an output is a progress bar or a warning, which a report's readers do not need."""
    data = output.get("data", {})
    shows_itself = "image/png" in data or "text/html" in data
    widget = "application/vnd.jupyter.widget-view+json" in data and not shows_itself
    return output.get("name") == "stderr" or widget


def render(executed: Path, title: str = "freehint report") -> str:
    """An executed notebook as one HTML text without code, prompts or addresses of other hosts."""
    nbconvert = extra("nbconvert", "a report", "lab")
    import nbformat
    from traitlets.config import Config

    notebook = nbformat.read(executed, as_version=4)
    # Links to the chapters before and after it lead nowhere in a report.
    notebook.cells = [c for c in notebook.cells if NAVIGATION not in c.metadata.get("tags", [])]
    notebook.metadata.pop("widgets", None)
    notebook.metadata["title"] = title
    config = Config()
    config.NbConvertBase.display_data_priority = list(DISPLAY)
    exporter = nbconvert.HTMLExporter(
        config=config,
        embed_images=True,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        **dict.fromkeys(OTHER_HOSTS, ""),
    )
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not is_progress(o)]
    return exporter.from_notebook_node(notebook)[0]


def write_report(path, parameters: dict, pdf: bool = False) -> Path:
    """Run the report's notebook and write it as one offline HTML file.

    Parameters
    ----------
    path : str or Path
        The file to write; it appears whole or not at all.
    parameters : dict
        Values for the notebook's parameters; those not given keep their defaults.
    pdf : bool
        Print the page as PDF too, beside ``path``.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    InputError
        A parameter is unknown, the notebook failed, or Chromium is missing for the PDF.
    """
    path = Path(path)
    if pdf:
        pdf_beside(path)
        find_chromium()
    notebook = report_notebook()
    check_given(notebook, parameters)
    with tempfile.TemporaryDirectory() as folder:
        executed = Path(folder) / "report.ipynb"
        run_notebook(notebook, parameters, executed)
        html = render(executed)
    write_page(path, html, pdf)
    return path
