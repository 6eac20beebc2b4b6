"""What reproduces a run: parameters, inputs with their sha256, versions.  All of it is JSON."""

import functools
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from freehint.config import InputError
from freehint.files import shortened
from freehint.mm.memory import Memory
from freehint.mm.profile import profile_name
from freehint.runs.scenario_dict import told

SCHEMA_VERSION = 1  # of provenance.schema.json; a change that old files do not fit counts it up
SCHEMA = Path(__file__).with_name("provenance.schema.json")
LIBRARIES = ("numba", "numpy", "pandas", "pyarrow")


@functools.cache
def library_versions() -> tuple:
    """(name, version) of each of LIBRARIES; reading them costs milliseconds, so once a process."""
    return tuple((name, version(name)) for name in LIBRARIES)


@functools.cache
def _validator():
    # Here and not above: importing jsonschema takes longer than any run's provenance needs it.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text()))


def read_provenance(stored: bytes, path) -> dict:
    """The provenance that stands in a file, if it fits the schema.

    Parameters
    ----------
    stored : bytes
        JSON.
    path : Path
        The file, for the sentence.

    Raises
    ------
    InputError
        It is no JSON, is of another version, or does not fit; file, field and value are named.
    """
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the provenance is not whole JSON: {error}") from None
    if isinstance(found, dict) and found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version", "none, as before there were any")
        raise InputError(
            f"{path}: the provenance's schema_version must be {SCHEMA_VERSION}, got"
            f" {shortened(version)}; simulate the scenario again with this freehint"
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
    return f"{named} must have {rule}, got {shortened(error.instance)}"


def provenance(scenario, release: str, inputs: tuple, memory: Memory) -> dict:
    """What a run was made of.

    Parameters
    ----------
    scenario : Scenario
    release : str
        freehint's version.
    inputs : tuple of Input
        Files that the guest was loaded from, with the sha256 of what was loaded.
    memory : Memory
        For the kernel whose allocator ran.

    Returns
    -------
    dict
        schema_version, freehint, python, libraries, kernel_profile, parameters, inputs (file and
        sha256); ``provenance.schema.json`` says what each holds.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "freehint": release,
        "python": platform.python_version(),
        "libraries": dict(library_versions()),
        "kernel_profile": profile_name(memory.profile),
        "parameters": told(scenario),
        "inputs": [one._asdict() for one in inputs],
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
    rows = {
        name.removeprefix("parameters."): " | ".join(map(str, values))
        for name, values in facts.items()
    }
    return pd.DataFrame({"value": pd.Series(rows, dtype=str)})
