"""Names that a module defines, read from its text.

The command line refuses a misspelt name by them at once; an import would bring Numba.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def _parsed(module: str) -> ast.Module:
    """The text of a module of freehint, by its dotted name."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text())


def keys(module: str, name: str) -> list[str]:
    """The keys of a dict that a module assigns."""
    assigned = (node for node in _parsed(module).body if isinstance(node, ast.Assign))
    (found,) = (node.value for node in assigned if node.targets[0].id == name)
    return [key.value for key in found.keys]


def annotations(module: str, name: str) -> dict[str, str]:
    """The parameters of a dataclass and their annotations; those of its bases are left out.

    A field that ``==`` does not compare is no parameter.
    """
    classes = (node for node in _parsed(module).body if isinstance(node, ast.ClassDef))
    (found,) = (node for node in classes if node.name == name)
    fields = (node for node in found.body if isinstance(node, ast.AnnAssign))
    return {
        one.target.id: ast.unparse(one.annotation)
        for one in fields
        if "compare=False" not in (ast.unparse(one.value) if one.value else "")
    }


def imported(module: str) -> dict[str, str]:
    """The module of freehint that each name comes from which ``from module import name`` binds."""
    imports = (node for node in _parsed(module).body if isinstance(node, ast.ImportFrom))
    own = (node for node in imports if node.module.startswith("freehint."))
    return {alias.name: node.module for node in own for alias in node.names}
