"""Tuples of arrays that kernels find in one piece.

A kernel called with a NamedTuple of 50 arrays takes 24 µs to unpack it, most of what a stroke
would cost.  :func:`pinned` lays the addresses and shapes out once, as the kernel wants them; from
then on a call takes 1 µs.  The arrays must stay where they are: one that is replaced needs a
new pin.  Inside, the kernel sees the same tuple.
"""

import functools
import hashlib

import numba
import numpy as np
from llvmlite import ir
from numba import _dispatcher
from numba.core import cgutils, types
from numba.core import config as numba_config
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_getattr_generic
from numba.extending import NativeValue, typeof_impl, unbox

WORD = ir.IntType(64)


class Pinned:
    """A NamedTuple of arrays, numbers and such tuples, as one argument of kernels.

    ``value`` is the tuple itself.
    """

    __slots__ = ("_numba_type_", "address", "value", "words")

    def __init__(self, value: tuple):
        words = []
        _lay_out(value, words)
        self.value = value
        self.words = np.array(words, np.int64)
        self.address = self.words.ctypes.data
        self._numba_type_ = _pinned_type(value)


def pinned(value: tuple):
    """The tuple as kernels take it fastest; itself where kernels run as plain Python.

    Examples
    --------
    >>> import numpy as np
    >>> from typing import NamedTuple
    >>> from freehint.jit.kernel import kernel
    >>> class Pair(NamedTuple):
    ...     left: np.ndarray
    ...     right: np.ndarray
    >>> @kernel
    ... def add(pair):
    ...     return pair.left[0] + pair.right[0]
    >>> add(pinned(Pair(np.array([1]), np.array([2]))))
    3
    """
    return value if numba_config.DISABLE_JIT else Pinned(value)


def _lay_out(value, words: list) -> None:
    """Append what ``_load`` reads, a word a number."""
    if isinstance(value, np.ndarray):
        words += (value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
    elif isinstance(value, tuple):
        for member in value:
            _lay_out(member, words)
    elif type(value) in (int, bool):
        words.append(int(value))
    else:
        raise TypeError(f"a {type(value).__name__} cannot be pinned: {value!r}")


_types = {}  # Numba's type of a tuple takes milliseconds to find


def _pinned_type(value: tuple):
    fingerprint = _dispatcher.compute_fingerprint(value)
    if fingerprint not in _types:
        _types[fingerprint] = PinnedTuple(numba.typeof(value))
    return _types[fingerprint]


class PinnedTuple(types.NamedTuple):
    """A NamedTuple to kernels; its value is where the words lie.

    Its name is short, because each function that takes it is named after it: the name of its class
    and a digest of what its members are.
    """

    def __init__(self, kind: types.BaseNamedTuple):
        members = [
            PinnedTuple(member) if isinstance(member, types.BaseTuple) else member
            for member in kind
        ]
        super().__init__(members, kind.instance_class)
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        self.name = f"Pinned{kind.instance_class.__name__}{digest}"

    @property
    def key(self):
        """What decides whether two such types are equal."""
        return self.instance_class, self.name

    @property
    def mangling_args(self):
        """The name that stands for it in the names of compiled functions."""
        return self.name, ()


@register_default(PinnedTuple)
class _Address(models.PrimitiveModel):
    """A pointer to words."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, WORD.as_pointer())


@typeof_impl.register(Pinned)
def _typeof(value, _context):
    return value._numba_type_


@unbox(PinnedTuple)
def _unbox(kind, pin, c):
    number = c.pyapi.object_getattr_string(pin, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(c.builder.inttoptr(address, WORD.as_pointer()))


@functools.cache
def _size(kind) -> int:
    """Words of a member."""
    if isinstance(kind, types.BaseTuple):
        return sum(map(_size, kind))
    return 3 + 2 * kind.ndim if isinstance(kind, types.Array) else 1


@functools.cache
def _place(kind, name) -> int:
    """Where a member begins among the words."""
    return sum(map(_size, kind.types[: kind.fields.index(name)]))


def member_data(context, builder, kind, value, name):
    """The address of a member that is an array."""
    lowered = context.get_value_type(kind.types[kind.fields.index(name)])
    word = _load(builder, value, _place(kind, name) + 2)
    return builder.inttoptr(word, lowered.elements[4])


def member_length(builder, kind, value, name, axis):
    """The length along an axis of a member that is an array."""
    return _load(builder, value, _place(kind, name) + 3 + axis)


@lower_getattr_generic(PinnedTuple)
def load_member(context, builder, kind, value, name):
    """A member, loaded where it is used; a tuple is a place among the same words."""
    place = _place(kind, name)
    member = kind.types[kind.fields.index(name)]
    if isinstance(member, types.BaseTuple):
        return builder.gep(value, [WORD(place)])
    if isinstance(member, types.Array):
        return _load_array(member, value, place, context, builder)
    word = _load(builder, value, place)
    return builder.icmp_unsigned("!=", word, WORD(0)) if member == types.boolean else word


def _load(builder, words, place):
    """One word; nothing that a kernel stores changes it."""
    word = builder.load(builder.gep(words, [WORD(place)]))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


def _load_array(kind, words, place, context, builder):
    """An array that belongs to somebody else, so that nobody counts its references."""
    lowered = context.get_value_type(kind)
    loaded = [_load(builder, words, place + i) for i in range(_size(kind))]
    nobody = [ir.Constant(member, None) for member in lowered.elements[:2]]
    data = builder.inttoptr(loaded[2], lowered.elements[4])
    shape = cgutils.pack_array(builder, loaded[3 : 3 + kind.ndim])
    strides = cgutils.pack_array(builder, loaded[3 + kind.ndim :])
    return cgutils.pack_struct(builder, [*nobody, *loaded[:2], data, shape, strides])
