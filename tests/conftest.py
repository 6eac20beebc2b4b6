"""For all tests: compiled helpers, one JupyterLab, and which tests run in one process."""

from contextlib import ExitStack

import pytest

from freehint.jit import Kernel

# Helpers called from Python are the compiled ones, so that those are tested.
Kernel.compile_helpers = True

_lab = ExitStack()


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory):
    """A JupyterLab in a browser, :class:`lab.Lab`: all tests that ask for it share one."""
    from lab import lab_server

    return _lab.enter_context(lab_server(tmp_path_factory.mktemp("lab")))


def _shares_lab(item) -> bool:
    return item is not None and "jupyterlab" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """End the JupyterLab after its last test: beside Playwright's event loop no other can run."""
    yield
    if not _shares_lab(nextitem):
        _lab.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share the JupyterLab run one after another, first; so do those of a file."""
    items.sort(key=lambda item: not _shares_lab(item))
    for item in items:
        group = "jupyterlab" if _shares_lab(item) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
