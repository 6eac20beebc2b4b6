"""A scenario as a TOML file, with the field names of ``Scenario.with_values`` and of sweeps."""

import json
from pathlib import Path

from freehint.config import InputError
from freehint.inputs.reading import read_toml
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import changes, scenario_of, told


def read_scenario(path) -> Scenario:
    """Read a scenario from a TOML file.

    Parameters
    ----------
    path : str or Path
        It has lines such as ``memory = "256MiB"``, ``ring.size = 64``, ``"policy.capacity" = 8``.
        A memory's stem is relative to the working directory.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or has a field or value that is refused.
    """
    table = read_toml(Path(path))
    try:
        return scenario_of(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def scenario_toml(scenario: Scenario) -> str | None:
    """The TOML from which :func:`read_scenario` makes this scenario.

    It is None for a scenario with a memory or a policy made by hand.
    """
    try:
        return "".join(f"{name} = {_toml(value)}\n" for name, value in _lines(scenario).items())
    except InputError:
        return None


def _lines(scenario: Scenario) -> dict:
    """The value of each key; memory, policy and seed are given even if they are the defaults."""
    always = {"memory": told(scenario.memory), "policy": "v24", "seed": scenario.seed}
    lines = {}
    for name, value in (always | changes(scenario)).items():
        inner = value.items() if isinstance(value, dict) else ()
        # ``policy`` is a text already, so ``policy.capacity`` must not be read as a table.
        key = json.dumps(name) if "." in name else name
        lines |= {f"{key}.{n}": v for n, v in inner} or {key: value}
    return lines


def _toml(value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
