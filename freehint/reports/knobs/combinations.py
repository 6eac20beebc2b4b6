"""The knobs of a report, and every combination of their values."""

import itertools
import json
import math
import re
from dataclasses import dataclass
from difflib import get_close_matches

from freehint.config import InputError
from freehint.policies import find_policy
from freehint.policies.policy import Policy
from freehint.runs.scenario import Scenario

MOST = 256  # combinations, of which those that contradict themselves are soon refused
NAME = re.compile(r"[a-z_]+(\.[a-z_0-9]+)+")


@dataclass(frozen=True)
class Combination:
    """One value for each knob.

    Attributes
    ----------
    key : tuple of int
        The place of each knob's value among its values.
    scenario : Scenario or None
        None if the combination contradicts itself.
    refusal : str
        Why it does.
    """

    key: tuple
    scenario: Scenario | None
    refusal: str = ""


def read_knobs(texts, scenario: Scenario) -> dict:
    """Read knobs such as ``policy.rotate,ring.size=64,256``.

    Parameters
    ----------
    texts : iterable of str
        Names, separated by commas; a name may have its values: ``NAME=VALUE,VALUE``.  Without
        them a knob of the scenario's policy takes all its positions.
    scenario : Scenario

    Returns
    -------
    dict
        Name (as in ``Scenario.with_values``) -> list of values, or None for all its positions.

    Raises
    ------
    InputError
        A knob is given twice, has a value twice, or has neither values nor positions.
    """
    found, name = {}, None
    for token in ",".join(texts).split(","):
        token = token.strip()
        if name is None or "=" in token or NAME.fullmatch(token) or found[name] is None:
            name, equals, token = token.partition("=")
            if not name:
                raise InputError("--knobs: a knob has no name")
            if name in found:
                raise InputError(f"--knobs {name}: is given twice")
            found[name] = [] if equals else None
            if not equals:
                continue
        value = _value(token)
        if value in found[name]:
            raise InputError(f"--knobs {name}: {token!r} is given twice")
        found[name].append(value)
    return {name: values or _positions(name, scenario) for name, values in found.items()}


def _value(text: str):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _positions(name: str, scenario: Scenario) -> list:
    policies = scenario.policy if isinstance(scenario.policy, tuple) else (scenario.policy,)
    known = {f"policy.{knob.name}": list(knob.positions) for p in policies for knob in p.knobs}
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise InputError(
        f"--knobs {name}: give its values, as in {name}=1,2; without values there are"
        f" {', '.join(known)}{meant}"
    )


def combinations(scenario: Scenario, knobs: dict, given=()) -> list:
    """Every combination of the knobs' values, in the order of nested loops.

    Parameters
    ----------
    scenario : Scenario
        It gives everything that no knob changes.
    knobs : dict
        Name -> values.
    given : collection of str
        Knobs whose values a user has written: a value of one that is refused in every combination
        is a mistake, not a contradiction.

    Returns
    -------
    list of Combination

    Raises
    ------
    InputError
        There are too many, none is possible, or a value is a mistake.
    """
    count = math.prod(map(len, knobs.values()))
    if count > MOST:
        raise InputError(
            f"--knobs: {count:,} combinations, and a report holds at most {MOST}; give fewer knobs,"
            " or their values, as in ring.size=64,1024"
        )
    found = []
    for key in itertools.product(*(range(len(values)) for values in knobs.values())):
        values = {name: knobs[name][at] for name, at in zip(knobs, key, strict=True)}
        try:
            found.append(Combination(key, _scenario(scenario, values)))
        except InputError as error:
            found.append(Combination(key, None, str(error)))
    possible = [one.key for one in found if one.scenario is not None]
    if not possible:
        raise InputError(f"--knobs: no combination is possible: {found[0].refusal}")
    for at, name in enumerate(knobs):
        good = {key[at] for key in possible}
        for one in found:
            if name in given and one.key[at] not in good:
                raise InputError(f"--knobs {name}: {one.refusal}")
    return found


def _scenario(base: Scenario, values: dict) -> Scenario:
    """The scenario of a combination; its policy's name tells what was changed."""
    found = base.with_values(values)
    original = values.get("policy", base.policy)
    original = find_policy(original) if isinstance(original, str) else original
    if not isinstance(original, Policy) or "policy.name" in values:
        return found
    changed = [
        f"{name.removeprefix('policy.')}={value}"
        for name, value in values.items()
        if name.startswith("policy.") and value != getattr(original, name.removeprefix("policy."))
    ]
    return found.with_values({"policy.name": ", ".join([original.name, *changed])})


def counted(run: int, refused: int) -> str:
    """How many combinations were run, in words."""
    words = f"{run} of {run + refused} combinations are possible"
    if not refused:
        return words
    return f"{words}; {refused} {'contradicts itself' if refused == 1 else 'contradict themselves'}"


def own_key(scenario: Scenario, knobs: dict, found: list) -> tuple:
    """The key of the scenario as it is, or of the first combination that is possible."""
    possible = [one for one in found if one.scenario is not None]
    for one in possible:
        values = {name: knobs[name][at] for name, at in zip(knobs, one.key, strict=True)}
        if scenario.with_values(values) == scenario:
            return one.key
    return possible[0].key
