"""Migrations of small guests under random circumstances: does the destination miss a write?

Every draw is a scenario: any policy, any ring and host, memory pressure, cancel at any time, the
switch, and the three generations of the dirty log.  ``make safety`` runs 10,000.
"""

import sys
from collections import Counter

import numpy as np
from tqdm.auto import tqdm

from freehint.engine.guest.workloads import Workload
from freehint.engine.host.migration import GENERATIONS, MigrationConfig
from freehint.policies import POLICIES
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.units import NS_PER_MS

# Is it promised that no write is lost?  With a lazy clear (G2, G3) a page that the last sync saw
# dirty and that the guest writes before its chunk is cleared is lost if a late hint takes it out of
# the bitmap: G3's hint clears the chunk itself, under G2 the next page sent of that chunk does.
PROMISED = {"G1": True, "G2": False, "G3": False}


def draw_scenario(seed: int) -> Scenario:
    """One random migration.

    Parameters
    ----------
    seed : int

    Returns
    -------
    Scenario
        A guest of 64 MiB with 1 to 3 CPUs; it ends after 40 ms.
    """
    chance = np.random.default_rng(seed)

    def pick(*values):
        return values[chance.integers(len(values))]

    migration = MigrationConfig(
        start_at_ns=int(chance.integers(0, 2 * NS_PER_MS)),
        bandwidth_Bps=int(pick(1 << 27, 1 << 29, 1 << 31, 1 << 33)),
        downtime_limit_ms=int(pick(1, 5, 300)),
        generation=pick(*GENERATIONS),
        chunk_shift=int(pick(6, 9, 12, 18)),
        initially_set=bool(pick(False, True)),
        zero_page_ns=int(pick(10, 100)),
        normal_page_ns=int(pick(100, 500)),
        hint_latency_ns=int(pick(0, 10_000, 500_000)),
        cancel_at_ns=int(pick(-1, -1, chance.integers(0, 20 * NS_PER_MS))),
    )
    workload = Workload(
        nr_cpus=int(pick(1, 2, 3)),
        interval_ns=int(pick(500, 2_000, 10_000)),
        live_share=float(pick(0.2, 0.6, 0.95)),
        growth=float(pick(0.55, 0.75, 0.95)),
        write_share=float(pick(0.1, 0.6)),
    )
    return Scenario(
        memory="64MiB",
        kernel=pick("6.1", "6.12"),
        policy=pick(*POLICIES),
        seed=seed,
        workload=workload,
        migration=migration,
        duration_ns=40 * NS_PER_MS,
    ).with_values(
        {
            "ring.size": int(pick(2, 16, 128, 1024)),
            "host.gap_ns": int(pick(0, 100_000, 3_000_000)),
            "host.gap_every_ns": int(pick(200_000, 5_000_000)),
            "host.service_ns": int(pick(100, 1_000, 50_000)),
            "control.off_at_ns": int(pick(-1, -1, chance.integers(0, 20 * NS_PER_MS))),
        }
    )


def run_many(first: int, count: int, progress=iter) -> tuple[Counter, list]:
    """Run ``count`` migrations: counts, and the seeds that lost a write though it was promised.

    The counts have (status, generation) and (lost, generation) -> migrations, pages.
    """
    counts, broken = Counter(), []
    for seed in progress(range(first, first + count)):
        scenario = draw_scenario(seed)
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
