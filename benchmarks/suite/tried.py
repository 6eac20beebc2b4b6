"""Other ways that were tried: which paid, and which did not."""

from benchmarks.baseline import BRANCHES_APART, compile_baseline
from benchmarks.rows import timing_rows
from benchmarks.tried import branches, counted, keys, links_apart
from freehint.jit.linking import X86


def tried(library, quick: bool):
    """Layouts of links, a heap of keys, the instruction that counts bits, branches in C."""
    slices = 9 if quick else 30
    for gib in (1, 16):
        timings = links_apart(gib << 18, slices)
        yield from timing_rows(f"tried, links of {gib} GiB", timings, "ns/move")
    for actors in (7, 30):
        yield from timing_rows(f"tried, keys of {actors} actors", keys(actors, slices), "ns/event")
    yield from timing_rows("tried, bits of 64 GiB", counted(1 << 24, slices), "ns/page")
    if X86:
        timings = branches(library, compile_baseline(BRANCHES_APART), 6 if quick else 16)
        yield from timing_rows("tried, steady, 1 GiB", timings, "ns/operation")
