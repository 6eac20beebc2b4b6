"""The wait for a compiler: what is left out of it, and what tells of it."""

import subprocess
import sys

import numpy as np

import freehint as fh
from freehint.engine.loop import advance
from freehint.engine.rare import turn_of
from freehint.engine.world.records import NR_RARE
from freehint.jit import Kernel, kernel
from freehint.jit.progress import Compilation, kernels_inside

SHORT = fh.Scenario(memory="64MiB", policy="none", duration_ns=1_000_000)

FOUND = """
import sys
import freehint as fh
from freehint.jit.cache import COUNTS
fh.simulate(fh.Scenario(memory="64MiB", policy="none", duration_ns=1_000_000))
print(COUNTS.compiled, COUNTS.found > 3, "scipy.linalg" in sys.modules)
"""


def is_kernel(value) -> bool:
    return isinstance(value, Kernel)


def test_a_process_that_finds_its_kernels_loads_no_compiler():
    fh.simulate(SHORT)
    found = subprocess.run([sys.executable, "-c", FOUND], capture_output=True, text=True)
    assert (found.stdout.split(), found.stderr) == (["0", "True", "False"], "")


def test_the_loop_holds_no_rare_actor():
    inside = kernels_inside(advance.py_func, is_kernel)
    names = {function.__name__ for function in inside}
    assert {"turn", "cpu_event", "alloc_pages", "host_event", "worker_event"} <= names
    rare = {"kthreads_event", "program_event_of_cpu", "recorded_event", "migration_event"}
    assert not rare & names
    turns = map(turn_of, range(NR_RARE))
    own = set().union(*(kernels_inside(one.py_func, is_kernel) for one in turns))
    assert rare <= {function.__name__ for function in own}


def test_other_peoples_kernels_hold_what_ours_do_not():
    @kernel
    def squares(values):
        add = lambda a, b: a + b  # noqa: E731
        doubled = values * 2 + values
        return add(sum([value * value for value in values]), doubled[0])

    assert squares(np.arange(4)) == 14


def test_a_bar_counts_the_kernels_inside(monkeypatch):
    """One step for each, once; it is there from the first one on and removed at the end."""
    made = []

    class Bar:
        def __init__(self, total):
            self.total, self.n, self.closed = total, 0, False
            made.append(self)

        def update(self):
            self.n += 1

        def close(self):
            self.closed = True

    monkeypatch.setattr("freehint.jit.progress._bar", Bar)
    monkeypatch.setattr("freehint.jit.progress._somebody_looks", lambda: True)
    compilation = Compilation(advance.py_func, is_kernel)
    inside = kernels_inside(advance.py_func, is_kernel)
    assert made == []
    for function in [*inside, *inside]:
        compilation.inner_done(function)
    compilation.close()
    (bar,) = made
    assert bar.total == bar.n == len(inside) > 50 and bar.closed


def test_where_nobody_looks_there_is_no_bar(monkeypatch):
    monkeypatch.setattr("freehint.jit.progress._somebody_looks", lambda: False)
    compilation = Compilation(advance.py_func, is_kernel)
    compilation.inner_done(advance.py_func)
    assert compilation.bar is None
