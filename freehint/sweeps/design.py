"""The design of a sweep: its runs, the combinations it refuses, and the facts that identify it.

Runs are numbered in the order of nested loops: a grid's first name is the outermost loop, the
seeds are the innermost.  Everything else about a run follows from its number.
"""

import dataclasses
import hashlib
import itertools
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from types import CodeType

from freehint.config import InputError, require, whole
from freehint.jit import as_python
from freehint.jit.closure import PACKAGE
from freehint.mm.memory import Memory
from freehint.policies import find_policies
from freehint.policies.policy import Policy
from freehint.runs.begin import named_memory
from freehint.runs.provenance import LIBRARIES
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import told
from freehint.sweeps.factors import Choices, Space, factors_of, listed
from freehint.sweeps.one_run import code_of_rows
from freehint.sweeps.sampling import Sample
from freehint.version import __version__


@dataclass(frozen=True)
class Grid:
    """Every combination of some factors' values."""

    factors: dict

    @property
    def keys(self) -> list:
        """One key per combination."""
        return list(itertools.product(*(range(len(f.values)) for f in self.factors.values())))

    def facts(self) -> dict:
        """The grid as JSON."""
        return {"grid": {name: factor.facts() for name, factor in self.factors.items()}}


def grid_of(values) -> Grid:
    """A grid from a dict of lists of values."""
    require(isinstance(values, dict), "grid", "be a dict of lists, or a design", values)
    for name, one in values.items():
        require(not isinstance(one, dict), str(name), "be a list of values", one)
    return Grid(factors_of(values, "grid"))


class Design:
    """Every combination of a grid, or point of a sample, with every seed.

    Parameters
    ----------
    scenario : Scenario
        It gives all parameters that the plan does not name.
    plan : dict or Sample
        A dict is a grid: parameter (named as in ``Scenario.with_values``) -> list of its values.
    seeds : iterable of int

    Raises
    ------
    InputError
        A parameter does not exist, a value is refused in every combination, or a memory cannot
        be loaded.  A combination that is refused although each of its values is accepted in
        another combination raises nothing: it is not run, and ``refused`` holds the reason.
    """

    def __init__(self, scenario, plan, seeds):
        require(isinstance(scenario, Scenario), "scenario", "be a Scenario", scenario)
        self.plan = plan if isinstance(plan, Sample) else grid_of(plan)
        self.space = Space(scenario, self.plan.factors)
        self.seeds = listed("seeds", seeds)
        for seed in self.seeds:
            whole("seeds", seed, 0)
        self.keys = self.plan.keys
        self.refused = {}
        self.memories, of_workloads = [], []
        for combination in range(len(self.keys)):
            of_workloads += self._check(combination)
        self._refuse_bad_values()
        inputs = [one for memory in self.memories for one in named_memory(memory)[1]]
        self.space = replace(self.space, inputs=tuple(dict.fromkeys(inputs + of_workloads)))

    def __len__(self) -> int:
        return len(self.keys) * len(self.seeds)

    def _check(self, combination: int) -> tuple:
        """Note a combination's memory, or its refusal, and return its workload's inputs."""
        try:
            scenario = self.space.scenario_of(self.keys[combination], self.seeds[0])
        except InputError as error:
            self.refused[combination] = str(error)
            return ()
        if not any(_same_memory(scenario.memory, known) for known in self.memories):
            self.memories.append(scenario.memory)
        return scenario.workload.inputs

    def _refuse_bad_values(self) -> None:
        """Raise if a value is refused in every combination: it is a mistake, not a conflict."""
        lists = [at for at, f in enumerate(self.plan.factors.values()) if isinstance(f, Choices)]
        good = {
            (at, key[at])
            for combination, key in enumerate(self.keys)
            if combination not in self.refused
            for at in lists
        }
        nothing_runs = len(self.refused) == len(self.keys)
        for combination, sentence in self.refused.items():
            key = self.keys[combination]
            if nothing_runs or any((at, key[at]) not in good for at in lists):
                raise InputError(sentence)

    def job(self, number: int) -> tuple:
        """(number, key, seed) of a run: together with the space, all that a worker needs."""
        combination, seed = divmod(number, len(self.seeds))
        return number, self.keys[combination], self.seeds[seed]

    def row(self, number: int) -> dict:
        """The columns that identify a run."""
        return self.space.row(*self.job(number))

    def refusal(self, number: int) -> str | None:
        """Why a run is refused; None if it is not."""
        return self.refused.get(number // len(self.seeds))

    def facts(self) -> dict:
        """Everything that decides the table, as JSON."""
        policies = []
        for named in self.space.policies():
            policies += [p for p in find_policies(named) if p not in policies]
        return {
            "freehint": __version__,
            "code": code_of_rows(),
            "parameters": told(self.space.scenario),
            **self.plan.facts(),
            "seeds": list(self.seeds),
            "inputs": [one._asdict() for one in self.space.inputs],
            "policies": [_policy_facts(policy) for policy in policies],
        }


def _same_memory(one, other) -> bool:
    if isinstance(one, Memory) or isinstance(other, Memory):
        return one is other
    return one == other


def _policy_facts(policy: Policy) -> dict:
    """A policy's parameters, and a digest of each verb that is not freehint's own."""
    verbs = {}
    for field in dataclasses.fields(policy):
        value = as_python(getattr(policy, field.name))
        code = getattr(value, "__code__", None)
        if code is not None and not code.co_filename.startswith(str(PACKAGE)):
            verbs[field.name] = hashlib.sha256(_code_text(code).encode()).hexdigest()
    return {**told(policy), **({"sha256": verbs} if verbs else {})}


def _code_text(code: CodeType) -> str:
    inner = [_code_text(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"


def made_with() -> dict:
    """The versions that are stored with the facts but may differ between parts of a sweep."""
    return {
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
