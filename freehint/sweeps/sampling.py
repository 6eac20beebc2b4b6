"""Designs other than grids: points spread over ranges; the same seed gives the same points."""

import hashlib
from dataclasses import dataclass

import numpy as np

from freehint.config import extra, require, whole
from freehint.sweeps.factors import factors_of

MOST_POINTS = 1 << 20


@dataclass(frozen=True, eq=False)
class Sample:
    """Points of a design for :func:`freehint.sweep`, in their order.

    Attributes
    ----------
    kind : str
        "sobol", "latin_hypercube", "saltelli" or "morris".
    n, seed : int
        As in the call that made the design.
    factors : dict
        name -> Choices or Range.
    unit : float64[points, factors]
        The points, each coordinate a share 0..1 of its range or list.
    """

    kind: str
    n: int
    seed: int
    factors: dict
    unit: np.ndarray

    @property
    def keys(self) -> list:
        """One key per point."""
        factors = self.factors.values()
        return [tuple(f.at(share) for f, share in zip(factors, one)) for one in self.unit.tolist()]

    def facts(self) -> dict:
        """The design as JSON; for the points it has their sha256."""
        points = hashlib.sha256(repr(self.keys).encode()).hexdigest()
        ranges = {name: factor.facts() for name, factor in self.factors.items()}
        return {"design": {**self.asked(), "ranges": ranges, "sha256": points}}

    def asked(self) -> dict:
        """Kind, n and seed."""
        return {"kind": self.kind, "n": self.n, "seed": self.seed}


def checked(ranges, n: int, seed: int, smallest_n: int = 1) -> dict:
    """The factors of a design, after a check of all arguments."""
    factors = factors_of(ranges)
    require(len(factors) > 0, "ranges", "have at least one parameter", ranges)
    whole("n", n, smallest_n, MOST_POINTS)
    whole("seed", seed, 0)
    return factors


def power_of_two(n: int) -> None:
    """Refuse an n that is no power of two: a Sobol' sequence is balanced only at those."""
    require(n.bit_count() == 1, "n", "be a power of two in a Sobol' sequence", n)


def sobol(ranges, n: int, seed: int = 1) -> Sample:
    """Points of a scrambled Sobol' sequence, spread evenly over every range and pair of ranges.

    Parameters
    ----------
    ranges : dict
        Parameter (nested names as in ``Scenario.with_values``) -> a list of choices, or a range
        such as ``{"low": 8, "high": 4096}``.  Both ends are included; if both are whole numbers,
        all are.  With ``"scale": "log"`` the numbers are uniform in their logarithm, with
        ``"log2"`` they are powers of two.
    n : int
        The number of points, a power of two.
    seed : int
        The seed of the scrambling.

    Returns
    -------
    Sample
        A design for :func:`freehint.sweep`, which runs each point with each of its seeds.

    Raises
    ------
    InputError
        A range is refused, or scipy is not installed (the extra ``sweep``).

    Notes
    -----
    Source: scipy.stats.qmc.Sobol; Owen, "Scrambling Sobol' and Niederreiter-Xing points", 1998.

    Examples
    --------
    >>> import freehint as fh
    >>> ranges = {"ring.size": {"low": 8, "high": 4096, "scale": "log2"}, "policy": ["v24", "none"]}
    >>> len(fh.sobol(ranges, n=16).keys)
    16
    """
    factors = checked(ranges, n, seed)
    power_of_two(n)
    qmc = extra("scipy.stats.qmc", "a Sobol' design")
    unit = qmc.Sobol(len(factors), rng=np.random.default_rng(seed)).random(n)
    return Sample("sobol", n, seed, factors, unit)


def latin_hypercube(ranges, n: int, seed: int = 1) -> Sample:
    """Points of a Latin hypercube: of ``n`` equal parts of each range, each holds one point.

    Parameters and errors are those of :func:`sobol`, but ``n`` may be any number.

    Notes
    -----
    Source: scipy.stats.qmc.LatinHypercube; McKay, Beckman and Conover, 1979.
    """
    factors = checked(ranges, n, seed)
    qmc = extra("scipy.stats.qmc", "a Latin hypercube")
    unit = qmc.LatinHypercube(len(factors), rng=np.random.default_rng(seed)).random(n)
    return Sample("latin_hypercube", n, seed, factors, unit)
