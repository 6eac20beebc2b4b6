"""Read a sweep from a TOML file: [scenario], [grid] or [design], seeds, out, scheduler."""

from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from freehint.config import InputError, one_of, shown
from freehint.inputs.reading import read_toml
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import flat, scenario_of, value_of
from freehint.sweeps.sampling import latin_hypercube, sobol

KEYS = ("scenario", "grid", "design", "seeds", "out", "scheduler")
DESIGN_KEYS = ("kind", "n", "seed", "ranges")
KINDS = {"sobol": sobol, "latin_hypercube": latin_hypercube}


class SweepFile(NamedTuple):
    """The arguments of :func:`freehint.sweep` that a file can give."""

    scenario: Scenario
    design: object
    seeds: list
    scheduler: str | None
    out: str | None

    @property
    def runs(self) -> int:
        """The number of runs; an entry that is not a list counts as one."""
        design = self.design
        points = design.values() if isinstance(design, dict) else [design.unit]
        return prod(len(v) for v in [*points, self.seeds] if isinstance(v, list | np.ndarray))


def read_sweep(name: str) -> SweepFile:
    """Read a sweep's file.

    Raises
    ------
    InputError
        The file cannot be read, is not TOML, or has an unknown key or a value that is refused.
    """
    found = _read(name)
    try:
        return _sweep_of(found)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _sweep_of(found: dict) -> SweepFile:
    scenario = scenario_of(found.get("scenario", {}))
    design = _design(found) if "design" in found else _grid(found.get("grid", {}))
    seeds = found.get("seeds", [scenario.seed])
    return SweepFile(scenario, design, seeds, found.get("scheduler"), found.get("out"))


def _read(name: str) -> dict:
    found = read_toml(Path(name))
    _refuse_other_keys(name, found, KEYS)
    for key in ("scenario", "grid", "design"):
        if not isinstance(found.get(key, {}), dict):
            raise InputError(f"{name}: [{key}] must be a table, got {shown(found[key])}")
    if "grid" in found and "design" in found:
        raise InputError(
            f"{name}: [grid] and [design] cannot go together; a list in [design.ranges] is a choice"
        )
    return found


def _refuse_other_keys(where: str, found: dict, keys: tuple) -> None:
    for key in found:
        if key not in keys:
            raise InputError(f"{where}: there is no key {shown(key)}; there are {', '.join(keys)}")


def _design(found: dict):
    design = found["design"]
    _refuse_other_keys("[design]", design, DESIGN_KEYS)
    for key in ("kind", "n", "ranges"):
        if key not in design:
            raise InputError(f"[design] must have {key}")
    one_of("design.kind", design["kind"], KINDS)
    ranges = design["ranges"]
    if not isinstance(ranges, dict):
        raise InputError(f"[design.ranges] must be a table, got {shown(ranges)}")
    return KINDS[design["kind"]](_grid(ranges), design["n"], design.get("seed", 1))


def is_range(table: dict) -> bool:
    """Is a table a range of a design, and not a table of nested names?"""
    return bool({"low", "high"} & set(table))


def _grid(table: dict) -> dict:
    """Lists of values and ranges, {name: list or range}."""
    return {
        name: list(value_of(name, values)) if isinstance(values, list) else values
        for name, values in flat(table, keep=is_range).items()
    }
