"""For all tests: compiled helpers, what takes longest is begun first, and nothing is done twice."""

import contextlib
import sys

import pytest
from _pytest.assertion import rewrite

import as_engine
from freehint.jit import Kernel

# Helpers called from Python are the compiled ones, so that those are tested.
Kernel.compile_helpers = True
Kernel.__call__ = as_engine.call
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
    files = sorted((config.rootpath / "tests").rglob("test_*.py"))
    # pytest's own module, of no public interface; where it changes, each worker rewrites all.
    with contextlib.suppress(AttributeError, TypeError):
        for path in files[number::count]:
            kept = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
            if rewrite._read_pyc(path, kept) is None and rewrite.try_makedirs(kept.parent):
                source, code = rewrite._rewrite_test(path, config)
                rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source, kept)


def pytest_collection_modifyitems(items):
    """JupyterLab first: of two processes one has enough to do with it.  Then what compiles most.

    The test of ``freehint warm`` comes last: it has processes of its own, where compiling anew
    what others compile together would take longest.
    """
    items.sort(key=lambda item: _turn(item.path))


def _turn(path) -> int:
    if path.name == "test_jupyterlab.py":
        return 0
    return 1 if _alike(str(path)) else 2 + (path.name == "test_kernel_cache.py")


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
