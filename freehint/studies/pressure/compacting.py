"""When does compacting before reporting pay?  By granularity, and by how fragmented a guest is.

A program fills memory page by page and gives a part of it back in pieces.  Then the policy
compact_report makes one pass, with its compaction or without: the only thing that differs.
"""

import numpy as np
import pandas as pd

from freehint.engine.guest.pressure.start import used_movable
from freehint.engine.guest.programs import Program
from freehint.engine.world.records import Costs
from freehint.jit.pinned import pinned
from freehint.mm.compact.state import new_compaction
from freehint.mm.memory import NR_ORDERS, Memory, copy_memory
from freehint.mm.reclaim.counts import (
    COMPACT_FREE_SCANNED,
    COMPACT_MIGRATE_SCANNED,
    PGMIGRATE_SUCCESS,
)
from freehint.mm.reclaim.state import new_reclaim
from freehint.policies.compact_report import CompactReport
from freehint.runs.scenario import Scenario
from freehint.runs.simulate import simulate
from freehint.studies.disputes import checked_seeds
from freehint.studies.pressure.whole_memory import compact_movable
from freehint.sweeps.paired import amount, paired
from freehint.units import MIB, NS_PER_MS

ORDERS = (0, 9, 10)  # 4 KiB, 2 MiB, 4 MiB
GRANULARITY = {0: "4 KiB", 9: "2 MiB", 10: "4 MiB"}
SIZES = {1: "4 KiB", 64: "256 KiB", 1024: "4 MiB"}
PIECES = tuple(SIZES)  # pages that are given back at a time
PASS_AT_NS, DURATION_NS = 300 * NS_PER_MS, 900 * NS_PER_MS
COMPACTS, LEAVES = "compacts first", "reports alone"


def fragmented(order: int, compacts: bool, piece: int, seed: int) -> Scenario:
    """A guest of 256 MiB of which a program holds 64 MiB in what pieces left.

    Parameters
    ----------
    order : int
        The smallest order that is reported.
    compacts : bool
    piece : int
        Pages that are given back at a time.
    seed : int
    """
    name = COMPACTS if compacts else LEAVES
    policy = CompactReport(name, report_order=order, compacts=compacts, delay_ns=PASS_AT_NS)
    state = {"frag_MiB": 160, "frag_percent": 60, "frag_chunk": piece}
    return Scenario(
        memory="256MiB",
        policy=policy,
        workload=Program(state="frag", fill_MiB=64, **state),
        seed=seed,
        duration_ns=DURATION_NS,
    )


def compacting(seeds, orders=ORDERS, pieces=PIECES) -> pd.DataFrame:
    """Report with and without compaction, by granularity and by the size of the pieces.

    Parameters
    ----------
    seeds : sequence of int
    orders, pieces : sequence of int
        Of ORDERS and PIECES.

    Returns
    -------
    DataFrame
        One row per run: order, piece, policy, seed; can_leave_MiB reported in the first pass,
        copied_pages and compact_ms (assumed: ``Costs.migrate_page_ns`` per page) before it.
    """
    rows = []
    for seed in checked_seeds(seeds):
        for order in orders:
            for piece in pieces:
                for compacts in (True, False):
                    scenario = fragmented(order, compacts, piece, seed)
                    walk = simulate(scenario).walks.iloc[0]
                    rows.append(
                        {
                            "order": order,
                            "piece": piece,
                            "policy": scenario.policy.name,
                            "seed": seed,
                            "can_leave_MiB": float(walk["hinted_pages"] * MIB),
                            "copied_pages": int(walk["compacted_pages"]),
                            "compact_ms": float(walk["compact_ns"] / NS_PER_MS),
                        }
                    )
    return pd.DataFrame(rows)


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """What compaction adds for each granularity and size of pieces, and its price.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`compacting`.

    Returns
    -------
    DataFrame
        granularity, pieces; more_MiB that can leave, half_width of its 95 % interval, and pays
        (whether it is above 0 and its interval leaves out 0); copied_pages, compact_ms, and
        MiB_per_ms of compaction.
    """
    rows = []
    for (order, piece), runs in table.groupby(["order", "piece"], sort=False):
        (row,) = paired(runs, ["can_leave_MiB"], LEAVES).itertuples()
        price = runs[runs["policy"] == COMPACTS][["copied_pages", "compact_ms"]].mean()
        rows.append(
            {
                "granularity": GRANULARITY[order],
                "pieces": SIZES[piece],
                "more_MiB": row.difference,
                "half_width": row.half_width,
                "pays": bool(row.differs and row.difference > 0),
                **price,
                "MiB_per_ms": row.difference / price["compact_ms"],
            }
        )
    return pd.DataFrame(rows)


def answer(gained: pd.DataFrame) -> str:
    """Where compaction pays and where it does not, in one sentence.

    Parameters
    ----------
    gained : DataFrame
        The result of :func:`gains`.
    """
    parts = []
    for granularity, rows in gained.groupby("granularity", sort=False):
        pays = rows[rows["pays"]]
        if pays.empty:
            parts.append(f"blocks of {granularity}: no gain seen with any pieces")
            continue
        more = " and ".join(
            f"{amount(row.more_MiB, row.half_width, 'MiB')} with pieces of {row.pieces}"
            f" ({row.MiB_per_ms:.1f} MiB per ms)"
            for row in pays.itertuples()
        )
        none = " and ".join(rows.loc[~rows["pays"], "pieces"])
        parts.append(
            f"**blocks of {granularity}: {more}**" + (f", none with pieces of {none}" * bool(none))
        )
    return "; ".join(parts) + "."


def compacted_snapshot(memory: Memory) -> pd.DataFrame:
    """What a recorded guest's memory would let go before and after all of it is compacted.

    Which of its used pages can be moved was not recorded, so all used frames of MOVABLE pageblocks
    are taken for movable.  Assumed.

    Parameters
    ----------
    memory : Memory
        It is not changed.

    Returns
    -------
    DataFrame
        One row per granularity: before_MiB and after_MiB in free blocks of that order or more, and
        the price: copied_pages, scanned_pages, and cpu_ms by the assumed costs.
    """
    memory = copy_memory(memory)
    nodes = used_movable(memory)
    reclaim, compaction = new_reclaim(memory, len(nodes)), new_compaction(memory)
    before = _free_MiB(memory)
    compact_movable(pinned(memory), pinned(reclaim), pinned(compaction), nodes)
    count, costs = reclaim.count, Costs()
    copied = int(count[PGMIGRATE_SUCCESS])
    scanned = int(count[COMPACT_MIGRATE_SCANNED] + count[COMPACT_FREE_SCANNED])
    spent = copied * costs.migrate_page_ns + scanned * costs.compact_scan_ns
    after = _free_MiB(memory)
    rows = {
        GRANULARITY[order]: {
            "before_MiB": before[order:].sum(),
            "after_MiB": after[order:].sum(),
            "copied_pages": copied,
            "scanned_pages": scanned,
            "cpu_ms": spent / NS_PER_MS,
        }
        for order in ORDERS
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("granularity")


def told_of(table: pd.DataFrame) -> str:
    """What compaction adds to a snapshot by granularity, in one sentence.

    Parameters
    ----------
    table : DataFrame
        The result of :func:`compacted_snapshot`.
    """
    more = table["after_MiB"] - table["before_MiB"]
    parts = [f"{mib:+,.0f} MiB in blocks of {name}" for name, mib in more.items()]
    spent_ms, copied = table["cpu_ms"].iloc[0], table["copied_pages"].iloc[0]
    return f"{', '.join(parts)} or more, for {copied:,.0f} copies and {spent_ms:,.0f} ms of CPU."


def _free_MiB(memory: Memory) -> np.ndarray:
    """Free memory of each order."""
    blocks = memory.nr_free.sum(axis=(0, 2))
    return (blocks << np.arange(NR_ORDERS)) * MIB
