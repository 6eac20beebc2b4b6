"""A scenario as a TOML file: its fields, named as in ``Scenario.with_values`` and in a sweep."""

import json
from pathlib import Path

from freehint.config import InputError
from freehint.engine.guest.programs import Program
from freehint.engine.host.migration import MigrationConfig
from freehint.files import read_toml
from freehint.policies import POLICIES
from freehint.runs.provenance import plain
from freehint.runs.scenario import Scenario

# Said even where it is the default: a program and a migration are there only if named.
ALWAYS = ("seed", "workload.state", "migration.bandwidth_Bps")


def flat(table: dict, where: str = "", keep=lambda _table: False) -> dict:
    """``ring.size = 64`` is a table in a table to TOML; here one name, unless ``keep`` wants it."""
    found = {}
    for name, value in table.items():
        if isinstance(value, dict) and not keep(value):
            found |= flat(value, f"{where}{name}.", keep)
        else:
            found[where + name] = value
    return found


def tuples(value):
    """TOML's and JSON's lists as a scenario has them."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def scenario_of(table: dict) -> Scenario:
    """A scenario of what a TOML table says; the rest keeps its defaults.

    Raises
    ------
    InputError
        There is no such field, or a value is refused.
    """
    return Scenario().with_values({name: tuples(value) for name, value in flat(table).items()})


def read_scenario(path) -> Scenario:
    """Read a scenario from a TOML file.

    Parameters
    ----------
    path : str or Path
        ``memory = "256MiB"``, ``ring.size = 64``, ``"policy.capacity" = 8``; a memory's stem is
        relative to the working directory.

    Raises
    ------
    InputError
        The file cannot be read, is no TOML, or what it says is refused.
    """
    table = read_toml(Path(path))
    try:
        return scenario_of(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def scenario_toml(scenario: Scenario) -> str | None:
    """The TOML that :func:`read_scenario` makes this scenario of; None if there is none.

    There is none of a memory or a policy made by hand, and of a recorded guest.
    """
    wanted = plain(scenario)
    values = {"memory": wanted["memory"], **_policy_values(wanted.pop("policy"))}
    default = _leaves(_default_of(wanted))
    for name, value in _leaves(wanted).items():
        if name in ALWAYS or value != default.get(name):
            values.setdefault(name, value)
    text = "".join(f"{_key(name)} = {json.dumps(value)}\n" for name, value in values.items()
                   if value is not None)  # fmt: skip
    try:
        same = plain(scenario_of({n: v for n, v in values.items() if v is not None}))
    except InputError:
        return None
    return text if same == plain(scenario) else None


def _default_of(wanted: dict) -> dict:
    """What a scenario with such a guest, and with a migration or without, has by default."""
    default = plain(Scenario())
    if "state" in wanted["workload"]:
        default["workload"] = plain(Program())
    if wanted["migration"] is not None:
        default["migration"] = plain(MigrationConfig())
    return default


def _policy_values(stored) -> dict:
    """A policy's name, and its knobs where they are not those of that name."""
    if isinstance(stored, list):
        return {"policy": [one["name"] for one in stored]}
    known = plain(POLICIES[stored["name"]]) if stored["name"] in POLICIES else {}
    knobs = {n: v for n, v in stored.items() if n in known and v != known[n]}
    return {"policy": stored["name"], **{f"policy.{n}": v for n, v in knobs.items()}}


def _leaves(table: dict) -> dict:
    return flat({name: value for name, value in table.items() if value is not None})


def _key(name: str) -> str:
    """``policy`` is a value already, so ``policy.capacity`` cannot be a table in TOML."""
    return json.dumps(name) if name.startswith("policy.") else name
