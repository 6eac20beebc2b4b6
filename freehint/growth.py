"""How cost grows: the exponent of a power law, fitted where both axes are logarithmic."""

from typing import NamedTuple

import numpy as np

LEAST_SIZES = 3  # with two the exponent's error would not be known


class Growth(NamedTuple):
    """``cost = scale * size ** exponent``; ``error`` is the exponent's standard error."""

    scale: float
    exponent: float
    error: float
    n: int


def fitted(sizes, costs) -> Growth:
    """Least squares of log cost over log size.

    Parameters
    ----------
    sizes, costs : sequence of float
        Positive; at least LEAST_SIZES different sizes.

    Raises
    ------
    ValueError
        There are fewer, or one is not positive.

    Examples
    --------
    >>> round(fitted([1, 10, 100], [2, 20, 200]).exponent, 6)
    1.0
    """
    sizes, costs = np.asarray(sizes, float), np.asarray(costs, float)
    if len(set(sizes.tolist())) < LEAST_SIZES:
        least = f"at least {LEAST_SIZES} different ones"
        raise ValueError(f"sizes must hold {least}, got {sizes.tolist()}")
    if not (sizes > 0).all() or not (costs > 0).all():
        raise ValueError("sizes and costs must be positive")
    x, y = np.log(sizes), np.log(costs)
    centred = x - x.mean()
    exponent = (centred @ y) / (centred @ centred)
    left = y - y.mean() - exponent * centred
    error = np.sqrt(left @ left / (len(x) - 2) / (centred @ centred))
    scale = np.exp(y.mean() - exponent * x.mean())
    return Growth(float(scale), float(exponent), float(error), len(x))
