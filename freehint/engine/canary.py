"""Arrays for verbs of other people, with rows on both sides that nobody may write to."""

import numpy as np

ROWS = 64  # on each side
CANARY = 0x5A


class Guarded:
    """A copy of an array; ``inside`` is what a verb gets.

    Examples
    --------
    >>> guarded = Guarded(np.zeros(3))
    >>> guarded.untouched
    True
    >>> guarded.inside.base[-1] = 7
    >>> guarded.untouched
    False
    """

    def __init__(self, array: np.ndarray):
        self._all = np.full((len(array) + 2 * ROWS, *array.shape[1:]), CANARY, array.dtype)
        self.inside = self._all[ROWS:-ROWS]
        self.inside[:] = array

    @property
    def untouched(self) -> bool:
        """Are the rows on both sides as they were?"""
        return bool((self._all[:ROWS] == CANARY).all() and (self._all[-ROWS:] == CANARY).all())
