"""Memory of this process.

``ru_maxrss`` will not do: a process inherits it from the one that started it.
"""

from pathlib import Path


def memory_MiB(name: str) -> float:
    """VmRSS, what it has now, or VmHWM, the most it ever had."""
    line = Path("/proc/self/status").read_text().split(f"{name}:")[1]
    return int(line.split()[0]) / 1024


def forget_peak() -> None:
    """VmHWM begins anew."""
    Path("/proc/self/clear_refs").write_text("5")
