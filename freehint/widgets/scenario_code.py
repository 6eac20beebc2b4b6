"""A scenario as the Python that makes it, with only what differs from the defaults."""

from dataclasses import fields

from freehint.config import InputError, parameters
from freehint.mm.memory import Memory
from freehint.policies import POLICIES
from freehint.policies.policy import Policy
from freehint.runs.scenario import Scenario


def scenario_code(scenario: Scenario, name: str = "scenario") -> str:
    """Python that makes an equal scenario, where ``fh`` is freehint.

    Parameters
    ----------
    scenario : Scenario
    name : str
        Of the variable.

    Returns
    -------
    str
        One assignment.

    Raises
    ------
    InputError
        It holds a Memory, or a policy with verbs of its own: no line of code says what they are.

    Examples
    --------
    >>> print(scenario_code(Scenario(memory="256MiB", seed=3)))
    scenario = fh.Scenario(memory='256MiB', seed=3)
    """
    if isinstance(scenario.memory, Memory):
        raise InputError(
            "memory: a Memory has no name to be written down; name a snapshot or a size"
        )
    arguments, knobs = [], {}
    plain = Scenario(workload=scenario.workload)
    for one in fields(Scenario):
        value = getattr(scenario, one.name)
        if one.name == "policy":
            written, knobs = _policy(value)
            if written != repr(plain.policy.name):
                arguments.append(f"policy={written}")
        elif one.name == "workload":
            if value != Scenario().workload:
                arguments.append(f"workload={_made(value)}")
        elif value != getattr(plain, one.name):
            arguments.append(f"{one.name}={_made(value)}")
    code = f"{name} = {_call('fh.Scenario', arguments)}"
    return code + (f".with_values({knobs!r})" if knobs else "")


def _call(what: str, arguments: list) -> str:
    line = f"{what}({', '.join(arguments)})"
    if len(line) < 80:
        return line
    return f"{what}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _made(value) -> str:
    """A part as its constructor, anything else as it is written."""
    if not hasattr(value, "__dataclass_fields__"):
        return repr(value) if isinstance(value, int | float | str | None) else repr(str(value))
    default = type(value)() if _has_defaults(type(value)) else None
    changed = [
        f"{f.name}={getattr(value, f.name)!r}"
        for f in fields(value)
        if default is None or getattr(value, f.name) != getattr(default, f.name)
    ]
    return f"fh.{type(value).__name__}({', '.join(changed)})"


def _has_defaults(kind) -> bool:
    try:
        kind()
    except (TypeError, InputError):
        return False
    return True


def _policy(policy) -> tuple:
    """How a policy is written, and the knobs that differ from the preset of its name."""
    if isinstance(policy, tuple):
        return f"({', '.join(_alone(one) for one in policy)},)", {}
    preset = POLICIES.get(policy.name)
    if type(preset) is type(policy):
        changed = _changed(policy, preset)
        return repr(policy.name), {f"policy.{name}": value for name, value in changed.items()}
    return _alone(policy), {}


def _alone(policy) -> str:
    """A policy as one expression."""
    if policy == POLICIES.get(policy.name):
        return repr(policy.name)
    kinds = {type(known) for known in POLICIES.values()} - {Policy}
    if type(policy) not in kinds:
        raise InputError(
            f"policy: {policy.name!r} has verbs of its own, which no line of code tells"
        )
    default = type(policy)(policy.name)
    changed = ", ".join(f"{k}={v!r}" for k, v in _changed(policy, default).items())
    return f"fh.policies.{type(policy).__name__}({policy.name!r}{', ' if changed else ''}{changed})"


def _changed(policy, default) -> dict:
    """Fields that differ; a verb of one's own cannot be written down."""
    changed = {f.name: getattr(policy, f.name) for f in parameters(policy)
               if getattr(policy, f.name) != getattr(default, f.name)}  # fmt: skip
    for value in changed.values():
        if callable(value):
            text = f"policy: {policy.name!r} has verbs of its own, which no line of code tells"
            raise InputError(text)
    return changed
