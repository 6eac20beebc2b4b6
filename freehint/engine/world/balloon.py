"""The pages of the guest's balloon."""

from typing import NamedTuple

import numpy as np


class Balloon(NamedTuple):
    """A balloon of up to ``n`` pages.

    pages : int32[n]   its pages; the one to be given back next is the last
    at : int64[1]      number of pages in it
    """

    pages: np.ndarray
    at: np.ndarray


def new_balloon(nr_pages: int) -> Balloon:
    """An empty balloon."""
    return Balloon(np.zeros(nr_pages, np.int32), np.zeros(1, np.int64))
