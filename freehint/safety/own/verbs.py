"""A user's own policy in the explorer: its verbs are compiled here, and kept nowhere.

Indices are checked, and so are the answers of ``fill``.
"""

from contextlib import contextmanager

from numba import typeof

from freehint.config import InputError
from freehint.jit.foreign import as_kernel, foreign_address, unwrapped
from freehint.policies.policy import Policy, Stroke
from freehint.safety.verbs import DRAIN, END_WALK, FILL, ON_EMPTY, RELEASE, SHRINK, VERBS

STOPPED = int(Stroke.STOPPED)
FILL_MUST = (
    "fill must return (rows, status): rows in 0..capacity, status MORE, ZONE_DONE or STOPPED"
)


def _filler(verb):
    def fill(memory, state, zone, report, capacity):
        n, status = verb(memory, unwrapped(state), zone, report, capacity)
        n, status = int(n), int(status)
        if n < 0 or n > capacity or status < 0 or status > STOPPED:
            raise ValueError(FILL_MUST)
        return n, status

    return fill


def _drainer(verb):
    def drain(memory, state, zone, report, n, outcome):
        return int(verb(memory, unwrapped(state), zone, report, n, outcome))

    return drain


def _callback(verb):
    def on_empty(memory, state, zone, order, migratetype):
        return int(verb(memory, unwrapped(state), zone, order, migratetype))

    return on_empty


def _ender(verb):
    def end_walk(memory, state):
        verb(memory, unwrapped(state))

    return end_walk


def _releaser(verb):
    def release(memory, state):
        verb(memory, unwrapped(state))
        return 0

    return release


def _shrinker(verb):
    def shrink(memory, state, nr_pages):
        return int(verb(memory, unwrapped(state), nr_pages))

    return shrink


OWN = {
    FILL: _filler,
    DRAIN: _drainer,
    ON_EMPTY: _callback,
    END_WALK: _ender,
    RELEASE: _releaser,
    SHRINK: _shrinker,
}
_compiled = {}  # (verb, its place, types) -> what keeps it, and its address


def own_address(policy: Policy, place: int, memory, state) -> int:
    """Where a verb of an own policy lies.

    Parameters
    ----------
    policy : Policy
    place : int
        One of OWN.
    memory, state : Pinned
        A state that is one array as an Alone.

    Raises
    ------
    InputError
        It cannot be compiled.
    """
    name, _, taken = VERBS[place]
    verb = getattr(policy, name)
    kinds = tuple(map(typeof, (memory, state, *taken)))
    key = verb, place, kinds
    if key not in _compiled:
        made = OWN[place](as_kernel(verb))
        _compiled[key] = foreign_address(made, kinds, f"policy {policy.name}: {name}")
    return _compiled[key][1]


def require_known_verbs(policy: Policy) -> None:
    """Refuse an own policy that needs what the explorer has for freehint's own alone.

    Raises
    ------
    InputError
    """
    if policy.next_zone or policy.delay_ns is not None:
        raise InputError(
            f"policy {policy.name!r} cannot be explored in 8 frames: there is no next_zone and no"
            " delay_ns for verbs of one's own"
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
