"""Does a balloon reach its target in time, in guests that are full of cache or of anonymous memory?

Each guest holds 170 to 200 MiB of 256 and sleeps; a tenth of a second later the host wants 100 to
150 MiB.  The seed draws both sizes.
"""

import numpy as np
import pandas as pd

from freehint.config import one_of
from freehint.engine.guest.pressure.under_pressure import UnderPressure
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.disputes import checked_seeds
from freehint.sweeps.paired import level
from freehint.units import MIB, NS_PER_S

# Guest -> shares of its memory that are cache and anonymous, and swap in MiB.
GUESTS = {
    "cache": (1, 0, 0),
    "anonymous": (0, 1, 0),
    "anonymous, swap": (0, 1, 256),
    "both": (0.5, 0.5, 0),
    "both, swap": (0.5, 0.5, 256),
}
AT_S, HELD_MIB, TARGET_MIB = 0.1, (170, 200), (100, 150)
DISK_PAGE_NS = 4_000  # 1 GB/s


def full_guest(kind: str, seed: int, within_s: float, disk_page_ns: int = DISK_PAGE_NS):
    """The scenario of one guest, and its balloon's target in MiB.

    Parameters
    ----------
    kind : str
        One of GUESTS.
    seed : int
    within_s : float
        Seconds from the target to the run's end.
    disk_page_ns : int
        Time in which the disk writes a page to swap.
    """
    one_of("kind", kind, GUESTS)
    cache, anon, swap = GUESTS[kind]
    draw = np.random.default_rng(seed)
    held, target = (int(draw.integers(*bounds)) for bounds in (HELD_MIB, TARGET_MIB))
    guest = UnderPressure(
        jobs="sleep 60",
        files="",
        cache_MiB=round(cache * held),
        anon_MiB=round(anon * held),
        swap_MiB=swap,
        disk_page_ns=disk_page_ns,
    )
    return Scenario(
        memory="256MiB",
        policy="none",
        workload=guest,
        seed=seed,
        control=Control(at=f"{AT_S} balloon {target}"),
        duration_ns=round((AT_S + within_s) * NS_PER_S),
    ), target


def inflating(
    seeds, within_s: float = 5, kinds=tuple(GUESTS), disk_page_ns: int = DISK_PAGE_NS
) -> pd.DataFrame:
    """Inflate the balloon of full guests.

    Parameters
    ----------
    seeds : sequence of int
    within_s : float
        Seconds that the balloon has.
    kinds : sequence of str
    disk_page_ns : int

    Returns
    -------
    DataFrame
        One row per run: guest, seed, target_MiB; reached; seconds until then (NaN if it was not
        reached); missing_MiB at the end; reclaimed_MiB, swapped_MiB; waits: times at which the
        driver slept for 200 ms because no page was left.
    """
    rows = []
    for seed in checked_seeds(seeds):
        for kind in kinds:
            scenario, target = full_guest(kind, seed, within_s, disk_page_ns)
            rows.append({"guest": kind, "seed": seed, "target_MiB": target, **_end(scenario)})
    return pd.DataFrame(rows)


def _end(scenario: Scenario) -> dict:
    """How one inflation ended."""
    run = simulate(scenario)
    course, last = run.balloon, run.reclaim.iloc[-1]
    missing = (course["target_pages"] - course["pages"]).iloc[-1]
    return {
        "reached": bool(missing == 0),
        "seconds": course["time_s"].iloc[-1] - AT_S if missing == 0 else float("nan"),
        "missing_MiB": float(missing * MIB),
        "reclaimed_MiB": float((last["pgsteal_kswapd"] + last["pgsteal_direct"]) * MIB),
        "swapped_MiB": float(last["pswpout"] * MIB),
        "waits": int(course["out_of_puff"].sum()),
    }


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """How the inflations of each kind of guest ended, for people.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`inflating`.

    Returns
    -------
    DataFrame
        One row per kind: the share of targets reached, then means and 95 % intervals.
    """
    found = {}
    for kind, rows in table.groupby("guest", sort=False):
        reached = rows[rows["reached"]]
        found[kind] = {
            "reached": f"{len(reached)} of {len(rows)}",
            "after (s)": level(reached["seconds"]) if len(reached) else "–",
            "missing (MiB)": level(rows["missing_MiB"]),
            "reclaimed (MiB)": level(rows["reclaimed_MiB"]),
            "swapped out (MiB)": level(rows["swapped_MiB"]),
        }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("guest full of")
