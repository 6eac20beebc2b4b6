"""The machine that the figures were measured on."""

import os
import platform
import subprocess
from pathlib import Path

import llvmlite
import numba
import numpy as np

from benchmarks.baseline import FLAGS, find_gcc
from freehint.version import __version__


def _line(path: str, name: str) -> str:
    """Value of the first ``name : value`` line of a file, or "unknown"."""
    try:
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return "unknown"


def _caches() -> dict[str, str]:
    """Size of each level of CPU 0's caches, as the kernel tells it."""
    sizes = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (cache / name).read_text().strip() for name in ("level", "type", "size")
        )
        sizes[f"L{level} {kind}"] = size
    return sizes


def _huge_pages() -> str:
    """Whether big arrays may lie in huge pages: the bracketed word."""
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    return text.partition("[")[2].partition("]")[0]


def describe() -> dict:
    """The processor, its caches, the memory and the versions."""
    gcc = subprocess.run([find_gcc(), "--version"], capture_output=True, text=True)
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "caches": _caches(),
        "memory": _line("/proc/meminfo", "MemTotal"),
        "transparent_hugepage": _huge_pages(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "gcc": gcc.stdout.splitlines()[0],
        "gcc_flags": " ".join(FLAGS),
        "freehint": __version__,
    }
