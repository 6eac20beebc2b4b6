"""Time to the first result."""

import numpy as np

from benchmarks.rows import FREEHINT, RATIO, Row
from benchmarks.startup import FIRST_RESULT, IMPORT_NUMBA, run, starts, warm_starts
from freehint.jit.cache import CACHE_FOLDER

LEAST_SHARE = 0.15  # of the CPU time of a first result, for importing Numba: 0.20 to 0.29 were seen
NUMBA = IMPORT_NUMBA


def first_result(library, quick: bool):
    """Fresh processes in turn, kernels compiled anew (not when quick) and from the cache.

    Times are the best, to which whatever else the machine does can only add; the ratio is of each
    pair.
    """
    if quick:
        cache = str(CACHE_FOLDER.parent)
        run(FIRST_RESULT, cache)
        found = warm_starts(3, cache)
    else:
        found = starts(5)
        yield Row("first result, cold", FREEHINT, found.cold.cpu_s, "s CPU")
        yield Row("first result, cold, waited", FREEHINT, found.cold.wall_s, "s")
    warm, numba = min(found.warm), min(found.numba)
    yield Row("first result, warm", FREEHINT, warm.cpu_s, "s CPU")
    yield Row("first result, warm", NUMBA, numba.cpu_s, "s CPU")
    shares = [one.cpu_s / other.cpu_s for one, other in zip(found.numba, found.warm)]
    share, low, high = map(float, np.percentile(shares, (50, 25, 75)))
    spread = low, high, len(shares)
    yield Row("first result, warm", f"{NUMBA} / {FREEHINT}", share, RATIO, *spread, LEAST_SHARE)
    yield Row("first result, warm, waited", FREEHINT, warm.wall_s, "s")
