"""What reproduces a run: parameters, inputs with their sha256, versions.  All of it is JSON."""

import dataclasses
import functools
import platform
from importlib.metadata import version

import pandas as pd

from freehint.config import parameters
from freehint.formats.digest import file_sha256, memory_sha256
from freehint.formats.snapshots import snapshot_files
from freehint.mm.memory import Memory
from freehint.mm.profile import profile_name
from freehint.policies.policy import VERBS

LIBRARIES = ("numba", "numpy", "pandas", "pyarrow")


@functools.cache
def library_versions() -> tuple:
    """(name, version) of each of LIBRARIES; reading them costs milliseconds, so once a process."""
    return tuple((name, version(name)) for name in LIBRARIES)


def plain(value):
    """A parameter as JSON: dataclasses become mappings, verbs their qualified names."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in parameters(value)}
    if isinstance(value, Memory):
        return f"Memory of {value.nr_pages} frames, sha256 {memory_sha256(value)}"
    if callable(value):
        function = getattr(value, "py_func", value)
        return f"{function.__module__}.{function.__qualname__}"
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def input_files(scenario, stem) -> list:
    """Files that a run was made of: its snapshot's, where it has one, and its workload's."""
    files = list(snapshot_files(stem)) if stem is not None else []
    return files + [f for f in scenario.workload.input_files() if f not in files]


def provenance(scenario, release: str, stem, memory: Memory) -> dict:
    """What a run was made of.

    Parameters
    ----------
    scenario : Scenario
    release : str
        freehint's version.
    stem : str, Path or None
        Stem of the snapshot that was loaded, if one was.
    memory : Memory
        For the kernel whose allocator ran.

    Returns
    -------
    dict
        freehint, python, libraries, kernel_profile, parameters, inputs (file and sha256).
    """
    inputs = [
        {"file": path.name, "sha256": file_sha256(path)} for path in input_files(scenario, stem)
    ]
    return {
        "freehint": release,
        "python": platform.python_version(),
        "libraries": dict(library_versions()),
        "kernel_profile": profile_name(memory.profile),
        "parameters": plain(scenario),
        "inputs": inputs,
    }


def provenance_table(runs) -> pd.DataFrame:
    """What made some runs of one comparison, for people: a row a fact.

    Facts that differ between the runs are listed with every value.
    """
    facts = {}

    def enter(name, value):
        if isinstance(value, dict):
            for key, inner in value.items():
                enter(f"{name}.{key}" if name else key, inner)
        elif name == "inputs":
            for one in value:
                enter(f"sha256 of {one['file']}", one["sha256"])
        else:
            seen = facts.setdefault(name, [])
            if value not in seen:
                seen.append(value)

    for run in runs:
        enter("", run.provenance)
    verbs = tuple(f"parameters.policy.{verb}" for verb in VERBS)
    rows = {
        name.removeprefix("parameters."): " | ".join(map(str, values))
        for name, values in facts.items()
        if name not in verbs
    }
    return pd.DataFrame({"value": pd.Series(rows, dtype=str)})
