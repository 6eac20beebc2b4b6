"""Parked guests: vm0's six sandboxes, and a thousand guests one after another.

vm0 (issue #34723) let six Firecracker guests free 2 GiB each just before they were parked, once
without reclaiming before the park and once with it.  Here a guest of 4 GiB has a kernel as
:func:`freehint.make_memory` places it and as many pages of userland as the recorded guest
``snap2g`` has in use at rest; vm0's own userland is not published.  Its huge pages are for
madvise() alone, as #34723 tells of vm0's guests, so the program fills pages of 4 KiB.  Reclaiming
is a balloon of 3584 MiB, the size that vm0 #30221 names, five seconds before the park.

vm0's kernel takes the balloon's pages as UNMOVABLE (Firecracker's guest configuration has no
balloon compaction), which leaves MOVABLE pages on pcp lists: 57 MiB a guest if it has one CPU.
Here they are MOVABLE.

``python -m freehint.studies.parking`` prints both tables; ``make parking`` calls it.
"""

import time

import pandas as pd

from freehint.data import data
from freehint.engine.guest.programs import Program
from freehint.engine.host.device import HostConfig
from freehint.engine.host.park import ParkConfig
from freehint.formats.boot import make_memory
from freehint.formats.snapshots import load_snapshot
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.sweeps.sweep import sweep
from freehint.units import NS_PER_MS, PAGES_PER_MIB

GUESTS, FREED_MIB, BALLOON_MIB = 6, 2048, 3584
# MiB that stay resident, six guests together; vm0-ai/vm0 #34723.
PUBLISHED = {False: 13_137.79, True: 860.47}
SETTLE_NS = 5_000 * NS_PER_MS
USERLAND = "linux-6.1/snapshots/snap2g.T0"


def used_MiB(memory) -> int:
    """Memory in use, of what the kernel manages."""
    zones = memory.zones
    return int(zones["managed"].sum() - zones["nr_free_pages"].sum()) // PAGES_PER_MIB


def sandbox(reclaimed: bool, seed: int) -> Scenario:
    """One of vm0's guests, parked directly after it has freed its memory, or reclaimed before."""
    memory = make_memory("4GiB")
    kernel = int(memory.zones["present"].sum() - memory.zones["nr_free_pages"].sum())
    guest = Program(
        state="dirty",
        fill_MiB=FREED_MIB,
        dirty_MiB=used_MiB(load_snapshot(data(USERLAND))),
        rate_MiBps=1000.0,
        footprint_pages=kernel,
        huge_pages=False,
    )
    park = ParkConfig(at_ns=SETTLE_NS if reclaimed else 50 * NS_PER_MS)
    return Scenario(
        memory="4GiB",
        policy="page_reporting",
        seed=seed,
        workload=guest,
        host=HostConfig(discard=True),
        control=Control(at=f"0.01 balloon {BALLOON_MIB}" if reclaimed else "none"),
        park=park,
        duration_ns=park.at_ns + 2_000 * NS_PER_MS,
    )


def six_sandboxes(guests: int = GUESTS) -> pd.DataFrame:
    """What six guests leave resident when they are parked, beside what vm0 measured.

    Returns
    -------
    DataFrame
        Two rows, with ``reclaimed`` as index: resident_MiB of all guests, published_MiB, error
        (their ratio less 1), and MiB by cause.
    """
    rows = []
    for reclaimed, published in PUBLISHED.items():
        runs = [simulate(sandbox(reclaimed, seed)) for seed in range(1, guests + 1)]
        causes = pd.concat([run.stranded for run in runs])
        causes = causes.groupby("cause", observed=True)["resident_pages"].sum() / PAGES_PER_MIB
        resident = float(causes.sum())
        told = {"resident_MiB": resident, "published_MiB": published}
        told["error"] = resident / published * GUESTS / guests - 1
        rows.append({"reclaimed": reclaimed, **told, **causes[causes > 0].to_dict()})
    return pd.DataFrame(rows).set_index("reclaimed").fillna(0.0)


def many(guests: int = 1000, memory: str = "128MiB", scheduler: str | None = "processes") -> dict:
    """Park and restore many guests; how many a second, and did any lose a byte?

    Each guest allocates and hints for 30 ms, is parked and restored, and runs 30 ms more; all of
    that is in the time.

    Returns
    -------
    dict
        guests, seconds, guests_per_s, parks, lost_pages.
    """
    ms = NS_PER_MS
    park = ParkConfig(at_ns=30 * ms, write_Bps=1 << 36)
    host = HostConfig(discard=True)
    one = Scenario(memory=memory, host=host, park=park, duration_ns=60 * ms)
    began = time.perf_counter()
    table = sweep(one, {"memory": [memory]}, range(guests), scheduler=scheduler)
    seconds = time.perf_counter() - began
    return {
        "guests": guests,
        "seconds": seconds,
        "guests_per_s": guests / seconds,
        "parks": int(table["parks"].sum()),
        "lost_pages": int(table["park_lost_pages"].sum()),
    }


if __name__ == "__main__":
    print(six_sandboxes().round(3).T.to_string())
    many(8)  # what has to be compiled
    print(pd.Series(many()).to_string())
