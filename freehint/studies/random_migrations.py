"""Migrations of small guests under random circumstances: does the destination miss a write?

Each is :func:`freehint.studies.histories.migrating` of a number: any policy, any ring and host,
memory pressure, cancel at any time, the switch, and the three generations of the dirty log.
``make safety`` runs 10,000.
"""

import sys
from collections import Counter

from tqdm.auto import tqdm

from freehint.runs.simulate import simulate
from freehint.studies.histories import migrating

# Is it promised that no write is lost?  With a lazy clear (G2, G3) a page that the last sync saw
# dirty and that the guest writes before its chunk is cleared is lost if a late hint takes it out of
# the bitmap: G3's hint clears the chunk itself, under G2 the next page sent of that chunk does.
PROMISED = {"G1": True, "G2": False, "G3": False}


def run_many(first: int, count: int, progress=iter) -> tuple[Counter, list]:
    """Run ``count`` migrations: counts, and the seeds that lost a write though it was promised.

    The counts have (status, generation) and (lost, generation) -> migrations, pages.
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
    """Print the counts of COUNT migrations, the first argument; return 1 if a promise broke."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    counts, broken = run_many(0, count, lambda seeds: tqdm(seeds, desc="migrations"))
    for (what, generation), number in sorted(counts.items()):
        print(f"{generation}: {what}: {number}")
    print(f"promises broken: {len(broken)} {broken[:20]}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
