"""The promises of a policy about properties that not every policy has."""

from typing import NamedTuple

from freehint.config import one_of, require

REPORTED = ("taken", "offered", None)


class Promise(NamedTuple):
    """A policy's promise about a whole walk, beyond the properties that every policy has.

    ``freehint.studies.promises`` tests it on random histories.

    Attributes
    ----------
    reported : "taken", "offered" or None
        Of each block that stays free during a whole walk the policy promises that the ring takes
        it ("taken"), that it is offered to the ring, which may be full ("offered"), or neither.
    once : bool
        Whether the policy promises that no block is taken twice in one walk unless it left its
        place in between.
    """

    reported: str | None = None
    once: bool = False


NOTHING_MORE = Promise()
ONCE = Promise(once=True)


def check_promise(promise) -> None:
    """Check a promise.

    Raises
    ------
    InputError
        It is not a Promise, or one of its values is not allowed.
    """
    require(isinstance(promise, Promise), "policy.promise", "be a Promise", promise)
    one_of("policy.promise.reported", promise.reported, REPORTED)
    require(isinstance(promise.once, bool), "policy.promise.once", "be a bool", promise.once)
