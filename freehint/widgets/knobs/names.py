"""Names of policies that tell which of their knobs were turned."""

from freehint.policies.policy import Policy


def changed_name(policy: Policy, preset: Policy) -> str:
    """The name of a policy that tells which knobs of a preset were changed.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from freehint.policies import POLICIES
    >>> changed_name(replace(POLICIES["v24"], lock="per_zone"), POLICIES["v24"])
    'v24, lock=per_zone'
    """
    names = [knob.name for knob in preset.knobs]
    changed = [n for n in names if getattr(policy, n) != getattr(preset, n)]
    return ", ".join([preset.name, *(f"{name}={getattr(policy, name)}" for name in changed)])
