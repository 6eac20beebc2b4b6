"""The facts that reproduce a run, as JSON: parameters, inputs with their sha256, and versions."""

import functools
import json
import platform
from importlib.metadata import version
from pathlib import Path

from freehint.config import InputError, shown_json
from freehint.inputs.reading import json_of
from freehint.mm.memory import Memory
from freehint.mm.profile import profile_name
from freehint.runs.scenario_dict import told

SCHEMA_VERSION = 1  # of provenance.schema.json; raised by changes that old files do not fit
SCHEMA = Path(__file__).with_name("provenance.schema.json")
LIBRARIES = ("numba", "numpy", "pandas", "pyarrow")


@functools.cache
def library_versions() -> tuple:
    """The names and versions of LIBRARIES, read once per process, as that takes milliseconds."""
    return tuple((name, version(name)) for name in LIBRARIES)


@functools.cache
def _validator():
    # Imported here, because most processes check no provenance and the import takes long.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def read_provenance(stored: bytes, path) -> dict:
    """The provenance that is stored in a file, if it fits the schema.

    Parameters
    ----------
    stored : bytes
        The provenance as JSON.
    path : Path
        The file, for error messages.

    Raises
    ------
    InputError
        It is no JSON, has another version, or does not fit.  The message names file, field and
        value.
    """
    found = json_of(stored, path, "the provenance")
    if isinstance(found, dict) and found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version", "none, as in old runs")
        raise InputError(
            f"{path}: the provenance's schema_version must be {SCHEMA_VERSION}, got"
            f" {shown_json(version)}; simulate the scenario again with this freehint"
        )
    error = min(_validator().iter_errors(found), key=lambda one: one.json_path, default=None)
    if error is not None:
        raise InputError(f"{path}: {_complaint(error)}")
    return found


def _complaint(error) -> str:
    where = error.json_path.removeprefix("$").removeprefix(".")
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"the provenance has no {'.'.join(filter(None, (where, missing)))}"
    rule = f"{error.validator} {json.dumps(error.validator_value)}"
    named = f"the provenance's {where}" if where else "the provenance"
    return f"{named} must have {rule}, got {shown_json(error.instance)}"


def provenance(scenario, release: str, inputs: tuple, memory: Memory) -> dict:
    """The facts that reproduce a run.

    Parameters
    ----------
    scenario : Scenario
    release : str
        freehint's version.
    inputs : tuple of Input
        Files that the guest was loaded from, with the sha256 of the bytes that were loaded.
    memory : Memory
        The guest's memory, which names the kernel that the allocator follows.

    Returns
    -------
    dict
        schema_version, freehint, python, libraries, kernel_profile, parameters, inputs (file and
        sha256), costs_file (the same, if there is one), each described in
        ``provenance.schema.json``.
    """
    costs = scenario.costs.read_from
    return {
        "schema_version": SCHEMA_VERSION,
        "freehint": release,
        "python": platform.python_version(),
        "libraries": dict(library_versions()),
        "kernel_profile": profile_name(memory.profile),
        "parameters": told(scenario),
        "inputs": [one._asdict() for one in inputs],
        **({"costs_file": costs._asdict()} if costs else {}),
    }
