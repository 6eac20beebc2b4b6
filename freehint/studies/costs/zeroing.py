"""What share of later allocations lands on pages that the host has zeroed?  By policy and by order.

Tsirkin measured it once (RFC of 12 April 2026, <cover.1776033471.git.mst@redhat.com>): in a guest
of 2 GB with one vCPU, 256 MB of anonymous memory after everything had been reported.  "Without THP,
only ~21 % of order-0 allocations come from reported pages due to low-order fragmentation."  He does
not say what the guest had done before, and that decides: :func:`after_reporting` shows recorded
guests beside it, with nothing fitted.

:func:`churning` compares policies, ends of the list, and shuffled lists on a guest whose
program goes on mapping and unmapping, with a pass of the policy after every 64 MiB; the host has
zeroed a pass's blocks before the program goes on.

``zeroing_tables.py`` prints all tables, with the prices of ``price.py``; ``make zeroing`` calls it.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from freehint.data import data
from freehint.engine.guest.churn import LARGEST_PIECE, SMALLEST_PIECE
from freehint.engine.guest.programs import Program
from freehint.engine.host.device import HostConfig
from freehint.formats.boot import make_memory
from freehint.formats.snapshots import load_snapshot
from freehint.mm.memory import PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, copy_memory
from freehint.policies import POLICIES
from freehint.policies.page_reporting import PageReporting
from freehint.policies.policy import Policy
from freehint.runs.control import Control
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.costs.zeroed import RULES
from freehint.studies.costs.zeroed_guest import Guest, shuffle_lists
from freehint.studies.disputes import checked_seeds
from freehint.sweeps.paired import interval, paired
from freehint.units import NS_PER_S, PAGES_PER_MIB

MAPPED_MIB = 256
PUBLISHED = {0: 0.21}  # of allocations of order 0; of order 9 the mail only says "entire 2MB pages"
SIZES = {0: "4 KiB", PAGEBLOCK_ORDER: "2 MiB"}
# 2 GiB as placed and as recorded at rest; then guests of 1 GiB after what they are named for.
GUESTS = {
    "2 GiB, as placed": None,
    "2 GiB, at rest": "linux-6.1/snapshots/snap2g.T0",
    "1 GiB, at rest": "linux-6.1/traces/idle20.T1",
    "1 GiB, forked": "linux-6.1/traces/fork.T1",
    "1 GiB, compiled": "linux-6.1/traces/compile.T1",
    "1 GiB, files read": "linux-6.1/traces/cache.T1",
    "1 GiB, in pieces": "linux-6.1/traces/frag.T1",
}
CHURNED = "linux-6.1/traces/compile.T1"
LIVE_MIB, CHURN_MIB, PASS_MIB = 384, 2048, 64
WALK_NS = 2 * NS_PER_S  # as free page reporting waits; in time, 64 MiB are mapped meanwhile
SEEDS = range(1, 11)


def after_reporting(guests=GUESTS, mapped_MiB: int = MAPPED_MIB) -> pd.DataFrame:
    """Allocate memory when all that can be reported has been, beside what Tsirkin published.

    Parameters
    ----------
    guests : dict
        Name -> stem of a snapshot, or None for a guest of 2 GiB as it is placed.
    mapped_MiB : int
        Anonymous memory that is mapped; fewer if the guest has no more.

    Returns
    -------
    DataFrame
        One row for each guest, size of pages and moment ("first": after everything was reported;
        "again": the program leaves and maps as much once more, with no report in between): order,
        page, block, first (the shares of :data:`RULES`), published (nan where nothing is),
        unknown_MiB (free memory before, that the host has not zeroed).
    """
    rows = []
    for name, stem in guests.items():
        memory = make_memory("2GiB") if stem is None else load_snapshot(data(stem))
        for order in SIZES:
            guest = Guest(copy_memory(memory), PageReporting())
            guest.report_all()
            for moment in ("first", "again"):
                before, unknown = guest.zeroed.count[order].copy(), guest.unknown_MiB()
                blocks = guest.map(mapped_MiB * PAGES_PER_MIB, order > 0)
                guest.give_back(blocks)
                published = PUBLISHED.get(order, np.nan) if moment == "first" else np.nan
                told = {"guest": name, "pages": SIZES[order], "moment": moment}
                told |= guest.shares(order, before)
                rows.append(told | {"published": published, "unknown_MiB": unknown})
    return pd.DataFrame(rows).set_index(["guest", "pages", "moment"])


@dataclass(frozen=True)
class Way:
    """A way to report.

    policy : Policy
    shuffled : bool   whether the largest blocks are in a random order before and after each pass
    every_MiB : int   memory that the program maps from one pass to the next
    """

    policy: Policy
    shuffled: bool = False
    every_MiB: int = PASS_MIB


def ways() -> dict[str, Way]:
    """Every policy, and free page reporting with what decides about the order of its lists."""
    kept = PageReporting()
    return {name: Way(policy) for name, policy in POLICIES.items() if policy.fill} | {
        "put back at the head": Way(replace(kept, putback="head")),
        "all of a list in a pass": Way(replace(kept, share=1)),
        "all, at the head": Way(replace(kept, share=1, putback="head")),
        "shuffled": Way(kept, True),
        "shuffled, at the head": Way(replace(kept, putback="head"), True),
        "from order 0": Way(replace(kept, report_order=0)),
        "four times as often": Way(kept, every_MiB=PASS_MIB // 4),
    }


def churned(way: Way, huge: bool, seed: int, churn_MiB: int = CHURN_MIB) -> dict:
    """Let a program map and unmap pieces of 256 KiB to 16 MiB, with a pass every 64 MiB.

    The oldest piece leaves, as in ``Program(state="churn")``.  A pass may come in mid-piece.

    Parameters
    ----------
    way : Way
    huge : bool
        Whether 2 MiB at a time are huge pages.
    seed : int
        Draws the pieces and the shuffled lists; not the policy.
    churn_MiB : int
        Memory that is mapped in all.

    Returns
    -------
    dict
        The shares of RULES among the allocations of order 0 or 9.
    """
    stream = np.random.default_rng(seed)
    guest = Guest(load_snapshot(data(CHURNED)), way.policy)
    shuffles = np.random.default_rng([seed, 1]) if way.shuffled else None
    every = way.every_MiB * PAGES_PER_MIB
    one_pass(guest, shuffles)
    pieces, alive, mapped, due = [], 0, 0, every
    while mapped < churn_MiB * PAGES_PER_MIB:
        size = left = int(stream.integers(SMALLEST_PIECE, LARGEST_PIECE + 1))
        while pieces and alive + size > LIVE_MIB * PAGES_PER_MIB:
            pages, parts = pieces.pop(0)
            guest.give_back(np.concatenate(parts))
            alive -= pages
        parts = []
        while left:
            part = left if left <= due else due // PAGEBLOCK_NR_PAGES * PAGEBLOCK_NR_PAGES
            parts.append(guest.map(part, huge))
            left, due = left - part, due - part
            if left or not due:
                one_pass(guest, shuffles)
                due += every
        pieces.append((size, parts))
        alive, mapped = alive + size, mapped + size
    return guest.shares(PAGEBLOCK_ORDER if huge else 0)


def one_pass(guest: Guest, shuffles: np.random.Generator | None) -> None:
    """Let the policy make a pass; ``shuffles`` draws the order of lists before it and after."""
    if shuffles:
        shuffle_lists(guest.memory, shuffles)
    guest.report()
    if shuffles:
        shuffle_lists(guest.memory, shuffles)


def churning(seeds=SEEDS, some=None, churn_MiB: int = CHURN_MIB) -> pd.DataFrame:
    """The shares of :func:`churned` for each way, size of pages and seed.

    Parameters
    ----------
    seeds : sequence of int
        At least two.
    some : dict, optional
        Name -> Way; by default :func:`ways`.
    churn_MiB : int

    Returns
    -------
    DataFrame
        One row for each: way, pages, seed, page, block, first, and lost (page less block: what
        merges made the guest forget).
    """
    rows = []
    for seed in checked_seeds(seeds):
        for name, way in (some or ways()).items():
            for order in SIZES:
                shares = churned(way, order > 0, seed, churn_MiB)
                lost = shares["page"] - shares["block"]
                rows.append({"way": name, "pages": SIZES[order], "seed": seed, **shares})
                rows[-1]["lost"] = lost
    return pd.DataFrame(rows)


def told(table: pd.DataFrame) -> pd.DataFrame:
    """Means of :func:`churning` with 95 % intervals, and the difference to free page reporting.

    Returns
    -------
    DataFrame
        One row for each size of pages and way, by the first rule's share: each share and its
        half width, then ``block_more`` with its half width (paired by seed).
    """
    rows, kept = [], PageReporting().name
    for pages, part in table.groupby("pages", sort=False):
        gains = paired(part, ["block"], against=kept, factor="way").set_index("level")
        for way, runs in part.groupby("way", sort=False):
            row = {"pages": pages, "way": way}
            for name in (*RULES, "lost"):
                row[name], row[f"{name}_half_width"] = interval(runs[name])
            if way in gains.index:
                row["block_more"] = gains.loc[way, "difference"]
                row["block_more_half_width"] = gains.loc[way, "half_width"]
            rows.append(row)
    return pd.DataFrame(rows).set_index(["pages", "way"])


def in_time(seeds=SEEDS, policies=POLICIES, churn_MiB: int = CHURN_MIB) -> pd.DataFrame:
    """The share *page* once more, by the engine: a program in time, walks every 2 s, a slow host.

    The program is ``Program(state="churn")``, in which the oldest piece leaves, with pages of 4 KiB
    and as much memory as in :func:`churned`.  What is allocated while its hint is still under way
    does not count as zeroed.

    Parameters
    ----------
    seeds : sequence of int
        At least two.
    policies : dict
        Name -> Policy; one that does nothing is left out.
    churn_MiB : int
        Memory that the program maps in all.

    Returns
    -------
    DataFrame
        One row per policy and seed: way, seed, page.
    """
    rows = []
    guest = Program(
        state="churn",
        fill_MiB=0,
        dirty_MiB=LIVE_MIB,
        huge_pages=False,
        rate_MiBps=PASS_MIB * NS_PER_S / WALK_NS,
    )
    for seed in checked_seeds(seeds):
        for name, policy in policies.items():
            if policy.fill:
                told = simulate(
                    Scenario(
                        memory=CHURNED,
                        policy=policy,
                        workload=guest,
                        control=Control(every_ns=WALK_NS),
                        host=HostConfig(discard=True),
                        seed=seed,
                        duration_ns=churn_MiB * WALK_NS // PASS_MIB,
                    )
                ).summary
                zeroed = told["reused_pages"] - told["stale_pages"]
                rows.append({"way": name, "seed": seed, "page": zeroed / told["allocations"]})
    return pd.DataFrame(rows)
