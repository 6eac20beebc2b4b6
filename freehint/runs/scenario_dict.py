"""Write a scenario as a dict of JSON values, and read it back.

Provenance, TOML, Python code and the labels of a sweep come from here.  A part that has several
kinds, or that may be missing, names its kind: ``{"kind": "Program", "state": "freed"}``.
Fields that are left out keep their defaults, and a name may be dotted: ``{"ring.size": 64}``.
"""

from dataclasses import MISSING, fields, is_dataclass

from freehint.config import InputError, one_of, parameters, require, shown
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.engine.guest.programs import Program
from freehint.engine.guest.recorded_guest import RecordedGuest
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.formats.digest import memory_sha256
from freehint.mm.memory import Memory
from freehint.policies import AGENTS, CALLED, POLICIES
from freehint.policies.policy import VERBS, Policy
from freehint.runs.costs.file import load_costs
from freehint.runs.scenario import Scenario

KINDS = {
    kind.__name__: kind
    for kind in (
        *map(type, (POLICIES | AGENTS).values()),
        *CALLED,
        *(Workload, Program, RecordedGuest, UnderPressure, MigrationConfig, ParkConfig),
    )
}
DEEPEST = 8  # levels of lists and tables in a value
BY_HAND = "Memory of "  # the text of a memory without a name begins so


# A scenario as a dict.


def told(value):
    """A scenario, a part of it or a single value, as JSON values.

    Verbs that a policy shares with its kind are left out; other verbs are given by name.
    """
    if is_dataclass(value):
        return _kind(value) | {
            one.name: told(getattr(value, one.name))
            for one in parameters(value)
            if one.name not in VERBS or getattr(value, one.name) is not one.default
        }
    if isinstance(value, Memory):
        return f"{BY_HAND}{value.nr_pages} frames, sha256 {memory_sha256(value)}"
    if callable(value):
        function = getattr(value, "py_func", value)
        return f"{function.__module__}.{function.__qualname__}"
    if isinstance(value, tuple):
        return [told(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _kind(value) -> dict:
    kind = type(value)
    if not isinstance(value, tuple(KINDS.values())):
        return {}
    if KINDS.get(kind.__name__) is kind:
        return {"kind": kind.__name__}
    # A user's own kind must not pass for one of freehint's.
    return {"kind": f"{kind.__module__}.{kind.__qualname__}"}


def changes(scenario: Scenario) -> dict:
    """The part of :func:`told` that differs from the defaults.

    A policy with the name and the kind of one of freehint's is given by that name; the knobs
    in which it differs follow as ``policy.NAME``.

    Raises
    ------
    InputError
        Its memory or a policy was made by hand, so that no text can describe it.
    """
    if isinstance(scenario.memory, Memory):
        raise InputError(
            "memory: a Memory has no name to be written down; name a snapshot or a size"
        )
    default = _defaults(Scenario) | {"memory": scenario.workload.default_memory}
    found = {}
    for one in parameters(Scenario):
        value = getattr(scenario, one.name)
        tables = (
            _policy_changes(value) if one.name == "policy" else {one.name: _part_changes(value)}
        )
        if told(value) != default[one.name]:
            found |= {n: v for n, v in tables.items() if v != default.get(n, MISSING)}
    return found


def _defaults(kind) -> dict:
    """The default of each field that has one, as JSON values."""
    found = {}
    for one in parameters(kind):
        if one.default is not MISSING:
            found[one.name] = told(one.default)
        elif one.default_factory is not MISSING:
            found[one.name] = told(one.default_factory())
    return found


def _part_changes(part):
    """A part's kind and the values that differ from that kind's defaults; other values as is."""
    table = told(part)
    if not isinstance(table, dict):
        return table
    default = _defaults(type(part))
    return {n: v for n, v in table.items() if n not in default or v != default[n]}


def _policy_changes(policy) -> dict:
    if isinstance(policy, tuple):
        return {"policy": [_policy_alone(one) for one in policy]}
    preset = POLICIES.get(policy.name)
    if type(preset) is not type(policy):
        return {"policy": _policy_alone(policy)}
    _require_own_verbs(policy)
    known = told(preset)
    knobs = {f"policy.{n}": v for n, v in told(policy).items() if v != known[n]}
    return {"policy": policy.name} | knobs


def _policy_alone(policy: Policy):
    """A policy's name if that says everything, else its kind and its knobs."""
    _require_own_verbs(policy)
    return policy.name if policy == POLICIES.get(policy.name) else _part_changes(policy)


def _require_own_verbs(policy: Policy) -> None:
    table = told(policy)
    if table["kind"] not in KINDS or any(verb in table for verb in VERBS):
        raise InputError(f"policy: {policy.name!r} has verbs of its own, which no text can hold")


# A dict as a scenario.


def scenario_of(table: dict) -> Scenario:
    """The scenario that a dict describes, completely or in part.

    Parameters
    ----------
    table : dict
        Written by :func:`told`, by :func:`changes` or by hand, where ``costs`` may be the name of
        a costs file.

    Raises
    ------
    InputError
        There is no such field, a value is refused, or its memory or a policy was made by hand.
    """
    values = {name: value_of(name, value) for name, value in flat(table).items()}
    if isinstance(values.get("costs"), str):
        values["costs"] = load_costs(values["costs"])
    if str(values.get("memory")).startswith(BY_HAND):
        raise InputError("its memory was made by hand, and a run does not keep its memory")
    return Scenario().with_values(values)


def flat(table: dict, where: str = "", keep=lambda table: "kind" in table) -> dict:
    """``{"ring": {"size": 64}}`` as ``{"ring.size": 64}``; tables that ``keep`` accepts stay."""
    found = {}
    for name, value in table.items():
        if isinstance(value, dict) and not keep(value):
            found |= flat(value, f"{where}{name}.", keep)
        else:
            found[where + name] = value
    return found


def value_of(name: str, value, depth: int = 0):
    """A field's value from JSON: a list becomes a tuple, a table with a kind becomes that part.

    Raises
    ------
    InputError
        It is nested deeper than any scenario, or a part is refused.
    """
    require(depth <= DEEPEST, name, f"be nested at most {DEEPEST} deep", value)
    if isinstance(value, list):
        return tuple(value_of(name, one, depth + 1) for one in value)
    return _part_of(name, value, depth) if isinstance(value, dict) else value


def _part_of(name: str, table: dict, depth: int):
    require(name.strip(".") != "", "a parameter", "have a name", name)
    kind = table.get("kind")
    if name == "policy":
        _refuse_foreign(table)
    one_of(f"{name}.kind", kind, KINDS)
    known = {one.name for one in parameters(KINDS[kind])}
    for missing in known - table.keys() - _defaults(KINDS[kind]).keys():
        raise InputError(f"{name} must have {missing} for kind {kind!r}, got {table!r:.80}")
    values = {
        n: value_of(f"{name}.{n}", value, depth + 1) for n, value in table.items() if n != "kind"
    }
    return KINDS[kind](**(_description(name, table) | values))


def _description(name: str, table: dict) -> dict:
    """The colour, mark and so on of the preset with a policy's name, which JSON does not hold."""
    named = table.get("name")
    preset = POLICIES.get(named) if name == "policy" and isinstance(named, str) else None
    if type(preset).__name__ != table["kind"]:
        return {}
    return {one.name: getattr(preset, one.name) for one in fields(preset) if not one.compare}


def _refuse_foreign(table: dict) -> None:
    """Refuse a policy with a foreign kind or verb: code is never looked up by a name in a dict."""
    kind = table.get("kind")
    strange = [f"of kind {kind!s:.80}"] if kind not in tuple(KINDS) else []
    strange += [f"with the verb {table[verb]!s:.80}" for verb in VERBS if verb in table]
    if strange:
        raise InputError(
            f"its policy {shown(table.get('name'))}, {strange[0]}, is none of freehint's own, and a"
            " run stores no code"
        )
