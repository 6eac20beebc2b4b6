"""A scenario again, from the provenance that its run was stored with: from data alone."""

from dataclasses import replace
from pathlib import Path

from freehint.config import InputError
from freehint.engine.guest.programs import Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.world.records import Costs
from freehint.engine.world.ring import RingConfig
from freehint.formats.digest import file_sha256
from freehint.policies import POLICIES
from freehint.policies.policy import VERBS, Policy
from freehint.runs.begin import snapshot_stem
from freehint.runs.control import Control
from freehint.runs.provenance import input_files, plain
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_file import tuples

PARTS = {
    "ring": RingConfig,
    "host": HostConfig,
    "costs": Costs,
    "control": Control,
    "migration": MigrationConfig,
}


def rebuilt(parameters: dict) -> Scenario:
    """The scenario whose parameters a run's provenance holds.

    Parameters
    ----------
    parameters : dict
        ``run.provenance["parameters"]``.

    Raises
    ------
    InputError
        It cannot be rebuilt: its memory or a policy was made by hand, or a value is refused.
    """
    values = dict(parameters)
    memory = values.get("memory")
    if not isinstance(memory, str):
        raise InputError(f"memory must be a name or a size, got {memory!r}")
    if memory.startswith("Memory of "):
        raise InputError("its memory was made by hand, and a run does not keep its memory")
    for name, kind in PARTS.items():
        if values.get(name) is not None:
            values[name] = _part(name, kind, values[name])
    values["workload"] = _part("workload", _load(values.get("workload")), values.get("workload"))
    stored = values.get("policy")
    several = isinstance(stored, list)
    values["policy"] = tuple(map(_policy, stored)) if several else _policy(stored)
    return Scenario(**values)


def _part(name: str, kind, stored):
    if not isinstance(stored, dict):
        raise InputError(f"{name} must be a table of its parameters, got {stored!r}")
    return kind(**{key: tuples(value) for key, value in stored.items()})


def _load(stored) -> type:
    """What kind of guest it is shows in what it has."""
    names = stored if isinstance(stored, dict) else ()
    return Program if "state" in names else RecordedGuest if "trace" in names else Workload


def _policy(stored) -> Policy:
    """One of freehint's own policies, known by its verbs, with the knobs that are stored."""
    if not isinstance(stored, dict):
        raise InputError(f"policy must be a table of its parameters, got {stored!r}")
    for known in POLICIES.values():
        facts = plain(known)
        if facts.keys() == stored.keys() and all(facts[v] == stored[v] for v in VERBS):
            knobs = {n: tuples(v) for n, v in stored.items() if n not in VERBS}
            return replace(known, **knobs)
    raise InputError(
        f"its policy {stored.get('name')!r}, with the verb {stored.get('fill')}, is none of"
        " freehint's own, and no code is stored with a run"
    )


def changed_inputs(scenario: Scenario, stored: list) -> list:
    """Input files that are no longer what a run was made of.

    Returns
    -------
    list of (str, str, str)
        What, as stored, as found.

    Raises
    ------
    InputError
        An input is missing.
    """
    sized = str(scenario.memory).endswith("iB")
    stem = None if sized else snapshot_stem(scenario.memory)
    there = {one["file"]: one["sha256"] for one in stored}
    found = {path.name: _sha256(path) for path in input_files(scenario, stem)}
    return [
        (f"sha256 of {name}", there.get(name, "not there"), found.get(name, "not there"))
        for name in there | found
        if there.get(name) != found.get(name)
    ]


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
