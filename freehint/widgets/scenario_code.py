"""Python code that makes a scenario, with only the values that differ from the defaults."""

from freehint.policies.policy import Policy
from freehint.runs.scenario import Scenario
from freehint.runs.scenario_dict import KINDS, changes, value_of


def scenario_code(scenario: Scenario, name: str = "scenario") -> str:
    """Python code that makes an equal scenario, where ``fh`` is freehint.

    Parameters
    ----------
    scenario : Scenario
    name : str
        The name of the variable.

    Returns
    -------
    str
        One assignment.

    Raises
    ------
    InputError
        The scenario holds a Memory, or a policy with verbs of its own; code cannot express them.

    Examples
    --------
    >>> print(scenario_code(Scenario(memory="256MiB", seed=3)))
    scenario = fh.Scenario(memory='256MiB', seed=3)
    """
    table = changes(scenario)
    knobs = {n: value_of(n, value) for n, value in table.items() if n.startswith("policy.")}
    arguments = [
        f"{field}={_made(value, type(getattr(scenario, field)))}"
        for field, value in table.items()
        if field not in knobs
    ]
    code = f"{name} = {_call('fh.Scenario', arguments)}"
    return code + (f".with_values({knobs!r})" if knobs else "")


def _call(what: str, arguments: list) -> str:
    line = f"{what}({', '.join(arguments)})"
    if len(line) < 80:
        return line
    return f"{what}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _made(value, kind=None) -> str:
    """A part of a scenario as a call of its class; any other value as a literal."""
    if isinstance(value, list):
        return f"({', '.join(map(_made, value))}{',' * (len(value) == 1)})"
    if not isinstance(value, dict):
        return repr(value)
    inner = {name: _made(one) for name, one in value.items() if name != "kind"}
    arguments = ", ".join(f"{name}={text}" for name, text in inner.items())
    called = value.get("kind") or kind.__name__
    # ``fh.policies`` has every class of policies, ``fh`` itself only some of them.
    room = "fh.policies" if issubclass(KINDS.get(called, object), Policy) else "fh"
    return f"{room}.{called}({arguments})"
