"""No file outside of freehint/policies/ tests the name or the class of a policy."""

import ast
from pathlib import Path

import pytest

import freehint as fh
from freehint.policies.policy import Policy

PACKAGE = Path(fh.__file__).parent
KINDS = {type(policy).__name__ for policy in fh.POLICIES.values()} - {Policy.__name__}
# What is found and may stay: (file, name) -> why.
ALLOWED = {
    ("runs/commands.py", "none"): "the state of a migration, no policy",
    ("runs/progress.py", "none"): "the state of a migration, no policy",
    ("widgets/knobs/facts.py", "Walker"): "whose docstring explains the knobs; nothing is decided",
}
LOOK_UPS = ("get", "pop", "drop", "isin", "eq", "ne", "index", "count")
GROUPS = (ast.Tuple, ast.List, ast.Set)


def parts(node) -> list:
    """An expression, or those that a display such as ``("v24", "v33")`` holds."""
    return node.elts if isinstance(node, GROUPS) else [node]


def named(*nodes) -> set:
    """Policies and their classes that expressions are, or directly hold."""
    flat = [part for node in nodes if node is not None for part in parts(node)]
    names = {part.value for part in flat if isinstance(part, ast.Constant)} & set(fh.POLICIES)
    kinds = {part.id for part in flat if isinstance(part, ast.Name)} & KINDS
    return names | kinds


def asked_for(node) -> set:
    """Names and classes of policies by which one node decides."""
    if isinstance(node, ast.Compare):
        return named(node.left, *node.comparators)
    if isinstance(node, ast.Subscript):
        return named(node.slice)
    if isinstance(node, ast.Dict):
        return named(*node.keys)
    if isinstance(node, ast.MatchValue):
        return named(node.value)
    if isinstance(node, GROUPS):
        return named(node) - {"none"}  # the word has other meanings, among marks and colours
    if isinstance(node, ast.Call):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in ("isinstance", "issubclass", *LOOK_UPS):
            return named(*node.args, *(keyword.value for keyword in node.keywords))
    return set()


def decisions(folder: Path) -> set:
    """(file, name or class) of each decision by a policy's name or class outside of policies/."""
    found = set()
    for path in folder.rglob("*.py"):
        file = path.relative_to(folder)
        if file.parts[0] != "policies":
            nodes = ast.walk(ast.parse(path.read_text()))
            found |= {(str(file), name) for node in nodes for name in asked_for(node)}
    return found


def test_no_file_outside_decides_by_a_policys_name():
    assert decisions(PACKAGE) == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        'table = table[table["policy"] == "v24"]',
        'hints = means.drop(index=["none", "page_reporting"])',
        'colour = {"balloon_alloc": "blue"}',
        'kept = "v24", "restartable_cursor"',
        'base = means.loc["none", "sent_MB"]',
        "walks = isinstance(policy, Walker)",
        "KINDS = (Walker, FiveStep)",
        'policy = POLICIES["five_step"]',
        'match name:\n    case "v33": pass',
    ],
)
def test_a_decision_by_name_is_found(tmp_path, line):
    (tmp_path / "study.py").write_text(line + "\n")
    assert decisions(tmp_path)


def test_a_scenario_may_name_its_policy(tmp_path):
    (tmp_path / "study.py").write_text('Scenario(policy="v24")\nwalker = Walker("mine")\n')
    assert decisions(tmp_path) == set()
