"""Time to the first result in fresh processes: kernels to compile (cold), or cached (warm)."""

import os
import resource
import subprocess
import sys
import tempfile
from time import perf_counter
from typing import NamedTuple

FIRST_RESULT = "import freehint as fh; fh.simulate(fh.Scenario())"
IMPORT_NUMBA = "import numba"


class Start(NamedTuple):
    """Seconds of one process, the interpreter's own start included."""

    wall_s: float
    cpu_s: float


def run(code: str, cache: str) -> Start:
    """Run code in a process of its own, with its kernel cache in the folder ``cache``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = perf_counter()
    environment = {**os.environ, "FREEHINT_CACHE_DIR": cache}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    wall = perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(wall, cpu)


def starts(repeats: int) -> dict[str, Start]:
    """The cold start, and the best of ``repeats`` warm ones and of ``import numba``.

    The best: whatever else the machine does can only add to it.
    """
    with tempfile.TemporaryDirectory() as cache:
        cold = run(FIRST_RESULT, cache)
        warm = min(run(FIRST_RESULT, cache) for _ in range(repeats))
        numba = min(run(IMPORT_NUMBA, cache) for _ in range(repeats))
    return {"cold": cold, "warm": warm, "import numba": numba}


def main() -> None:
    """Print a row a start, with its CPU time beside that of ``import numba``."""
    found = starts(5)
    least = found["import numba"].cpu_s
    for name, start in found.items():
        times = start.cpu_s / least
        print(
            f"{name:14} {start.wall_s:6.1f} s {start.cpu_s:6.2f} CPU s {times:6.1f} x import numba"
        )


if __name__ == "__main__":
    main()
