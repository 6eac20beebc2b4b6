"""The design of a sweep: which runs there are, which are refused, and what names them.

A run's number counts through the grid as nested loops would, the grid's first name outermost and
the seeds innermost.  Everything else about a run follows from its number.
"""

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import version
from math import prod
from types import CodeType

from freehint.config import InputError, require, whole
from freehint.formats.snapshots import snapshot_files
from freehint.jit import PACKAGE, as_python, source_hash
from freehint.mm.memory import Memory
from freehint.policies import find_policies, find_policy
from freehint.policy import Policy
from freehint.provenance import LIBRARIES, file_sha256, plain
from freehint.simulate import Scenario, named_memory
from freehint.version import __version__


def label(value):
    """A grid's value as it stands in the table: a policy is its name."""
    if isinstance(value, Policy):
        return value.name
    if isinstance(value, tuple) and all(isinstance(v, Policy) for v in value):
        return " + ".join(v.name for v in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    value = plain(value)
    return value if isinstance(value, str) else json.dumps(value)


class Design:
    """Every combination of a grid's values, with every seed.

    Parameters
    ----------
    scenario : Scenario
        What the grid does not name.
    grid : dict
        Parameter, as in ``Scenario.with_values`` -> list of its values.
    seeds : iterable of int

    Raises
    ------
    InputError
        A parameter does not exist, or a value is refused in every combination.  A combination
        is another thing: refused while each of its values is good elsewhere, it is no run, and
        stands in ``refused``.
    """

    def __init__(self, scenario, grid, seeds):
        require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
        require(isinstance(grid, dict), "grid", "be a dict of lists", grid)
        self.scenario = scenario
        self.seeds = _values("seeds", seeds)
        for seed in self.seeds:
            whole("seeds", seed, 0)
        require("seed" not in grid, "grid", "leave seed to seeds", list(grid))
        for name in grid:
            require(isinstance(name, str), "grid", "have names of parameters", name)
        self.axes = {name: _values(name, values) for name, values in grid.items()}
        self.combinations = prod(len(values) for values in self.axes.values())
        self.refused = {}
        self._scenarios = list(map(self._checked, range(self.combinations)))
        self._refuse_bad_values()

    def __len__(self) -> int:
        return self.combinations * len(self.seeds)

    def _places(self, combination: int) -> dict:
        """Which value of each axis."""
        places = {}
        for name, values in reversed(self.axes.items()):
            combination, places[name] = divmod(combination, len(values))
        return {name: places[name] for name in self.axes}

    def _values_of(self, combination: int) -> dict:
        return {name: self.axes[name][at] for name, at in self._places(combination).items()}

    def _checked(self, combination: int):
        try:
            return self.scenario.with_values(self._values_of(combination))
        except InputError as error:
            self.refused[combination] = str(error)
            return None

    def _refuse_bad_values(self) -> None:
        """A value with which nothing can run is a mistake, not a contradiction."""
        good = {name: set() for name in self.axes}
        for combination in range(self.combinations):
            if combination not in self.refused:
                for name, place in self._places(combination).items():
                    good[name].add(place)
        for combination, sentence in self.refused.items():
            for name, place in self._places(combination).items():
                if place not in good[name]:
                    raise InputError(sentence)

    def scenario_of(self, number: int) -> Scenario:
        """The scenario of a run."""
        combination, seed = divmod(number, len(self.seeds))
        return dataclasses.replace(self._scenarios[combination], seed=self.seeds[seed])

    def refusal(self, number: int) -> str | None:
        """Why a run is no run, if so."""
        return self.refused.get(number // len(self.seeds))

    def row(self, number: int) -> dict:
        """The grid's columns of a run."""
        combination, seed = divmod(number, len(self.seeds))
        values = self._values_of(combination)
        row = {name: label(value) for name, value in values.items()}
        if "policy" not in row:
            row["policy"] = label(self.scenario.policy)
        return {"run": number, **row, "seed": self.seeds[seed]}

    def memories(self) -> list:
        """Every memory that is named, in any combination."""
        found = []
        for scenario in filter(None, self._scenarios):
            memory = scenario.memory
            named = [m for m in found if not isinstance(m, Memory)]
            if isinstance(memory, Memory):
                known = any(memory is m for m in found)
            else:
                known = memory in named
            if not known:
                found.append(memory)
        return found

    def workload_files(self) -> list:
        """Every file that a workload was made of, in any combination."""
        found = []
        for scenario in filter(None, self._scenarios):
            found += [f for f in scenario.workload.input_files() if f not in found]
        return found

    def policies(self) -> list:
        """Every policy that walks, in any combination."""
        found = []
        for scenario in self._scenarios:
            if scenario is not None:
                found += [p for p in find_policies(scenario.policy) if p not in found]
        return found

    def facts(self) -> dict:
        """What the table is decided by, as JSON."""
        return {
            "freehint": __version__,
            "code": source_hash(),
            "parameters": plain(self.scenario),
            "grid": {name: [label(v) for v in values] for name, values in self.axes.items()},
            "seeds": list(self.seeds),
            "inputs": _inputs(self.memories(), self.workload_files()),
            "policies": [_policy_facts(policy) for policy in self.policies()],
        }


def _values(name: str, values) -> tuple:
    listed = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    require(listed, name, "be a list of values", values)
    values = tuple(map(_policy, values) if name == "policy" else values)
    require(len(values) > 0, name, "have at least one value", list(values))
    seen = set()
    for value in values:
        text = label(value)
        require(text not in seen, name, "have values of different names", text)
        seen.add(text)
    return values


def _policy(value):
    return tuple(map(find_policy, value)) if isinstance(value, list | tuple) else find_policy(value)


def _inputs(memories, files) -> list:
    """Every input file with its sha256; loads each memory, so it is refused now."""
    found = []
    for memory in memories:
        _, stem = named_memory(memory)
        if stem is not None:
            found += [f for f in snapshot_files(stem) if f not in found]
    found += [f for f in files if f not in found]
    return [{"file": f.name, "sha256": file_sha256(f)} for f in found]


def _policy_facts(policy: Policy) -> dict:
    """Parameters of a policy, and a digest of each verb that is not freehint's own."""
    verbs = {}
    for field in dataclasses.fields(policy):
        value = as_python(getattr(policy, field.name))
        code = getattr(value, "__code__", None)
        if code is not None and not code.co_filename.startswith(str(PACKAGE)):
            verbs[field.name] = hashlib.sha256(_code_text(code).encode()).hexdigest()
    return {**plain(policy), **({"sha256": verbs} if verbs else {})}


def _code_text(code: CodeType) -> str:
    inner = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"


def made_with() -> dict:
    """What is told beside the facts, and may differ between two halves of a sweep."""
    return {
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
