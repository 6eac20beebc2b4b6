"""The design of a sweep: which runs there are, which are refused, and what names them.

A run's number counts through the design, seeds innermost; through a grid as nested loops would,
its first name outermost.  Everything else about a run follows from its number.
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
from freehint.jit.cache import source_hash
from freehint.jit.closure import PACKAGE
from freehint.mm.memory import Memory
from freehint.policies import find_policies
from freehint.policies.policy import Policy
from freehint.runs.begin import named_memory
from freehint.runs.provenance import LIBRARIES
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import told
from freehint.sweeps.factors import Choices, Space, factors_of, listed
from freehint.sweeps.sampling import Sample
from freehint.version import __version__


@dataclass(frozen=True)
class Grid:
    """Every combination of some factors' values."""

    factors: dict

    @property
    def keys(self) -> list:
        """A key a combination."""
        return list(itertools.product(*(range(len(f.values)) for f in self.factors.values())))

    def facts(self) -> dict:
        """Itself as JSON."""
        return {"grid": {name: factor.facts() for name, factor in self.factors.items()}}


def grid_of(values) -> Grid:
    """A grid of lists of values, by name."""
    require(isinstance(values, dict), "grid", "be a dict of lists, or a design", values)
    for name, one in values.items():
        require(not isinstance(one, dict), str(name), "be a list of values", one)
    return Grid(factors_of(values, "grid"))


class Design:
    """Every combination of a grid, or point of a sample, with every seed.

    Parameters
    ----------
    scenario : Scenario
        What the grid does not name.
    plan : dict or Sample
        A grid: parameter, as in ``Scenario.with_values`` -> list of its values.
    seeds : iterable of int

    Raises
    ------
    InputError
        A parameter does not exist, a value is refused in every combination, or a memory cannot
        be loaded.  A combination is another thing: refused while each of its values is good
        elsewhere, it is no run, and stands in ``refused``.
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
        """Note the memory, or the refusal, of a combination; the inputs of its workload."""
        try:
            scenario = self.space.scenario_of(self.keys[combination], self.seeds[0])
        except InputError as error:
            self.refused[combination] = str(error)
            return ()
        if not any(_same_memory(scenario.memory, known) for known in self.memories):
            self.memories.append(scenario.memory)
        return scenario.workload.inputs

    def _refuse_bad_values(self) -> None:
        """A value with which nothing can run is a mistake, not a contradiction."""
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
        """(number, key, seed) of a run: with the space, all that a worker must know."""
        combination, seed = divmod(number, len(self.seeds))
        return number, self.keys[combination], self.seeds[seed]

    def row(self, number: int) -> dict:
        """The columns of a run that say which one it is."""
        return self.space.row(*self.job(number))

    def refusal(self, number: int) -> str | None:
        """Why a run is no run, if so."""
        return self.refused.get(number // len(self.seeds))

    def facts(self) -> dict:
        """What the table is decided by, as JSON."""
        policies = []
        for named in self.space.policies():
            policies += [p for p in find_policies(named) if p not in policies]
        return {
            "freehint": __version__,
            "code": source_hash(),
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
    """Parameters of a policy, and a digest of each verb that is not freehint's own."""
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
    """What is told beside the facts, and may differ between two halves of a sweep."""
    return {
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
