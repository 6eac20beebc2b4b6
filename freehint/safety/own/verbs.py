"""A user's own policy in the explorer: its verbs are called by their addresses.

So the explorer's kernels are compiled once for all own policies, and the disk keeps nothing of a
user's code.  Indices are checked, and so are the answers of ``fill``.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from freehint.config import InputError
from freehint.engine.user import is_foreign
from freehint.jit import kernel
from freehint.jit.foreign import (
    BYTES,
    NUMBERS,
    ROWS,
    as_kernel,
    call_foreign,
    foreign_address,
    pinned_at,
    type_of,
    types,
)
from freehint.jit.pinned import Pinned, pinned
from freehint.policies.policy import Policy, Stroke

FILL, DRAIN, ON_EMPTY, END_WALK, RELEASE, SHRINK, NR_CALLED = range(7)
CALLED = ("fill", "drain", "on_empty", "end_walk", "release", "shrink")
STOPPED = int(Stroke.STOPPED)
FILL_MUST = (
    "fill must return (rows, status): rows in 0..capacity, status MORE, ZONE_DONE or STOPPED"
)
NUMBER = types.int64


class OwnState(NamedTuple):
    """What the kernels know of an own policy.

    at : int64[6]       addresses of its verbs, in the order of CALLED; 0 where it has none
    words : int64[n]    where the arrays of its state lie, as in Pinned
    """

    at: np.ndarray
    words: np.ndarray


class Alone(NamedTuple):
    """A state that is one array."""

    array: np.ndarray


@kernel
def own_fill(memory, state, zone, report, capacity):
    """The own policy's ``fill``."""
    if state.at[FILL] == 0:
        return 0, STOPPED
    answer = call_foreign(state.at[FILL], (memory, state.words, zone, report, capacity))
    return answer >> 2, answer & 3


@kernel
def own_drain(memory, state, zone, report, n, outcome):
    """The own policy's ``drain``."""
    if state.at[DRAIN] == 0:
        return 0
    return call_foreign(state.at[DRAIN], (memory, state.words, zone, report, n, outcome))


@kernel
def own_on_empty(memory, state, zone, order, migratetype):
    """The own policy's ``on_empty``."""
    if state.at[ON_EMPTY] == 0:
        return 0
    return call_foreign(state.at[ON_EMPTY], (memory, state.words, zone, order, migratetype))


@kernel
def own_end_walk(memory, state):
    """The own policy's ``end_walk``."""
    if state.at[END_WALK] == 0:
        return 0
    return call_foreign(state.at[END_WALK], (memory, state.words))


@kernel
def own_release(memory, state):
    """The own policy's ``release``."""
    if state.at[RELEASE] == 0:
        return 0
    return call_foreign(state.at[RELEASE], (memory, state.words))


@kernel
def own_shrink(memory, state, nr_pages):
    """The own policy's ``shrink``."""
    if state.at[SHRINK] == 0:
        return 0
    return call_foreign(state.at[SHRINK], (memory, state.words, nr_pages))


def _filler(verb, unwrap):
    def fill(memory, words, zone, report, capacity):
        n, status = verb(memory, unwrap(words.ctypes.data), zone, report, capacity)
        n, status = int(n), int(status)
        if n < 0 or n > capacity or status < 0 or status > STOPPED:
            raise ValueError(FILL_MUST)
        return n * 4 + status

    return fill


def _drainer(verb, unwrap):
    def drain(memory, words, zone, report, n, outcome):
        return int(verb(memory, unwrap(words.ctypes.data), zone, report, n, outcome))

    return drain


def _callback(verb, unwrap):
    def on_empty(memory, words, zone, order, migratetype):
        return int(verb(memory, unwrap(words.ctypes.data), zone, order, migratetype))

    return on_empty


def _ender(verb, unwrap):
    def end(memory, words):
        verb(memory, unwrap(words.ctypes.data))
        return 0

    return end


def _shrinker(verb, unwrap):
    def shrink(memory, words, nr_pages):
        return int(verb(memory, unwrap(words.ctypes.data), nr_pages))

    return shrink


_MAKE = (_filler, _drainer, _callback, _ender, _ender, _shrinker)
_TAKEN = (
    (NUMBER, ROWS, NUMBER),
    (NUMBER, ROWS, NUMBER, BYTES),
    (NUMBER, NUMBER, NUMBER),
    (),
    (),
    (NUMBER,),
)
_compiled = {}  # (verb, its place, types) -> what keeps it, and its address


def is_array(value) -> bool:
    """Is this an array of plain numbers?"""
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def own_state(policy: Policy, state, memory):
    """What the kernels get as the state of an own policy, or the state itself of freehint's own.

    Parameters
    ----------
    policy : Policy
    state : array or NamedTuple of arrays
        It must stay where it lies.
    memory : Memory
        As the kernels have it.

    Raises
    ------
    InputError
        A verb cannot be compiled, or the explorer lacks what the policy needs.
    """
    pin = pinned(memory)
    if not is_foreign(policy) or not isinstance(pin, Pinned):
        return state
    if policy.next_zone or policy.delay_ns is not None:
        raise InputError(
            f"policy {policy.name!r} cannot be explored in 8 frames: there is no next_zone and no"
            " delay_ns for verbs of one's own"
        )
    whole = state if isinstance(state, tuple) else Alone(state)
    kind = type_of(whole)
    unwrap = pinned_at(kind, None if whole is state else "array")
    at = np.zeros(NR_CALLED, np.int64)
    for place, name in enumerate(CALLED):
        verb = getattr(policy, name)
        if verb is None:
            continue
        key = verb, place, kind, pin._numba_type_
        if key not in _compiled:
            made = _MAKE[place](as_kernel(verb), unwrap)
            taken = (pin._numba_type_, NUMBERS, *_TAKEN[place])
            _compiled[key] = foreign_address(made, taken, f"policy {policy.name}: {name}")
        at[place] = _compiled[key][1]
    return OwnState(at, Pinned(whole).words)


def require_state(policy: Policy, state) -> None:
    """Refuse a state that the explorer cannot lay out.

    Raises
    ------
    InputError
        It is neither an array nor a NamedTuple of arrays.
    """
    members = state if isinstance(state, tuple) and hasattr(state, "_fields") else (state,)
    if not all(map(is_array, members)):
        raise InputError(
            f"policy {policy.name}: to be explored, new_state must return an array of numbers or a"
            f" NamedTuple of such arrays, got a {type(state).__name__}"
        )


@contextmanager
def verbs_may_fail(policy: Policy):
    """Name the policy if one of its verbs fails.

    Raises
    ------
    InputError
        In place of the error of the verb.
    """
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"policy {policy.name}: a verb failed with {type(error).__name__}: {error}"
        ) from error
