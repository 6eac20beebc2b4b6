"""The limits of the machine: see :mod:`freehint.studies.speed`."""

from benchmarks.rows import Row
from freehint.studies.limits import bandwidths, dependent_load_ns, key_scan_ns

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SETS = {"16 KiB": 16 * KIB, "512 KiB": 512 * KIB, "8 MiB": 8 * MIB, "128 MiB": 128 * MIB}
LARGE = {"1 GiB": GIB}


def limits(library, quick: bool):
    """Dependent loads by working set, bytes a second, and the search for the next event."""
    for name, nr_bytes in SETS.items() if quick else (SETS | LARGE).items():
        yield Row("limit, a dependent load", name, dependent_load_ns(nr_bytes), "ns")
    for name, rate in bandwidths().items():
        yield Row("limit, bandwidth, bytes read", name, rate, "GB/s")
    for actors in (4, 7, 16):
        yield Row("limit, the smallest key", f"{actors} actors", key_scan_ns(actors), "ns")
