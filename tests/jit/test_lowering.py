"""Kernels as the package's own compiler makes them, beside the same functions in plain Python."""

import re
import sys
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core import types
from numba.extending import intrinsic, overload_attribute

from freehint.jit import as_python, kernel, seldom
from freehint.jit.pinned import pinned
from freehint.jit.pipeline import KernelCompiler

RECORD = np.dtype([("count", np.int64), ("small", np.uint8)])


class Tables(NamedTuple):
    """Arrays of several kinds."""

    cube: np.ndarray
    bytes: np.ndarray
    flags: np.ndarray
    records: np.ndarray
    scale: int


def tables() -> Tables:
    return Tables(
        cube=np.arange(2 * 3 * 4).reshape(2, 3, 4),
        bytes=np.arange(250, 256, dtype=np.uint8),
        flags=np.array([True, False, True]),
        records=np.zeros((2, 2), RECORD),
        scale=3,
    )


@pytest.fixture
def ours(monkeypatch):
    """What makes a kernel of a function of this file as it makes the package's."""
    module = sys.modules["freehint.jit.kernel"]
    monkeypatch.setattr(module, "_compiler", lambda function: KernelCompiler)
    return kernel


def test_an_intrinsic_may_be_met_before_an_inner_kernel_begins(ours):
    """Numba does not look for it as the inner one begins, but when that is lowered."""

    @intrinsic
    def raised(typing_context, number):
        def build(context, builder, signature, arguments):
            return builder.add(arguments[0], arguments[0].type(1))

        return types.int64(types.int64), build

    @kernel
    def inner(number):
        return 2 * raised(number)

    @ours
    def outer(number):
        return inner(raised(number))

    assert outer(19) == 42


def test_elements_of_arrays_are_found_and_stored(ours):
    @ours
    def mix(given, i, j):
        total = int(given.cube[i, j, 1]) * given.scale
        given.cube[i, j, 2] = given.bytes[j] + given.flags[i]
        given.bytes[i] = given.bytes[i] + 10  # it wraps in a byte
        given.flags[1] = total > 5
        given.records[i, 1].count += total
        given.records[i, 1].small = 300 + j  # it is cut to a byte
        whole = given.cube
        return total + whole[1, 2, 3] + len(given.bytes)

    compiled = tables()
    given = [mix(pinned(compiled), i, j) for i, j in ((1, 2), (0, 1))]
    assert given[0] == 21 * 3 + 23 + 6 and given[1] == 5 * 3 + 23 + 6
    assert compiled.cube[1, 2, 2] == 252 + 0 and compiled.cube[0, 1, 2] == 5 + 1
    assert compiled.bytes.tolist() == [4, 5, 252, 253, 254, 255]
    assert compiled.flags.tolist() == [True, True, True]
    assert compiled.records["count"].tolist() == [[0, 15], [0, 63]]
    assert compiled.records["small"].tolist() == [[0, 45], [0, 46]]


def test_variables_keep_their_values_on_every_way(ours):
    @ours
    def ways(values, first):
        kept = first + 1  # one assignment, used in several blocks
        if first > 1:
            late = 3
        total = 0
        for i in range(values.shape[0]):
            if i > 0 and first > 1:
                total += late * kept
            late = i  # two assignments, and a use before this one
            swapped, kept_too = kept, total
            total = kept_too + swapped
        return total

    values = np.arange(4)
    for first in (0, 2):
        assert ways(values, first) == as_python(ways)(values, first)


def test_what_a_callee_raises_comes_through_all_callers(ours):
    @ours
    def checked(values, i):
        if values[i] < 0:
            raise ValueError("below zero")
        return values[i]

    @ours
    def total(values):
        found = 0
        for i in range(values.shape[0]):
            found += checked(values, i)
        return found

    @ours
    def twice(values):
        return 2 * total(values)

    assert twice(np.arange(4)) == 12
    with pytest.raises(ValueError, match="below zero"):
        twice(np.array([1, -1]))
    with pytest.raises(ValueError, match="below zero"):
        twice.call_checked(np.array([1, -1]))


def test_integers_of_all_widths_stay_what_they_are(ours):
    @ours
    def number(values, i):
        return int(values[i]) + i

    for kind in (np.int8, np.int32, np.uint16):
        most = np.iinfo(kind).max
        assert number(np.array([5, most], kind), 1) == most + 1


def test_arguments_behind_a_star_are_passed(ours):
    @ours
    def digits(a, b, c):
        return 100 * a + 10 * b + c

    @ours
    def passed(pair, last):
        return digits(*pair, last)

    assert passed((1, 2), 3) == 123


def tries(values):
    try:
        return values[1]
    except Exception:
        return 2


def encloses(value):
    return (lambda: value)()


def listed(values):
    return sum([2 * value for value in values])


@pytest.mark.parametrize(
    "function, told",
    [(tries, "no try"), (encloses, "make_function"), (listed, "make_function")],
)
def test_what_needs_a_pass_that_is_left_out_is_refused(ours, function, told):
    with pytest.raises(Exception, match=told):
        ours(function)(np.arange(3))


def test_other_peoples_functions_are_compiled_as_before():
    """What freehint tells Numba of integers and linear algebra holds for all functions."""

    @numba.njit
    def total(values, matrix):
        try:
            same = [int(value) for value in values]
        except Exception:
            return 0.0
        return sum(same) + np.linalg.det(matrix) + int(2.9) + int(True)

    for kind in (np.uint8, np.int8, np.int32, np.uint64):
        assert total(np.arange(4, dtype=kind), np.eye(2)) == 10.0


def test_loops_over_ranges_count_as_in_python(ours):
    @ours
    def loops(given, first, behind):
        total = 0
        for i in range(behind):
            for j in range(first, behind):
                if j == 7:
                    break
                if j == i:
                    continue
                total += i * j + given.scale
        for i in range(behind, first, -2):  # Numba's own iterator
            total += i
        kept = range(first, behind)  # read by something else as well
        for i in kept:
            total += len(kept) * i
            behind = 0  # the range has its end already
        return total + i

    given = tables()
    for first, behind in ((0, 5), (3, 9), (-2, 2), (4, 5)):
        wanted = as_python(loops)(given, first, behind)
        assert loops(pinned(given), first, behind) == wanted


def test_only_a_kernel_that_makes_arrays_counts_references(ours, monkeypatch):
    module = sys.modules["freehint.jit.kernel"]
    monkeypatch.setattr(module, "is_ours", lambda function: True)
    monkeypatch.setattr(module, "CACHE_FOLDER", None)
    monkeypatch.setattr(module, "OTHER_FOLDERS", ())

    def doubled(values):
        made = np.zeros(len(values), np.int64)
        for i in range(len(values)):
            made[i] = 2 * values[i]
        return made

    def total(values):
        found = 0
        for i in range(len(values)):
            found += values[i]
        return found

    values = np.arange(4)
    before = sys.getrefcount(values)
    assert kernel(total)(values) == 6
    assert kernel(allocates=True)(doubled)(values).tolist() == [0, 2, 4, 6]
    assert sys.getrefcount(values) == before
    with pytest.raises(numba.core.errors.TypingError, match="array passed"):
        kernel(doubled)(values)


def test_extremes_of_integers_and_in_are_written_out(ours):
    def mix(a, b, c):
        found = min(a, b) + 10 * max(b, c, a) + 100 * min(c, 3, b, a)
        return found + 1000 * int(a > b) + 10_000 * (a in (b, c)) + 100_000 * int(c)

    made = ours(mix)
    for given in ((1, 2, 3), (3, 2, 1), (-4, -5, -4), (7, 7, 2)):
        assert made(*given) == mix(*given)
    # Other numbers are Numba's own: there the result's type matters.
    assert ours(lambda a, b: min(a, b))(2, 1.5) == 1.5


def test_what_seldom_holds_tells_llvm_so(ours):
    def plain(values, i):
        if values[i] > 3:
            values[0] = i

    def told(values, i):
        if seldom(values[i] > 3):
            values[0] = i

    weights = []
    for function in (plain, told):
        entry, values = ours(function).python_entry(), np.arange(6)
        entry(values, 2)
        assert values[0] == 0
        entry(values, 5)
        assert values[0] == 5
        (text,) = entry.inspect_llvm().values()
        (body,) = re.findall(r"^define noundef i32 @.*?^}", text, re.M | re.S)
        weights.append("!prof" in body)  # the weights of a branch
    assert weights == [False, True]
    assert seldom(True)  # in Python


def test_an_attribute_that_is_declared_later_is_found():
    def threefold(number):
        return number.three_times

    with pytest.raises(numba.core.errors.TypingError, match="three_times"):
        numba.njit(threefold)(14)

    @overload_attribute(types.Integer, "three_times")
    def declare(number):
        return lambda number: 3 * number

    assert numba.njit(threefold)(14) == 42
