"""For all tests: compiled helpers, what takes longest is begun first, and nothing is done twice."""

import sys

import pytest
from _pytest.assertion import rewrite

from freehint.jit import Kernel

# Helpers called from Python are the compiled ones, so that those are tested.
Kernel.compile_helpers = True
# nbformat's jsonschema would make 38 parsers of addresses, of which no schema here has any: 1.3 s.
sys.modules["rfc3987_syntax"] = None
# Their kernels share most functions, and a process that has compiled one has those at hand.
ALIKE = ("tests/engine/", "tests/mm/")


def pytest_sessionstart(session):
    """Each worker rewrites the assertions of a part of the files, which all others find kept."""
    config = session.config
    worker = getattr(config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    state = config.stash[rewrite.assertstate_key]
    files = sorted((config.rootpath / "tests").rglob("test_*.py"))
    for path in files[number::count]:
        kept = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
        if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(kept.parent):
            source, code = rewrite._rewrite_test(path, config)
            rewrite._write_pyc(state, code, source, kept)


def pytest_collection_modifyitems(items):
    """JupyterLab first: of two processes one has enough to do with it.  Then what compiles most."""
    last = [lambda path: path.name != "test_jupyterlab.py", lambda path: not _alike(str(path))]
    items.sort(key=lambda item: [is_last(item.path) for is_last in last])


def _alike(nodeid: str) -> bool:
    return any(folder in nodeid for folder in ALIKE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process has whole files, and one has all that compile alike."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "alike" if _alike(nodeid) else super()._split_scope(nodeid)

    return Scheduling(config, log)
