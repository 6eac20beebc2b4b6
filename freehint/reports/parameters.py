"""The parameters of a notebook, and checks of the values given to them.

papermill runs a notebook with its defaults if a parameter's name is misspelt, and injects a
value of any type.  Here both are refused: before anything runs by ``freehint report`` and
``freehint batch``, and in the notebook's first cell if papermill itself runs it.
"""

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

from freehint.config import InputError, extra, nearest, shown
from freehint.inputs.reading import first_line, read_bytes

KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}
ANNOTATED = {kind.__name__: kind for kind in KINDS}
INJECTED = "# Parameters\n"  # begins the cell that papermill adds
UNKNOWN = object()  # a default that is an expression, which is never evaluated


class Parameter(NamedTuple):
    """A parameter of a notebook.

    kind    : the type of its values, one of KINDS; None if nothing tells, so that any is taken
    text    : its default as the notebook writes it
    default : the default's value, UNKNOWN if it is not a literal
    """

    kind: type | None
    text: str
    default: Any


def read_notebook(path: Path):
    """A notebook as nbformat's node of format 4.

    Raises
    ------
    InputError
        The file cannot be read, or is no notebook.
    """
    nbformat = extra("nbformat", "a report", "lab")
    try:
        found = nbformat.reads(read_bytes(path).decode(), as_version=4)
        nbformat.validate(found)
        return found
    except InputError:
        raise
    except Exception as error:
        # nbformat raises errors of any type, also for JSON that is no notebook.
        raise InputError(f"{path}: this is no notebook: {first_line(error):.200}") from None


def known_parameters(notebook) -> dict:
    """The Parameters in the cell tagged ``parameters``, by name; empty without such a cell.

    Parameters
    ----------
    notebook : dict
        nbformat's node, or the JSON of a notebook of format 4 as it is in the file.

    Raises
    ------
    InputError
        The cell cannot be read, or the notebook names no kernel, or one whose language papermill
        does not know.
    """
    language = notebook["metadata"].get("kernelspec", {}).get("language")
    if language != "python":
        return _in_other_language(notebook)
    tagged = (c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", []))
    cell = next(tagged, None)
    return assigned("".join(cell["source"])) if cell is not None else {}


def _in_other_language(notebook) -> dict:
    papermill = extra("papermill", "a report", "lab")
    try:
        found = papermill.inspect_notebook(notebook)
    except Exception as error:  # papermill raises errors of any type
        raise InputError(f"the notebook's parameters: {first_line(error):.200}") from None
    return {
        name: _parameter(facts["inferred_type_name"], facts["default"])
        for name, facts in found.items()
    }


def assigned(source: str) -> dict:
    """The Parameters that a cell assigns: ``n = 1``, ``n: int = 1`` or ``n = None  # type: int``.

    Raises
    ------
    InputError
        It is no Python.
    """
    text = re.sub(r"^\s*[%!].*", "", source, flags=re.M)  # commands of IPython
    try:
        statements = ast.parse(text, type_comments=True).body
    except (SyntaxError, ValueError) as error:
        raise InputError(f"the notebook's parameters: {first_line(error):.200}") from None
    found = {}
    for one in statements:
        targets = getattr(one, "targets", [getattr(one, "target", None)])
        if isinstance(one, ast.Assign | ast.AnnAssign) and one.value and len(targets) == 1:
            annotation = getattr(one, "annotation", None)
            kind = ast.unparse(annotation) if annotation else getattr(one, "type_comment", None)
            written = ast.get_source_segment(text, one.value)
            default = ast.unparse(one.value) if "\n" in written else written
            if isinstance(targets[0], ast.Name):
                found[targets[0].id] = _parameter(str(kind).strip("'\""), default)
    return found


def _parameter(annotation: str, text: str) -> Parameter:
    try:
        default = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        default = UNKNOWN
    if isinstance(default, tuple):
        default = list(default)
    if annotation != "None":
        return Parameter(ANNOTATED.get(annotation), text, default)
    return Parameter(type(default) if type(default) in KINDS else None, text, default)


def takes(kind, value) -> bool:
    """Whether a value is of a kind; an int is taken for a float too, but a bool is no number."""
    if kind is None:
        return True
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float if kind is float else kind)


def check_parameter(file: str, known: dict, name: str, value) -> None:
    """Refuse a parameter that a notebook does not have, or a value of another type than its own.

    Parameters
    ----------
    file : str
        The notebook's name, for error messages.
    known : dict
        The notebook's parameters, from :func:`known_parameters`.

    Raises
    ------
    InputError
        The message names the notebook, the parameter and the nearest one that exists.
    """
    if not known:
        raise InputError(
            f"{file} has no parameter {name!r}, as no cell tagged 'parameters' defines any"
        )
    if name not in known:
        raise InputError(
            f"{file} has no parameter {name!r}; it has {', '.join(known)}{nearest(name, known)}"
        )
    kind, text, _ = known[name]
    if not takes(kind, value):
        raise InputError(
            f"{file}: parameter {name} must be {KINDS[kind]}, as its default {text} is,"
            f" got {shown(value)}"
        )


def check_parameters(file: str, cells=None, values=None) -> None:
    """Refuse parameters of papermill that a notebook does not have, or of another type.

    A notebook calls it in its first cell after that of the parameters.  papermill writes what it
    was given into a cell between the two; if there is none, the defaults hold.

    Parameters
    ----------
    file : str
        The notebook's name, for error messages.
    cells : sequence of str, optional
        The cells that ran so far; by default those of the Jupyter kernel that runs this.
    values : dict, optional
        The variables after these cells; by default the kernel's.

    Raises
    ------
    InputError
        As ``freehint report`` and ``freehint batch`` say it before they run a notebook.
    """
    if cells is None:
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None:  # the notebook was made a script
            return
        cells, values = shell.user_ns.get("In", []), shell.user_ns
    injected = [n for n, cell in enumerate(cells) if cell.startswith(INJECTED)]
    if not injected:
        return
    at = injected[-1]
    known = assigned(cells[at - 1]) if at else {}
    for name in assigned(cells[at]):
        check_parameter(file, known, name, values[name])
