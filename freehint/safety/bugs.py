"""Bugs that can be put back, one at a time: ``Case.bug``.

Each is a switch in the explorer's glue or a kernel beside the right one.  The explorer finds a
schedule with it, and none without.
"""

from typing import NamedTuple


class Bug(NamedTuple):
    """One bug.

    number : int     what the kernels test; from 1
    what : str       what was wrong, in a sentence
    source : str     the commit that fixed it, or where it is described
    breaks : str     the property that it breaks, as "P1"
    """

    number: int
    what: str
    source: str
    breaks: str


BUGS = {}


def bug_number(name: str) -> int:
    """The number of a bug; 0 for "none"."""
    return BUGS[name].number if name in BUGS else 0
