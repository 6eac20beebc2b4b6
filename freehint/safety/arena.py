"""Arrays in one block of bytes."""

import numpy as np


class Arena:
    """Arrays that move into one block of bytes."""

    def __init__(self):
        self.size, self.bytes = 0, None
        self.arrays, self.moved = [], {}

    def place(self, array: np.ndarray) -> np.ndarray:
        """Give an array its place; :meth:`final` gives the array that lies there."""
        self.arrays.append((array, self.size))
        self.size += -(-array.nbytes // 8) * 8
        return array

    def of(self, value: tuple, names) -> tuple:
        """Give the named arrays of a NamedTuple their places."""
        for name in names:
            self.place(getattr(value, name))
        return value

    def settle(self) -> None:
        """Copy all arrays to their places."""
        self.bytes = np.zeros(self.size // 8, np.uint64).view(np.uint8)
        for array, begin in self.arrays:
            place = np.ndarray(array.shape, array.dtype, self.bytes, begin)
            place[...] = array
            self.moved[id(array)] = place.view(type(array)) if array.dtype.names else place

    def final(self, value):
        """The same tuple or array with the arrays that have moved."""
        if isinstance(value, np.ndarray):
            return self.moved.get(id(value), value)
        if isinstance(value, tuple):
            return type(value)(*map(self.final, value))
        return value
