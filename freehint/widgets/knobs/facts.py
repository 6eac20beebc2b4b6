"""What is said of a knob: its explanation, range and default, read from the class of its field.

The explanation is the first sentence on the field in its class's docstring, the rule and the
default are the field's own.  So a knob says what the reference says.
"""

import inspect
import re
from dataclasses import MISSING, fields
from functools import cache
from typing import NamedTuple

from freehint.engine.guest.programs import Program
from freehint.engine.guest.workloads import Workload
from freehint.engine.host.device import HostConfig
from freehint.engine.host.migration import MigrationConfig
from freehint.engine.host.park import ParkConfig
from freehint.engine.world.ring import RingConfig
from freehint.inputs.rules import rules_of
from freehint.policies.policy import Policy
from freehint.policies.walker import Walker
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario

# Part of a scenario -> the classes that may have its fields, the most special one first.
PARTS = {
    "": (Scenario,),
    "policy": (Walker, Policy),
    "workload": (Workload, Program),
    "ring": (RingConfig,),
    "host": (HostConfig,),
    "migration": (MigrationConfig,),
    "park": (ParkConfig,),
    "control": (Control,),
}
# Sentences on knobs that are not a field, as the size is one of several and these times count
# from the start of the walk, and on fields whose first sentence needs the next one.
SENTENCES = {
    "workload.size_MiB": "Memory that the load fills or writes.",
    "host.backend": "How the host takes away the memory behind a hint, and whether it then leaves.",
    "park.restore": "Whether all is loaded before the guest runs, or a chunk when it is touched.",
    "control.stop_at_ns": "Time from the walk's start to the host's STOP.",
    "control.done_at_ns": "Time from the walk's start to the host's DONE, which gives back blocks.",
}
UNITS = {
    "policy.capacity": "blocks",
    "ring.size": "buffers",
    "workload.nr_cpus": "CPUs",
}
FIRST_SENTENCE = re.compile(r"(.+?[.;:])(\s|$)")


class Facts(NamedTuple):
    """What the code says of a scenario's field.

    explanation : str       one sentence
    rule : object           a rule of freehint.inputs.rules, or None
    default : object        the field's default; MISSING if it has none
    """

    explanation: str = ""
    rule: object = None
    default: object = MISSING


@cache
def facts_of(field: str) -> Facts:
    """What the code says of a field of a scenario, such as ``"ring.size"``.

    Returns
    -------
    Facts
        Without a rule and a default if no class has such a field.

    Examples
    --------
    >>> facts_of("host.service_ns").explanation
    'Time to use one buffer.'
    >>> facts_of("ring.size").default
    1024
    """
    part, _, name = field.rpartition(".")
    for kind in PARTS.get(part, ()):
        for one in fields(kind):
            if one.name == name:
                words = SENTENCES.get(field) or explanation(kind, name)
                return Facts(words, rules_of(kind).get(name), one.default)
    return Facts(SENTENCES.get(field, ""))


def explanation(kind: type, name: str) -> str:
    """The first sentence on an attribute in the docstring of a class or of one of its bases."""
    for one in kind.__mro__:
        text = attributes_of(inspect.cleandoc(one.__doc__ or "")).get(name, "")
        found = FIRST_SENTENCE.match(text)
        if found:
            return found.group(1).rstrip(";:.").replace("`", "") + "."
    return ""


def attributes_of(docstring: str) -> dict:
    """Name -> text of each entry in a docstring's section "Attributes"."""
    found, names = {}, ()
    _, _, section = docstring.partition("Attributes\n----------\n")
    for line in section.splitlines():
        if line.startswith("---"):  # the next section
            break
        if line.startswith(" "):
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
        elif " : " in line:
            names = tuple(map(str.strip, line.partition(" : ")[0].split(",")))
        elif line.strip():
            names = ()
    return found
