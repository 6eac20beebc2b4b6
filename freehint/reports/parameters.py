"""The parameters of a notebook: which there are, and which values they take.

papermill runs a notebook with its defaults when a parameter's name is misspelt, and injects a
value of any type; here both are refused before anything runs.
"""

import ast
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from freehint.config import InputError, extra

KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}
ANNOTATED = {kind.__name__: kind for kind in KINDS}
UNKNOWN = object()  # a default that is an expression, which nobody evaluates


class Parameter(NamedTuple):
    """A parameter of a notebook.

    kind    : the type that it takes, one of KINDS; None: any, as nothing tells
    text    : its default as the notebook has it
    default : the default's value, UNKNOWN if it is not a literal
    """

    kind: type | None
    text: str
    default: Any


def read_notebook(path: Path):
    """A notebook as nbformat's node, of format 4.

    Raises
    ------
    InputError
        It cannot be read, or is no notebook.
    """
    extra("papermill", "a report", "lab")
    import nbformat

    try:
        return nbformat.reads(path.read_text(), as_version=4)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    except Exception as error:
        # nbformat raises whatever it stumbles over, on what is JSON but no notebook too.
        raise InputError(f"{path}: this is no notebook: {str(error).splitlines()[0]}") from None


def known_parameters(notebook) -> dict:
    """{name: Parameter} of the cell tagged ``parameters``; none if there is no such cell."""
    papermill = extra("papermill", "a report", "lab")
    found = papermill.inspect_notebook(notebook)
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
    """Whether a value is of a kind; a whole number is a number too, and a truth is none."""
    if kind is None:
        return True
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float if kind is float else kind)


def check_parameter(file: str, known: dict, name: str, value) -> None:
    """Refuse what a notebook has not, or a value whose type is not its default's.

    Parameters
    ----------
    file : str
        The notebook's name, for the sentence.
    known : dict
        From :func:`known_parameters`.

    Raises
    ------
    InputError
        Naming the notebook, the parameter and the nearest that there is.
    """
    if not known:
        raise InputError(
            f"{file} has no parameter {name!r}; it has no cell tagged 'parameters' with any"
        )
    if name not in known:
        closest = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; the nearest is {closest[0]!r}" if closest else ""
        raise InputError(f"{file} has no parameter {name!r}; it has {', '.join(known)}{hint}")
    kind, text, _ = known[name]
    if not takes(kind, value):
        raise InputError(
            f"{file}: parameter {name} must be {KINDS[kind]}, as its default {text} is,"
            f" got {value!r}"
        )
