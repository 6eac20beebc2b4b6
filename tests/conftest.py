"""For all tests: compiled helpers, and what takes longest is begun first."""

import sys

from freehint.jit import Kernel

# Helpers called from Python are the compiled ones, so that those are tested.
Kernel.compile_helpers = True
# nbformat's jsonschema would make 38 parsers of addresses, of which no schema here has any: 1.3 s.
sys.modules["rfc3987_syntax"] = None


def pytest_collection_modifyitems(items):
    """JupyterLab first: of two processes one has enough to do with it."""
    items.sort(key=lambda item: item.path.name != "test_jupyterlab.py")
