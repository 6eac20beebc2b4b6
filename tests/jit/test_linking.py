"""The machine code that kernels become."""

import subprocess
import sys

import numpy as np
import pytest

from freehint.jit import kernel
from freehint.jit.linking import X86

# Many short branches, so that some meet a border of 32 bytes; prints the code's size.
BRANCHES = """
import sys
import numba
if sys.argv[1] == "apart":
    import freehint.jit

@numba.njit
def f(x, a):
    for i in range(a.shape[0]):
        if a[i] == x:
            a[i] = 1
        if a[i] > 7:
            x += a[i]
        if x & a[i]:
            a[i] ^= x
        if a[i] < x:
            a[i] += 3
    return x

f.compile("i8(i8, i8[::1])")
print(len(f.overloads[f.signatures[0]].library._get_compiled_object()))
"""


def size_of_code(how: str) -> int:
    """Bytes of a compiled function, in a process whose option of LLVM is its own."""
    command = [sys.executable, "-c", BRANCHES, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not X86, reason="an erratum of x86 processors")
def test_branches_are_kept_off_the_borders_of_lines():
    assert size_of_code("apart") > size_of_code("as they come")


def item(values, i):
    return values[i]


def last(values):
    return values[-1]


def as_ours(function):
    """A kernel that is compiled as the package's own are."""
    function.__module__ = "freehint.test"
    return kernel(function)


def test_an_index_of_the_packages_kernels_counts_from_the_front():
    values = np.arange(4)
    ours = as_ours(item)
    assert ours(values[1:], -1) == values[0]  # the element before, not the last one
    with pytest.raises(IndexError):
        ours.call_checked(values[1:], -1)


def test_a_constant_index_from_the_end_is_refused_when_it_compiles():
    with pytest.raises(Exception, match="a kernel's index counts from an array's end: -1"):
        as_ours(last)(np.arange(4))
