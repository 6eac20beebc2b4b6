"""What a policy promises of the properties that not every policy has."""

from typing import NamedTuple

from freehint.config import one_of, require

REPORTED = ("taken", "offered", None)


class Promise(NamedTuple):
    """A policy's promise about a whole walk; without arguments only what every policy promises.

    ``freehint.studies.promises`` holds it against random histories.

    Attributes
    ----------
    reported : "taken", "offered" or None
        What happens to each block that stays free during a whole walk: the ring takes it, or it
        is offered to the ring, which may be full; None promises neither.
    once : bool
        In one walk no block is taken twice unless it left its place in between.
    """

    reported: str | None = None
    once: bool = False


NOTHING_MORE = Promise()
ONCE = Promise(once=True)


def check_promise(promise) -> None:
    """Refuse what is no promise.

    Raises
    ------
    InputError
        It is no Promise, or promises what no property of that name says.
    """
    require(isinstance(promise, Promise), "policy.promise", "be a Promise", promise)
    one_of("policy.promise.reported", promise.reported, REPORTED)
    require(isinstance(promise.once, bool), "policy.promise.once", "be a bool", promise.once)
