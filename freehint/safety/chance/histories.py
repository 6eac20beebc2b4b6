"""Whole simulations under random conditions: does the destination miss a write?

The engine itself, with its clock, in guests of 64 MiB.
:func:`freehint.studies.histories.migrating` draws each migration from a number: a policy, a ring, a
host, memory pressure, a cancel at any time, the switch, and one of three generations of the dirty
log.
``freehint explore --histories 10000`` (``make safety``) runs 10,000 with QEMU's chunk shift, for
which such a guest is one chunk, and the same 10,000 with small chunks.
"""

from collections import Counter
from dataclasses import replace

from tqdm.auto import tqdm

from freehint.config import whole
from freehint.engine.world.dirty import CHUNK_SHIFT
from freehint.runs.simulate import simulate
from freehint.studies.histories import migrating

# Is it promised that no write is lost?  With a lazy clear (G2, G3) a write is lost if the last sync
# saw its page dirty, the write comes before the page's chunk is cleared, and a late hint takes the
# page out of the bitmap.  (In G3 the hint itself clears the chunk, in G2 the next page sent of it.)
PROMISED = {"G1": True, "G2": False, "G3": False}
SMALL_CHUNKS = (6, 9, 12)


def run_many(first: int, count: int, chunk_shifts=(CHUNK_SHIFT,), progress=iter):
    """Run ``count`` migrations, each with one of the chunk shifts, in turn.

    Returns
    -------
    counts : Counter
        (chunk shift, generation, what) -> number of migrations.  ``what`` is a status;
        "compared", for a migration whose contents were compared at switch-over; or "lost", for
        one of these that lost a write.
    broken : list of int
        The seeds that lost a write although the generation promises not to.
    """
    counts, broken = Counter(), []
    for seed in progress(range(first, first + count)):
        scenario = migrating(seed)
        generation, shift = scenario.migration.generation, chunk_shifts[seed % len(chunk_shifts)]
        migration = replace(scenario.migration, chunk_shift=shift)
        summary = simulate(replace(scenario, migration=migration)).summary
        counts[shift, generation, summary["migration"]] += 1
        lost = summary["lost_writes"]
        if lost >= 0:
            counts[shift, generation, "compared"] += 1
        if lost > 0:
            counts[shift, generation, "lost"] += 1
            if PROMISED[generation]:
                broken.append(seed)
    return counts, broken


def told(counts: Counter) -> list[str]:
    """A sentence for each chunk shift and generation."""
    lines = []
    for shift, generation in sorted({(shift, generation) for shift, generation, _ in counts}):
        of = {what: n for (*key, what), n in counts.items() if key == [shift, generation]}
        compared, lost = of.pop("compared", 0), of.pop("lost", 0)
        ends = ", ".join(f"{n:,} {status}" for status, n in sorted(of.items()))
        lines.append(
            f"chunk shift {shift}, {generation}: {sum(of.values()):,} migrations ({ends}), "
            f"{compared:,} compared, {lost:,} lost a write"
        )
    return lines


def print_histories(count: int) -> bool:
    """Run as many migrations, twice, print their counts, and tell whether all promises held.

    Raises
    ------
    InputError
        The number is below 1.
    """
    whole("explore.histories", count, 1)
    broken = []
    for name, shifts in (("QEMU's chunk shift", (CHUNK_SHIFT,)), ("small chunks", SMALL_CHUNKS)):
        counts, bad = run_many(0, count, shifts, lambda seeds, name=name: tqdm(seeds, desc=name))
        print(*told(counts), sep="\n", flush=True)
        broken += bad
    print(f"promises broken: {len(broken)} {broken[:20]}")
    return not broken
