"""A costs file: costs measured on a machine, as JSON, with what tells how they were measured.

``costs.schema.json`` describes it.  An entry is in whole nanoseconds; costs that a file lacks keep
their defaults.
"""

import json
from dataclasses import replace
from pathlib import Path

from freehint.config import InputError, nearest, require, shown, shown_json
from freehint.engine.world.records import Costs
from freehint.files import whole_file
from freehint.formats.digest import Files
from freehint.inputs.reading import json_of
from freehint.inputs.rules import rules_of
from freehint.runs.costs.clearing import Clearing

VERSION = 1  # raised by changes that old files do not fit
SCHEMA = Path(__file__).with_name("costs.schema.json")
TOLD = ("freehint_costs", "made", "cpu", "kernel", "freehint", "costs", "beside")


def load_costs(path) -> Costs:
    """The costs that ``freehint calibrate`` measured on some machine, for a scenario.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Costs
        Costs that the file lacks have their defaults.  Runs record the file and its sha256 in
        their provenance.

    Raises
    ------
    InputError
        The file cannot be read, is of another version, has an unknown name, or a value that is no
        whole number in range; the message names file, field and value.

    Examples
    --------
    >>> import freehint as fh, json, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "costs.json"
    >>> entry = {"value": 60, "unit": "ns", "p25": 58, "p75": 63, "n": 9, "how": "by hand"}
    >>> _ = path.write_text(json.dumps({"freehint_costs": 1, "costs": {"pcp_ns": entry}}))
    >>> fh.Scenario(costs=fh.load_costs(path)).costs.pcp_ns
    60
    """
    files = Files()
    found = json_of(files.read(path), path, "the costs file")
    _check(found, path)
    values = {name: entry["value"] for name, entry in found["costs"].items()}
    return replace(Costs(), **values, read_from=files.inputs[0])


def _check(found, path) -> None:
    """Refuse what is no costs file of this version."""
    require(isinstance(found, dict), f"{path}: a costs file", "be a JSON object", found)
    version = found.get("freehint_costs")
    same = version == VERSION and not isinstance(version, bool)
    if not same:
        raise InputError(
            f"{path}: freehint_costs, the version of a costs file, must be {VERSION}, got"
            f" {shown_json(version)}; freehint calibrate measures the costs again"
        )
    for name in found:
        if name not in TOLD:
            raise InputError(
                f"{path}: there is no field {shown(name)} in a costs file; there are"
                f" {', '.join(TOLD)}{nearest(name, TOLD)}"
            )
    rules = rules_of(Costs)
    costs = found.get("costs")
    require(isinstance(costs, dict), f"{path}: costs", "be a JSON object", costs)
    for name, entry in costs.items():
        if name not in rules:
            raise InputError(
                f"{path}: there is no cost {shown(name)}; there are {', '.join(rules)}"
                f"{nearest(name, rules)}"
            )
        _check_entry(entry, rules[name], f"{path}: costs.{name}")


def _check_entry(entry, rule, where: str) -> None:
    require(isinstance(entry, dict), where, "be a JSON object with a value", entry)
    value, unit = entry.get("value"), entry.get("unit")
    require(rule.admits(value), f"{where}.value", rule.must, value)
    require(unit == "ns", f"{where}.unit", "be 'ns'", unit)


def load_clearing(path) -> Clearing:
    """What clearing costs on the machine of a costs file, where it stands ``beside`` the costs.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Clearing

    Raises
    ------
    InputError
        As :func:`load_costs`; also if one of the two was not measured.
    """
    found = json_of(Files().read(path), path, "the costs file")
    _check(found, path)
    beside = found.get("beside", {})
    require(isinstance(beside, dict), f"{path}: beside", "be a JSON object", beside)
    values = {}
    for name, rule in rules_of(Clearing).items():
        where = f"{path}: beside.{name}"
        require(name in beside, where, "be measured, as freehint calibrate does", None)
        _check_entry(beside[name], rule, where)
        values[name] = beside[name]["value"]
    return Clearing(**values)


def save_costs(table: dict, path) -> Path:
    """Write a costs file, whole or not at all.

    Parameters
    ----------
    table : dict
        The fields of ``costs.schema.json`` without the version.
    path : str or Path

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        It cannot be written, or :func:`load_costs` would refuse it.
    """
    path = Path(path)
    told = {"freehint_costs": VERSION, **table}
    _check(told, path)
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n")
    return path
