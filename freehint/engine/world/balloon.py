"""The pages of the guest's balloon."""

from typing import NamedTuple

import numpy as np

IN_IT, TAKEN = range(2)  # of Balloon.at


class Balloon(NamedTuple):
    """A balloon of up to ``n`` pages.

    pages : int32[n]   its pages; the one to be given back next is the last
    at : int64[2]      number of pages in it; of pages behind them, of a batch that is under way
    """

    pages: np.ndarray
    at: np.ndarray


def new_balloon(nr_pages: int) -> Balloon:
    """An empty balloon."""
    return Balloon(np.zeros(nr_pages, np.int32), np.zeros(2, np.int64))
