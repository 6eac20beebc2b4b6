"""The settings that a dispute compares, and how: small functions that each give one number.

Each runs two settings that differ in one knob, with the same seeds.  The disputes themselves stand
in :mod:`freehint.studies.verdicts`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from freehint.config import one_of, require, whole
from freehint.data import data
from freehint.engine.host.migration import MigrationConfig
from freehint.mm.profile import PROFILES
from freehint.policies.five_step import FiveStep
from freehint.policies.walker import Walker
from freehint.replay.counterfactual import PREDICTED as PREDICTED_RUN
from freehint.runs.equal_work import equal_work
from freehint.runs.scenario import MOST_SEED, Scenario
from freehint.studies.costs.scaling import require_scale, scaled
from freehint.studies.migrations import afterwards
from freehint.studies.real_walks import with_and_without_rotation
from freehint.studies.side_by_side import busy, calm, loaded
from freehint.sweeps.paired import NO_DIFFERENCE, ONE_SEED, interval, judged, paired
from freehint.sweeps.status import all_done
from freehint.sweeps.sweep import sweep
from freehint.units import MIB, NS_PER_MS

PREDICTED, SIMULATED = "exact prediction", "simulation"
ASSUMED = f"{SIMULATED}, assumed cost"
RECORDED = "6.1"
RECORDINGS = f"linux-{RECORDED}/walkers"
CURSOR = Walker("cursor", rotate="never", resume="cursor", on_full="stop")
V24 = Walker("v24", rotate="never", resume="restart", lock="per_list", on_full="lose")
# Each of these loses no hint to a full ring, so only their ways to walk can tell them apart.
LOSSLESS = (
    CURSOR,
    replace(CURSOR, name="scan for A", rotate="on_exit", resume="scan_for_first"),
    replace(CURSOR, name="hold", resume="restart", lock="whole_walk", on_full="wait"),
    FiveStep(),
)
# Recordings of walks that begin at the head each time.
ASKING_ROTATION = ("s3_v24", "s3_rot", "s6_v24", "s6_rot", "c_v24")
SCAN = {"rotate": "on_exit", "resume": "scan_for_first", "capacity": 96, "pause_ns": 3 * NS_PER_MS}
TWICE, LOST = ("duplicate_pages", "hinted_pages"), ("lost_pages", "offered_pages")
AWAY = {"ring.size": {"host.gap_ns": 0}, "order": {"host.gap_ns": 3 * NS_PER_MS}}


class Found(NamedTuple):
    """A mean difference, the half width of its 95 % interval, and the number of pairs."""

    value: float
    half_width: float
    seeds: int


class Setting:
    """How every guest of the disputes differs from the one that its dispute describes.

    Parameters
    ----------
    kernel : str, optional
        The kernel whose rules its allocator follows.
    scale : dict, optional
        Costs -> the factor by which each is multiplied; see :func:`scaled`.

    Raises
    ------
    InputError
        There is no such kernel or cost, or a factor is out of range.
    """

    def __init__(self, kernel: str | None = None, scale: dict | None = None):
        if kernel is not None:
            one_of("kernel", kernel, PROFILES)
        self.kernel, self.scale = kernel, {} if scale is None else scale
        require_scale(self.scale)
        self.guests = []  # those that it was asked for

    def of(self, scenario: Scenario) -> Scenario:
        """The scenario with this kernel and these costs."""
        self.guests.append(scenario)
        return scaled(scenario.with_values({"kernel": self.kernel}), self.scale)


@dataclass(frozen=True)
class Dispute:
    """One row of the verdicts.

    Attributes
    ----------
    dispute, claim, measure, unit, evidence, limits : str
        Columns of :func:`freehint.verdicts`.
    chapter : str
        The notebook that makes the number in full, without its suffix.
    changed, base : object
        The two settings that are compared; the value is that of ``changed`` less that of ``base``.
    knob : str
        The one thing in which they differ.
    above, below : str
        The verdict for a value above 0 and for one below 0.
    find : callable
        ``find(dispute, seeds, setting)`` returns a Found, in ``unit``; the Setting changes each
        guest that it runs.
    least : float
        Differences that are surely smaller are said not to count.
    """

    dispute: str
    claim: str
    measure: str
    unit: str
    evidence: str
    limits: str
    chapter: str
    knob: str
    changed: object
    base: object
    above: str
    below: str
    find: Callable
    least: float = 0

    def row(self, seeds, setting=None) -> dict:
        """The row of the verdicts over some seeds, with guests as a Setting has them."""
        found = self.find(self, seeds, setting or Setting())
        words = judged(found.value, found.half_width, self.above, self.below)
        if not found.seeds:
            words = f"undecided: recordings of Linux {RECORDED} alone"
        elif words == ONE_SEED:
            words = f"undecided: {ONE_SEED}"
        elif words != NO_DIFFERENCE and abs(found.value) + found.half_width < self.least:
            words = f"no difference that counts (below {self.least:g} {self.unit})"
        return {
            "dispute": self.dispute,
            "claim": self.claim,
            "verdict": words,
            "measure": self.measure,
            **found._asdict(),
            "unit": self.unit,
            "evidence": self.evidence,
            "limits": self.limits,
            "chapter": f"{self.chapter}.ipynb",
        }


def checked_seeds(seeds) -> list:
    """The seeds as a list; refuses none, no whole numbers, and the same one twice."""
    seeds = list(seeds) if isinstance(seeds, list | tuple | range) else seeds
    must = "be a list of different whole numbers, at least one"
    good = isinstance(seeds, list) and len(seeds) > 0 and len(set(map(repr, seeds))) == len(seeds)
    require(good, "seeds", must, seeds)
    for seed in seeds:
        whole("seeds", seed, 0, MOST_SEED)
    return seeds


def _between(scenario, dispute, seeds, outcome) -> Found:
    """The difference of an outcome (a function of the table of runs) between two settings."""
    factor = dispute.knob if "." in dispute.knob else "policy"
    levels = [dispute.changed, dispute.base]
    runs = all_done(sweep(scenario, {factor: levels}, seeds))
    base = getattr(dispute.base, "name", dispute.base)
    return _paired(runs.assign(outcome=outcome(runs)), base, factor)


def _paired(runs: pd.DataFrame, base, factor: str = "policy") -> Found:
    (row,) = paired(runs, ["outcome"], base, factor).itertuples()
    return Found(row.difference, row.half_width, row.seeds)


def _share(runs: pd.DataFrame, part: str, of: str) -> pd.Series:
    """A share in %, 0 where there is nothing to share."""
    return (100 * runs[part] / runs[of]).fillna(0).astype(float)


def rotation_of_a_part(dispute, _seeds, setting) -> Found:
    """Hints that are still good after 128 MiB, recording by recording instead of seed by seed."""
    if setting.kernel not in (None, RECORDED):
        return Found(np.nan, np.nan, 0)
    differences = []
    for name in ASKING_ROTATION:
        table = with_and_without_rotation(data(f"{RECORDINGS}/{name}"))
        predicted = table[table["run"] == PREDICTED_RUN].set_index("policy")["reused_128MiB"]
        differences.append(100 * (predicted[dispute.base] - predicted[dispute.changed]))
    differences = np.array(differences)
    return Found(*interval(differences), int((~np.isnan(differences)).sum()))


def rotation_of_a_whole_walk(dispute, seeds, setting) -> Found:
    two = [setting.of(busy(policy=policy)) for policy in (dispute.changed, dispute.base)]
    runs = equal_work(two, seeds)
    return _paired(runs.assign(outcome=100 * runs["survival_equal_work"]), dispute.base.name)


def coverage(dispute, seeds, setting) -> Found:
    guest = setting.of(busy(memory="1GiB", **{"ring.size": 64}))
    return _between(guest, dispute, seeds, lambda runs: 100 * runs["coverage"])


def sent_twice(dispute, seeds, setting) -> Found:
    guest = Scenario(memory=f"{RECORDINGS}/c_rotscan.T0", duration_ns=400 * NS_PER_MS)
    guest = setting.of(guest.with_values({"ring.size": 64}))
    return _between(guest, dispute, seeds, lambda runs: _share(runs, *TWICE))


def sent(dispute, seeds, setting) -> Found:
    guest = setting.of(loaded())
    return _between(guest, dispute, seeds, lambda runs: runs["sent_bytes"] / 1e6)


def longest_wait(dispute, seeds, setting) -> Found:
    guest = setting.of(busy())
    return _between(guest, dispute, seeds, lambda runs: runs["alloc_wait_max_ns"] / NS_PER_MS)


def guest_work(dispute, seeds, setting) -> Found:
    runs = all_done(sweep(setting.of(busy()), {"policy": [dispute.changed, dispute.base]}, seeds))
    base = runs[runs["policy"] == dispute.base.name].set_index("seed")["allocations"]
    done = 100 * runs["allocations"] / base.loc[runs["seed"]].to_numpy()
    return _paired(runs.assign(outcome=done), dispute.base.name)


def stale(dispute, seeds, setting) -> Found:
    guest = setting.of(busy())
    return _between(guest, dispute, seeds, lambda runs: runs["stale_pages"] * MIB)


def lost(dispute, seeds, setting) -> Found:
    guest = setting.of(busy(policy=V24, **AWAY[dispute.knob]))
    return _between(guest, dispute, seeds, lambda runs: _share(runs, *LOST))


def slowdown(dispute, seeds, setting) -> Found:
    fast = MigrationConfig(bandwidth_Bps=4 * 10**9, zero_page_ns=100, normal_page_ns=400)
    guest = setting.of(Scenario(memory="512MiB", migration=fast))
    policies = [dispute.base, dispute.changed]
    runs = afterwards(guest, policies, window_ns=400 * NS_PER_MS, seeds=seeds)
    return _paired(runs.assign(outcome=runs["work_against_none"]), dispute.base.name)


def spread(dispute, seeds, setting) -> Found:
    """How far apart the policies that lose no hint are, in a loaded guest and in a calm one."""
    rows = []
    for guest in (loaded(), calm()):
        scenario = setting.of(guest)
        runs = all_done(sweep(scenario, {"policy": list(LOSSLESS)}, seeds))
        sent = runs.groupby("seed")["sent_bytes"].agg(np.ptp) / 1e6
        state = scenario.workload.state
        rows += [(state, seed, outcome) for seed, outcome in sent.items()]
    return _paired(pd.DataFrame(rows, columns=["policy", "seed", "outcome"]), dispute.base)
