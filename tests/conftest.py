"""For all tests: compiled helpers, and what takes longest is begun first."""

from freehint.jit import Kernel

# Helpers called from Python are the compiled ones, so that those are tested.
Kernel.compile_helpers = True


def pytest_collection_modifyitems(items):
    """JupyterLab first: of two processes one has enough to do with it."""
    items.sort(key=lambda item: item.path.name != "test_jupyterlab.py")
