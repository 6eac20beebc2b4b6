"""freehint: how should a guest tell its hypervisor which memory is free, and what does it buy?

``__init__.pyi`` lists the public names.  The module of each is imported when the name is first
used (PEP 562), so that the command line does not wait for what it does not need.
"""

import ast
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from freehint.inputs.collector import Kept as _Kept


def _read_names() -> dict[str, str]:
    """The module of each public name, read from the imports in ``__init__.pyi``."""
    tree = ast.parse(Path(__file__).with_suffix(".pyi").read_text())
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module for node in imports for alias in node.names}


_MODULES = _read_names()
__all__ = sorted(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'freehint' has no attribute {name!r}")
    if _MODULES[name] == "freehint":
        return _imported(f"freehint.{name}")
    globals()[name] = value = getattr(_imported(_MODULES[name]), name)
    return value


def _imported(module: str) -> ModuleType:
    """A module; what modules make stays, so nobody looks for cycles in it."""
    if module in sys.modules:
        return import_module(module)
    with _Kept():
        return import_module(module)


def __dir__():
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This module, in which a function keeps the name that it shares with a folder: replay."""

    def __setattr__(self, name, value):
        # An import of freehint.replay ends with setattr(freehint, "replay", the folder).
        shared = isinstance(value, ModuleType) and _MODULES.get(name, "freehint") != "freehint"
        if not shared:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

if os.environ.get("EAGER_IMPORT"):  # for tools that look into the module's dict (make docs)
    for _name in __all__:
        getattr(sys.modules[__name__], _name)
