"""The runs that a batch's tables ask for, a grid or a list, checked against the notebook."""

import json
from itertools import product

from freehint.config import InputError, require
from freehint.reports.parameters import UNKNOWN, check_parameter
from freehint.runs.scenario_dict import flat

PLAIN = (bool, int, float, str)


def text_of(value) -> str:
    """The text of a parameter's value, for people."""
    if value is None:
        return "–"
    if isinstance(value, list) and value and all(isinstance(v, PLAIN) for v in value):
        return ", ".join(map(text_of, value))
    return value if isinstance(value, str) else json.dumps(value)


def planned_runs(file: str, known: dict, found: dict) -> tuple:
    """Plan the runs of a batch.

    Parameters
    ----------
    file : str
        The notebook's name, for error messages.
    known : dict
        Its parameters, from :func:`freehint.reports.parameters.known_parameters`.
    found : dict
        The content of the batch's file, with ``parameters`` and ``grid`` or ``run``.

    Returns
    -------
    tuple of dict
        The parameters of each run, in order.

    Raises
    ------
    InputError
        A parameter is unknown, given twice or of another type, or two runs are the same.
    """
    if ("grid" in found) == ("run" in found):
        also = "both" if "grid" in found else "neither"
        raise InputError(f"there must be either [grid] or [[run]] tables, and there are {also}")
    common = _table("[parameters]", found.get("parameters", {}))
    if "grid" in found:
        tables = {"[grid]": found["grid"]}
    else:
        require(isinstance(found["run"], list), "run", "be [[run]] tables", found["run"])
        tables = {f"[[run]] {n}": table for n, table in enumerate(found["run"], 1)}
    for where, table in tables.items():
        for name in _table(where, table):
            if name in common:
                raise InputError(f"{where} has {name!r}, which [parameters] has for all runs")
    _check_values("[parameters]", file, known, common)
    if "grid" in found:
        return _grid(file, known, common, found["grid"])
    for where, table in tables.items():
        _check_values(where, file, known, table)
    runs = tuple({**common, **table} for table in found["run"])
    _refuse_twins(known, runs)
    return runs


def _table(where: str, table) -> dict:
    require(isinstance(table, dict), where, "be a table", table)
    return table


def _check_values(where: str, file: str, known: dict, table: dict) -> None:
    for name, value in table.items():
        try:
            check_parameter(file, known, name, value)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        require(_plain(value), f"{where}: {name}", "be text, numbers, booleans or of these", value)


def _plain(value) -> bool:
    """Whether a value can be written in a notebook's cell, which TOML's dates cannot."""
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    return isinstance(value, PLAIN)


def _grid(file: str, known: dict, common: dict, grid: dict) -> tuple:
    require(len(grid) > 0, "[grid]", "have at least one parameter", grid)
    for name, values in grid.items():
        good = isinstance(values, list) and len(values) > 0
        if name in known:
            require(good, f"[grid]: {name}", "be a list of values, at least one", values)
        for place, value in enumerate(values if good else [values], 1):
            _check_values(f"[grid], value {place} of {name}", file, known, {name: value})
        texts = [json.dumps(value) for value in values]
        for text in texts:
            require(texts.count(text) == 1, f"[grid]: {name}", "have each value once", values)
    return tuple({**common, **dict(zip(grid, values))} for values in product(*grid.values()))


def default_of(parameter):
    """A parameter's default, or its text if it is an expression."""
    return parameter.text if parameter.default is UNKNOWN else parameter.default


def _filled(known: dict, runs) -> list:
    """The runs, each with defaults for the parameters that only other runs are given."""
    names = list(dict.fromkeys(name for run in runs for name in run))
    return [{name: run.get(name, default_of(known[name])) for name in names} for run in runs]


def _refuse_twins(known: dict, runs) -> None:
    first = {}
    for number, run in enumerate(_filled(known, runs), 1):
        text = json.dumps(run, sort_keys=True)
        if text in first:
            raise InputError(
                f"[[run]] {first[text]} and {number} are the same run, with defaults: {text}"
            )
        first[text] = number


def told_apart(known: dict, runs) -> tuple:
    """The parameters by which each run differs from the others, and those that all share."""
    # An empty table is an entry of its own.
    filled = [flat(run, keep=lambda table: not table) for run in _filled(known, runs)]
    names = list(dict.fromkeys(name for run in filled for name in run))
    filled = [{name: run.get(name) for name in names} for run in filled]
    same = [n for n in names if len({json.dumps(run[n]) for run in filled}) == 1]
    if len(runs) == 1:
        same = []
    shown = tuple({n: run[n] for n in names if n not in same} for run in filled)
    return shown, {n: filled[0][n] for n in same}
