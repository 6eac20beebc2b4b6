"""Tuples that kernels find in one piece are the same tuples."""

from typing import NamedTuple

import numpy as np
import pytest

import freehint as fh
from freehint.jit.pinned import pinned

RECORD = np.dtype([("left", np.int64), ("right", np.int64)])


class Inner(NamedTuple):
    words: np.ndarray
    number: int
    flag: bool


class Outer(NamedTuple):
    first: int
    inner: Inner
    table: np.ndarray
    records: np.recarray
    empty: np.ndarray


@fh.kernel
def read_all(outer, row):
    total = outer.first * 1000 + outer.inner.number + outer.inner.words[1]
    total += outer.table[row, 2] + outer.records[1].right + outer.table.shape[0]
    if outer.inner.flag:
        total += 5
    return total + outer.empty.shape[0]


@fh.kernel
def write_all(outer, value):
    outer.inner.words[0] = value
    outer.table[1, :] = value
    outer.records[0].left = value


def outer(flag=True) -> Outer:
    records = np.zeros(2, RECORD).view(np.recarray)
    records.right = 30, 40
    inner = Inner(np.array([1, 2, 3], np.uint16), 7, flag)
    table = np.arange(6, dtype=np.int32).reshape(2, 3)
    return Outer(2, inner, table, records, np.zeros((0, 3)))


@pytest.mark.parametrize("flag", (True, False))
def test_a_kernel_reads_what_the_tuple_holds(flag):
    one = outer(flag)
    assert read_all(pinned(one), 1) == read_all.py_func(one, 1) == 2056 + 5 * flag


def test_a_kernel_writes_into_the_tuples_own_arrays():
    one = outer()
    write_all(pinned(one), 9)
    assert one.inner.words.tolist() == [9, 2, 3]
    assert one.table.tolist() == [[0, 1, 2], [9, 9, 9]]
    assert one.records.left.tolist() == [9, 0]


def test_two_pins_of_one_shape_do_not_mix():
    one, other = outer(), outer()._replace(first=3)
    pins = pinned(one), pinned(other)
    write_all(pins[1], 100)
    assert [read_all(pin, 1) for pin in pins] == [2061, 3056 + 100]


def test_an_array_of_another_shape_needs_a_new_pin_and_gets_it():
    one = outer()
    longer = one._replace(table=np.concatenate([one.table, one.table]))
    assert read_all(pinned(longer), 3) == read_all(pinned(one), 1) + 2


def test_what_is_no_array_and_no_whole_number_is_refused():
    with pytest.raises(TypeError, match=r"a float cannot be pinned: 0\.5"):
        pinned(outer()._replace(first=0.5))
