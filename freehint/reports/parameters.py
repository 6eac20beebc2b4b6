"""The parameters of a notebook, and checks of the values given to them.

papermill runs a notebook with its defaults if a parameter's name is misspelt, and injects a
value of any type.  Here both are refused before anything runs.
"""

import ast
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
    extra("papermill", "a report", "lab")
    import nbformat

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

    Raises
    ------
    InputError
        It names no kernel, or one whose language papermill does not know.
    """
    papermill = extra("papermill", "a report", "lab")
    try:
        found = papermill.inspect_notebook(notebook)
    except Exception as error:  # papermill raises errors of any type
        raise InputError(f"the notebook's parameters: {first_line(error):.200}") from None
    return {
        name: _parameter(facts["inferred_type_name"], facts["default"])
        for name, facts in found.items()
    }


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
