"""Migrations of small guests under random conditions: does the destination miss a write?

:func:`freehint.studies.histories.migrating` draws each from a number: a policy, a ring, a host,
memory pressure, a cancel at any time, the switch, and one of three generations of the dirty log.
``make safety`` runs 10,000.
"""

import sys
from collections import Counter

from tqdm.auto import tqdm

from freehint.runs.simulate import simulate
from freehint.studies.histories import migrating

# Is it promised that no write is lost?  With a lazy clear (G2, G3) a write is lost if the last sync
# saw its page dirty, the write comes before the page's chunk is cleared, and a late hint takes the
# page out of the bitmap.  (In G3 the hint itself clears the chunk, in G2 the next page sent of it.)
PROMISED = {"G1": True, "G2": False, "G3": False}


def run_many(first: int, count: int, progress=iter) -> tuple[Counter, list]:
    """Run ``count`` migrations.

    Returns
    -------
    counts : Counter
        (status, generation) or ("lost", generation) -> number of migrations.
    broken : list of int
        The seeds that lost a write although the generation promises not to.
    """
    counts, broken = Counter(), []
    for seed in progress(range(first, first + count)):
        scenario = migrating(seed)
        summary = simulate(scenario).summary
        generation = scenario.migration.generation
        counts[summary["migration"], generation] += 1
        lost = summary["lost_writes"]
        if lost > 0:
            counts["lost", generation] += 1
            if PROMISED[generation]:
                broken.append(seed)
    return counts, broken


def main() -> int:
    """Run as many migrations as the first argument says, and print their counts.

    Returns
    -------
    int
        The exit code: 1 if a promise is broken, else 0.
    """
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    counts, broken = run_many(0, count, lambda seeds: tqdm(seeds, desc="migrations"))
    for (what, generation), number in sorted(counts.items()):
        print(f"{generation}: {what}: {number}")
    print(f"promises broken: {len(broken)} {broken[:20]}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
