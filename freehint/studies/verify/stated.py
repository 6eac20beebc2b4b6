"""The setups of a row file: what runs, with constants that are fitted on some row."""

import json
from dataclasses import dataclass

from freehint.config import InputError, nearest, shown
from freehint.data import data
from freehint.inputs.reading import read_toml
from freehint.runs.scenario_dict import flat
from freehint.studies.verify.fields import number_of, require_known, tables_of, text_of
from freehint.studies.verify.setups import KINDS, refuse

SEEDS = (1, 2, 3)
MOST_SEEDS = 100
SETUP_KEYS = ("words", "like", "kind", "parameters", "seeds")
FIT_KEYS = ("parameter", "value", "on", "setups")


@dataclass(frozen=True)
class Setup:
    """What is run for some rows: a kind of :data:`freehint.studies.verify.setups.KINDS`."""

    name: str
    words: str
    kind: str
    parameters: str  # JSON, so that equal setups are found to be equal
    seeds: tuple

    def told(self) -> dict:
        """Its parameters."""
        return json.loads(self.parameters)


def fit_of(table, number: int) -> dict:
    """A constant of the machine: parameter, value, the row it is fitted on, the setups it is of."""
    where = f"fitted {number}"
    require_known(table, FIT_KEYS, where)
    found = {"parameter": text_of(table, "parameter", where), "on": text_of(table, "on", where)}
    found["value"] = number_of(table, "value", where)
    setups = table.get("setups")
    texts = isinstance(setups, list) and all(isinstance(one, str) for one in setups)
    if setups is not None and not texts:
        raise InputError(f"{where}: setups must be a list of names, got {shown(setups)}")
    return found | {"setups": setups}


def setups_of(tables, fits: list) -> dict:
    """The setups of a file by name, with what is fitted in them.

    Raises
    ------
    InputError
        A field or a parameter is refused; the message names the setup.
    """
    if not isinstance(tables, dict):
        raise InputError(f"setups must be tables [setups.NAME], got {shown(tables)}")
    found, raw = {}, {}
    for name, table in tables.items():
        where = f"setup {name!r}"
        require_known(table, SETUP_KEYS, where)
        before = _before(table.get("like"), raw, where)
        own = table.get("parameters", {})
        if not isinstance(own, dict):
            raise InputError(f"{where}: parameters must be a table, got {shown(own)}")
        raw[name] = before | table | {"parameters": before["parameters"] | flat(own)}
        found[name] = _setup(name, raw[name], fits, where)
    for fit in fits:
        for name in fit["setups"] or ():
            if name not in found:
                raise InputError(
                    f"fitted {fit['parameter']}: there is no setup {shown(name)}"
                    f"{nearest(name, found)}"
                )
    return found


def _before(like, raw: dict, where: str) -> dict:
    """The fields of the setup that ``like`` names: above it, or "FILE:NAME" of the shipped rows."""
    if like is None:
        return {"parameters": {}}
    if not isinstance(like, str):
        raise InputError(f"{where}: like must be the name of a setup, got {shown(like)}")
    file, _, name = like.rpartition(":")
    if file:
        other = _shipped(file, where)
        if name not in other:
            raise InputError(
                f"{where}: {file} has no setup {shown(name)}; it has {', '.join(other)}"
                f"{nearest(name, other)}"
            )
        one = other[name]
        return {"parameters": one.told(), "kind": one.kind, "seeds": [*one.seeds]}
    if like not in raw:
        raise InputError(
            f"{where}: like must name a setup above it, got {shown(like)}{nearest(like, raw)}"
        )
    return raw[like]


def _shipped(file: str, where: str) -> dict:
    """The setups of a file of the shipped rows, by name."""
    try:
        path = data(f"published/{file}.toml")
    except FileNotFoundError as error:
        raise InputError(f"{where}: like names no file of published rows: {error}") from None
    table = read_toml(path)
    fits = [fit_of(one, n) for n, one in enumerate(tables_of(table, "fitted"), 1)]
    return setups_of(table.get("setups", {}), fits)


def _setup(name: str, table: dict, fits: list, where: str) -> Setup:
    kind = table.get("kind", "scenario")
    if kind not in tuple(KINDS):
        known = ", ".join(KINDS)
        raise InputError(
            f"{where}: kind must be one of {known}, got {shown(kind)}{nearest(kind, KINDS)}"
        )
    parameters = dict(table["parameters"])
    for fit in fits:
        if fit["setups"] is None or name in fit["setups"]:
            parameters[fit["parameter"]] = fit["value"]
    seeds = table.get("seeds", list(SEEDS))
    good = isinstance(seeds, list) and 0 < len(seeds) <= MOST_SEEDS
    if not good or not all(type(one) is int and one >= 0 for one in seeds):
        raise InputError(f"{where}: seeds must be 1 to {MOST_SEEDS} whole numbers, got {seeds!r}")
    try:
        refuse(kind, parameters)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    words = text_of(table, "words", where)
    return Setup(name, words, kind, json.dumps(parameters, sort_keys=True), tuple(seeds))
