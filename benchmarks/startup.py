"""Time to the first result in fresh processes: kernels to compile (cold), or cached (warm)."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

HERE = Path(__file__).parent.parent
FIRST_RESULT = "import freehint as fh; fh.simulate(fh.Scenario())"
IMPORT_NUMBA = "import numba"


class Start(NamedTuple):
    """Seconds of one process, the interpreter's own start included, and what it printed."""

    wall_s: float
    cpu_s: float
    said: str = ""


def run(code: str, cache: str, checkout: Path = HERE) -> Start:
    """Run code in a process of its own, with its kernel cache in the folder ``cache``.

    ``checkout`` holds the sources; they may be those of another commit.
    """
    environment = {**os.environ, "FREEHINT_CACHE_DIR": cache, "PYTHONPATH": str(checkout)}
    # Python keeps compiled sources, unless it is told not to: no second start waits for them.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = perf_counter()
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True
    )
    wall = perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(wall, cpu, done.stdout)


class Starts(NamedTuple):
    """A cold start, if there was one, and warm ones and ``import numba`` in turn."""

    cold: Start | None
    warm: list[Start]
    numba: list[Start]


def warm_starts(repeats: int, cache: str, cold: Start | None = None) -> Starts:
    """Starts with the kernels of a cache."""
    found = [(run(FIRST_RESULT, cache), run(IMPORT_NUMBA, cache)) for _ in range(repeats)]
    return Starts(cold, *map(list, zip(*found)))


def starts(repeats: int) -> Starts:
    """The cold start as well."""
    with tempfile.TemporaryDirectory() as cache:
        return warm_starts(repeats, cache, run(FIRST_RESULT, cache))


def main() -> None:
    """Print a row a start, the best of five, with its CPU time beside that of ``import numba``."""
    found = starts(5)
    best = {"cold": found.cold, "warm": min(found.warm), "import numba": min(found.numba)}
    least = best["import numba"].cpu_s
    for name, start in best.items():
        times = start.cpu_s / least
        print(
            f"{name:14} {start.wall_s:6.1f} s {start.cpu_s:6.2f} CPU s {times:6.1f} x import numba"
        )


if __name__ == "__main__":
    main()
