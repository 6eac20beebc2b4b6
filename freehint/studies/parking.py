"""Parked guests: vm0's six sandboxes, and a thousand guests one after another.

vm0 (issue #34723) let six Firecracker guests free 2 GiB each just before they were parked, once
without reclaiming before the park and once with it.  Here a guest of 4 GiB has a kernel as
:func:`freehint.make_memory` places it and as many pages of userland as the recorded guest
``snap2g`` has in use at rest; vm0's own userland is not published.  Its huge pages are for
madvise() alone, as #34723 tells of vm0's guests, so the program fills pages of 4 KiB (changed
after a first comparison).  Reclaiming is a balloon of 3584 MiB, the size that vm0 #30221 names,
five seconds before the park.

vm0's kernel takes the balloon's pages as UNMOVABLE (Firecracker's guest configuration has no
balloon compaction), which leaves MOVABLE pages on pcp lists: 57 MiB a guest if it has one CPU.
Here they are MOVABLE.

``python -m freehint.studies.parking`` prints both tables; ``make parking`` calls it.
"""

import time
from itertools import product

import pandas as pd

from freehint.config import InputError
from freehint.data import data
from freehint.engine.guest.programs import Program
from freehint.engine.host.device import HostConfig
from freehint.engine.host.park import LATE_HINTS, ParkConfig
from freehint.engine.world.backing import BACKENDS, COUNTS, PAGES
from freehint.formats.boot import make_memory
from freehint.formats.snapshots import load_snapshot
from freehint.runs.begin import guest_memory
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import run_engine, simulate
from freehint.sweeps.status import all_done
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

    Parameters
    ----------
    guests : int
        The number of them that are simulated; they stand for all six.

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
        causes = causes.groupby("cause", observed=True)["resident_pages"].sum()
        causes = causes * GUESTS / guests / PAGES_PER_MIB
        resident = float(causes.sum())
        told = {"resident_MiB": resident, "published_MiB": published}
        told["error"] = resident / published - 1
        rows.append({"reclaimed": reclaimed, **told, **causes[causes > 0].to_dict()})
    return pd.DataFrame(rows).set_index("reclaimed").fillna(0.0)


def by_cause(runs: dict, column: str = "stored_pages") -> pd.DataFrame:
    """What the last snapshot of each run stores, or finds resident, by cause.

    Parameters
    ----------
    runs : dict
        Name -> Run of a guest that was parked.
    column : str
        "stored_pages" or "resident_pages".

    Returns
    -------
    DataFrame
        One row per run and one column per cause, in MiB.
    """
    rows = {}
    for name, run in runs.items():
        last = run.stranded[run.stranded["park"] == run.stranded["park"].max()]
        rows[name] = last.set_index("cause")[column] / PAGES_PER_MIB
    return pd.DataFrame(rows).T.rename_axis(columns=None)


def last_parks(runs: dict) -> pd.DataFrame:
    """The last row of ``Run.parks`` of each run, by name."""
    return pd.DataFrame({name: run.parks.iloc[-1] for name, run in runs.items()}).T


def queued_hints(scenario: Scenario, policies, seeds) -> pd.DataFrame:
    """What becomes of hints that are on the ring at the pause, by policy and kind of host.

    Parameters
    ----------
    scenario : Scenario
        A guest that is parked.
    policies : iterable of str or Policy
    seeds : iterable of int

    Returns
    -------
    DataFrame
        One row per policy and each of LATE_HINTS, with means over the seeds: hints on the ring at
        the pause, those that the host used before the guest ran again, pages that the snapshot
        lost by them, and pages lost by hints that were used afterwards.
    """
    rows = []
    for policy, way, seed in product(policies, LATE_HINTS, seeds):
        run = simulate(
            scenario.with_values({"policy": policy, "park.late_hints": way, "seed": seed})
        )
        row = run.parks.iloc[0]
        rows.append(
            {
                "policy": run.summary["policy"],
                "host": way,
                "queued": row["left_hints"],
                "used while it stood still": row["late_hints"],
                "pages lost in the snapshot": row["lost_pages"],
                "pages lost later": row["discard_lost_pages"],
            }
        )
    return pd.DataFrame(rows).groupby(["policy", "host"], sort=False).mean()


def given_back(scenario: Scenario) -> pd.DataFrame:
    """What each kind of host does with the memory that a guest tells it of.

    Parameters
    ----------
    scenario : Scenario
        A guest that gives hints; its host's backend and pages are replaced.

    Returns
    -------
    DataFrame
        With (backend, pages) as index; in MiB what left the host, what is left to it (MADV_FREE)
        and stays as long as it has room, what stays although it reported success, and blocks that
        it refused; huge pages that were split; faults of the run, and their time in ms.
    """
    rows = {}
    for kind in product(BACKENDS, PAGES):
        try:
            one = scenario.with_values(dict(zip(("host.backend", "host.pages"), kind, strict=True)))
        except InputError:
            continue  # hugetlb has no MADV_FREE
        world = run_engine(one, guest_memory(one)[0]).world
        count = dict(zip(COUNTS, world.backing.count.tolist(), strict=True))
        rows[kind] = {
            "left_MiB": int(world.tally[0].discarded) / PAGES_PER_MIB,
            "lazy_MiB": count["lazy_pages"] / PAGES_PER_MIB,
            "kept_MiB": count["kept_pages"] / PAGES_PER_MIB,
            "refused_MiB": count["refused_pages"] / PAGES_PER_MIB,
            "splits": count["splits"],
            "faults": int(world.host[0].faults),
            "fault_ms": int(world.host[0].fault_sum_ns) / NS_PER_MS,
        }
    return pd.DataFrame(rows).T.rename_axis(["backend", "pages"])


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
    table = all_done(sweep(one, {"memory": [memory]}, range(guests), scheduler=scheduler))
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
