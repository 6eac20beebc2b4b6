"""Cases of policies, whether in POLICIES or a user's own."""

from dataclasses import dataclass, field
from typing import Annotated

from freehint.config import parameters, require_name
from freehint.inputs.rules import OneOf
from freehint.policies import POLICIES
from freehint.policies.policy import Policy
from freehint.safety.case import Case

OWN = "own"  # the name of every policy that is not in POLICIES


@dataclass(frozen=True)
class OwnCase(Case):
    """A Case whose policy is not in POLICIES; ``policy`` is "own".

    Attributes
    ----------
    made : Policy
    """

    policy: Annotated[str, OneOf((OWN,))] = OWN
    made: Policy = field(kw_only=True)

    @property
    def chosen(self) -> Policy:
        """The policy before the case changes its report and capacity."""
        return self.made


def case_of(policy, **values) -> Case:
    """The case of a policy.

    Parameters
    ----------
    policy : str or Policy
        A name in POLICIES, or any policy.
    values
        Other fields of Case.

    Raises
    ------
    InputError
        A field is not known, a value cannot be used, or the policy cannot work so.
    """
    for name in values:
        require_name(name, [one.name for one in parameters(Case) if one.name != "policy"])
    if not isinstance(policy, Policy):
        return Case(policy=policy, **values)
    if POLICIES.get(policy.name) == policy:
        return Case(policy=policy.name, **values)
    return OwnCase(made=policy, **values)
