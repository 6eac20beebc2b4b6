"""HyperAlloc's identity in a small guest that builds: does what is not resident lie in free blocks?

With free page reporting of order 9, the published series of resident memory and of free huge frames
add up to the same number at any time (data/published/hyperalloc_2025.toml).
"""

import pandas as pd

from freehint.engine.guest.programs import Program
from freehint.engine.host.device import HostConfig
from freehint.mm.memory import PAGEBLOCK_ORDER
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.verify.columns import identity
from freehint.units import NS_PER_S

MEMORY, GIB = "1GiB", 1.0
NEAR = 0.5 / 16  # of the guest's memory: half a GiB of the published guest


def small_build() -> Scenario:
    """A guest of 1 GiB that builds 40 units, removes their output, and drops its caches."""
    guest = Program(
        state="build",
        dirty_MiB=40,
        rate_MiBps=600.0,
        processes=4,
        units=40,
        output_KiB=700,
        cache_MiB=30,
        huge_pages=False,
        rest_ms=40_000,
    )
    return Scenario(
        memory=MEMORY,
        policy="page_reporting",
        workload=guest,
        host=HostConfig(discard=True, pages="thp"),
        duration_ns=130 * NS_PER_S,
    )


# What is changed, and the order whose free blocks are added to resident memory.
CASES = {
    "order 9": ({}, PAGEBLOCK_ORDER),
    "order 0": ({"policy.report_order": 0}, 0),
    "no reports": ({"policy": "none"}, PAGEBLOCK_ORDER),
    "reported, but stays resident": ({"host.backend": "nothing"}, PAGEBLOCK_ORDER),
}


def identities() -> pd.DataFrame:
    """The sum of resident memory and free blocks over the small build, for each case.

    Returns
    -------
    DataFrame
        One row per case, with the case as index: min_GiB, median_GiB, max_GiB, end_GiB, near_share
        (moments within 1/32 GiB of the guest's memory, which is half a GiB of the published one).
    """
    rows = {}
    for name, (values, order) in CASES.items():
        sums = identity(simulate(small_build().with_values(values)), order)
        rows[name] = {
            "min_GiB": sums.min(),
            "median_GiB": sums.median(),
            "max_GiB": sums.max(),
            "end_GiB": sums.iloc[-1],
            "near_share": (abs(sums - GIB) <= NEAR * GIB).mean(),
        }
    return pd.DataFrame(rows).T.rename_axis("case")
