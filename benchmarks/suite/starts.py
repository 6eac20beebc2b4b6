"""Time to the first result."""

from benchmarks.rows import FREEHINT, RATIO, Row
from benchmarks.startup import FIRST_RESULT, IMPORT_NUMBA, run, starts
from freehint.jit.cache import CACHE_FOLDER

LEAST_SHARE = 0.15  # of the CPU time of a first result, for importing Numba
NUMBA = "import numba"


def first_result(library, quick: bool):
    """A fresh process, its kernels compiled anew (not when quick) and from the cache."""
    found = _warm_starts() if quick else starts(5)
    if "cold" in found:
        yield Row("first result, cold", FREEHINT, found["cold"].cpu_s, "s CPU")
        yield Row("first result, cold, waited", FREEHINT, found["cold"].wall_s, "s")
    warm, numba = found["warm"], found[NUMBA]
    yield Row("first result, warm", FREEHINT, warm.cpu_s, "s CPU")
    yield Row("first result, warm", NUMBA, numba.cpu_s, "s CPU")
    share = numba.cpu_s / warm.cpu_s
    yield Row("first result, warm", f"{NUMBA} / {FREEHINT}", share, RATIO, bar=LEAST_SHARE)
    yield Row("first result, warm, waited", FREEHINT, warm.wall_s, "s")


def _warm_starts() -> dict:
    """The best of three, from the cache that this process has."""
    cache = str(CACHE_FOLDER.parent)
    run(FIRST_RESULT, cache)
    return {
        name: min(run(code, cache) for _ in range(3))
        for name, code in (("warm", FIRST_RESULT), (NUMBA, IMPORT_NUMBA))
    }
