"""Parameters of notebooks: read from the cell, and refused alike whoever runs the notebook."""

import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

import freehint as fh
from freehint.reports.notebook import check_given
from freehint.reports.parameters import UNKNOWN, assigned, known_parameters, read_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WITH_PARAMETERS = [
    path
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    if any("parameters" in c.metadata.get("tags", []) for c in nbformat.read(path, 4).cells)
]
# All begin alike (a test looks), so one that has seeds and one that has none stand for them.
STARTED = [NOTEBOOKS / "report.ipynb", NOTEBOOKS / "01_free_lists.ipynb"]
CELL = """
n = 1
name: str = None  # annotated
size = None  # type: int
text = "a = b"  # with a sign of assignment
table = {
    "one": [1, 2],  # told
    "two": 3_000_000,
}
pair = (1, 2)
computed = len(text)
%matplotlib inline
"""


def test_a_cells_parameters_are_read():
    found = assigned(CELL)
    assert list(found) == ["n", "name", "size", "text", "table", "pair", "computed"]
    kinds = [one.kind for one in found.values()]
    assert kinds == [int, str, int, str, dict, list, None]
    assert found["table"].default == {"one": [1, 2], "two": 3_000_000}
    assert found["text"].text == '"a = b"' and found["computed"].default is UNKNOWN
    with pytest.raises(fh.InputError, match="the notebook's parameters: "):
        assigned("n = = 1")


@pytest.mark.parametrize("path", WITH_PARAMETERS, ids=lambda path: path.stem)
def test_the_shipped_notebooks_parameters_are_those_that_papermill_reads(path):
    notebook = read_notebook(path)
    theirs = papermill.inspect_notebook(str(path))
    assert list(known_parameters(notebook)) == list(theirs)


def test_another_language_is_left_to_papermill():
    cell = nbformat.v4.new_code_cell("n <- 1", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata.kernelspec = {"name": "ir", "language": "R", "display_name": "R"}
    assert known_parameters(notebook) == {}  # papermill cannot read R's
    notebook.metadata.kernelspec = {"name": "x", "language": "apl", "display_name": "x"}
    with pytest.raises(fh.InputError, match="No parameter translator functions"):
        known_parameters(notebook)


@pytest.mark.parametrize("path", WITH_PARAMETERS, ids=lambda path: path.stem)
def test_every_notebook_with_parameters_checks_them_first(path):
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    assert "parameters" in cells[0].metadata["tags"]
    assert cells[1].source.split("\n")[-1] == f'fh.check_parameters("{path.name}")'


def sentence(path: Path, given: dict) -> str:
    """What ``freehint report`` says of parameters."""
    with pytest.raises(fh.InputError) as caught:
        check_given(path, given)
    return str(caught.value)


@pytest.mark.parametrize("path", STARTED, ids=lambda path: path.stem)
@pytest.mark.parametrize("given", [{"sedes": [1]}, {"seeds": 1}], ids=str)
def test_papermill_itself_refuses_with_the_same_sentence(path, given, tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(
            str(path), str(tmp_path / "out.ipynb"), given, progress_bar=False, log_output=False
        )
    assert caught.value.ename == "InputError"
    assert caught.value.evalue == sentence(path, given)
    assert next(iter(given)) in caught.value.evalue


def check(*cells, **values):
    fh.check_parameters("a.ipynb", cells, values)


def test_what_papermill_gave_is_checked_in_the_kernel():
    check("", "n = 1", "# Parameters\nn = 2\n", n=2)
    check("", "x = 1.5", "# Parameters\nx = float('inf')\n", x=float("inf"))
    check("", "n = 1", "import freehint")  # nothing was given
    with pytest.raises(fh.InputError, match=r"a\.ipynb has no parameter 'm'; it has n$"):
        check("", "n = 1", "# Parameters\nm = 2\n", m=2)
    with pytest.raises(fh.InputError, match=r"parameter n must be a whole number, .*got 2\.5"):
        check("", "n = 1", "# Parameters\nn = 2.5\n", n=2.5)
    with pytest.raises(fh.InputError, match="no cell tagged 'parameters' defines any"):
        check("# Parameters\nn = 2\n", n=2)


def test_a_notebook_made_a_script_checks_nothing():
    script = "import freehint as fh; print(fh.check_parameters('a.ipynb'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "None"
