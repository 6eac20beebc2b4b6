"""docs/parameters.md: every parameter of a scenario with its rule and default, from the code.

python tests/parameters.py writes it anew; a test compares it.
"""

from dataclasses import MISSING, fields
from pathlib import Path

import freehint as fh
from freehint.inputs.rules import rules_of
from freehint.policies.policy import VERBS, Policy
from freehint.policies.walker import Walker

PAGE = Path(__file__).parent.parent / "docs" / "parameters.md"
KINDS = (
    *(fh.Scenario, fh.Workload, fh.Program, fh.RecordedGuest, fh.UnderPressure),
    *(fh.MigrationConfig, fh.ParkConfig, fh.RingConfig),
    *(fh.HostConfig, fh.Costs, fh.Control, fh.SharedHost, Policy, Walker),
    *(fh.CallWalker, fh.CallFiveStep),
)
HEAD = """# Parameters and their bounds

The rules stand beside the fields in the code, and this page is written from them
(`python tests/parameters.py`). A value that no rule admits is refused before anything runs, in one
sentence that names the parameter, the rule and the value. That holds for Python, for `--set`, for
TOML files and for the provenance of stored runs alike. What a parameter means is in the docstring
of its class.

Times end at 2^50 ns (13 days) and costs at 2^26 ns (67 ms): with as many blocks as a node index can
name, their product still fits the keys of the event loop, so no time can wrap.
"""


def default_of(field) -> str:
    if field.default is not MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not MISSING:
        return f"`{field.default_factory.__name__}()`"
    return "none: it must be given"


def table(kind) -> str:
    rules = rules_of(kind)
    inherited = rules_of(Policy) if issubclass(kind, Policy) and kind is not Policy else {}
    rows = [
        f"| `{kind.where}{field.name}` | must {rules[field.name].must} | {default_of(field)} |"
        for field in fields(kind)
        if field.name in rules and field.name not in (*VERBS, *inherited)
    ]
    return "\n".join(
        [f"\n## {kind.__name__}\n", "| parameter | rule | default |", "|---|---|---|", *rows]
    )


def written() -> str:
    return HEAD + "\n".join(map(table, KINDS)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(written())
